"""`meddl register` with all that it can write and be helped by, and `meddl warp`."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from displacements import inside, smooth, turned
from shell import blobs, run

import meddl
from meddl.cli import make_parser
from meddl.cli.options import config_from
from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl.io import load_transform, save_segmentation
from meddl.results import Registration, Segment, Segmentation
from meddl.spatial.volume import Volume

FLIP = np.array([-1.0, -1, 1])
QUICK = ("--levels-mm", "8,4", "--device", "cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a fixed volume and a moving one, 9 mm and 6 mm away, with labels, masks and points of both."""
    folder = tmp_path_factory.mktemp("pair")
    shift = np.array([9.0, 0, -6])
    fixed, moving = blobs(), blobs(shift)
    meddl.save(fixed, folder / "fixed.nii.gz")
    meddl.save(moving, folder / "moving.nrrd")
    for name, volume in (("fixed", fixed), ("moving", moving)):
        labels = (volume.scalar_data > 400).astype(np.uint8)
        save_segmentation(Segmentation(labels, volume.affine, (Segment(1, "bright", (1, 0, 0)),)),
                          folder / f"{name}.seg.nrrd")
        meddl.save(Volume.scalar((volume.scalar_data > 100).astype(np.uint8), volume.affine),
                   folder / f"{name}_mask.nii.gz")
    points = np.array([[10.0, 5, 5], [-20, 10, 0], [0, -30, 20], [5, 5, -30]])
    _write_points(folder / "fixed.csv", points, "abcd")
    _write_points(folder / "moving.csv", (points + shift)[::-1], "dcba")
    _write_points(folder / "off.csv", points + shift + np.array([0, 3.0, 4]), "abcd")
    return folder


def _write_points(path, points, labels) -> None:
    rows = [f"{r},{a},{s},{label}" for (r, a, s), label in zip(points, labels)]
    path.write_text("\n".join(["r,a,s,label", *rows]) + "\n")


def register(files, *words) -> int:
    return run("register", files / "fixed.nii.gz", files / "moving.nrrd", *words, *QUICK)


# --- register ---


def test_everything_is_written_in_one_run(files, tmp_path, capsys):
    assert register(files, "-o", tmp_path / "out.nii.gz", "--transform", tmp_path / "t.h5", "--inverse",
                    tmp_path / "back.tfm", "--jacobian", tmp_path / "det.nrrd", "--interpolation", "lanczos",
                    "--fixed-labels", files / "fixed.seg.nrrd", "--moving-labels", files / "moving.seg.nrrd",
                    "--fixed-points", files / "fixed.csv", "--moving-points", files / "moving.csv",
                    "--fixed-mask", files / "fixed_mask.nii.gz", "--moving-mask", files / "moving_mask.nii.gz",
                    "--report", tmp_path / "r.json", "--report-inputs") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["dice"]["after"] > 0.85 > report["dice"]["before"]
    assert report["tre_mm"]["after"]["mean"] < 1 < report["tre_mm"]["before"]["mean"]
    assert len(report["names"]["outputs"]) == 4
    there, back = load_transform(tmp_path / "t.h5"), load_transform(tmp_path / "back.tfm")
    np.testing.assert_allclose(back.affine @ there.affine, np.eye(4), atol=1e-6)
    assert meddl.load(tmp_path / "det.nrrd").data.mean() == pytest.approx(1, abs=1e-4)
    said = capsys.readouterr().out
    assert "Dice" in said
    assert "mm apart" in said


def test_points_that_only_measure_do_not_guide(files, tmp_path):
    words = ("--transform", tmp_path / "t.tfm", "--fixed-points", files / "fixed.csv", "--moving-points",
             files / "off.csv", "--report", tmp_path / "r.json")
    assert register(files, *words, "--points-only-measure") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["tre_mm"]["after"]["mean"] == pytest.approx(5, abs=1.0)
    assert "landmarks_mm" not in report
    assert register(files, *words, "--overwrite") == 0
    assert "landmarks_mm" in json.loads((tmp_path / "r.json").read_text())


def test_a_run_starts_from_the_transform_of_an_earlier_one(files, tmp_path):
    Registration(np.array([[1, 0, 0, 9.0], [0, 1, 0, 0], [0, 0, 1, -6], [0, 0, 0, 1]]), None, None).save(
        tmp_path / "start.tfm")
    assert register(files, "--transform", tmp_path / "t.h5", "--initial", tmp_path / "start.tfm", "--report",
                    tmp_path / "r.json") == 0
    assert json.loads((tmp_path / "r.json").read_text())["start"] == "the initial transform"


@pytest.mark.parametrize(("name", "config"), REGISTER_PRESETS.items())
def test_a_preset_fills_what_is_not_given(name, config):
    words = ["register", "a", "b", "--preset", name.lower().replace(",", "").replace(" ", "-")]
    assert make_parser(words).parse_args(["register", "a", "b", "--preset", name.upper()]).preset == words[-1]
    arguments = make_parser(words).parse_args(words)
    from meddl.cli.commands.register import _PRESETS

    assert config_from(arguments, RegisterConfig, _PRESETS[arguments.preset]) == config
    arguments = make_parser(words).parse_args([*words, "--bins", "20"])
    found = config_from(arguments, RegisterConfig, _PRESETS[arguments.preset])
    assert (found.bins, found.transform_type) == (20, config.transform_type)


@pytest.mark.parametrize(("words", "said"), [
    ([], "Nothing would be written"), (["-o", "out.h5"], "cannot be written"),
    (["--transform", "t.mat"], "cannot be written"), (["--inverse", "t.h5", "--transform", "t.h5"], "same file"),
    (["-o", "o.nii", "--fixed-points", "p.csv"], "belong together"),
    (["-o", "o.nii", "--moving-labels", "p.nii"], "belong together"),
    (["-o", "o.nii", "--initial", "absent.h5"], "does not exist"),
    (["-o", "o.nii", "--fixed-mask", "absent.nii"], "does not exist")])
def test_what_cannot_be_done_is_said_in_one_line(files, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert register(files, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


# --- warp ---


@pytest.fixture
def bent(files, tmp_path):
    """A deformable map on the fixed grid, saved."""
    grid = meddl.load(files / "fixed.nii.gz").grid
    registration = Registration(turned(0.1, (1, 1, 1), (9, 0, -6)), smooth(grid, 5, 14), grid)
    registration.save(tmp_path / "t.h5", tolerance_mm=0)
    return registration


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_saved_transform_is_applied(files, tmp_path, bent, capsys, interpolation):
    assert run("warp", files / "moving.nrrd", "--transform", tmp_path / "t.h5", "--like", files / "fixed.nii.gz",
               "-o", tmp_path / "out.nrrd", "--interpolation", interpolation, "--report", tmp_path / "r.json",
               "--report-inputs") == 0
    expected = bent.warp(meddl.load(files / "moving.nrrd"), interpolation)
    found = meddl.load(tmp_path / "out.nrrd")
    assert found.grid.same_as(expected.grid)
    np.testing.assert_allclose(found.data, expected.data, atol=0.5)
    assert "voxels" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["names"]["outputs"] == [str(tmp_path / "out.nrrd")]


def test_labels_stay_labels(files, tmp_path, bent):
    for name in ("out.nii.gz", "out.seg.nrrd"):
        assert run("warp", files / "moving.seg.nrrd", "--transform", tmp_path / "t.h5", "--like",
                   files / "fixed.nii.gz", "-o", tmp_path / name, "--labels") == 0
    expected = bent.warp_segmentation(meddl.load_segmentation(files / "moving.seg.nrrd")).labels
    np.testing.assert_array_equal(meddl.load(tmp_path / "out.nii.gz").scalar_data, expected)
    assert meddl.load_segmentation(tmp_path / "out.seg.nrrd").segments[0].name == "bright"


def test_a_label_map_is_not_blended_without_being_told(files, tmp_path, bent, capsys):
    labels = meddl.load_segmentation(files / "moving.seg.nrrd")
    wide = np.where(labels.labels > 0, 40, 0).astype(np.uint8)
    meddl.save(Volume.scalar(wide, labels.affine), tmp_path / "labels.nrrd")
    words = ("warp", tmp_path / "labels.nrrd", "--transform", tmp_path / "t.h5", "--like", files / "fixed.nii.gz", "-o")
    assert run(*words, tmp_path / "out.nrrd") == 0
    assert "seems to be a label map" in capsys.readouterr().err
    assert set(np.unique(meddl.load(tmp_path / "out.nrrd").scalar_data)) == {0, 40}
    assert run(*words, tmp_path / "blended.nrrd", "--interpolation", "linear") == 0
    assert "label map" not in capsys.readouterr().err
    assert len(np.unique(meddl.load(tmp_path / "blended.nrrd").scalar_data)) > 2


def test_a_label_map_that_is_registered_is_not_blended_without_being_told(files, tmp_path, capsys):
    words = ("register", files / "fixed.nii.gz", files / "moving_mask.nii.gz", "--transform-type", "translation", "-o")
    assert run(*words, tmp_path / "out.nrrd") == 0
    assert "seems to be a label map" in capsys.readouterr().err
    assert set(np.unique(meddl.load(tmp_path / "out.nrrd").scalar_data)) == {0, 1}


def test_the_inverse_can_be_applied(files, tmp_path, bent):
    assert run("warp", files / "fixed.nii.gz", "--transform", tmp_path / "t.h5", "--inverted", "--like",
               files / "moving.nrrd", "-o", tmp_path / "out.nrrd") == 0
    fixed, found = meddl.load(files / "fixed.nii.gz"), meddl.load(tmp_path / "out.nrrd")
    expected = bent.invert().warp(fixed, grid=meddl.load(files / "moving.nrrd").grid)
    assert np.abs(found.data - expected.data).mean() < 2


def test_it_warps_as_simpleitk_does(files, tmp_path, bent):
    assert run("warp", files / "moving.nrrd", "--transform", tmp_path / "t.h5", "--like", files / "fixed.nii.gz",
               "-o", tmp_path / "out.nrrd") == 0
    theirs = sitk.Resample(sitk.Cast(sitk.ReadImage(str(files / "moving.nrrd")), sitk.sitkFloat32),
                           sitk.ReadImage(str(files / "fixed.nii.gz")), sitk.ReadTransform(str(tmp_path / "t.h5")),
                           sitk.sitkLinear, 0.0)
    found, grid = meddl.load(tmp_path / "out.nrrd").scalar_data, bent.grid
    expected = sitk.GetArrayFromImage(theirs).T
    points = bent.points(grid.points_mm(np.indices(grid.shape).reshape(3, -1).T))
    voxels = meddl.load(files / "moving.nrrd").grid.indices(points)
    inner = ((voxels > 0) & (voxels < np.array(found.shape) - 1)).all(axis=1).reshape(found.shape)
    assert inner.mean() > 0.3
    assert np.abs(found - expected)[inner].max() < 0.501  # rounded to the type of the input


def test_a_transform_that_cannot_be_read_is_an_error(files, tmp_path, capsys):
    (tmp_path / "t.h5").write_bytes(b"no transform")
    assert run("warp", files / "moving.nrrd", "--transform", tmp_path / "t.h5", "--like", files / "fixed.nii.gz",
               "-o", tmp_path / "out.nrrd") == 2
    assert "could not be read as a transform" in capsys.readouterr().err
    assert not (tmp_path / "out.nrrd").exists()


def test_points_move_as_the_file_says(bent, tmp_path):
    points = inside(bent.grid, 100)
    itk = sitk.ReadTransform(str(tmp_path / "t.h5"))
    moved = np.array([itk.TransformPoint((FLIP * point).tolist()) for point in points]) * FLIP
    assert np.abs(moved - bent.points(points)).max() < 1e-3
