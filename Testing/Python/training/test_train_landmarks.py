"""Training of landmarks and boxes: what belongs to which volume, what speaks against a data set, what is drawn, the
same weights again."""

import json

import numpy as np
import pytest
import torch
from landmark_phantoms import BODY, NAMES, phantom, write_marked

import meddl
from meddl.core.errors import InputError
from meddl.io.points import save_points
from meddl.models.weights import load_weights
from meddl.spatial.points import Boxes, Points
from meddl.training.supervised.landmarks.dataset import find_marked, load_marks
from meddl.training.supervised.landmarks.inspection import inspect_marked, split_marked
from meddl.training.supervised.landmarks.network import plan_landmarks
from meddl.training.supervised.landmarks.task import LandmarkTask, gaussians, prepare_images, shuffle_blocks


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    return write_marked(tmp_path / "data", 4)


def findings_of(data) -> str:
    return "\n".join(map(str, inspect_marked(find_marked(*data)).findings))


def put(data, case: str, points: Points) -> None:
    save_points(points, data[1] / f"{case}.mrk.json")


def test_markups_belong_to_the_volume_with_whose_name_theirs_begins(data):
    (data[0] / "case0_b.nii.gz").write_bytes((data[0] / "case1.nii.gz").read_bytes())
    (data[1] / "case0_b.fcsv").write_text("# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
                                          "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
                                          "1,-5,-6,7,0,0,0,1,1,1,0,Bright ball,,\n")
    found = {one.name: one for one in find_marked(*data).cases}
    assert [path.name for _rest, path in found["case0_b"].markups] == ["case0_b.fcsv"]
    points, boxes = load_marks(found["case0_b"])
    assert points.labels == ("Bright ball",) and points.positions.tolist() == [[5, 6, 7]] and not boxes.labels
    points, boxes = load_marks(found["case0"])
    truth = phantom(0)
    assert points.labels == NAMES and boxes.labels == (BODY,)
    np.testing.assert_allclose(points.positions, truth[1].positions, atol=1e-4)
    np.testing.assert_allclose(boxes.sizes, truth[2].sizes, atol=1e-4)


def test_everything_that_speaks_against_a_data_set_is_found(data, tmp_path):
    truth = phantom(0)[1].positions
    for name in ("outside", "nan", "twice", "nameless", "none", "copy", "broken"):
        (data[0] / f"{name}.nii.gz").write_bytes(b"" if name == "broken" else (
            data[0] / "case3.nii.gz").read_bytes() if name == "copy" else (data[0] / "case0.nii.gz").read_bytes())
    put(data, "outside", Points(truth + np.array([500, 0, 0]), NAMES))
    put(data, "twice", Points(truth, (NAMES[0], NAMES[0])))
    put(data, "nameless", Points(truth, (NAMES[0], " ")))
    put(data, "copy", Points(truth, NAMES))
    put(data, "broken", Points(truth, NAMES))
    put(data, "stranger", Points(truth, NAMES))
    (data[1] / "nan.csv").write_text("label,r,a,s\nBright ball,nan,1,2\n")
    put(data, "case1", Points(truth[:1], NAMES[:1]))
    put(data, "case2", Points(np.concatenate([truth, truth[:1]]), (*NAMES, "Tip")))
    found = findings_of(data)
    for text in ("error: outside: Outside of the volume: Bright ball, Dark ball. Do the markups belong",
                 "error: nan: 'nan.csv' does not hold points", "error: twice: These names occur more than once: Bright",
                 "error: nameless: 1 of its points have no name", "warning: none: It has no markups",
                 "error: copy: The same image as case3", "error: broken: ",
                 "warning: 'stranger.mrk.json' belongs to no volume",
                 "error: Tip is in case2 alone", "warning: Dark ball is missing in 1 of 4 cases",
                 "warning: There are only 4 patients"):
        assert text in found, text
    with pytest.raises(InputError, match="Tip is in case2 alone"):
        meddl.train_landmarks(*data, out=tmp_path / "run", device="cpu")
    assert "error: outside" in (tmp_path / "run" / "findings.txt").read_text()
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_one_case_is_too_few_and_a_name_is_a_point_or_a_box(tmp_path):
    data = write_marked(tmp_path / "one", 1)
    assert "error: 1 case of 1 patient can be used; at least two patients are needed" in findings_of(data)
    data = write_marked(tmp_path / "three", 3)
    put(data, "case0", Points(phantom(0)[1].positions[:1], (BODY,)))
    (data[1] / f"case0_{BODY}.mrk.json").unlink()
    assert f"error: {BODY} is a point in some cases and an ROI in others" in findings_of(data)


def test_places_without_volumes_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected to be a folder"):
        find_marked(tmp_path / "nothing", tmp_path)
    with pytest.raises(InputError, match="holds no volumes"):
        find_marked(tmp_path, tmp_path)


def test_a_patient_is_on_one_side_of_the_split(tmp_path):
    data = write_marked(tmp_path / "data", 4)
    for folder in data:
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(path.name.replace("case0", "sub-1_ses-1").replace("case1", "sub-1_ses-2")))
    inspection = inspect_marked(find_marked(*data))
    for fold in range(3):
        parts = split_marked(inspection, fold, 5, 0)
        assert not {one.case.patient for one in parts[0]} & {one.case.patient for one in parts[1]}
    with pytest.raises(InputError, match="folds 0 to 2; got 3"):
        split_marked(inspection, 3, 5, 0)


def task_of(data, batch: int = 24):
    inspection = inspect_marked(find_marked(*data))
    plan = plan_landmarks(inspection, meddl.LandmarkTrainConfig(), "cpu")
    return plan, LandmarkTask(plan, torch.nn.Identity(), prepare_images(inspection.cases, plan), (), batch,
                              torch.device("cpu"))


def test_what_is_turned_and_mirrored_takes_its_landmarks_and_names_along(tmp_path):
    names = "Left ball", "Right ball"
    plan, task = task_of(write_marked(tmp_path / "data", 4, names))
    assert plan.points == names and list(plan.boxes) == [BODY] and plan.mirrors == (1, 0, 2)
    assert (plan.spacing_mm, plan.patch_voxels) == (2.0, (24, 24, 24))
    images, places, present, known, _sizes = task.sample(0.0)
    assert bool(known.all()) and images.shape == (24, 2, 24, 24, 24)
    target = gaussians(places, plan.patch_voxels, 1.0)
    foreign = present.sum(dim=1) == 0
    assert present.any() and foreign.sum() < 12
    shown = ((images[:, :1] * target).sum(dim=(2, 3, 4)) - images[:, 0].mean(dim=(1, 2, 3))[:, None])
    balls = shown[:, :2][present[:, :2] > 0]  # where a ball is said to lie, it is bright or dark, and never between
    assert float(((balls > 0.25) | (balls < 0.15)).float().mean()) > 0.9
    assert 0.2 < float((balls > 0.25).float().mean()) < 0.8
    left = (places[:, 0, 0] < places[:, 1, 0])[~foreign]
    assert bool(left.float().mean() > 0.9)  # what is called left lies on the left


def test_an_image_of_nothing_known_has_the_same_voxels_elsewhere():
    image = torch.arange(2 * 8 * 12 * 16).reshape(2, 8, 12, 16).float()
    mixed = shuffle_blocks(image, np.random.default_rng(1))
    assert mixed.shape == image.shape and not torch.equal(mixed, image)
    assert torch.equal(mixed.flatten(1).sort().values, image.flatten(1))


def test_the_loss_is_least_where_the_places_are_right(data):
    plan, task = task_of(data, 4)
    images, places, present, known, sizes = task.sample(0.0)
    target = gaussians(places, plan.patch_voxels, plan.sigma_mm / plan.spacing_mm)
    right = torch.where(present[..., None, None, None] > 0, target.clamp_min(1e-9).log() + 20, torch.tensor(-40.0))
    shifted = right.roll(4, dims=3)
    boxes = sizes.flatten(1)[..., None, None, None].expand(-1, -1, *plan.patch_voxels)
    values = [float(task.loss(lambda _, made=made: made, (images, places, present, known, sizes))) for made in (
        torch.cat([right, boxes], 1), torch.cat([shifted, boxes], 1), torch.cat([right, boxes + 0.5], 1))]
    assert values[0] < 1e-3 < values[2] < values[1]


def test_a_stopped_training_goes_on_to_the_same_weights(data, tmp_path):
    class Stop(Exception):
        pass

    def stop(fraction, message):
        if "step 2" in message:
            raise Stop

    def weights(folder):
        return load_weights(folder / "balls" / "weights.safetensors")

    config = meddl.LandmarkTrainConfig(steps=4)
    run_it = {"name": "balls", "config": config, "device": "cpu", "install": False}
    meddl.train_landmarks(*data, out=tmp_path / "whole", **run_it)
    with pytest.raises(Stop):
        meddl.train_landmarks(*data, out=tmp_path / "parts", on_progress=stop, **run_it)
    assert not (tmp_path / "parts" / "balls").exists()
    meddl.train_landmarks(*data, out=tmp_path / "parts", **run_it)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)
    other = meddl.LandmarkTrainConfig(seed=1)
    with pytest.raises(InputError, match="of other data or with other options"):
        meddl.train_landmarks(*data, out=tmp_path / "parts", **run_it | {"config": other})


@pytest.mark.parametrize("network", ["segresnet", "unet"])
def test_the_other_networks_train_too(data, tmp_path, network):
    found = meddl.train_landmarks(*data, out=tmp_path / "run", device="cpu", install=False,
                                  config=meddl.LandmarkTrainConfig(steps=1, network=network))
    assert network in found.plan.describe().casefold() and len(found.validation.cases) == 1
    card = json.loads((found.folder / "card.json").read_text())
    assert card["landmarks"]["points"] == list(NAMES) and "case" not in json.dumps(card["training"]["command"])


def test_a_turned_box_becomes_the_box_about_it(tmp_path):
    place = tmp_path / "box.mrk.json"
    box = Boxes(np.array([[1.0, 2, 3]]), np.array([[2.0, 4, 6]]), ("a",))
    save_points(Points(np.zeros((0, 3)), ()), place, boxes=box)
    content = json.loads(place.read_text())
    turn = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    content["markups"][0]["orientation"] = np.ravel(turn).tolist()
    place.write_text(json.dumps(content))
    from meddl.io.points import load_markups

    assert load_markups(place)[1].sizes.tolist() == [[4, 2, 6]]
