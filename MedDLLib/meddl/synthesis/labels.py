"""Label maps to synthesize from, and the table that says what their labels are."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from meddl.errors import FileFormatError, InputError

_COLUMNS = ("label", "name", "tissue_class", "segmentation_label", "mirrored_label")


@dataclass(frozen=True)
class LabelTable:
    """What the labels of the maps mean. A label's row is its index in every array below.

    Attributes:
        labels: label values in the maps, (N,), ascending, 0 first.
        names: their names.
        tissues: index of the intensity distribution of each label, (N,); left and right share one.
        targets: label value to segment for each label, (N,), 0 for background.
        mirrors: row of the label on the other side, (N,).
    """

    labels: np.ndarray
    names: tuple[str, ...]
    tissues: np.ndarray
    targets: np.ndarray
    mirrors: np.ndarray

    @classmethod
    def read(cls, path: str | Path) -> "LabelTable":
        """Read a CSV file with the columns label, name, tissue_class, segmentation_label, mirrored_label.

        Raises:
            FileFormatError: a column is missing, a mirror names no label, or label 0 is not there.
        """
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows or any(column not in rows[0] for column in _COLUMNS):
            raise FileFormatError(f"{path} was expected to have the columns {', '.join(_COLUMNS)}.")
        rows.sort(key=lambda row: int(row["label"]))
        labels = np.array([int(row["label"]) for row in rows])
        row_of = {int(label): n for n, label in enumerate(labels)}
        try:
            mirrors = np.array([row_of[int(row["mirrored_label"])] for row in rows])
        except KeyError as error:
            raise FileFormatError(f"{path} names {error} as a mirrored label, but has no row for it.") from None
        if labels[0] != 0:
            raise FileFormatError(f"{path} has no row for label 0, the background.")
        classes = np.array([int(row["tissue_class"]) for row in rows])
        _, tissues = np.unique(np.minimum(classes, classes[mirrors]), return_inverse=True)
        targets = np.array([int(row["segmentation_label"]) for row in rows])
        return cls(labels, tuple(row["name"] for row in rows), tissues, targets, mirrors)

    @cached_property
    def structures(self) -> np.ndarray:
        """Label values to segment, ascending, without background."""
        return np.unique(self.targets[self.targets > 0])

    def mirror_of_structure(self, value: int) -> int:
        """The structure on the other side (itself for one in the middle)."""
        row = int(np.flatnonzero(self.labels == value)[0])
        return int(self.targets[self.mirrors[row]])

    def name_of_structure(self, value: int) -> str:
        """Its name."""
        return self.names[int(np.flatnonzero(self.labels == value)[0])]


@dataclass(frozen=True)
class LabelMaps:
    """Several heads as label maps, 1 mm, axes RAS, one size.

    Attributes:
        table: what the labels mean.
        rows: (M, I, J, K) uint8, row of the table at each voxel.
        centers: (M, 3) float32, voxel index of the center of each brain's bounding box.
    """

    table: LabelTable
    rows: torch.Tensor
    centers: torch.Tensor

    def to(self, device: torch.device) -> "LabelMaps":
        """The same maps on another device."""
        return LabelMaps(self.table, self.rows.to(device), self.centers.to(device))


def load_label_maps(folder: str | Path, first: int = 1, last: int = 16) -> LabelMaps:
    """Read `heads/head_NN.nii.gz` for NN from `first` to `last`, and `labels.csv`, in `folder`.

    Raises:
        InputError: there are no such maps.
        FileFormatError: a map holds a label that the table does not.
    """
    from meddl.io import load

    folder = Path(folder)
    paths = [path for n in range(first, last + 1) if (path := folder / "heads" / f"head_{n:02d}.nii.gz").is_file()]
    if not paths or not (folder / "labels.csv").is_file():
        raise InputError(f"{folder} was expected to hold labels.csv and heads/head_{first:02d}.nii.gz and so on.")
    table = LabelTable.read(folder / "labels.csv")
    row_of = np.full(int(table.labels.max()) + 1, 255, dtype=np.uint8)
    row_of[table.labels] = np.arange(len(table.labels))
    brain = (table.targets > 0) & (table.targets != 24)  # cerebrospinal fluid reaches down the spine
    rows, centers = [], []
    for path in paths:
        labels = load(path).reorient("RAS").scalar_data
        if labels.max() >= len(row_of) or (compact := row_of[labels]).max() == 255:
            raise FileFormatError(f"{path} holds labels that {folder / 'labels.csv'} does not name.")
        rows.append(torch.from_numpy(np.ascontiguousarray(compact)))
        inside = brain[compact]
        bounds = [np.flatnonzero(inside.any(axis=axes))[[0, -1]].mean() for axes in ((1, 2), (0, 2), (0, 1))]
        centers.append(bounds)
    if len({tuple(r.shape) for r in rows}) != 1:
        raise FileFormatError(f"The maps in {folder} were expected to have one size.")
    return LabelMaps(table, torch.stack(rows), torch.tensor(centers, dtype=torch.float32))
