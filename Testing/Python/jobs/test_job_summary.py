"""The table of a job, as a spreadsheet and as JSON."""

import csv
import json

from meddl.jobs.summary import Row, Summary

ROWS = (Row("a, b", "done", 1.234, {"liver": 12.5, "left lung": 3.0}, ("One.", "Two."), output="o/a.nii.gz"),
        Row("c", "failed", 0.5, error='It said "no".'), Row("d", "cancelled"))


def test_the_table_has_a_row_for_each_case_and_a_column_for_each_structure(tmp_path):
    summary = Summary(ROWS, ("liver", "left lung"), {"model": "m"}, (("x.seg.nrrd", "a segmentation"),))
    summary.save(tmp_path)
    with (tmp_path / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["case"] for line in lines] == ["a, b", "c", "d"]
    assert lines[0]["liver [ml]"] == "12.5" and lines[1]["liver [ml]"] == ""
    assert lines[0]["warnings"] == "One. Two." and lines[1]["error"] == 'It said "no".'
    assert "frame" not in lines[0]
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["counts"] == {"done": 1, "kept": 0, "failed": 1, "cancelled": 1}
    assert content["cases"][0]["volumes_ml"] == {"liver": 12.5, "left lung": 3.0}
    assert content["unused"] == [{"file": "x.seg.nrrd", "why": "a segmentation"}]
    assert [row.case for row in summary.failed] == ["c"]


def test_time_points_are_rows_of_one_case():
    rows = [Row("a", "done", frame=number) for number in range(3)]
    summary = Summary(tuple(rows), ())
    assert summary.counts["done"] == 1
    assert summary.as_csv().splitlines()[2].startswith("a,1,done,0.00,")
