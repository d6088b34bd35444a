"""A model of landmarks of one's own: trained once on phantoms, then applied, measured and refused."""

import json

import numpy as np
import pytest
import torch
from landmark_phantoms import BODY, NAMES, phantom, train, write_marked
from shell import run

import meddl
from meddl.core.errors import InputError, ModelError
from meddl.detection.detect import detect
from meddl.io.points import load_markups
from meddl.models.cards import NetworkSpec
from meddl.models.listing import find_model
from meddl.models.recipes import LandmarkOutput
from meddl.models.store.store import ModelStore
from meddl.spatial.points import box_overlap


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("balls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(folder / "cache"))
        yield train(folder)


def test_the_card_states_what_it_finds_and_how_far_off(trained):
    card = ModelStore().card("balls")
    assert card.task == "landmarks" and find_model("balls").task == "landmarks"
    assert card.landmarks.points == NAMES and list(card.landmarks.boxes) == [BODY]
    assert {one.metric for one in card.accuracy} == {"mean error (mm)", "median error (mm)",
                                                     "95 % of errors below (mm)", "IoU"}
    assert {one.structure for one in card.accuracy} == {"all", *NAMES, BODY}
    measured = {(one.structure, one.metric): one.value for one in card.accuracy}
    assert measured["all", "mean error (mm)"] < 3 and measured[BODY, "IoU"] > 0.5


def test_places_are_found_in_a_volume_of_any_axes(trained):
    volume, points, boxes = phantom(40)
    found = meddl.find_landmarks(volume, model="balls", device="cpu")
    assert found.points.labels == NAMES and min(found.confidence) > 0.15
    assert np.linalg.norm(found.points.positions - points.positions, axis=1).max() < 4
    assert box_overlap(np.stack([found.boxes.centers, found.boxes.sizes], 1),
                       np.stack([boxes.centers, boxes.sizes], 1))[0] > 0.55
    for axes in ("LPS", "SAR", "IRP"):
        turned = meddl.find_landmarks(volume.reorient(axes), model="balls", device="cpu")
        np.testing.assert_allclose(turned.points.positions, found.points.positions, atol=0.05)


class Bright(torch.nn.Module):
    """Finds what is bright, in place of a network that was trained."""

    def forward(self, image):
        return 60 * image[:, :1] - 50


@pytest.mark.parametrize("axes", ["RAS", "PIR"])
def test_a_volume_of_many_windows_is_read_like_one_window(axes):
    """The scores of windows are put together row by row, and mapped to mm by the header."""
    rng = np.random.default_rng(5)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.5, 1.5, 3.0])
    affine[:3, 3] = -40, 10, 7
    where = np.array([70.0, 31.0, 12.0])
    along = np.stack(np.meshgrid(*map(np.arange, (90, 60, 25)), indexing="ij"), -1) * np.diag(affine)[:3]
    blob = np.exp(-((along - where * np.diag(affine)[:3]) ** 2).sum(-1) / 50)
    volume = meddl.Volume.scalar((100 * blob + rng.random(blob.shape)).astype(np.float32), affine).reorient(axes)
    found = [detect(volume, NetworkSpec("", {}, 2.0, patch), LandmarkOutput(("Spot",), {}, 8.0, 0.5, 0.5), Bright(),
                    torch.device("cpu")) for patch in ((16, 16, 16), (96, 96, 96))]
    np.testing.assert_allclose(found[0].points.positions, found[1].points.positions, atol=0.1)
    np.testing.assert_allclose(found[0].points.positions[0], volume_point(affine, where), atol=0.7)
    assert found[0].confidence[0] > 0.9


def volume_point(affine, index) -> np.ndarray:
    return affine[:3, :3] @ index + affine[:3, 3]


def test_where_nothing_is_nothing_is_found(trained):
    rng = np.random.default_rng(0)
    noise = meddl.Volume.scalar(rng.standard_normal((40, 40, 40)).astype(np.float32), np.diag([2.0, 2, 2, 1]))
    with pytest.raises(InputError, match="Nothing that 'balls' knows was found"):
        meddl.find_landmarks(noise, model="balls", device="cpu")
    flat = meddl.Volume.scalar(np.ones((20, 20, 20), np.float32), np.eye(4))
    with pytest.raises(InputError, match="same value"):
        meddl.find_landmarks(flat, model="balls", device="cpu")


def test_the_shell_finds_saves_and_measures(trained, tmp_path, capsys):
    volume, points, boxes = phantom(43)
    meddl.save(volume, tmp_path / "new.nii.gz")
    assert run("landmarks", tmp_path / "new.nii.gz", "--model", "balls", "-o", tmp_path / "new.mrk.json", "--device",
               "cpu") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Bright ball") and said[2].startswith(BODY) and "size" in said[2]
    placed, found = load_markups(tmp_path / "new.mrk.json")
    assert placed.labels == NAMES and found.labels == (BODY,)
    assert np.linalg.norm(placed.positions - points.positions, axis=1).max() < 4
    assert run("landmarks", tmp_path / "new.nii.gz", "--model", "balls", "--json", "--device", "cpu") == 0
    assert json.loads(capsys.readouterr().out)["boxes"][0]["label"] == BODY
    images, marks = write_marked(tmp_path / "test", 2)
    assert run("evaluate", "landmarks", "--model", "balls", "--images", images, "--points", marks, "--out", tmp_path,
               "--device", "cpu") == 0
    table = (tmp_path / "balls.md").read_text()
    assert "| within 2 mm | within 4 mm | IoU |" in table and f"| {BODY} | 2 |" in table
    assert len((tmp_path / "balls.csv").read_text().splitlines()) == 1 + 2 * 3


def test_other_models_and_other_landmarks_are_refused(trained, tmp_path):
    with pytest.raises(ModelError, match="'recognition' is for recognition; one for landmarks was expected"):
        meddl.find_landmarks(phantom(44)[0], model="recognition", device="cpu")
    with pytest.raises(ModelError, match="'balls' is for landmarks; one for classification"):
        meddl.classify(phantom(44)[0], "balls", device="cpu")
    card = ModelStore().card("balls")
    with pytest.raises(ModelError, match="has 3 outputs; the card says 6"):
        detect(phantom(44)[0], card.networks["network"], card.landmarks,
               torch.nn.Conv3d(2, 3, 1), torch.device("cpu"))


def test_a_registration_starts_from_what_is_found_in_both_volumes(trained, tmp_path, capsys):
    volume, points, _boxes = phantom(45)
    affine = volume.affine.copy()
    affine[:3, 3] += (40, -30, 20)
    meddl.save(volume, tmp_path / "fixed.nii.gz")
    meddl.save(meddl.Volume(volume.data, affine), tmp_path / "moving.nii.gz")
    command = ["register", tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", "--transform", tmp_path / "t.h5",
               "--transform-type", "rigid", "--device", "cpu", "--find-landmarks", "balls"]
    assert run(*command) == 0
    moved = meddl.load_transform(tmp_path / "t.h5").points(points.positions)
    assert np.abs(moved - points.positions - (40, -30, 20)).max() < 1
    capsys.readouterr()
    command[4] = tmp_path / "other.h5"
    assert run(*command, "--initial", tmp_path / "t.h5") == 2
    assert "Give one initialization" in capsys.readouterr().err
