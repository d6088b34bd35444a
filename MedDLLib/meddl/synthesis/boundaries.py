"""Label maps whose boundaries move: structures grown or shrunk by a millimeter or two, at the cost of a table look-up.

A few heads are enough for a network to generalize if their structures vary in size too. For each voxel near a boundary
the maps hold, as one code, its label, the nearest other label and how far that is. An image draws how much each
structure grows; where one label moves into another by more than the distance, the table of this image gives the code
the other label.
"""

from itertools import product

import torch
import torch.nn.functional as F

from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.random import chance, uniform

DISTANCES = (1.0, 2 ** 0.5, 3 ** 0.5, 2.0)  # to the nearest other label that are told apart, in voxels
_REACH = 2
NUCLEI = (10, 11, 12, 13, 17, 18, 26, 28, 49, 50, 51, 52, 53, 54, 58, 60)
LATERAL_VENTRICLES = (4, 5, 43, 44, 136, 137, 163, 164)  # choroid plexus included
OTHER_VENTRICLES = ((14, 72), (15,))
WHITE_MATTER, LESION, CORTEX = (2, 41), (25, 57), (3, 42)
CEREBELLAR_WHITE_MATTER, CEREBELLAR_CORTEX = (7, 46), (8, 47)
SKULL, SCALP, BACKGROUND = (515, 516), (511,), (0,)


def boundary_codes(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Codes (M, I + 2, J + 2, K + 2) of maps (M, I, J, K) of rows of a label table, with a border of background.

    A code is `(distance * count + other) * count + row`: 0 for no other label near, else one more than the index of
    its distance in `DISTANCES`. int16, or int32 for tables of many labels.
    """
    codes = _empty_codes(rows, count)
    offsets = sorted(product(range(-_REACH, _REACH + 1), repeat=3), key=lambda offset: sum(n * n for n in offset))
    for head, into in zip(rows, codes[:, 1:-1, 1:-1, 1:-1], strict=True):
        box = _box(head)
        if box is None:
            continue
        part, wide = head[box], F.pad(head, [_REACH] * 6)
        other, ring = torch.zeros_like(part), torch.zeros_like(part)
        alone = torch.ones_like(part, dtype=torch.bool)
        for number, distance in enumerate(DISTANCES, 1):
            for offset in offsets:
                if abs(sum(n * n for n in offset) ** 0.5 - distance) > 1e-6:
                    continue
                moved = wide[tuple(slice(s.start + _REACH + n, s.stop + _REACH + n)
                                   for s, n in zip(box, offset, strict=True))]
                nearest = moved.ne(part).logical_and_(alone)
                other = torch.where(nearest, moved, other)
                ring.masked_fill_(nearest, number)
                alone.logical_and_(nearest.logical_not_())
        into[box] += (ring.to(codes.dtype) * count + other) * count
    return codes


def plain_codes(rows: torch.Tensor, count: int) -> torch.Tensor:
    """The same with rows alone, as if no other label were near."""
    return _empty_codes(rows, count)


def _empty_codes(rows: torch.Tensor, count: int) -> torch.Tensor:
    highest = (len(DISTANCES) + 1) * count ** 2
    return F.pad(rows, [1] * 6).to(torch.int16 if highest < 1 << 15 else torch.int32)


def _box(head: torch.Tensor) -> tuple[slice, ...] | None:
    """Where a map is not background, and the voxels next to that."""
    box = []
    for axis, size in enumerate(head.shape):
        inside = torch.nonzero(head.amax(dim=[a for a in range(3) if a != axis]))[:, 0]
        if not len(inside):
            return None
        box.append(slice(max(0, int(inside[0]) - _REACH), min(size, int(inside[-1]) + 1 + _REACH)))
    return tuple(box)


class Boundaries:
    """Draws how the boundaries of the labels of a table move.

    Args:
        table: a `LabelTable`.
        device: of what is drawn.
    """

    def __init__(self, table, device: torch.device):
        labels = torch.as_tensor(table.labels, device=device)
        self._kinds: list[tuple[str, list[torch.Tensor]]] = [
            (kind, [inside for group in groups if bool((inside := _among(labels, group)).any())])
            for kind, groups in (("nuclei_mm", [(n,) for n in NUCLEI]),
                                 ("ventricles_mm", [LATERAL_VENTRICLES, *OTHER_VENTRICLES]),
                                 ("cortex_mm", [CORTEX, CEREBELLAR_CORTEX]),
                                 ("skull_mm", [SKULL]), ("scalp_mm", [SCALP]))]
        self._counts = torch.ones((len(labels), len(labels)), device=device)  # of a label (column) against another
        brain = torch.as_tensor(table.targets > 0, device=device)
        for group, against in ((CORTEX, _among(labels, WHITE_MATTER + LESION)),
                               (CEREBELLAR_CORTEX, _among(labels, CEREBELLAR_WHITE_MATTER)),
                               (SKULL, ~brain), (SCALP, _among(labels, BACKGROUND))):
            self._counts[:, _among(labels, group)] = against.float()[:, None]
        self._reach = torch.tensor([float("inf"), *(distance - 0.5 for distance in DISTANCES)],
                                   device=device).reshape(1, -1, 1, 1)
        self._rows = torch.arange(len(labels), device=device, dtype=torch.uint8)

    def row_of_code(self, batch: int, config: SynthesisConfig, rng: torch.Generator) -> torch.Tensor:
        """For each image of a batch the row of each code, (B, codes) uint8, with boundaries moved at random."""
        count = len(self._rows)
        growth = torch.zeros((batch, count), device=rng.device)
        for kind, groups in self._kinds:
            low, high = getattr(config, kind)
            for inside in groups:
                growth += uniform((batch, 1), low, high, rng) * inside
        growth *= chance(batch, config.shape_probability, rng)[:, None]
        into = growth[:, None, :] * self._counts  # how far a label (last axis) moves into another (middle axis)
        move = (into - into.transpose(1, 2)).transpose(1, 2)[:, None]
        rows = torch.where(move > self._reach, self._rows[:, None], self._rows)
        return rows.reshape(batch, -1)


def _among(labels: torch.Tensor, values: tuple[int, ...]) -> torch.Tensor:
    inside = torch.zeros_like(labels, dtype=torch.bool)
    for value in values:
        inside |= labels == value
    return inside
