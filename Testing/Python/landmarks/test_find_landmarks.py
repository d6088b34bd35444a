"""Landmarks of the embedded head, found by the shell's command, and what is no head."""

import json

import numpy as np
import pytest

import meddl
import meddl.samples
from meddl.cli import main
from meddl.core.errors import InputError
from meddl.io.points import load_points
from meddl.landmarks.alignment import lateral_direction
from meddl.landmarks.find import CENTERS, NAMES
from meddl.landmarks.result import AC, PC
from meddl.landmarks.structure_centers import structure_centers


@pytest.fixture(scope="module")
def head() -> tuple[meddl.Volume, meddl.Segmentation]:
    """A head of its own shape, turned about its long axis by its header."""
    image, truth = meddl.samples.head("T1", 1.5, seed=4)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    turn[:3, 3] = (12, -30, 5)
    return meddl.Volume(image.data, turn @ image.affine), meddl.Segmentation(
        truth.labels, turn @ truth.affine, truth.segments)


def test_the_command_writes_points_and_the_alignment(head, tmp_path, capsys):
    image, truth = head
    meddl.save(image, tmp_path / "head.nii.gz")
    assert main(["landmarks", str(tmp_path / "head.nii.gz"), "-o", str(tmp_path / "points.mrk.json"), "--align",
                 str(tmp_path / "upright.h5"), "--json", "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out)
    points = load_points(tmp_path / "points.mrk.json")
    assert points.labels == NAMES and not said["missing"]
    assert [one["label"] for one in said["points"]] == list(NAMES)
    assert all(0.4 < one["confidence"] <= 1 for one in said["points"])
    centers = structure_centers(truth.labels, truth.grid, CENTERS.values())
    errors = [np.linalg.norm(points.positions[points.labels.index(name)] - centers[value].position_mm)
              for name, value in CENTERS.items()]
    assert np.mean(errors) < 2 and max(errors) < 5
    alignment = meddl.load_transform(tmp_path / "upright.h5")
    commissures = alignment.invert().points(points.positions[:2])
    np.testing.assert_allclose(commissures[0], 0, atol=1e-3)
    np.testing.assert_allclose(commissures[1][[0, 2]], 0, atol=1e-3)
    assert 18 < -commissures[1][1] < 34
    both = structure_centers(truth.labels, truth.grid, (3, 42, 10, 49))
    across = lateral_direction([(both[a].position_mm, both[b].position_mm) for a, b in ((3, 42), (10, 49))])
    assert np.degrees(np.arccos(across @ alignment.affine[:3, 0])) < 4
    assert main(["landmarks", str(tmp_path / "head.nii.gz"), "-o", str(tmp_path / "points.mrk.json")]) != 0
    assert "exists" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_beyond_the_field_of_view_is_left_out(head):
    image, truth = head
    center = structure_centers(truth.labels, truth.grid, (15,))[15].position_mm
    first = round(float(truth.grid.indices(center)[2]))
    affine = np.array(image.affine)
    affine[:3, 3] = image.grid.points_mm((0, 0, first))
    found = meddl.find_landmarks(meddl.Volume(image.data[..., first:], affine), device="cpu")
    assert {AC, PC, "Left thalamus"} <= set(found.points.labels)
    assert "Fourth ventricle" in found.report["missing"]
    assert any("Fourth ventricle" in text for text in found.report["warnings"])
    assert found.lateral_direction is not None
    half = meddl.Volume(image.data[:, :image.shape[0] // 2 - 10], image.affine)
    with pytest.raises(InputError, match="unlike a head|Too few structures|no head"):
        meddl.find_landmarks(half, device="cpu")


def test_what_is_no_head_is_refused():
    random = np.random.default_rng(0)
    ball = np.linalg.norm(np.indices((64, 64, 64)) - 31.5, axis=0).T < 24
    volume = meddl.Volume.scalar((ball * (500 + 40 * random.standard_normal(ball.shape))).astype(np.float32),
                                 np.diag([3.0, 3.0, 3.0, 1.0]))
    with pytest.raises(InputError, match="no head|unlike a head"):
        meddl.find_landmarks(volume, device="cpu")
