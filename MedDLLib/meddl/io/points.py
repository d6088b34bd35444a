"""Points and boxes from and to files: tables, and the markups of Slicer.

Slicer's formats: https://slicer.readthedocs.io/en/latest/developer_guide/modules/markups.html
"""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError, InputError
from meddl.io.files import existing_path, replacing
from meddl.spatial.points import Boxes, Points

POINT_SUFFIXES = (".csv", ".fcsv", ".json")
_SCHEMA = ("https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
           "markups-schema-v1.0.3.json#")
_LPS = (-1, -1, 1)
_NUMBER = re.compile(r"[-_]\d+$")  # that Slicer adds to a name
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
    points = load_markups(path)[0]
    if not points.labels:
        raise InputError(f"'{Path(path).name}' holds no placed point.")
    return points


def load_markups(path: str | Path) -> tuple[Points, Boxes]:
    """The points of a file, and the boxes about the ROIs of a `.mrk.json`, along R, A and S; there may be none.

    The name of a box is that of its markup where the file has it, else that of the ROI's control point without the
    number that Slicer adds.

    Raises:
        InputError: no such file, or an unknown suffix.
        FileFormatError: damaged, coordinates that are no numbers, or a box without a size.
    """
    place = existing_path(path)
    reader = {".csv": _read_csv, ".fcsv": _read_fcsv, ".json": _read_json}.get(place.suffix.lower())
    if reader is None:
        raise InputError(f"'{place.name}': points are read from .csv, .fcsv and .mrk.json files.")
    try:
        rows = reader(place)
        positions = np.array([[float(x) for x in row[:3]] for row in rows]).reshape(-1, 3)
        boxes = _read_boxes(place) if place.suffix.lower() == ".json" else Boxes.none()
        return Points(positions, tuple(row[3] for row in rows)), boxes
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise FileFormatError(f"'{place.name}' does not hold points: {error}.") from error


def save_points(points: Points, path: str | Path, descriptions: Sequence[str] = (), boxes: Boxes | None = None) -> None:
    """Write points: `.mrk.json` (or `.json`) as a point list of Slicer's markups, `.csv` as a table label, r, a, s in
    RAS mm, with a column description where there are any.

    Args:
        descriptions: of the points, then of the boxes.
        boxes: written as ROIs of Slicer's markups.

    Raises:
        InputError: an unknown suffix, another number of descriptions, or boxes for a table.
    """
    boxes = boxes or Boxes.none()
    place = Path(path)
    if place.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"'{place.name}': points are written to .mrk.json and .csv files.")
    if boxes.labels and place.suffix.lower() != ".json":
        raise InputError(f"'{place.name}': boxes are written to .mrk.json files.")
    count = len(points.labels) + len(boxes.labels)
    if descriptions and len(descriptions) != count:
        raise InputError(f"There are {count} points{' or boxes' if boxes.labels else ''} and {len(descriptions)} "
                         "descriptions.")
    texts = list(descriptions) or [""] * count
    with replacing(place, place.suffix) as temporary:
        if place.suffix.lower() == ".json":
            temporary.write_text(json.dumps(_markups(points, boxes, texts), indent=1), encoding="utf-8")
            return
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["label", "r", "a", "s", *(["description"] if descriptions else [])])
            rows.writerows([label, *position, *([text] if descriptions else [])] for label, position, text in
                           zip(points.labels, points.positions.round(4).tolist(), texts, strict=True))


def _markups(points: Points, boxes: Boxes, texts: Sequence[str]) -> dict:
    """The content of a markups file with one point list, and an ROI for each box."""
    own, of_boxes = texts[:len(points.labels)], texts[len(points.labels):]
    markups: list[dict] = []
    if own or not of_boxes:
        markups.append({"type": "Fiducial", "controlPoints": _control_points(points, own)})
    for label, center, size, text in zip(boxes.labels, boxes.centers, boxes.sizes, of_boxes, strict=True):
        place = Points(center[None], (label,))
        markups.append({"type": "ROI", "name": label, "roiType": "Box", "center": (center * _LPS).round(6).tolist(),
                        "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0], "insideOut": False,
                        "size": size.round(6).tolist(), "controlPoints": _control_points(place, [text])})
    return {"@schema": _SCHEMA, "markups": [{"coordinateSystem": "LPS", "coordinateUnits": "mm"} | one
                                            for one in markups]}


def _control_points(points: Points, texts: Sequence[str]) -> list[dict]:
    lps = (points.positions * _LPS).round(6).tolist()
    return [{"id": str(number), "label": label, "description": text, "position": position, "positionStatus": "defined"}
            for number, (label, text, position) in enumerate(zip(points.labels, texts, lps, strict=True), start=1)]


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
        if markup.get("type") == "ROI":
            continue
        system = markup.get("coordinateSystem", "LPS")
        for point in markup.get("controlPoints", ()):
            if point.get("positionStatus", "defined") == "defined":
                found.append(_to_ras(point["position"], system, point.get("label", "")))
    return found


def _read_boxes(place: Path) -> Boxes:
    found = []
    for markup in json.loads(place.read_text(encoding="utf-8"))["markups"]:
        if markup.get("type") != "ROI":
            continue
        center = _to_ras(markup["center"], markup.get("coordinateSystem", "LPS"), "")[:3]
        turn = np.abs(np.array(markup.get("orientation", np.eye(3).ravel()), dtype=np.float64).reshape(3, 3))
        names = [one.get("label", "") for one in markup.get("controlPoints", ())]
        found.append((center, turn @ [float(one) for one in markup["size"]],
                      markup.get("name") or _NUMBER.sub("", names[0] if names else "")))
    centers, sizes = (np.array([one[part] for one in found]).reshape(-1, 3) for part in (0, 1))
    return Boxes(centers, sizes, tuple(one[2] for one in found))


def _to_ras(numbers: Sequence[str | float], system: str, label: str) -> list:
    signs = _SIGNS.get(str(system).upper())
    if signs is None:
        raise ValueError(f"its coordinate system '{system}' is not known")
    if len(numbers) != 3:
        raise ValueError(f"a point has {len(numbers)} coordinates")
    return [*(sign * float(number) for sign, number in zip(signs, numbers, strict=True)), label]
