"""Plain pictures of volumes: slices in world space, colored labels or outlines over them, overlays, PNG files.

Views are radiological: the patient's right is on the left of axial and coronal views, anterior on the left of
sagittal ones. Pictures are arrays (height, width, 3) uint8, the first row on top.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.results import Segmentation
from meddl.spatial.grid import Grid, grid_around
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

# To the right of the picture, downward, and through it, in RAS.
_VIEWS = {"axial": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)), "sagittal": ((0, -1, 0), (0, 0, -1), (1, 0, 0)),
          "coronal": ((-1, 0, 0), (0, 0, -1), (0, 1, 0))}
_FILL = 0.55  # opacity of labels
_ENDS = {"axial": "RL", "sagittal": "AP", "coronal": "RL"}  # what lies at the left and at the right of a picture
_SQUARES = 8  # of a checkerboard along the height of a view
COMPARISONS = ("overlay", "checkerboard", "difference")
MAGENTA, GREEN = (255, 0, 255), (0, 255, 0)
RED, BLUE = (255, 70, 70), (70, 110, 255)


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
    def paint(grid: Grid) -> np.ndarray:
        picture = np.repeat(_gray(volume, grid, nearest, span)[..., None], 3, axis=-1)
        if over is not None:
            picture[..., 1] = _gray(over, grid, nearest)
        return picture if segmentation is None else _tint(picture, segmentation, grid)

    return _views(volume, middle(volume, segmentation) if point_mm is None else point_mm, views, size, paint)


def outline_slices(volume: Volume, segmentation: Segmentation, point_mm: np.ndarray | None = None,
                   views: Sequence[str] = tuple(_VIEWS), size: int = 300) -> np.ndarray:
    """Slices side by side with the outlines of labels in their colors. Arguments as of `slices`."""
    def paint(grid: Grid) -> np.ndarray:
        labels = _labels(segmentation, grid)
        edge = np.zeros(labels.shape, bool)
        for axis in (0, 1):
            change = np.diff(labels, axis=axis) != 0
            before, after = np.moveaxis(edge, axis, 0)[:-1], np.moveaxis(edge, axis, 0)[1:]  # views of it
            before |= np.moveaxis(change, axis, 0)
            after |= np.moveaxis(change, axis, 0)
        edge &= labels > 0
        picture = np.repeat(_gray(volume, grid, False)[..., None], 3, axis=-1)
        return np.where(edge[..., None], _color_table(segmentation)[labels], picture)

    return _views(volume, middle(volume, segmentation) if point_mm is None else point_mm, views, size, paint)


def comparison_slices(volume: Volume, other: Volume, how: str = COMPARISONS[0], point_mm: np.ndarray | None = None,
                      views: Sequence[str] = tuple(_VIEWS), size: int = 300, same_scale: bool = False) -> np.ndarray:
    """Slices of two volumes at the same places.

    Args:
        how: "overlay" (`volume` in magenta, `other` in green, gray where they agree), "checkerboard" (squares of both
            in turn) or "difference" (red where `volume` is brighter, blue where `other` is, gray where they agree).
        same_scale: show both over the range of `volume`; else each over its own.

    Raises:
        InputError: unknown view or comparison.
    """
    if how not in COMPARISONS:
        raise InputError(f"A comparison is one of {', '.join(COMPARISONS)}; got {how!r}.")
    span = _span(volume)

    def paint(grid: Grid) -> np.ndarray:
        first, second = _gray(volume, grid, False, span), _gray(other, grid, False, span if same_scale else None)
        if how == "overlay":
            return np.stack([first, second, first], axis=-1)
        if how == "checkerboard":
            rows, columns = np.indices(first.shape) // max(1, first.shape[0] // _SQUARES)
            return np.repeat(np.where((rows + columns) % 2 == 0, first, second)[..., None], 3, axis=-1)
        difference = np.clip(2 * (first - second), -1, 1)[..., None]
        end = np.where(difference > 0, np.array(RED) / 255, np.array(BLUE) / 255)
        return 0.3 + np.abs(difference) * (end - 0.3)

    return _views(volume, volume.grid.center_mm if point_mm is None else point_mm, views, size, paint)


def _views(volume: Volume, point_mm: np.ndarray, views: Sequence[str], size: int,
           paint: Callable[[Grid], np.ndarray]) -> np.ndarray:
    """A picture for each view, painted on its grid with values from 0 to 1."""
    if not views or set(views) - set(_VIEWS):
        raise InputError(f"Views are some of {', '.join(_VIEWS)}; got {list(views)}.")
    low, high = _box(volume)
    point = np.asarray(point_mm, dtype=np.float64)
    return beside(*(np.rint(paint(_plane(view, low, high, point, size)) * 255).astype(np.uint8) for view in views))


def widths_of(volume: Volume, views: Sequence[str], size: int) -> list[int]:
    """The widths of the views that `slices` sets side by side, in pixels."""
    low, high = _box(volume)
    return [_plane(view, low, high, (low + high) / 2, size).shape[0] for view in views]


def ends_of(view: str) -> str:
    """The letters of what lies at the left and at the right of a view."""
    return _ENDS[view]


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


def png_bytes(picture: np.ndarray) -> bytes:
    """A picture as the content of a PNG file."""
    height, width = picture.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = np.asarray(picture, np.uint8).reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b""))


def write(picture: np.ndarray, path: str | Path) -> None:
    """Write a picture as a PNG file."""
    Path(path).write_bytes(png_bytes(picture))


def _box(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the box in RAS that holds the field of view."""
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.shape], indexing="ij"), -1).reshape(-1, 3)
    places = volume.grid.points_mm(corners)
    return places.min(axis=0), places.max(axis=0)


def _plane(view: str, low: np.ndarray, high: np.ndarray, point: np.ndarray, size: int) -> Grid:
    """A grid of one slice, i to the right of the picture and j downward."""
    right, down, through = (np.array(direction, dtype=np.float64) for direction in _VIEWS[view])
    extent = high - low
    pixel = float(np.abs(down) @ extent) / size
    center = np.where(np.abs(through) > 0, point, (low + high) / 2)
    shape = (max(1, round(float(np.abs(right) @ extent) / pixel)), size, 1)
    return grid_around(center, shape, np.stack([right, down, through], axis=1) * pixel)


def _gray(volume: Volume, grid: Grid, nearest: bool, span: tuple[float, float] | None = None) -> np.ndarray:
    """(height, width) 0 to 1."""
    low, high = _span(volume) if span is None else span
    values = volume.data[:1].astype(np.float32) - low
    plane = resample(Volume(values, volume.affine), grid, "nearest" if nearest else "linear").data[0, :, :, 0].T
    return np.clip(plane / max(high - low, 1e-6), 0, 1)


def _span(volume: Volume) -> tuple[float, float]:
    """The values that are shown black and white: the 1st and the 99.5th percentile."""
    step = tuple(slice(None, None, max(1, n // 64)) for n in volume.shape)
    low, high = np.percentile(volume.data[0][step].astype(np.float64), (1, 99.5))
    return float(low), float(high)


def _tint(picture: np.ndarray, segmentation: Segmentation, grid: Grid) -> np.ndarray:
    plane = _labels(segmentation, grid)
    return np.where(plane[..., None] > 0, (1 - _FILL) * picture + _FILL * _color_table(segmentation)[plane], picture)


def _labels(segmentation: Segmentation, grid: Grid) -> np.ndarray:
    """(height, width) label values."""
    return resample(Volume.scalar(segmentation.labels, segmentation.affine), grid, "nearest").data[0, :, :, 0].T


def _color_table(segmentation: Segmentation) -> np.ndarray:
    """Red, green, blue, 0 to 1, by label value."""
    colors = np.zeros((int(segmentation.labels.max()) + 1, 3))
    for segment in segmentation.segments:
        if segment.value < len(colors):
            colors[segment.value] = segment.color
    return colors
