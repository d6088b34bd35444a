"""A data set for training: which volumes belong to which label map, and what its labels mean."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meddl.io.files import suffix_of

_VOLUMES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net's names: case_0000.nii.gz, case_0001.nii.gz, ...


@dataclass(frozen=True)
class TrainingCase:
    """A volume with its label map.

    Attributes:
        name: unique in the data set.
        images: one file for each channel, or one that holds all.
        labels: a label map, or a Slicer segmentation, whose segments are matched by name.
        patient: cases of one patient never lie on both sides of the split into training and validation.
    """

    name: str
    images: tuple[Path, ...]
    labels: Path
    patient: str


@dataclass(frozen=True)
class DataSet:
    """All cases of a folder.

    Attributes:
        name: of the folder, or as the data set calls itself.
        layout: how it lies on the disk, in words.
        cases: sorted by name.
        channels: what each channel is, in the network's order.
        structures: label values by name, several for a region; empty where the files alone know them.
        ignore: the label value of voxels that do not count, None where there is none.
        order: of overlapping regions, the values under which they are written; empty: no regions.
        unused: what was found and is not used, in sentences.
    """

    name: str
    layout: str
    cases: tuple[TrainingCase, ...]
    channels: tuple[str, ...] = ("volume",)
    structures: dict[str, tuple[int, ...]] | None = None
    ignore: int | None = None
    order: tuple[int, ...] = ()
    unused: tuple[str, ...] = ()


def volumes_in(folder: Path) -> dict[str, Path]:
    """Volumes directly in a folder, by their names without suffix; hidden ones are left out."""
    return {stem(path): path for path in sorted(folder.iterdir())
            if suffix_of(path) in _VOLUMES and not path.name.startswith(".")}


def stem(path: Path) -> str:
    """A file's name without its suffix."""
    return path.name[:len(path.name) - len(suffix_of(path))]


def by_case(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of files by the case that they are channels of: case_0000, case_0001, ...; a name without a number is a
    case by itself."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        match = _CHANNEL.fullmatch(name)
        groups[match[1] if match else name].append(name)
    return dict(groups)
