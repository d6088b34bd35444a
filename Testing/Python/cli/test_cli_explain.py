"""`meddl explain`, and `--uncertainty` of the other commands: files, reports, refusals."""

import json

import numpy as np
import pytest
from channel_images import blobs
from nnunet_folder import write_nnunet

import meddl
from meddl.cli import main
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


@pytest.fixture
def volume(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    ModelStore().import_model(write_nnunet(tmp_path / "model", mirror=(0, 1, 2)), identifier="small")
    ModelStore().accept_license("small")
    given = blobs((20, 18, 16), AFFINE)
    meddl.save(given, tmp_path / "in.nii.gz")
    return given


@pytest.mark.parametrize("method", ["occlusion", "grad-cam"])
def test_a_structure_is_explained(tmp_path, volume, method, capsys):
    assert main(["explain", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "map.nii.gz"), "--model", "small",
                 "--structure", "liver", "--method", method, "--runs", "5", "--mirror-axes", "0",
                 "--report", str(tmp_path / "report.json"), "--device", "cpu"]) == 0
    found = meddl.load(tmp_path / "map.nii.gz")
    assert found.grid.same_as(volume.grid) and 0 < found.data.max() <= 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["method"] == method and report["structures"] == ["liver"]
    assert report["reading"] in capsys.readouterr().out.replace("\n", " ")


def test_a_region_and_a_structure_that_is_not_there(tmp_path, volume, capsys):
    command = ["explain", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "map.nii.gz"), "--model", "small"]
    assert main([*command, "--structure", "kidney"]) == 2
    assert "no structure 'kidney'" in capsys.readouterr().err
    assert main([*command, "--structure", "liver", "--region", "1,2,3"]) == 2
    assert "--region is the file" in capsys.readouterr().err and not (tmp_path / "map.nii.gz").exists()


def test_the_uncertainty_of_a_segmentation_is_written(tmp_path, volume):
    assert main(["segment", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz"), "--model", "small",
                 "--uncertainty", str(tmp_path / "map.nrrd"), "--runs", "3", "--measure", "variation-ratio",
                 "--report", str(tmp_path / "report.json"), "--device", "cpu"]) == 0
    map_ = meddl.load(tmp_path / "map.nrrd")
    assert map_.grid.same_as(volume.grid) and 0 < map_.data.max() <= 2 / 3 + 1e-6
    report = json.loads((tmp_path / "report.json").read_text())["uncertainty"]
    assert report["runs"] == 3 and report["structures"][0]["structure"] == "liver" and "fraction" in report["reading"]


def test_the_uncertainty_of_a_folder_is_refused(tmp_path, volume, capsys):
    assert main(["segment", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "many"), "--model", "small",
                 "--uncertainty", str(tmp_path / "map.nrrd")]) == 2
    assert "--uncertainty is for one volume" in capsys.readouterr().err


def test_the_uncertainty_of_super_resolution_and_its_residual_are_written(tmp_path):
    random = np.random.default_rng(0)
    meddl.save(Volume.scalar(random.normal(100, 9, (16, 14, 8)).astype(np.float32), np.diag([1, 1, 2.0, 1])),
               tmp_path / "in.nii.gz")
    assert main(["superres", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz"), "--method", "cubic",
                 "--uncertainty", str(tmp_path / "spread.nii.gz"), "--residual", str(tmp_path / "residual.nii.gz"),
                 "--runs", "3", "--device", "cpu"]) == 0
    sharp, spread = (meddl.load(tmp_path / f"{name}.nii.gz") for name in ("out", "spread"))
    assert spread.grid.same_as(sharp.grid) and (spread.data > 0).mean() > 0.9
    assert meddl.load(tmp_path / "residual.nii.gz").shape == (16, 14, 8)


def test_the_uncertainty_of_a_registration_is_written_alone(tmp_path):
    fixed = blobs((24, 22, 20), AFFINE)
    meddl.save(fixed, tmp_path / "fixed.nii.gz")
    moved = np.array(AFFINE)
    moved[:3, 3] = (2, -1, 1)
    meddl.save(Volume(fixed.data, moved), tmp_path / "moving.nii.gz")
    assert main(["register", str(tmp_path / "fixed.nii.gz"), str(tmp_path / "moving.nii.gz"), "--uncertainty",
                 str(tmp_path / "spread.nii.gz"), "--runs", "3", "--levels-mm", "4", "--device", "cpu"]) == 0
    spread = meddl.load(tmp_path / "spread.nii.gz")
    assert spread.grid.same_as(fixed.grid) and spread.data.min() >= 0 and spread.data.max() < 5
