"""Training of a classifier: where its volumes come from, what speaks against them, the split, and the same weights
again."""

import csv
import warnings

import numpy as np
import pytest
import torch
from classified_phantoms import PLACES, phantom, write_classes
from shell import run

import meddl
from meddl.core.errors import InputError, ModelError
from meddl.models.weights import load_weights
from meddl.training.supervised.classification.dataset import find_classes
from meddl.training.supervised.classification.inspection import inspect_classes, split_classes

SHORT = {"batch": 2, "steps": 3}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))


def write_table(folder, rows, header=("file", "class", "patient")):
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return folder / "table.csv"


def findings_of(data) -> str:
    return "\n".join(map(str, inspect_classes(find_classes(data)).findings))


def test_folders_and_tables_give_the_same_cases(tmp_path):
    data = write_classes(tmp_path / "data", 2)
    (data / "left" / "sub-7_ses-2.nii.gz").write_bytes((data / "left" / "left-0.nii.gz").read_bytes())
    found = find_classes(data)
    assert found.classes == ("left", "right") and len(found.cases) == 5
    assert next(one.patient for one in found.cases if "ses-2" in one.name) == "sub-7"
    table = write_table(tmp_path, [(f"data/{one.label}/{one.image.name}", one.label, one.patient)
                                   for one in found.cases])
    again = find_classes(table)
    assert [(one.image.resolve(), one.label, one.patient) for one in again.cases] == [
        (one.image.resolve(), one.label, one.patient) for one in found.cases]
    semicolons = tmp_path / "semicolons.csv"
    semicolons.write_text("Path;Group\ndata/left/left-0.nii.gz;left\n")
    assert find_classes(semicolons).cases[0].patient == "left-0"


@pytest.mark.parametrize(("rows", "header", "message"), [
    ([("a.nii", "left")], ("name", "class"), "file and class were expected"),
    ([("a.nii", "left"), ("a.nii", "right")], ("file", "class"), "more than once: a.nii"),
    ([("a.nii", "")], ("file", "class"), "Line 2 of .* lacks its class")])
def test_a_table_that_cannot_be_used_is_refused(tmp_path, rows, header, message):
    with pytest.raises(InputError, match=message):
        find_classes(write_table(tmp_path, rows, header))


def test_a_place_without_classes_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no folders"):
        find_classes(tmp_path)
    with pytest.raises(InputError, match="a folder for each class, or a table"):
        find_classes(tmp_path / "nothing")


def test_everything_that_speaks_against_a_data_set_is_found(tmp_path):
    data = write_classes(tmp_path / "data", 3)
    (data / "empty").mkdir()
    (data / "single").mkdir()
    meddl.save(phantom("left", 9), data / "single" / "only.nii.gz")
    (data / "left" / "broken.nii.gz").write_bytes(b"no volume")
    meddl.save(meddl.Volume.scalar(np.zeros((8, 8, 8), np.float32), np.eye(4)), data / "left" / "flat.nii.gz")
    holes = phantom("left", 10).data.copy()
    holes[0, 0, 0, 0] = np.nan
    meddl.save(meddl.Volume(holes, np.eye(4)), data / "left" / "holes.nii.gz")
    meddl.save(meddl.Volume(np.concatenate([phantom("left", n).data for n in (11, 12)]), np.eye(4)),
               data / "left" / "series.nii.gz")
    (data / "right" / "copy.nii.gz").write_bytes((data / "left" / "left-0.nii.gz").read_bytes())
    found = findings_of(data)
    for text in ("error: left/broken: ", "error: left/flat: It is constant", "error: left/holes: 1 voxels are NaN",
                 "error: left/series: It is 4D", "error: right/copy: The same image as left/left-0, of the class left",
                 "error: The class empty has no case", "error: The class single has one case alone",
                 "warning: The class left has only 3 patients"):
        assert text in found, text
    with pytest.raises(InputError, match="The class empty has no case"):
        meddl.train_classifier(data, out=tmp_path / "run", device="cpu")
    assert "left/broken" in (tmp_path / "run" / "findings.txt").read_text()
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_one_patient_in_two_classes_is_found_and_stays_on_one_side(tmp_path):
    data = write_classes(tmp_path / "data", 4)
    for label in PLACES:
        for file in (data / label).iterdir():
            file.rename(file.with_name(file.name.replace(f"{label}-", "sub-") if "-0" in file.name else file.name))
    inspection = inspect_classes(find_classes(data))
    assert "such as sub-0 in left and right" in "\n".join(map(str, inspection.findings))
    for fold in range(4):
        training, held_out = split_classes(inspection, fold, 5, 0)
        assert not {one.case.patient for one in training} & {one.case.patient for one in held_out}
        assert {one.case.label for one in held_out} == set(PLACES)
    with pytest.raises(InputError, match="folds 0 to 3; got 4"):
        split_classes(inspection, 4, 5, 0)


def test_all_cases_of_one_patient_are_no_two_cases(tmp_path):
    data = write_classes(tmp_path / "data", 2)
    for file in (data / "left").iterdir():
        file.rename(file.with_name(f"sub-1_ses-{file.name}"))
    assert "All 2 cases of the class left are of one patient (sub-1)" in findings_of(data)


def test_faulty_cases_can_be_left_out(tmp_path):
    data = write_classes(tmp_path / "data", 2)
    (data / "left" / "broken.nii.gz").write_bytes(b"no volume")
    config = meddl.ClassifierTrainConfig(**SHORT, leave_out=True)
    found = meddl.train_classifier(data, out=tmp_path / "run", config=config, device="cpu", install=False)
    assert len(found.training) + len(found.validation.cases) == 4


@pytest.mark.parametrize("network", ["resnet", "densenet"])
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, network):
    class Stop(Exception):
        pass

    def stop(fraction, message):
        if "step 2" in message:
            raise Stop

    def weights(folder):
        return load_weights(folder / "phantoms" / "weights.safetensors")

    data = write_classes(tmp_path / "data", 2)
    config = meddl.ClassifierTrainConfig(steps=4, batch=2, network=network)
    run_it = {"name": "phantoms", "config": config, "device": "cpu", "install": False}
    meddl.train_classifier(data, out=tmp_path / "whole", **run_it)
    with pytest.raises(Stop):
        meddl.train_classifier(data, out=tmp_path / "parts", on_progress=stop, **run_it)
    assert not (tmp_path / "parts" / "phantoms").exists()
    meddl.train_classifier(data, out=tmp_path / "parts", **run_it)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)
    with pytest.raises(InputError, match="of other data or with other options"):
        meddl.train_classifier(data, out=tmp_path / "parts", **run_it | {"config": meddl.ClassifierTrainConfig(seed=1)})


def test_the_network_that_ships_is_started_from(tmp_path):
    """All of it but the last layer; its voxels and its cube are taken over."""
    data = write_classes(tmp_path / "data", 2)
    config = meddl.ClassifierTrainConfig(steps=1, batch=2, start="recognition", learning_rate=1e-9)
    found = meddl.train_classifier(data, out=tmp_path / "run", config=config, device="cpu", install=False)
    assert (found.plan.spacing_mm, found.plan.size) == (6.0, 40) and "from recognition" in found.plan.describe()
    own = load_weights(found.folder / "weights.safetensors")
    from meddl.models.store.store import ModelStore

    shipped = load_weights(ModelStore().weights_path("recognition"))
    assert own["network.fc.weight"].shape[0] == 2 and shipped["network.fc.weight"].shape[0] > 2
    for name in ("network.conv1.weight", "network.layer3.0.conv2.weight"):
        assert torch.allclose(own[name], shipped[name].float(), atol=1e-5)
    assert "started from recognition" in found.card.training.data


def test_a_segmentation_model_is_nothing_to_start_from(tmp_path):
    config = meddl.ClassifierTrainConfig(**SHORT, start="brain")
    with pytest.raises(ModelError, match="'brain' is for segmentation"):
        meddl.train_classifier(write_classes(tmp_path / "data", 2), out=tmp_path / "run", config=config, device="cpu")


def test_the_shell_trains_and_writes_figures(tmp_path, capsys):
    write_classes(tmp_path / "data", 2)
    assert run("train", "classification", "--data", tmp_path / "data", "--out", tmp_path / "run", "--name",
               "Two Places", "--steps", 2, "--batch", 2, "--device", "cpu", "--license", "CC0") == 0
    assert str(tmp_path / "run" / "two-places") in capsys.readouterr().out
    assert "2 cases of 2 patients" in (tmp_path / "run" / "validation.md").read_text()
    rows = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    assert rows[0] == "case,patient,class,found,probability left,probability right" and len(rows) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert meddl.classify(phantom("left"), "two-places").name in PLACES


def test_what_is_drawn_is_moved_turned_and_never_mirrored(tmp_path):
    from meddl.training.supervised.classification.network import plan_classifier
    from meddl.training.supervised.classification.prepared import prepare_cubes
    from meddl.training.supervised.classification.task import ClassificationTask

    inspection = inspect_classes(find_classes(write_classes(tmp_path / "data", 2)))
    plan = plan_classifier(inspection, meddl.ClassifierTrainConfig(), None)
    assert (plan.spacing_mm, plan.size) == (2.0, 24)
    cubes = prepare_cubes(inspection, plan, tmp_path / "cases")
    labels = np.array([list(PLACES).index(one.case.label) for one in inspection.cases])
    task = ClassificationTask(plan, torch.nn.Identity(), cubes, labels, (range(4), range(4)), 24, torch.device("cpu"))
    drawn, classes = task.sample(0.0)
    assert drawn.shape == (24, 2, 24, 24, 24) and 6 < int(classes.sum()) < 18
    along = torch.arange(24).float()
    for one, label in zip(drawn, classes, strict=True):
        bright = (one[0] > 0.8 * one[0].max()).float().sum(dim=(1, 2))
        assert (float((bright * along).sum() / bright.sum()) > 12) == bool(label)
    assert len({float(one.sum()) for one in drawn}) == 24
