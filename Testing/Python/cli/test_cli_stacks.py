"""`meddl superres A B C`: several stacks from files to a file, with a report, and what is refused."""

import json

import numpy as np
import pytest
from shell import run
from stack_phantoms import SIZE, SPACING, textured_ellipsoid, three_stacks

import meddl

QUICK = ("--method", "cubic", "--device", "cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    truth = textured_ellipsoid()
    for name, stack in zip(("axial", "coronal", "sagittal"), three_stacks(truth), strict=True):
        meddl.save(stack, folder / f"{name}.nii.gz")
    away = np.array(three_stacks(truth)[1].affine)
    away[:3, 3] += 400
    meddl.save(meddl.Volume(three_stacks(truth)[1].data, away), folder / "away.nii.gz")
    meddl.save(meddl.Volume.scalar(truth.astype(np.float32), np.diag([SPACING] * 3 + [1.0])), folder / "truth.nii.gz")
    return folder


def test_three_files_become_one_with_a_report_of_each(files, capsys):
    stacks = [files / f"{name}.nii.gz" for name in ("axial", "coronal", "sagittal")]
    assert run("superres", *stacks, "-o", files / "out.nii.gz", "--report", files / "out.json", "--reference",
               files / "truth.nii.gz", "--slice-motion", *QUICK) == 0
    made = meddl.load(files / "out.nii.gz")
    np.testing.assert_allclose(made.spacing_mm, SPACING, atol=1e-4)
    assert min(made.shape) >= SIZE
    report = json.loads((files / "out.json").read_text())
    assert [one["axis"] for one in report["stacks"]] == [2, 1, 0]
    assert all(0 < one["residual_over_noise"] < 60 and one["residual"] > 0 for one in report["stacks"])
    assert {one["slice_motion_mm"]["corrected"] for one in report["stacks"]} in ({True}, {False})
    assert report["psnr_db"] > 20
    assert "3 stacks" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [
    (("axial", "away", "--overwrite"), "does not overlap"),
    (("axial", "coronal", "--factor", "2"), "target_spacing_mm instead of factor"),
    (("axial", "coronal", "--method", "srgan"), "are combined with the methods"),
    (("axial", "coronal", "--residual", "r.nii.gz"), "--residual is for one volume"),
    (("axial", "--slice-motion"), "slice_motion is for several stacks")])
def test_what_cannot_be_combined_is_said_and_nothing_is_written(files, tmp_path, capsys, words, said):
    given = [files / f"{word}.nii.gz" if (files / f"{word}.nii.gz").exists() else word for word in words]
    assert run("superres", *given, "-o", tmp_path / "none.nii.gz", "--device", "cpu") != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "none.nii.gz").exists()
