"""`meddl inpaint`: a volume and a mask in, the filled volume, the mask of what was synthesized and a report out."""

import json

import numpy as np
from shell import blobs, run

import meddl
from meddl.io import save_series, time_step
from meddl.spatial.volume import Volume


def files(folder):
    volume = blobs()
    inside = np.zeros(volume.shape, np.uint8)
    inside[8:12, 8:12, 8:12] = 1
    meddl.save(volume, folder / "head.nii.gz")
    meddl.save(Volume.scalar(inside, volume.affine), folder / "lesion.nii.gz")
    return volume, inside > 0


def test_the_mask_of_what_was_synthesized_is_written_beside_the_result(tmp_path, capsys):
    volume, inside = files(tmp_path)
    words = ("inpaint", tmp_path / "head.nii.gz", "--mask", tmp_path / "lesion.nii.gz", "-o", tmp_path / "out.nii.gz")
    assert run(*words, "--method", "harmonic", "--report", tmp_path / "report.json", "--device", "cpu") == 0
    shown = capsys.readouterr()
    assert "64 voxels" in shown.out and "synthesized" in shown.out and "Measure nothing" in shown.err
    made, marked = meddl.load(tmp_path / "out.nii.gz"), meddl.load(tmp_path / "out-synthesized.nii.gz")
    np.testing.assert_array_equal(marked.scalar_data > 0, inside)
    np.testing.assert_array_equal(made.scalar_data[~inside], volume.scalar_data[~inside])
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["configuration"]["method"] == "harmonic" and report["filled_voxels"] == 64
    assert run(*words, "--device", "cpu") == 2 and "--overwrite" in capsys.readouterr().err


def test_a_series_keeps_its_frames_and_time_step(tmp_path, capsys):
    volume, inside = files(tmp_path)
    save_series(Volume(np.concatenate([volume.data, 2 * volume.data]), volume.affine), tmp_path / "series.nii.gz", 2.5)
    assert run("inpaint", tmp_path / "series.nii.gz", "--mask", tmp_path / "lesion.nii.gz", "-o",
               tmp_path / "out.nrrd", "--filled", tmp_path / "marked.nrrd", "--method", "harmonic", "--device", "cpu"
               ) == 0
    assert meddl.load(tmp_path / "out.nrrd", "all").channels == 2
    assert time_step(tmp_path / "out.nrrd") == 2.5
    np.testing.assert_array_equal(meddl.load(tmp_path / "marked.nrrd").scalar_data > 0, inside)
    assert run("inpaint", tmp_path / "series.nii.gz", "--mask", tmp_path / "no.nii.gz", "-o", tmp_path / "b.nrrd") == 2
    assert "no.nii.gz" in capsys.readouterr().err
