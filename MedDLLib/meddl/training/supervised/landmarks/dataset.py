"""Volumes and their markups: points and boxes in files of the same name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.io.files import as_path
from meddl.io.points import POINT_SUFFIXES, load_markups
from meddl.spatial.points import Boxes, Points
from meddl.training.supervised.data.dataset import volumes_in
from meddl.training.supervised.data.discovery import patient_of

_MARKUPS = ".mrk.json"


@dataclass(frozen=True)
class MarkedCase:
    """A volume and the files of its markups.

    Attributes:
        name: of the volume's file, without suffix.
        image: its file.
        markups: files, each with what follows the volume's name in the file's: CASE_liver.mrk.json has "liver".
        patient: cases of one patient never lie on both sides of the split into training and validation.
    """

    name: str
    image: Path
    markups: tuple[tuple[str, Path], ...]
    patient: str


@dataclass(frozen=True)
class MarkedDataSet:
    """Volumes with their markups.

    Attributes:
        name: of the folder of the markups.
        cases: sorted by name, those without markups too.
        unused: files of markups that belong to no volume.
    """

    name: str
    cases: tuple[MarkedCase, ...]
    unused: tuple[str, ...]


def find_marked(images: str | Path, points: str | Path, patient: str | None = None) -> MarkedDataSet:
    """The volumes of a folder with the markups of another, or of the same.

    Args:
        images: folder of the volumes.
        points: folder of .mrk.json, .fcsv or .csv files: CASE.mrk.json, and CASE_NAME.mrk.json where there are several.
        patient: regular expression whose first group in a volume's name is its patient; if not given, "sub-X", or what
            stands before "_ses-", "_visit", "_tp" and the like, else the whole name.

    Raises:
        InputError: no such folder, or no volume in it.
    """
    folders = [as_path(one, "a folder") for one in (images, points)]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"'{folder}' was expected to be a folder.")
    volumes = volumes_in(folders[0])
    if not volumes:
        raise InputError(f"'{folders[0]}' holds no volumes.")
    markups: dict[str, list[tuple[str, Path]]] = {name: [] for name in volumes}
    unused = []
    for path in sorted(folders[1].iterdir()):
        if path.suffix.lower() not in POINT_SUFFIXES or path.name.startswith("."):
            continue
        base = path.name[:-len(_MARKUPS)] if path.name.lower().endswith(_MARKUPS) else path.stem
        owners = [name for name in volumes if base == name or base.startswith((f"{name}_", f"{name}-", f"{name} "))]
        if owners:
            owner = max(owners, key=len)
            markups[owner].append((base[len(owner):].strip("_- "), path))
        else:
            unused.append(path.name)
    return MarkedDataSet(folders[1].name, tuple(
        MarkedCase(name, image, tuple(markups[name]), patient_of(name, patient))
        for name, image in sorted(volumes.items())), tuple(unused))


def load_marks(case: MarkedCase) -> tuple[Points, Boxes]:
    """The points and boxes of a case. A box alone in a file gets what the file's name says after the volume's.

    Raises:
        InputError, FileFormatError: a file that cannot be used; which one is said.
    """
    points: list[Points] = []
    boxes: list[Boxes] = []
    for rest, path in case.markups:
        placed, found = load_markups(path)
        points.append(placed)
        boxes.append(Boxes(found.centers, found.sizes, (rest,)) if rest and len(found.labels) == 1 else found)
    return (Points(np.concatenate([np.zeros((0, 3)), *(one.positions for one in points)]),
                   tuple(label.strip() for one in points for label in one.labels)),
            Boxes(np.concatenate([np.zeros((0, 3)), *(one.centers for one in boxes)]),
                  np.concatenate([np.zeros((0, 3)), *(one.sizes for one in boxes)]),
                  tuple(label.strip() for one in boxes for label in one.labels)))
