"""The verb `meddl.segment_from_paint`."""

import time
from dataclasses import asdict, dataclass
from os import PathLike

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from meddl.core.config import check_config
from meddl.core.errors import GeometryError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import VolumeLike, as_segmentation, as_volume
from meddl.painting.classifier import PaintClassifier
from meddl.painting.config import PaintConfig
from meddl.painting.contours import find_offset, move_contours
from meddl.painting.features import features_of
from meddl.painting.paint import Paint, background_of, find_region, find_slices, read_paint
from meddl.painting.shapes import SliceShapes
from meddl.registration.images.smoothing import smooth
from meddl.results import Segmentation
from meddl.spatial.normalize import check_magnitude


def segment_from_paint(volume: VolumeLike, painted: Segmentation | str | PathLike,
                       config: PaintConfig | None = None, *,
                       on_progress: ProgressCallback | None = None) -> Segmentation:
    """The rest of structures of which a few slices, or strokes, are painted: interactive segmentation.

    A voxel classifier is trained on the paint alone, on features of the volume and on the shape that the painted slices
    imply between them; see `meddl.painting.classifier`. What is painted stays as it is, unless
    contours are moved (`contour_tolerance`). The features of a region
    are kept: the second call on the same volume takes only the time of the training.

    Args:
        volume: one channel; or the path of a file.
        painted: on the volume's grid, or the path of a file; a segment that is called background says where no
            structure is.
        config: what unpainted voxels are, smoothing, steps.
        on_progress: called between the steps; may raise Cancelled.

    Returns:
        The structures on the volume's grid, without a background segment, with confidence: the probability of each
        voxel's label, 1 where it was painted and outside of the region. Report: seconds (features, learning, total),
        contours (growth and shift in voxels with which they were moved, or None), region (voxels), slices, axis ("i",
        "j" or "k"), peak_memory_mb, warnings, device.

    Raises:
        GeometryError: volume and paint lie on different grids.
        InputError: nothing is painted, or all that is known is one class; several channels; a volume without contrast.
    """
    begin, config = time.perf_counter(), check_config(config, PaintConfig)
    volume, painted = as_volume(volume), as_segmentation(painted, "painted")
    if not volume.grid.same_as(painted.grid):
        raise GeometryError(f"The paint lies on another grid than the volume: {painted.grid.describe()} and "
                            f"{volume.grid.describe()}.")
    background = background_of(painted)
    check_magnitude(volume.data)
    box = find_region(painted.labels, background)
    part = _coarser(volume.scalar_data[box], painted.labels[box], volume.spacing_mm, config.largest_region)
    values = tuple(segment.value for segment in painted.segments
                   if segment.value != background and np.any(part.labels == segment.value))
    complete = config.unpainted == "background" or config.unpainted == "auto" and background is None
    paint = read_paint(part.labels, values, background, complete)
    report(on_progress, 0.0, "Features of the volume")
    features = features_of(part.data, part.spacing_mm)
    rows, warps = features.rows, features.warps(paint.axis)
    ready = time.perf_counter()
    shapes = SliceShapes(paint, part.spacing_mm, warps)
    offset = (find_offset(paint, features.image.numpy(), shapes, config.contour_tolerance)
              if config.contour_tolerance else None)
    kept = paint if part.factor == 1 else read_paint(painted.labels[box], values, background, complete)
    if offset is not None:
        paint, kept = move_contours(paint, offset), move_contours(kept, offset, part.factor)
        shapes = SliceShapes(paint, part.spacing_mm, warps)
    classifier = PaintClassifier(rows, paint, shapes, config)
    classifier.fit(span(on_progress, 0.3, 0.8))
    report(on_progress, 0.8, "Classifying the voxels")
    found = _finish(classifier.probabilities(), part, config)
    labels, confidence = _on_volume(found, painted, kept, box)
    if config.connected:
        _keep_connected(labels[box], painted.labels[box], values)
    report(on_progress, 1.0, "Done")
    structures = tuple(segment for segment in painted.segments if segment.value != background)
    end = time.perf_counter()
    return Segmentation(labels, volume.affine, structures, confidence, {
        "seconds": {"features": round(ready - begin, 3), "learning": round(end - ready, 3),
                    "total": round(end - begin, 3)},
        "contours": None if offset is None else asdict(offset), "region": [side.stop - side.start for side in box],
        "slices": len(paint.slices), "axis": "ijk"[paint.axis], "peak_memory_mb": round(peak_mb(), 1),
        "warnings": part.warnings, "device": "cpu"})


@dataclass(frozen=True, eq=False)
class _Part:
    """A region, sampled coarser within the painted slices where it is large."""

    data: np.ndarray
    labels: np.ndarray
    spacing_mm: np.ndarray
    shape: tuple[int, ...]
    factor: int
    warnings: list[str]


def _coarser(data: np.ndarray, labels: np.ndarray, spacing_mm: np.ndarray, largest: int) -> _Part:
    axis = find_slices(labels)[0]
    factor = int(np.ceil(np.sqrt(labels.size / largest)))
    if factor <= 1:
        return _Part(data, labels, spacing_mm, labels.shape, 1, [])
    factors = [1 if a == axis else min(factor, size) for a, size in enumerate(labels.shape)]
    means = F.avg_pool3d(torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32))[None, None], factors,
                         ceil_mode=True, count_include_pad=False)[0, 0].numpy()
    middles = tuple(slice(f // 2 if size > f // 2 else 0, None, f)
                    for f, size in zip(factors, labels.shape, strict=True))
    chosen = labels[middles]
    chosen = np.pad(chosen, [(0, n - m) for n, m in zip(means.shape, chosen.shape, strict=True)], mode="edge")
    return _Part(means, chosen, spacing_mm * np.array(factors), labels.shape, factor, [
        f"The region has {labels.size / 1e6:.1f} million voxels; its slices were sampled {factor} times coarser."])


def _finish(probabilities: torch.Tensor, part: _Part, config: PaintConfig) -> torch.Tensor:
    """(classes, I, J, K) of the region, smoothed, at the volume's own voxels."""
    if config.smoothing_mm > 0:
        width = config.smoothing_mm * max(1.0, float(np.min(part.spacing_mm)))
        probabilities = smooth(probabilities, [float(s) for s in part.spacing_mm], width)
    if tuple(probabilities.shape[1:]) != part.shape:
        probabilities = F.interpolate(probabilities[None], part.shape, mode="trilinear")[0]
    return probabilities


def _on_volume(probabilities: torch.Tensor, painted: Segmentation, known: Paint,
               box: tuple[slice, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(labels, confidence) of the whole volume; what is known of the box, `known`, stays."""
    best, chosen = probabilities.max(dim=0)
    labels = np.zeros(painted.labels.shape, dtype=painted.labels.dtype)
    confidence = np.ones(labels.shape, dtype=np.float32)
    values = np.array((0, *known.values), dtype=labels.dtype)
    labels[box] = values[chosen.numpy()]
    confidence[box] = best.numpy()
    labels[box][known.known] = values[known.classes[known.known]]
    confidence[box][known.known] = 1.0
    return labels, confidence


def _keep_connected(labels: np.ndarray, painted: np.ndarray, values: tuple[int, ...]) -> None:
    """Take away the parts of each structure that no paint of it lies in."""
    for value in values:
        parts, count = ndimage.label(labels == value)
        connected = np.zeros(count + 1, dtype=bool)
        connected[parts[painted == value]] = True
        labels[(labels == value) & ~connected[parts]] = 0
