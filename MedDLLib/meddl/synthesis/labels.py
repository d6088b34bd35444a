"""Label maps to synthesize from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from meddl.core.errors import FileFormatError, InputError
from meddl.io import load
from meddl.synthesis.boundaries import boundary_codes, plain_codes
from meddl.synthesis.label_table import LabelTable


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

    @cached_property
    def plain_codes(self) -> torch.Tensor:
        """See `boundaries.plain_codes`."""
        return plain_codes(self.rows, len(self.table.labels))

    @cached_property
    def boundary_codes(self) -> torch.Tensor:
        """See `boundaries.boundary_codes`; a second a head when they are first asked for."""
        return boundary_codes(self.rows, len(self.table.labels))

    def to(self, device: torch.device) -> "LabelMaps":
        """The same maps on another device."""
        return LabelMaps(self.table, self.rows.to(device), self.centers.to(device))


def load_label_maps(folder: str | Path, first: int = 1, last: int = 16) -> LabelMaps:
    """Read `heads/head_NN.nii.gz` for NN from `first` to `last`, and `labels.csv`, in `folder`.

    Raises:
        InputError: there are no such maps.
        FileFormatError: a map holds a label that the table does not.
    """
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
