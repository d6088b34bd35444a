"""A trained classifier names the class of a volume, is explained at the place by which the classes differ, and says of
another body part or a bad file that it does not know it."""

import json

import numpy as np
import pytest
from classified_phantoms import PLACES, cube, phantom, train, write_classes
from shell import run

import meddl
from meddl.classification.result import UNKNOWN
from meddl.core.errors import InputError, ModelError
from meddl.models.listing import find_model
from meddl.models.store.store import ModelStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(folder / "cache"))
        train(folder)
        yield ModelStore()


@pytest.mark.parametrize("label", list(PLACES))
@pytest.mark.parametrize("codes", ["RAS", "LPI"])
def test_a_new_volume_gets_its_class_in_whatever_order_it_is_stored(store, label, codes):
    found = meddl.classify(phantom(label, 99).reorient(codes), "phantoms")
    assert found.name == label and found.probability > 0.6
    assert sum(found.probabilities.values()) == pytest.approx(1) and next(iter(found.probabilities)) == label
    assert found.report["model"] == "phantoms" and not found.report["warnings"] and label in found.describe()


def test_it_is_a_model_like_any_other(store):
    card = store.card("phantoms")
    assert card.classes == ("left", "right") and store.verify("phantoms") is None
    assert find_model("phantoms").task == "classification"
    sensitivity = next(one for one in card.accuracy if one.metric == "sensitivity")
    assert sensitivity.interval[0] < sensitivity.value <= sensitivity.interval[1]
    archive = meddl.export_model("phantoms", store.cache / "phantoms.zip").path
    store.remove("phantoms")
    store.install(archive)
    store.accept_license("phantoms")
    assert meddl.classify(phantom("left", 98), "phantoms").name == "left"


def test_grad_cam_of_the_likeliest_class_lies_over_the_volume(store):
    """What it shows is tested with features that are known, in test_grad_cam.py."""
    volume = phantom("right", 97).reorient("LPI")
    found = meddl.explain(volume, "phantoms", explain=meddl.ExplainConfig(method="grad-cam"), device="cpu")
    assert found.map.grid.same_as(volume.grid) and 0 <= found.map.data.min() < found.map.data.max() <= 1
    assert found.report["structures"] == ["right"] and "speak for right" in found.reading
    assert found.report["subject"] == "network" and found.report["layer_voxels_mm"] == [8.0, 8.0, 8.0]


@pytest.mark.parametrize("label", list(PLACES))
def test_occlusion_points_at_the_cube_whose_place_is_the_class(store, label):
    found = meddl.explain(phantom(label, 97), "phantoms", label, meddl.ExplainConfig(runs=28), device="cpu")
    map_ = found.map.data[0]
    other = next(name for name in PLACES if name != label)
    assert "probability" in found.reading and found.report["subject"] == "pipeline"
    assert map_[cube(label)].mean() > 2 * map_[cube(other)].mean()


def test_a_class_that_the_model_does_not_have_is_not_explained(store):
    with pytest.raises(InputError, match="of left, right"):
        meddl.explain(phantom("left"), "phantoms", "above")
    with pytest.raises(InputError, match="no layer 'nothing'"):
        meddl.explain(phantom("left"), "phantoms", explain=meddl.ExplainConfig(method="grad-cam", layer="nothing"))


def test_another_modality_is_unknown(store):
    """The phantoms are no CT."""
    rng = np.random.default_rng(0)
    place = np.sqrt(((np.indices((40, 40, 40)) - 19.5) ** 2).sum(axis=0))
    values = np.where(place < 16, 40.0, -1000.0) + np.where((place > 13) & (place < 15), 800.0, 0.0)
    volume = meddl.Volume.scalar((values + rng.normal(0, 10, values.shape)).astype(np.int16), np.diag([4., 4, 4, 1]))
    found = meddl.classify(volume, "phantoms")
    assert found.name == UNKNOWN and "CT" in found.report["warnings"][0] and "unknown" in found.describe()


@pytest.mark.parametrize("data", [np.zeros((8, 8, 8)), np.full((8, 8, 8), np.nan)])
def test_a_volume_without_an_image_is_refused(store, data):
    with pytest.raises(InputError, match="cannot be used"):
        meddl.classify(meddl.Volume.scalar(data.astype(np.float32), np.eye(4)), "phantoms")


def test_a_model_for_something_else_is_refused(store):
    with pytest.raises(ModelError, match="is for segmentation"):
        meddl.classify(phantom("left"), "brain")


def test_the_shell_names_classes_and_writes_a_table(store, tmp_path, capsys):
    files = []
    for label in PLACES:
        files.append(tmp_path / f"{label}.nii.gz")
        meddl.save(phantom(label, 96), files[-1])
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"nothing")
    assert run("classify", *files, "--model", "phantoms", "-o", tmp_path / "classes.csv") == 0
    assert f"{files[0]}: left (probability" in capsys.readouterr().out
    rows = (tmp_path / "classes.csv").read_text().splitlines()
    assert rows[0] == "file,class,probability left,probability right,notes" and f"{files[1]},right," in rows[2]
    assert run("classify", files[0], "--model", "phantoms", "-o", tmp_path / "classes.csv") == 2
    capsys.readouterr()
    assert run("classify", files[0], bad, "--model", "phantoms", "--json") == 1
    assert [row["class"] for row in json.loads(capsys.readouterr().out)] == ["left", ""]
    assert run("classify", bad, "--model", "phantoms") == 2


def test_the_shell_measures_a_classifier(store, tmp_path, capsys):
    write_classes(tmp_path / "data", 2)
    assert run("evaluate", "classification", "--data", tmp_path / "data", "--model", "phantoms", "--out", tmp_path) == 0
    table = (tmp_path / "phantoms.md").read_text()
    assert "4 cases of 4 patients" in table and "| True class | found: left | found: right |" in table
    assert len((tmp_path / "phantoms.csv").read_text().splitlines()) == 5
    assert (tmp_path / "phantoms.png").stat().st_size > 1000
    (tmp_path / "data" / "above").mkdir()
    meddl.save(phantom("left", 50), tmp_path / "data" / "above" / "one.nii.gz")
    assert run("evaluate", "classification", "--data", tmp_path / "data", "--model", "phantoms", "--out", tmp_path) == 2
    assert "the data set has above" in capsys.readouterr().err
