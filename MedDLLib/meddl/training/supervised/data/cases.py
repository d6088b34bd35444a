"""Cases in memory: a volume of all channels in RAS order with its label map on the same grid, as classes."""

from dataclasses import dataclass

import numpy as np

from meddl.core.errors import GeometryError, InputError
from meddl.io import load, load_segmentation
from meddl.io.files import suffix_of
from meddl.results import Segmentation
from meddl.segmentation.channels import join_channels
from meddl.spatial.volume import Volume
from meddl.training.supervised.data.dataset import DataSet, TrainingCase

IGNORED = -1


@dataclass(frozen=True)
class Structures:
    """What the labels of a data set mean.

    Attributes:
        names: of the structures.
        members: label values of each; several where regions overlap.
        values: under which each is written.
        ignore: the label value of voxels that do not count, None where there is none.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    values: tuple[int, ...]
    ignore: int | None = None

    @property
    def overlapping(self) -> bool:
        """Whether they are regions: each may be present by itself."""
        return any(len(members) > 1 for members in self.members)

    @property
    def label_values(self) -> tuple[int, ...]:
        """All values of label maps but background and ignore, in ascending order: class n + 1 is the n-th of them."""
        return tuple(sorted({value for members in self.members for value in members}))

    @property
    def regions(self) -> np.ndarray:
        """(structures, classes) bool: which classes belong to each structure, background first."""
        row = (0, *self.label_values)
        return np.array([[value in members for value in row] for members in self.members])


def load_case(case: TrainingCase, dataset: DataSet) -> tuple[Volume, Segmentation, tuple[str, ...]]:
    """A case's volume and segmentation in RAS order, as they are, and warnings.

    Raises:
        InputError, FileFormatError, GeometryError: a file that cannot be used, or other channels than the data set's.
    """
    volumes = [load(path, component="all") for path in case.images]
    if len(volumes) == 1 and volumes[0].channels != len(dataset.channels):
        count = volumes[0].channels
        raise InputError(f"'{case.images[0].name}' is 4D: it holds {count} time points or components; "
                         f"{len(dataset.channels)} were expected ({', '.join(dataset.channels)}). Save the one to "
                         "train on as a volume by itself." if count > 1 else
                         f"'{case.images[0].name}' is one channel; the data set has {len(dataset.channels)}: "
                         f"{', '.join(dataset.channels)}.")
    if len(volumes) > 1 and len(volumes) != len(dataset.channels):
        raise InputError(f"It has {len(volumes)} channels; others have {len(dataset.channels)}.")
    volume, warnings = volumes[0], tuple[str, ...]()
    if len(volumes) > 1:
        volume, warnings = join_channels(volume, volumes[1:], dataset.channels)
    found = load_segmentation(case.labels)
    upright = Volume.scalar(found.labels, found.affine).reorient("RAS")
    segmentation = Segmentation(upright.scalar_data, upright.affine, found.segments)
    return volume.reorient("RAS"), segmentation, warnings


def check_grids(volume: Volume, segmentation: Segmentation) -> None:
    """Raise GeometryError where a label map does not lie on its volume's grid."""
    if volume.grid.same_as(segmentation.grid, tolerance_voxels=0.05):
        return
    shapes = [" x ".join(map(str, shape)) for shape in (volume.shape, segmentation.grid.shape)]
    if volume.shape != segmentation.grid.shape:
        raise GeometryError(f"The label map has {shapes[1]} voxels, its image {shapes[0]}. Resample the label map to "
                            "the image (nearest neighbor).")
    apart = np.linalg.norm(volume.grid.center_mm - segmentation.grid.center_mm)
    raise GeometryError(f"The label map lies elsewhere than its image ({apart:.1f} mm between their centers) or is "
                        "turned against it. Correct its header, or export it again on the image's grid.")


def labels_by_structure(segmentation: Segmentation, case: TrainingCase, structures: Structures) -> np.ndarray:
    """(I, J, K) int32 label values of the data set; segments of a Slicer segmentation are matched by their names."""
    labels = segmentation.labels.astype(np.int32)
    if suffix_of(case.labels) != ".seg.nrrd":
        return labels
    by_name = {name.casefold(): members[0] for name, members in
               zip(structures.names, structures.members, strict=True) if len(members) == 1}
    table = np.arange(int(labels.max()) + 1, dtype=np.int32)
    for segment in segmentation.segments:
        if segment.name.strip().casefold() in by_name and segment.value < len(table):
            table[segment.value] = by_name[segment.name.strip().casefold()]
    return table[labels]


def classes_of(labels: np.ndarray, structures: Structures, painted_slices: bool = False) -> np.ndarray:
    """Label values (I, J, K) as classes, int16: 0 background, n + 1 the n-th label value, IGNORED what does not count.

    Args:
        painted_slices: only slices with labels count, where slices were painted one by one: see `painted_axis`.
    """
    row = (0, *structures.label_values)
    table = np.zeros(int(max(labels.max(), *row)) + 1, dtype=np.int16)
    table[list(row)] = np.arange(len(row))
    if structures.ignore is not None and structures.ignore < len(table):
        table[structures.ignore] = IGNORED
    classes = table[labels]
    axis = painted_axis(labels) if painted_slices else None
    if axis is not None:
        empty = ~(labels != 0).any(axis=tuple(a for a in range(3) if a != axis))
        classes[(slice(None),) * axis + (empty,)] = IGNORED
    return classes


def painted_axis(labels: np.ndarray) -> int | None:
    """The axis whose slices were painted one by one: between labeled slices at least two gaps lie, together more than
    the labeled ones. None: there is none."""
    best, found = 0.5, None
    for axis in range(3):
        gaps, labeled, extent = slice_gaps(labels, axis)
        if len(gaps) >= 2 and labeled / extent < best:
            best, found = labeled / extent, axis
    return found


def slice_gaps(labels: np.ndarray, axis: int) -> tuple[list[tuple[int, int]], int, int]:
    """Runs of slices (first, one after the last) without labels between labeled ones along an axis, the number of
    labeled slices, and of all from the first to the last of these."""
    present = np.flatnonzero((labels != 0).any(axis=tuple(a for a in range(3) if a != axis)))
    if not len(present):
        return [], 0, 1
    breaks = np.flatnonzero(np.diff(present) > 1)
    return ([(int(present[n]) + 1, int(present[n + 1])) for n in breaks], len(present),
            int(present[-1] - present[0]) + 1)
