"""`meddl segment`: one volume, the channels of a case, time points, and folders."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk
from channel_images import blobs, three
from dicom_folders import put_dicom
from places import REPOSITORY
from shell import run
from small_models import AFFINE, EXACT, models, put, rows_of  # noqa: F401

import meddl
from meddl.io import to_sitk
from meddl.spatial.volume import Volume

LAST = ["--device", "cpu", "--float32"]


def test_further_volumes_are_channels_in_order_or_by_name(tmp_path, models, capsys):
    first, _, third = three()
    meddl.save(first, tmp_path / "t1.nii.gz")
    meddl.save(third, tmp_path / "t2.nrrd")
    expected = meddl.segment(first, "two", EXACT, others=[meddl.load(tmp_path / "t2.nrrd")], device="cpu").labels
    words = ["segment", tmp_path / "t1.nii.gz", "-o", tmp_path / "out.nii.gz", "--model", "two", "--overwrite",
             *LAST]
    assert run(*words[:2], tmp_path / "t2.nrrd", *words[2:]) == 0
    np.testing.assert_array_equal(meddl.load(tmp_path / "out.nii.gz").scalar_data, expected)
    assert run(*words, "--channel", f"T2={tmp_path / 't2.nrrd'}", "--report", tmp_path / "r.json") == 0
    np.testing.assert_array_equal(meddl.load(tmp_path / "out.nii.gz").scalar_data, expected)
    assert json.loads((tmp_path / "r.json").read_text())["model"] == "two"
    capsys.readouterr()
    for more, said in (([], "takes 2 channels (T1, T2); the volume has 1"),
                       (["--channel", f"CT={tmp_path / 't2.nrrd'}"], "'CT' names no channel"),
                       (["--channel", "T2"], "NAME=FILE"), (["--workers", "2"], "is for folders")):
        assert run(*words, *more) == 2
        assert said in capsys.readouterr().err


def test_a_region_and_structures_are_chosen_and_options_told(tmp_path, models, capsys):
    volume = blobs((20, 18, 16), AFFINE, 1)
    meddl.save(volume, tmp_path / "v.nii.gz")
    words = ["segment", tmp_path / "v.nii.gz", "-o", tmp_path / "out.nii.gz", "--model", "one", "--overwrite",
             *LAST]
    whole = meddl.segment(volume, "one", EXACT, device="cpu").labels
    corners = volume.grid.points_mm([[4, 4, 4], [12, 14, 15]])
    low, high = corners.min(axis=0) - 0.1, corners.max(axis=0) + 0.1
    assert run(*words, f"--roi={','.join(map(str, (*low, *high)))}", "--structures", "spleen") == 0
    found = meddl.load(tmp_path / "out.nii.gz").scalar_data
    points = volume.grid.points_mm(np.stack(np.meshgrid(*map(np.arange, found.shape), indexing="ij"), -1))
    inside = ((points >= low) & (points <= high)).all(axis=-1)
    np.testing.assert_array_equal(found, np.where(inside & (whole == 2), 2, 0))
    assert found.any() and 0 < inside.mean() < 1
    assert run(*words, "--overlap", "0.25", "--mirror-axes", "0", "--folds", "4", "--report", tmp_path / "r.json") == 0
    told = json.loads((tmp_path / "r.json").read_text())["changed_by_options"]
    assert any("0.25 instead of 0.5" in text for text in told)
    capsys.readouterr()
    for more, said in ((["--structures", "splen"], "Similar: spleen"), (["--roi", "1,2"], "six numbers"),
                       (["--folds", "7"], "no fold '7'")):
        assert run(*words, *more) == 2
        assert said in capsys.readouterr().err


def test_dicom_series_of_different_frames_of_reference_are_refused(tmp_path, models, capsys):
    put_dicom(tmp_path / "t1", "1.2.840.1", 3)
    put_dicom(tmp_path / "t2", "1.2.840.2", 3)
    assert run("segment", tmp_path / "t1", tmp_path / "t2", "-o", tmp_path / "o.nii.gz", "--model", "two", *LAST) == 2
    assert "different frames of reference" in capsys.readouterr().err


def test_time_points_of_one_file(tmp_path, models, capsys):
    frames = [blobs((20, 18, 16), AFFINE, seed) for seed in (1, 2)]
    sitk.WriteImage(sitk.JoinSeries([to_sitk(frame) for frame in frames], 0.0, 2.5), str(tmp_path / "f.nii.gz"))
    words = ["segment", tmp_path / "f.nii.gz", "-o", tmp_path / "out.nii.gz", "--model", "one", "--overwrite",
             *LAST]
    assert run(*words) == 2
    assert run(*words, "--frames") == 0
    assert "2 time points" in capsys.readouterr().out
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nii.gz"))).transpose(0, 3, 2, 1)
    expected = meddl.segment(frames[1], "one", EXACT, device="cpu").labels
    np.testing.assert_array_equal(labels[1], expected)
    mask = np.zeros((1, 20, 18, 16), np.uint8)
    mask[:, 5:12, 4:15, :9] = 1
    meddl.save(Volume(mask, frames[0].affine), tmp_path / "roi.nii.gz")
    assert run(*words, "--frames", "--roi", tmp_path / "roi.nii.gz") == 0
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nii.gz"))).transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(labels[1], expected * mask[0])


def test_a_folder_becomes_a_folder_with_a_table(tmp_path, models, capsys):
    put(tmp_path / "in" / "a.nii.gz", 1)
    put(tmp_path / "in" / "b.nii.gz", 2)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    words = ["segment", tmp_path / "in", "-o", tmp_path / "out", "--model", "one", *LAST]
    assert run(*words, "--report", tmp_path / "r.json") == 1
    said = capsys.readouterr()
    assert "2 done, 1 failed" in said.out and "summary.csv" in said.out
    assert "meddl: broken failed: " in said.err
    assert [row["state"] for row in rows_of(tmp_path / "out")] == ["done", "done", "failed"]
    assert json.loads((tmp_path / "r.json").read_text())["counts"]["done"] == 2
    (tmp_path / "in" / "broken.nii.gz").unlink()
    assert run(*words) == 0
    assert "2 kept" in capsys.readouterr().out
    assert run(*words, "--component", "1") == 2
    assert "is for one volume" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="sends an interrupt to a process group")
def test_ctrl_c_stops_a_folder_and_the_next_run_goes_on(tmp_path, models):
    for number in range(8):
        put(tmp_path / "in" / f"{number}.nii.gz", number, (40, 40, 40))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "MedDLLib")}
    command = [sys.executable, "-m", "meddl", "segment", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model",
               "one", *LAST]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "1.nii.gz").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    states = {row["case"]: row["state"] for row in rows_of(tmp_path / "out")}
    assert set(states.values()) == {"done", "cancelled"}
    assert states["0"] == "done" and states["7"] == "cancelled"
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left - {f"{number}.nii.gz" for number in range(7)} == {"summary.csv", "summary.json", ".meddl-job.jsonl"}
