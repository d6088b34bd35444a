"""Points from and to files: tables, and the markups of Slicer.

Slicer's formats: https://slicer.readthedocs.io/en/latest/developer_guide/modules/markups.html
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError, InputError
from meddl.io.files import existing_path, replacing
from meddl.spatial.points import Points

POINT_SUFFIXES = (".csv", ".fcsv", ".json")
_SCHEMA = ("https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
           "markups-schema-v1.0.3.json#")
_SIGNS = {"RAS": (1, 1, 1), "0": (1, 1, 1), "LPS": (-1, -1, 1), "1": (-1, -1, 1)}
_COLUMNS = {("r", "a", "s"): "RAS", ("x", "y", "z"): "RAS", ("l", "p", "s"): "LPS"}


def load_points(path: str | Path) -> Points:
    """Read points, in RAS mm whatever the file's convention.

    `.csv` is a table with a header: columns r, a, s or x, y, z (RAS mm), or l, p, s (LPS mm), and label, if it has one;
    without a header the first three columns are RAS mm. `.fcsv` and `.mrk.json` are Slicer's markups and say which
    they hold; points that are not placed are left out.

    Raises:
        InputError: no such file, an unknown suffix, or no point in it.
        FileFormatError: damaged, or coordinates that are no numbers.
    """
    place = existing_path(path)
    reader = {".csv": _read_csv, ".fcsv": _read_fcsv, ".json": _read_json}.get(place.suffix.lower())
    if reader is None:
        raise InputError(f"'{place.name}': points are read from .csv, .fcsv and .mrk.json files.")
    try:
        rows = reader(place)
        positions = np.array([[float(x) for x in row[:3]] for row in rows]).reshape(-1, 3)
        points = Points(positions, tuple(row[3] for row in rows))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise FileFormatError(f"'{place.name}' does not hold points: {error}.") from error
    if not rows:
        raise InputError(f"'{place.name}' holds no placed point.")
    return points


def save_points(points: Points, path: str | Path, descriptions: Sequence[str] = ()) -> None:
    """Write points: `.mrk.json` (or `.json`) as a point list of Slicer's markups, `.csv` as a table label, r, a, s in
    RAS mm, with a column description where there are any.

    Raises:
        InputError: an unknown suffix, or another number of descriptions than of points.
    """
    place = Path(path)
    if place.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"'{place.name}': points are written to .mrk.json and .csv files.")
    if descriptions and len(descriptions) != len(points.labels):
        raise InputError(f"There are {len(points.labels)} points and {len(descriptions)} descriptions.")
    texts = list(descriptions) or [""] * len(points.labels)
    with replacing(place, place.suffix) as temporary:
        if place.suffix.lower() == ".json":
            temporary.write_text(json.dumps(_markups(points, texts), indent=1), encoding="utf-8")
            return
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["label", "r", "a", "s", *(["description"] if descriptions else [])])
            rows.writerows([label, *position, *([text] if descriptions else [])] for label, position, text in
                           zip(points.labels, points.positions.round(4).tolist(), texts, strict=True))


def _markups(points: Points, texts: Sequence[str]) -> dict:
    """The content of a markups file with one point list."""
    lps = (points.positions * (-1, -1, 1)).round(6).tolist()
    placed = [{"id": str(number), "label": label, "description": text, "position": position,
               "positionStatus": "defined"}
              for number, (label, text, position) in enumerate(zip(points.labels, texts, lps, strict=True), start=1)]
    return {"@schema": _SCHEMA, "markups": [{"type": "Fiducial", "coordinateSystem": "LPS",
                                             "coordinateUnits": "mm", "controlPoints": placed}]}


def _read_csv(place: Path) -> list:
    with place.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    if not rows:
        return []
    header = [cell.strip().lower() for cell in rows[0]]
    for names, system in _COLUMNS.items():
        if all(name in header for name in names):
            places = [header.index(name) for name in names]
            label = header.index("label") if "label" in header else None
            return [_to_ras([row[p] for p in places], system, "" if label is None else row[label].strip())
                    for row in rows[1:]]
    try:
        float(rows[0][0])
    except ValueError:
        raise ValueError(f"its columns are {', '.join(header)}; expected r, a, s or x, y, z or l, p, s") from None
    return [_to_ras(row[:3], "RAS", row[3].strip() if len(row) > 3 else "") for row in rows]


def _read_fcsv(place: Path) -> list:
    system, label, found = "RAS", 11, []
    with place.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.reader(file):
            start = row[0] if row else "#"
            if start.startswith("# CoordinateSystem"):
                system = start.partition("=")[2].strip()
            elif start.startswith("# columns"):
                names = [start.partition("=")[2].strip(), *(cell.strip() for cell in row[1:])]
                label = names.index("label")
            elif not start.startswith("#"):
                found.append((row[1:4], row[label] if len(row) > label else ""))
    return [_to_ras(numbers, system, text) for numbers, text in found]


def _read_json(place: Path) -> list:
    content = json.loads(place.read_text(encoding="utf-8"))
    found = []
    for markup in content["markups"]:
        system = markup.get("coordinateSystem", "LPS")
        for point in markup.get("controlPoints", ()):
            if point.get("positionStatus", "defined") == "defined":
                found.append(_to_ras(point["position"], system, point.get("label", "")))
    return found


def _to_ras(numbers: Sequence[str | float], system: str, label: str) -> list:
    signs = _SIGNS.get(str(system).upper())
    if signs is None:
        raise ValueError(f"its coordinate system '{system}' is not known")
    if len(numbers) != 3:
        raise ValueError(f"a point has {len(numbers)} coordinates")
    return [*(sign * float(number) for sign, number in zip(signs, numbers, strict=True)), label]
