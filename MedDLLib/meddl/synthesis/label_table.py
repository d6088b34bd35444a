"""The table that says what the labels of a label map are."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError

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
