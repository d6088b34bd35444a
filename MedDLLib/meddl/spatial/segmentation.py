"""Labels on a grid, and the structures that they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from meddl.core.errors import InputError
from meddl.spatial.grid import Grid, check_affine

_CATEGORY_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGION_CONTEXT = "Anatomic codes - DICOM master list"
_NAMED = 3  # structures that a line names
_SEPARATORS = "~^|"


@dataclass(frozen=True)
class Segment:
    """One structure of a segmentation.

    Attributes:
        value: its number in the label array.
        name: display name.
        color: red, green, blue, 0 to 1.
        terminology: codes, `{"category": [scheme, code, meaning], "type": [...], "modifier": [...] or None}`, or None.
    """

    value: int
    name: str
    color: tuple[float, float, float]
    terminology: dict | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Labels on the grid of the volume that they were found in.

    Attributes:
        labels: (I, J, K) uint8 or uint16; 0 is background.
        affine: 4x4, voxel index to RAS mm.
        segments: the structures that the labels may hold.
        confidence: (I, J, K) float32, probability of the label at each voxel, or None.
        report: seconds by stage, device, peak_memory_mb, warnings, volumes_ml and confidence by structure, model.
    """

    labels: np.ndarray
    affine: np.ndarray
    segments: tuple[Segment, ...]
    confidence: np.ndarray | None = None
    report: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or self.labels.dtype not in (np.uint8, np.uint16):
            raise InputError(
                "Labels have shape (I, J, K) and type uint8 or uint16; "
                f"these have shape {self.labels.shape} and type {self.labels.dtype}.")
        object.__setattr__(self, "affine", check_affine(self.affine))
        object.__setattr__(self, "segments", tuple(self.segments))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return Segmentation, (self.labels, np.array(self.affine), self.segments, self.confidence, self.report)

    def __repr__(self) -> str:
        named = {segment.value: segment.name for segment in self.segments}
        there = np.flatnonzero(np.bincount(self.labels.reshape(-1)))
        found = [named.get(int(value), str(value)) for value in there if value]
        names = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        model = f"{self.report['model']}, " if "model" in self.report else ""
        structures = f"{len(found)} structure{'' if len(found) == 1 else 's'}{f' ({names})' if names else ''}"
        return f"Segmentation({model}{structures}, {self.grid.describe()})"

    @property
    def grid(self) -> Grid:
        """The grid of the voxels."""
        return Grid(self.labels.shape, self.affine)


def merge_layers(layers: Sequence[np.ndarray], entries: Sequence[tuple[int, Segment]], affine: np.ndarray,
                 name: str) -> Segmentation:
    """One label map of several.

    Args:
        layers: (I, J, K) uint8 or uint16 each, on one grid.
        entries: for each segment its layer and what it is; a label value that several have is replaced by a free one.
        name: of the segmentation, for the error.

    Raises:
        InputError: two segments overlap.
    """
    if len(layers) == 1 and len({segment.value for _, segment in entries}) == len(entries):
        return Segmentation(layers[0], affine, tuple(segment for _, segment in entries))
    labels = np.zeros(layers[0].shape, dtype=np.uint16)
    used = {segment.value for _, segment in entries}
    taken: set[int] = set()
    segments = []
    for layer, segment in entries:
        value = segment.value
        if value in taken:
            value = next(v for v in range(1, 65536) if v not in used)
        taken.add(value)
        used.add(value)
        mask = layers[layer] == segment.value
        if labels[mask].any():
            raise InputError(f"'{name}': segment '{segment.name}' overlaps another one; a label map cannot hold "
                             "overlapping segments. Separate them in Slicer, or save them as two files.")
        labels[mask] = value
        segments.append(Segment(value, segment.name, segment.color, segment.terminology))
    if labels.max() < 256 and max(taken, default=0) < 256:
        labels = labels.astype(np.uint8)
    return Segmentation(labels, affine, tuple(segments))


def terminology_entry(terminology: dict) -> str:
    """A segment's terminology as Slicer writes it.

    Seven fields joined by ~: context, category, type, type modifier, region context, region, region modifier; a code is
    scheme^value^meaning.
    """
    def code(triple: Sequence[str] | None) -> str:
        return "^".join(_without_separators(str(part)) for part in (triple or ("", "", "")))

    return "~".join((_CATEGORY_CONTEXT, code(terminology.get("category")), code(terminology.get("type")),
                     code(terminology.get("modifier")), _REGION_CONTEXT, "^^", "^^"))


def parse_terminology_entry(entry: str) -> dict | None:
    """Category, type and modifier of such a text; None where it names no category and type."""
    parts = [part.split("^") for part in entry.split("~")]
    if len(parts) < 3 or any(len(part) != 3 or not part[1] for part in parts[1:3]):
        return None
    modifier = parts[3] if len(parts) > 3 and len(parts[3]) == 3 and parts[3][1] else None
    return {"category": parts[1], "type": parts[2], "modifier": modifier}


def _without_separators(text: str) -> str:
    return "".join(" " if c in _SEPARATORS or ord(c) < 32 else c for c in text)
