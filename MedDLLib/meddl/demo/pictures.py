"""Plain pictures of volumes: slices in world space, colored labels over them, PNG files.

Views are radiological: the patient's right is on the left of axial and coronal views, anterior on the left of
sagittal ones. Pictures are arrays (height, width, 3) uint8, the first row on top.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from meddl.core.errors import InputError
from meddl.results import Segmentation
from meddl.spatial.grid import grid_around
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

# To the right of the picture, downward, and through it, in RAS.
_VIEWS = {"axial": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)), "sagittal": ((0, -1, 0), (0, 0, -1), (1, 0, 0)),
          "coronal": ((-1, 0, 0), (0, 0, -1), (0, 1, 0))}
_FILL = 0.55  # opacity of labels


def slices(volume: Volume, segmentation: Segmentation | None = None, point_mm=None, over: Volume | None = None,
           views=tuple(_VIEWS), size: int = 300, nearest: bool = False,
           span: tuple[float, float] | None = None) -> np.ndarray:
    """Slices side by side through a point.

    Args:
        volume: one channel, shown gray between its 1st and 99.5th percentile (or over `span`).
        segmentation: its labels in their colors.
        point_mm: RAS mm; default: the middle of the labels, else of the volume.
        over: a second volume: `volume` is then drawn in magenta and this one in green, so that what agrees is gray.
        views: some of axial, sagittal, coronal.
        size: height of a view in pixels.
        nearest: show voxels as blocks.

    Raises:
        InputError: unknown view.
    """
    if not views or set(views) - set(_VIEWS):
        raise InputError(f"Views are some of {', '.join(_VIEWS)}; got {list(views)}.")
    low, high = _box(volume)
    point = np.asarray(point_mm if point_mm is not None else middle(volume, segmentation), dtype=np.float64)
    tiles = []
    for view in views:
        grid = _plane(view, low, high, point, size)
        gray = _gray(volume, grid, nearest, span)
        picture = np.repeat(gray[..., None], 3, axis=-1)
        if over is not None:
            picture[..., 1] = _gray(over, grid, nearest)
        if segmentation is not None:
            picture = _tint(picture, segmentation, grid)
        tiles.append(np.rint(picture * 255).astype(np.uint8))
    return beside(*tiles)


def middle(volume: Volume, segmentation: Segmentation | None) -> np.ndarray:
    """The middle of the labels in RAS mm, of the volume where there are none."""
    if segmentation is None or not segmentation.labels.any():
        return volume.grid.center_mm
    ends = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        along = np.flatnonzero(segmentation.labels.any(axis=others))
        ends.append((along[0] + along[-1]) / 2)
    return segmentation.grid.points_mm(ends)


def beside(*pictures: np.ndarray, gap: int = 4) -> np.ndarray:
    """Pictures side by side, black around the lower ones."""
    height = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, gap * (n + 1 < len(pictures))), (0, 0)))
              for n, p in enumerate(pictures)]
    return np.concatenate(padded, axis=1)


def frame(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture of this width: cut, or padded in black, alike at both sides."""
    missing = max(0, width - picture.shape[1])
    padded = np.pad(picture, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)))
    left = (padded.shape[1] - width) // 2
    return padded[:, left:left + width]


def stack(*pictures: np.ndarray, gap: int = 4) -> np.ndarray:
    """Pictures one below the other."""
    return beside(*(picture.transpose(1, 0, 2) for picture in pictures), gap=gap).transpose(1, 0, 2)


def write(picture: np.ndarray, path: str | Path) -> None:
    """Write a picture as a PNG file."""
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(picture), isVector=True), str(path))


def _box(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the box in RAS that holds the field of view."""
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.shape], indexing="ij"), -1).reshape(-1, 3)
    places = volume.grid.points_mm(corners)
    return places.min(axis=0), places.max(axis=0)


def _plane(view: str, low: np.ndarray, high: np.ndarray, point: np.ndarray, size: int):
    """A grid of one slice, i to the right of the picture and j downward."""
    right, down, through = (np.array(direction, dtype=np.float64) for direction in _VIEWS[view])
    extent = high - low
    pixel = float(np.abs(down) @ extent) / size
    center = np.where(np.abs(through) > 0, point, (low + high) / 2)
    shape = (max(1, round(float(np.abs(right) @ extent) / pixel)), size, 1)
    return grid_around(center, shape, np.stack([right, down, through], axis=1) * pixel)


def _gray(volume: Volume, grid, nearest: bool, span: tuple[float, float] | None = None) -> np.ndarray:
    """(height, width) 0 to 1."""
    step = tuple(slice(None, None, max(1, n // 64)) for n in volume.shape)
    low, high = np.percentile(volume.data[0][step], (1, 99.5)) if span is None else span
    values = volume.data[:1].astype(np.float32) - low
    plane = resample(Volume(values, volume.affine), grid, "nearest" if nearest else "linear").data[0, :, :, 0].T
    return np.clip(plane / max(high - low, 1e-6), 0, 1)


def _tint(picture: np.ndarray, segmentation: Segmentation, grid) -> np.ndarray:
    colors = np.zeros((int(segmentation.labels.max()) + 1, 3))
    for segment in segmentation.segments:
        if segment.value < len(colors):
            colors[segment.value] = segment.color
    plane = resample(Volume.scalar(segmentation.labels, segmentation.affine), grid, "nearest").data[0, :, :, 0].T
    return np.where(plane[..., None] > 0, (1 - _FILL) * picture + _FILL * colors[plane], picture)
