"""`meddl info` says what is in a file, in words and as JSON."""

import json

import numpy as np
import pytest

import meddl
from meddl.cli import main
from meddl.recognition.command import lines_of


def test_what_a_real_file_holds(data_folder):
    found = meddl.info(data_folder / "brain" / "chris_PD.nii.gz")
    assert found["axes"] and found["oblique_deg"] == pytest.approx(8.6, abs=0.3)
    assert max(found["spacing_mm"]) == pytest.approx(2.4, abs=0.1) and found["components"] == 1
    assert set(found["recognition"]) >= {"region", "contrast", "stripped", "axes"}
    assert found["looks_like"] and found["space"] is not None
    json.dumps(found)


def test_the_command_prints_it(data_folder, capsys):
    assert main(["info", str(data_folder / "body" / "chest_ct.nrrd")]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["file"] == "chest_ct.nrrd" and lines["voxels"].startswith("64 x 64 x 79")
    assert lines["looks"] == "like  chest, CT"


def test_as_json(data_folder, capsys):
    assert main(["info", "--json", str(data_folder / "body" / "chest_ct.nrrd")]) == 0
    assert json.loads(capsys.readouterr().out)["recognition"]["region"] == "chest"


def test_what_is_in_doubt_goes_to_standard_error(tmp_path, capsys):
    meddl.save(meddl.Volume.scalar(np.full((30, 30, 30), 7, np.int16), np.eye(4)), tmp_path / "constant.nii.gz")
    assert main(["info", str(tmp_path / "constant.nii.gz")]) == 0
    told = capsys.readouterr()
    assert "same value, 7" in told.err and "unknown" in told.out


def test_a_series_is_looked_at_and_counted(data_folder, capsys):
    assert main(["info", str(data_folder / "brain_multimodal" / "fmri.nii.gz")]) == 0
    assert "looks like" in capsys.readouterr().out


def test_what_is_no_volume_is_an_error(tmp_path, capsys):
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    assert main(["info", str(tmp_path / "empty.nii.gz")]) == 2
    assert main(["info", str(tmp_path / "none.nii.gz")]) == 2
    assert "0 bytes" in capsys.readouterr().err


def test_values_without_a_finite_number_are_said_to_be_so(tmp_path):
    volume = meddl.Volume.scalar(np.full((30, 30, 30), np.nan, np.float32), np.eye(4))
    meddl.save(volume, tmp_path / "nan.nii.gz")
    found = meddl.info(tmp_path / "nan.nii.gz")
    assert found["minimum"] is None and found["warnings"]
    assert "no finite number" in dict(lines_of(found))["values"]
    json.dumps(found, allow_nan=False)
