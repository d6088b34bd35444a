"""Points from tables and from Slicer's own files, in RAS mm."""

import json

import numpy as np
import pytest

from meddl.core.errors import FileFormatError, InputError
from meddl.io.points import load_points, save_points
from meddl.spatial.points import Points

RAS = np.array([[10.5, -20.0, 30.0], [1.0, 2.0, -3.0]])
LPS = RAS * (-1, -1, 1)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def table(rows, labels=("nose", "ear")) -> str:
    return "\n".join(",".join(map(str, row)) + f",{label}" for row, label in zip(rows, labels)) + "\n"


@pytest.mark.parametrize(("header", "rows"), [("r,a,s,label\n", RAS), ("X,Y,Z,Label\n", RAS), ("l,p,s,label\n", LPS),
                                              ("", RAS)])
def test_tables_are_read(tmp_path, header, rows):
    points = load_points(write(tmp_path / "p.csv", header + table(rows)))
    np.testing.assert_allclose(points.positions, RAS)
    assert points.labels == ("nose", "ear")


def test_a_table_needs_no_labels(tmp_path):
    assert load_points(write(tmp_path / "p.csv", "x,y,z\n1,2,3\n")).labels == ("",)


@pytest.mark.parametrize(("system", "rows"), [("LPS", LPS), ("RAS", RAS), ("0", RAS), ("1", LPS)])
def test_old_markups_of_slicer_are_read_in_either_system(tmp_path, system, rows):
    lines = [f"p{n},{','.join(map(str, row))},0,0,0,1,1,1,0,{label},,\n" for n, (row, label) in
             enumerate(zip(rows, ("nose", "ear")))]
    text = (f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n"
            "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n" + "".join(lines))
    points = load_points(write(tmp_path / "p.fcsv", text))
    np.testing.assert_allclose(points.positions, RAS)
    assert points.labels == ("nose", "ear")


def markups(system, rows, status="defined") -> str:
    control = [{"id": str(n), "label": label, "position": list(row), "positionStatus": status}
               for n, (row, label) in enumerate(zip(rows, ("nose", "ear")))]
    return json.dumps({"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": control}]})


@pytest.mark.parametrize(("system", "rows"), [("LPS", LPS), ("RAS", RAS)])
def test_markups_of_slicer_are_read_in_either_system(tmp_path, system, rows):
    points = load_points(write(tmp_path / "p.mrk.json", markups(system, rows)))
    np.testing.assert_allclose(points.positions, RAS)
    assert points.labels == ("nose", "ear")


def test_points_that_are_not_placed_are_left_out(tmp_path):
    with pytest.raises(InputError, match="no placed point"):
        load_points(write(tmp_path / "p.mrk.json", markups("RAS", RAS, "undefined")))


@pytest.mark.parametrize(("name", "text"), [("p.csv", "a,b,c\n1,2,3\n"), ("p.csv", "r,a,s\n1,two,3\n"),
                                            ("p.csv", "r,a,s\n1,2\n"), ("p.mrk.json", "{"), ("p.mrk.json", "[]"),
                                            ("p.mrk.json", markups("up", RAS)), ("p.fcsv", "a,b\n")])
def test_what_holds_no_points_is_refused(tmp_path, name, text):
    with pytest.raises(FileFormatError, match=name):
        load_points(write(tmp_path / name, text))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.csv"):
        load_points(write(tmp_path / "p.txt", "1,2,3"))
    with pytest.raises(InputError, match="does not exist"):
        load_points(tmp_path / "absent.csv")


@pytest.mark.parametrize("name", ["points.mrk.json", "points.csv"])
def test_points_come_back_as_they_were_written(tmp_path, name):
    points = Points(np.array([[1.5, -2.25, 3.0], [4.0, 5.0, -6.125]]), ("AC", "left, lower"))
    save_points(points, tmp_path / name, ["confidence 0.90", ""])
    back = load_points(tmp_path / name)
    np.testing.assert_array_equal(back.positions, points.positions)
    assert back.labels == points.labels
    assert "confidence 0.90" in (tmp_path / name).read_text()


def test_points_that_cannot_be_written_are_refused(tmp_path):
    points = Points(np.zeros((1, 3)), ("AC",))
    with pytest.raises(InputError, match=r"written to .mrk.json and .csv"):
        save_points(points, tmp_path / "points.fcsv")
    with pytest.raises(InputError, match="1 points and 2 descriptions"):
        save_points(points, tmp_path / "points.csv", ["a", "b"])
