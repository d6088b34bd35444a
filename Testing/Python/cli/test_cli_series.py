"""`meddl register-series` and `meddl denoise-series`: a 4D file in, another one and a report out."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from shell import blobs, run

import meddl
from meddl.io import load_transform, save_series, time_step
from meddl.spatial.volume import Volume

SHIFTS = np.array([[0.0, 0, 0], [1.5, 0, -1.0], [3.0, 1.0, -2.0]])
QUICK = ("--levels-mm", "8,4", "--samples", "20000", "--device", "cpu")


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    """A 4D file of three frames that drift by SHIFTS, 2.5 s apart."""
    frames = [blobs(shift) for shift in SHIFTS]
    path = tmp_path_factory.mktemp("series") / "series.nii.gz"
    save_series(Volume(np.concatenate([one.data for one in frames]), frames[0].affine), path, 2.5)
    return path


def test_everything_is_written_in_one_run(drifting, tmp_path, capsys):
    assert run("register-series", drifting, "-o", tmp_path / "out.nii.gz", "--transforms", tmp_path / "maps",
               "--mean", tmp_path / "mean.nrrd", "--report", tmp_path / "report.json", "--transform-type",
               "translation", "--reference", "mean", *QUICK) == 0
    assert "3 frames, framewise displacement" in capsys.readouterr().out
    image = sitk.ReadImage(str(tmp_path / "out.nii.gz"))
    assert image.GetDimension() == 4 and image.GetSpacing()[3] == pytest.approx(2.5)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["reference"] == "mean"
    names = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert names == ["frame-0000.h5", "frame-0001.h5", "frame-0002.h5"]
    found = np.stack([load_transform(tmp_path / "maps" / name).affine[:3, 3] for name in names])
    np.testing.assert_allclose(found - found[0], SHIFTS, atol=0.3)
    np.testing.assert_allclose(np.array(report["affines"])[:, :3, 3], found, atol=1e-9)
    series = meddl.load(tmp_path / "out.nii.gz", "all")
    before = meddl.load(drifting, "all").data[:, 6:-6, 6:-6, 6:-6].astype(float).std(axis=0).mean()
    assert series.data[:, 6:-6, 6:-6, 6:-6].std(axis=0).mean() < 0.5 * before
    assert meddl.load(tmp_path / "mean.nrrd").grid.same_as(series.grid)


def test_what_cannot_be_written_is_refused_before_the_work(drifting, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("here")
    for words, part in (((), "Nothing would be written"),
                        (("-o", tmp_path / "out.png"), "cannot be written"),
                        (("--transforms", tmp_path / "full"), "not an empty folder"),
                        (("--transforms", tmp_path / "no" / "where"), "does not exist"),
                        (("-o", tmp_path / "a.nrrd", "--mean", tmp_path / "a.nrrd"), "same file"),
                        (("-o", tmp_path / "a.nrrd", "--reference", "7"), "a frame from 0 to 2")):
        assert run("register-series", drifting, *words, *QUICK) == 2
        assert part in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_file_with_one_frame_is_no_series(tmp_path, capsys):
    meddl.save(blobs(), tmp_path / "one.nii.gz")
    assert run("register-series", tmp_path / "one.nii.gz", "--report", tmp_path / "report.json") == 2
    assert "at least two frames" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_a_series_comes_back_from_a_4d_file(tmp_path, suffix, shear):
    affine = np.array([[0.0, -1.5, shear, 10], [2.0, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])
    volume = Volume(np.random.default_rng(0).integers(0, 99, (4, 5, 6, 7)).astype(np.int16), affine)
    path = tmp_path / f"series{suffix}"
    save_series(volume, path, 0.72)
    back = meddl.load(path, "all")
    np.testing.assert_array_equal(back.data, volume.data)
    if not shear or suffix != ".mha":
        np.testing.assert_allclose(back.affine, affine, atol=1e-5)
    if not shear:
        assert time_step(path) == pytest.approx(0.72)


def test_a_series_is_denoised_into_a_4d_file_of_the_same_type(tmp_path, capsys):
    noise = np.random.default_rng(0).normal(0, 20, (4, *blobs().shape))
    volume = Volume((blobs().data + noise).astype(np.int16), blobs().affine)
    save_series(volume, tmp_path / "series.nii.gz", 2.5)
    words = ("denoise-series", tmp_path / "series.nii.gz", "-o", tmp_path / "out.nii.gz")
    assert run(*words, "--passes", "forward", "--report", tmp_path / "report.json", "--device", "cpu") == 0
    assert "4 frames, noise" in capsys.readouterr().out
    back = meddl.load(tmp_path / "out.nii.gz", "all")
    assert back.data.dtype == np.int16 and back.grid.same_as(volume.grid)
    assert time_step(tmp_path / "out.nii.gz") == pytest.approx(2.5)
    assert (back.data[3] - blobs().data[0]).std() < 0.6 * noise[3].std()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["configuration"]["passes"] == "forward" and len(report["frames_averaged"]) == 4
    assert run(*words, "--device", "cpu") == 2 and "--overwrite" in capsys.readouterr().err


def test_labels_are_smoothed_over_frames_alone(tmp_path, capsys):
    meddl.save(blobs(), tmp_path / "one.nii.gz")
    assert run("segment", tmp_path / "one.nii.gz", "-o", tmp_path / "labels.nii.gz", "--smooth") == 2
    assert "--frames too" in capsys.readouterr().err
