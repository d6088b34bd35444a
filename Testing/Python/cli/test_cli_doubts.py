"""What a file states that is in doubt is told once: on the terminal, in the report, and in the table of a job."""

import csv
import json

import nibabel
import numpy as np
import pytest
from channel_images import blobs
from shell import run
from small_models import AFFINE, models  # noqa: F401

from meddl.io import save

CPU = ("--device", "cpu")


@pytest.fixture
def unstated(tmp_path):
    """A NIfTI file whose codes are both 0."""
    path = tmp_path / "in" / "u.nii.gz"
    path.parent.mkdir()
    save(blobs((24, 22, 20), AFFINE, 0), path)
    image = nibabel.load(path)
    image = nibabel.Nifti1Image(np.asanyarray(image.dataobj), image.affine, image.header)
    image.set_sform(AFFINE, 0)
    image.set_qform(AFFINE, 0)
    nibabel.save(image, path)
    return path


def test_a_doubt_is_a_warning_of_the_command_and_in_its_report(tmp_path, unstated, capsys):
    words = ("superres", unstated, "-o", tmp_path / "o.nii.gz", "--method", "cubic", *CPU,
             "--report", tmp_path / "r.json")
    for _ in range(2):  # of each run anew
        assert run(*words) == 0
        shown = capsys.readouterr().err
        assert shown.count("does not state its axes") == 1
        assert shown.startswith("meddl: warning: 'u.nii.gz'")
        told = json.loads((tmp_path / "r.json").read_text())["warnings"]
        assert sum("does not state its axes" in text for text in told) == 1


def test_a_doubt_is_in_the_table_of_a_job(tmp_path, unstated, models):
    assert run("segment", unstated.parent, "-o", tmp_path / "out", "--model", "one", *CPU) == 0
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert "does not state its axes" in row["warnings"]
