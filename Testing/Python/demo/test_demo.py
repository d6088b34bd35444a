"""The demo: its truths are true, its measures measure, its pictures are the right way round, and it runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from places import REPOSITORY as ROOT

from meddl import cli, samples
from meddl.core.errors import Cancelled, InputError
from meddl.demo.report import (
    psnr_db,
    registration_accuracy,
    segmentation_accuracy,
    super_resolution_accuracy,
    text,
)
from meddl.demo.run import run_demo
from meddl.demo.story import (
    make_story,
    move,
    rigid_motion,
    thick_slices,
)
from meddl.io import load, load_segmentation, save
from meddl.pictures import slices as pictures
from meddl.registration.linear.motion import rotation_angle_deg
from meddl.results import Registration, Segment, Segmentation, load_transform
from meddl.spatial.volume import Volume

FILES = ("head.nii.gz", "head.seg.nrrd", "moving.nii.gz", "moving-to-head.tfm", "moving-on-head.nii.gz", "thick.nii.gz",
         "sharp.nii.gz", "report.json")
OBLIQUE = np.array([[0.2, -1.9, 0.3, 40.0], [1.9, 0.2, 0.2, -30.0], [-0.2, 0.3, 2.4, -25.0], [0, 0, 0, 1]])


def spot(place, shape=(40, 44, 36), affine=OBLIQUE, value=1000) -> Volume:
    """A smooth bright spot at a voxel."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    distance = ((indices - np.asarray(place)) ** 2).sum(-1)
    return Volume.scalar((value * np.exp(-distance / 18)).astype(np.int16), affine)


def brightest_mm(volume: Volume) -> np.ndarray:
    """The center of gravity of the brightest part, RAS mm."""
    weights = np.clip(volume.scalar_data.astype(float) - 0.3 * volume.data.max(), 0, None)
    indices = np.argwhere(weights > 0)
    return np.average(volume.grid.points_mm(indices), axis=0, weights=weights[weights > 0])


# --- the story ---


def test_a_rigid_motion_turns_about_its_center_and_then_shifts():
    motion = rigid_motion(12, (0, 0, 1), (1, 2, 3), (10, 20, 30))
    assert motion @ [10, 20, 30, 1] == pytest.approx([11, 22, 33, 1])
    assert rotation_angle_deg(motion) == pytest.approx(12)
    assert motion[:3, :3] @ motion[:3, :3].T == pytest.approx(np.eye(3))


def test_the_motion_takes_a_place_in_the_head_to_the_same_place_in_the_moving_volume():
    head = spot((22, 20, 17))
    motion = rigid_motion(15, (0.2, 0.5, 1), (4, -3, 5), head.grid.center_mm)
    there = motion[:3, :3] @ brightest_mm(head) + motion[:3, 3]
    assert brightest_mm(move(head, motion)) == pytest.approx(there, abs=0.2)


def test_a_motion_that_does_nothing_changes_nothing():
    head = spot((22, 20, 17))
    assert np.array_equal(move(head, np.eye(4)).data, head.data)


def test_what_moves_in_from_outside_is_as_dark_as_the_darkest():
    volume = Volume.scalar(np.full((20, 20, 20), -700, np.int16), np.eye(4))
    volume.data[0, 5, 5, 5] = -1000
    far = np.eye(4)
    far[0, 3] = 12.0
    seen = move(volume, far)
    assert seen.data.dtype == np.int16
    assert (seen.scalar_data[:10] == -1000).all()


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_thick_slices_are_means_over_the_same_field_of_view(codes):
    head = spot((20, 20, 20), shape=(24, 22, 26), affine=np.diag([1.0, 1.0, 1.3, 1.0])).reorient(codes)
    thick, fine = thick_slices(head, 4.0)
    axis = int(np.argmax(np.abs(head.affine[2, :3])))
    assert thick.spacing_mm[axis] == pytest.approx(3 * 1.3)
    assert thick.grid.center_mm == pytest.approx(fine.grid.center_mm)
    assert thick.grid.extent_mm == pytest.approx(fine.grid.extent_mm)
    assert fine.shape[axis] == 24
    assert thick.data.mean() == pytest.approx(fine.data.mean(), abs=0.5)
    assert thick.data.dtype == head.data.dtype


def test_too_few_slices_make_no_thick_ones():
    with pytest.raises(InputError, match="at least 8"):
        thick_slices(Volume.scalar(np.ones((9, 9, 5)), np.eye(4)), 4.0)


def test_a_volume_with_thick_slices_is_taken_as_it_is(tmp_path):
    image = samples.head("T2", (3.0, 3.0, 6.0))[0]
    save(image, tmp_path / "thick.nii.gz")
    story = make_story(tmp_path / "thick.nii.gz")
    assert story.thick is story.head
    assert story.truth is None and story.fine is None


# --- the measures ---


def test_the_right_registration_has_no_error_and_a_shift_has_its_length():
    grid = spot((20, 20, 18)).grid
    motion = rigid_motion(12, (0, 1, 1), (4, -3, 5), grid.center_mm)
    right = registration_accuracy(Registration(motion, None, grid), motion, grid)
    assert right["error_mm"] == {"mean": 0, "max": 0} and right["error_degrees"] == 0
    wrong = motion.copy()
    wrong[0, 3] += 2.0
    assert registration_accuracy(Registration(wrong, None, grid), motion, grid)["error_mm"]["mean"] == 2.0
    turned = motion @ rigid_motion(5, (1, 0, 0), (0, 0, 0), grid.center_mm)
    assert registration_accuracy(Registration(turned, None, grid), motion, grid)["error_degrees"] == pytest.approx(5)


def test_a_segmentation_agrees_with_itself_also_where_its_file_was_cropped():
    labels = np.zeros((12, 14, 16), np.uint8)
    labels[3:7, 4:9, 5:11], labels[8:10, 4:9, 5:11] = 1, 2
    segments = (Segment(1, "one", (1, 0, 0)), Segment(2, "two", (0, 1, 0)))
    truth = Segmentation(labels, OBLIQUE, segments)
    affine = np.array(OBLIQUE)
    affine[:3, 3] = truth.grid.points_mm([2, 3, 4])
    cropped = Segmentation(labels[2:11, 3:, 4:12], affine, segments)
    figures = segmentation_accuracy(cropped, truth)
    assert figures["dice"] == {"one": 1.0, "two": 1.0}
    assert figures["mean_dice"] == figures["all_structures_dice"] == 1.0
    half = segmentation_accuracy(Segmentation(np.where(labels == 2, 0, labels).astype(np.uint8), OBLIQUE, segments),
                                 truth)
    assert half["dice"] == {"one": 1.0, "two": 0.0} and half["mean_dice"] == 0.5


def test_psnr_is_the_range_against_the_root_mean_square_error():
    truth = np.array([0.0, 100.0, 50.0, 50.0])
    assert psnr_db(truth + 10, truth) == pytest.approx(20.0)
    assert psnr_db(truth, truth) == float("inf")


def test_without_a_truth_only_sizes_are_told():
    volume = spot((20, 20, 18))
    assert set(super_resolution_accuracy(volume, volume, None)) == {"thick_spacing_mm", "sharp_spacing_mm"}


# --- the pictures ---


def half_bright(axis: int) -> Volume:
    """A cube, bright in the half of high R, A or S, stored in an odd axis order."""
    array = np.full((30, 30, 30), 10.0, np.float32)
    array[tuple(slice(15, None) if a == axis else slice(None) for a in range(3))] = 200.0
    return Volume.scalar(array, np.eye(4)).reorient("PIL")


@pytest.mark.parametrize(("axis", "view", "bright"), [
    (0, "axial", "left"), (0, "coronal", "left"), (1, "axial", "top"), (1, "sagittal", "left"),
    (2, "coronal", "top"), (2, "sagittal", "top")])
def test_views_are_radiological(axis, view, bright):
    picture = pictures.slices(half_bright(axis), views=(view,), size=60).astype(float)
    height, width, _ = picture.shape
    halves = {"left": picture[:, :width // 2], "right": picture[:, width // 2:], "top": picture[:height // 2],
              "bottom": picture[height // 2:]}
    assert max(halves, key=lambda name: halves[name].mean()) == bright


def test_labels_are_drawn_in_their_colors_where_they_lie():
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[20:28, 10:20, 10:20] = 7  # on the patient's right: on the left of the picture
    volume = Volume.scalar(np.zeros((30, 30, 30)), np.eye(4))
    found = Segmentation(labels, np.eye(4), (Segment(7, "seven", (1.0, 0.0, 0.0)),))
    picture = pictures.slices(volume, found, views=("axial",), size=60)
    red = np.argwhere(picture[..., 0] > 50)
    assert red[:, 1].max() < 30
    assert (picture[..., 1:] == 0).all()


def test_volumes_that_agree_are_gray_and_others_magenta_or_green():
    same = pictures.slices(half_bright(0), over=half_bright(0), views=("axial",), size=40)
    assert (np.ptp(same.astype(int), axis=-1) == 0).all()
    other = pictures.slices(half_bright(0), over=half_bright(1), views=("axial",), size=40).astype(int)
    assert other[30, 5].tolist() == [255, 0, 255] and other[5, 35].tolist() == [0, 255, 0]


def test_pictures_are_joined_and_written(tmp_path):
    small, large = np.full((10, 8, 3), 50, np.uint8), np.full((20, 6, 3), 90, np.uint8)
    joined = pictures.stack(pictures.beside(small, large, gap=2), small, gap=0)
    assert joined.shape == (30, 16, 3)
    pictures.write(joined, tmp_path / "joined.png")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "joined.png"))), joined)


def test_an_unknown_view_is_refused():
    with pytest.raises(InputError, match="axial, sagittal, coronal"):
        pictures.slices(half_bright(0), views=("oblique",))


# --- the run ---


def check_outputs(folder: Path, names) -> dict:
    """The report, after a look at every file."""
    for name in (*FILES, *names):
        assert (folder / name).stat().st_size > 100, name
    for path in folder.glob("*.png"):
        assert sitk.GetArrayFromImage(sitk.ReadImage(str(path))).std() > 10, f"{path.name} is blank"
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_the_demo_runs_from_the_shell(tmp_path, capsys):
    assert cli.main(["demo", "-o", str(tmp_path), "--spacing", "3", "--device", "cpu"]) == 0
    report = check_outputs(tmp_path, ("segmentation.png", "registration.png", "deformation.png", "super-resolution.png",
                                      "other.nii.gz", "other-to-head.nii.gz", "other-on-head.nii.gz"))
    overlap = report["deformation"]["mean_dice"]
    assert overlap["after"] > overlap["before"] + 0.05 and report["deformation"]["folding_percent"] == 0
    assert report["registration"]["error_mm"]["max"] < 1.0 < report["registration"]["before_mm"]
    assert report["super_resolution"]["psnr_db"] > report["super_resolution"]["cubic_psnr_db"]
    assert len(report["segmentation"]["dice"]) == len(report["segmentation"]["volumes_ml"]) == 32
    assert load(tmp_path / "sharp.nii.gz").grid.same_as(load(tmp_path / "head.nii.gz").grid)
    assert load_segmentation(tmp_path / "head.seg.nrrd").grid.same_as(load(tmp_path / "head.nii.gz").grid)
    printed = capsys.readouterr().out
    assert text(report) in printed
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 30e6
    assert all(path.name in printed for path in tmp_path.iterdir())
    field = load_transform(tmp_path / "other-to-head.nii.gz")
    again = field.warp(load(tmp_path / "other.nii.gz"), grid=load(tmp_path / "head.nii.gz").grid).data
    # A few voxels lie at the edge of the other head's field of view, to 0.01 mm.
    assert np.mean(np.abs(again - load(tmp_path / "other-on-head.nii.gz").data) > 1) < 1e-4
    for name in report["segmentation"]["volumes_ml"]:
        assert name in printed


@pytest.mark.slow
def test_the_demo_takes_a_volume_of_ones_own(tmp_path):
    save(samples.head("FLAIR", (3.0, 3.0, 6.0), seed=2)[0].reorient("LIA"), tmp_path / "mine.nii.gz")
    stages = []
    report = run_demo(tmp_path / "out", tmp_path / "mine.nii.gz", "cpu",
                      on_progress=lambda fraction, stage: stages.append((fraction, stage)))
    check_outputs(tmp_path / "out", ())
    assert report["head"]["name"] == "mine.nii.gz"
    assert "dice" not in report["segmentation"] and "psnr_db" not in report["super_resolution"]
    assert "Dice" not in text(report)
    fractions = [fraction for fraction, _ in stages]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_the_demo_can_be_stopped(tmp_path):
    def stop(fraction, stage):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        run_demo(tmp_path, spacing_mm=4.0, on_progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path, capsys):
    assert cli.main(["demo", "--input", str(tmp_path / "none.nii.gz"), "-o", str(tmp_path / "out")]) == 2
    assert "does not exist" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_demo_runs_on_mrml_nodes(tmp_path, installed_host):
    options = ["-o", str(tmp_path), "--spacing", "3", "--device", "cpu"]
    command = [sys.executable, str(ROOT / "Testing" / "demo.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    drawn = ("segmentation-slices.png", "segmentation-3d.png", "registration.png", "deformation.png",
             "super-resolution.png")
    report = check_outputs(tmp_path, drawn if installed_host.render.supported() else ())
    assert report["registration"]["error_mm"]["max"] < 1.0
    assert report["deformation"]["mean_dice"]["after"] > report["deformation"]["mean_dice"]["before"] + 0.05
    assert report["super_resolution"]["psnr_db"] > report["super_resolution"]["cubic_psnr_db"]
    assert len(report["segmentation"]["dice"]) == 32
    assert "structure" in done.stdout and "Dice" in done.stdout
