"""`meddl change`: the map, tables and lesions in files, and what is refused before the work."""

import csv
import json

import numpy as np
import pytest
from two_dates import GRIDS, GROWN_RADIUS_MM, date, growth, lesion_labels

import meddl
from meddl.cli import main

GRID = GRIDS["upright"]
CENTER = np.array([10.0, -5.0, 5.0])


@pytest.fixture
def folder(tmp_path):
    meddl.save(date(GRID, noise=10.0), tmp_path / "first.nii.gz")
    meddl.save(date(GRID, [(CENTER, 8.0)], noise=10.0, seed=1), tmp_path / "second.nii.gz")
    ball = 4 / 3 * np.pi * GROWN_RADIUS_MM ** 3 / 1000
    meddl.save_segmentation(lesion_labels(GRID, [(CENTER, ball)]), tmp_path / "first.seg.nrrd")
    meddl.save_segmentation(lesion_labels(GRID, [(CENTER, 2 * ball)]), tmp_path / "second.seg.nrrd")
    growth(GRID, CENTER, 20).save(tmp_path / "t.h5")
    return tmp_path


def run(folder, *more):
    return main(["change", str(folder / "first.nii.gz"), str(folder / "second.nii.gz"), "-o", str(folder / "z.nii.gz"),
                 "--device", "cpu", *map(str, more)])


def test_map_tables_and_lesions_are_written(folder, capsys):
    assert run(folder, "--given-transform", folder / "t.h5", "--jacobian", folder / "j.nii.gz", "--difference",
               folder / "d.nrrd", "--matched", folder / "m.nii.gz", "--baseline-labels", folder / "first.seg.nrrd",
               "--follow-up-labels", folder / "second.seg.nrrd", "--structures", folder / "s.csv", "--lesion-table",
               folder / "l.csv", "--lesion-map", folder / "l.seg.nrrd", "--report", folder / "r.json") == 0
    z = meddl.load(folder / "z.nii.gz")
    assert z.grid.same_as(GRID) and z.data.max() > 4
    structure, = csv.DictReader((folder / "s.csv").open())
    assert float(structure["jacobian_change_percent"]) == pytest.approx(20, abs=2)
    assert float(structure["change_percent"]) == pytest.approx(100, abs=8)
    lesion, = csv.DictReader((folder / "l.csv").open())
    assert lesion["state"] == "grown" and abs(float(lesion["r_mm"]) - CENTER[0]) < 1
    names = [one.name for one in meddl.load_segmentation(folder / "l.seg.nrrd").segments]
    assert "Grown" in names
    report = json.loads((folder / "r.json").read_text())
    assert report["lesion_states"]["grown"] == 1 and report["configuration"]["threshold"] == 4.0
    said = capsys.readouterr().out
    assert "grown" in said and report["reading"] in said.replace("\n", " ")


def test_a_registration_runs_where_no_transform_is_given(folder):
    assert run(folder, "--preset", "rigid", "--threshold", "5", "--transform", folder / "found.h5") == 0
    found = meddl.load_transform(folder / "found.h5")
    assert np.abs(found.affine - np.eye(4)).max() < 0.3


@pytest.mark.parametrize(("options", "reason"), [
    (["--follow-up-labels", "second.seg.nrrd"], "needs --baseline-labels"),
    (["--structures", "s.csv"], "--structures needs"),
    (["--lesion-table", "l.csv", "--baseline-labels", "first.seg.nrrd"], "Lesions are followed between"),
    (["--jacobian", "j.nii.gz", "--preset", "rigid"], "has no Jacobian map"),
    (["--difference", "d.txt"], "cannot be written"),
    (["--overlap", "2"], "overlap is 0 to 1"),
])
def test_what_cannot_be_done_is_refused_before_the_work(folder, capsys, options, reason):
    words = [folder / one if "." in one else one for one in options]
    assert run(folder, *words) == 2
    assert reason in capsys.readouterr().err and not (folder / "z.nii.gz").exists()
