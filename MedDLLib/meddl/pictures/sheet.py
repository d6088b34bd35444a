"""`meddl.view`: a sheet of pictures of a volume or a result, with captions and a legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from meddl.core.errors import InputError
from meddl.io import as_volume
from meddl.io.files import replacing
from meddl.pictures.lettering import Color, caption, legend, put_text
from meddl.pictures.slices import (
    BLUE,
    COMPARISONS,
    GREEN,
    MAGENTA,
    RED,
    comparison_slices,
    ends_of,
    middle,
    outline_slices,
    png_bytes,
    slices,
    stack,
    widths_of,
)
from meddl.results import Segmentation, SuperResolution
from meddl.spatial.volume import Volume

_VIEWS = ("axial", "sagittal", "coronal")
_AXES = {"axial": (2, "IS"), "sagittal": (0, "LR"), "coronal": (1, "PA")}  # axis, letters below and above zero
_GAP = 4
_TITLES = {"overlay": "Overlay: gray where they agree", "checkerboard": "Checkerboard: squares of both in turn",
           "difference": "Difference of the intensities, each over its own range"}
_KEYS: dict[str, list[tuple[str, Color]]] = {
    "overlay": [("first volume", MAGENTA), ("second volume", GREEN)], "checkerboard": [],
    "difference": [("first is brighter", RED), ("second is brighter", BLUE)]}


@dataclass(frozen=True, eq=False)
class Sheet:
    """A picture; a notebook shows it by itself.

    Attributes:
        pixels: (height, width, 3) uint8, the first row on top.
    """

    pixels: np.ndarray

    def __repr__(self) -> str:
        return f"Sheet({self.pixels.shape[1]} x {self.pixels.shape[0]} pixels)"

    @property
    def png(self) -> bytes:
        """The content of a PNG file."""
        return png_bytes(self.pixels)

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | PathLike[str]) -> None:
        """Write a PNG file, whole or not at all.

        Raises:
            InputError: another suffix, or a place that cannot be written to.
        """
        if Path(path).suffix.lower() != ".png":
            raise InputError(f"A sheet is written as .png; got '{Path(path).name}'.")
        with replacing(Path(path), ".png") as temporary:
            temporary.write_bytes(self.png)


def view(volume: Volume | SuperResolution | str | PathLike[str],
         other: Volume | Segmentation | SuperResolution | str | PathLike[str] | None = None, *,
         views: Sequence[str] = _VIEWS, point_mm: Sequence[float] | None = None, size: int = 300,
         title: str = "") -> Sheet:
    """Slices of a volume, with labels or beside another volume.

    Views are radiological: the patient's right is at the left of axial and coronal views.

    Args:
        volume: one channel, or its first, or the path of a file.
        other: a segmentation: its labels, filled and in outlines, with a legend; a volume in the same world, or its
            path: overlay, checkerboard and difference; a super-resolution of `volume`: both, and the difference.
        views: some of axial, sagittal, coronal.
        point_mm: where the slices meet, RAS mm; the middle of the labels or of the volume if not given.
        size: height of a view in pixels.
        title: a line above the pictures.

    Returns:
        A `Sheet`: `.save("sheet.png")`, `.pixels`; a notebook shows it.

    Raises:
        InputError: an unknown view, or something else than a volume or a result.
    """
    if isinstance(volume, Segmentation):
        raise InputError("A segmentation is shown on its volume: meddl.view(volume, segmentation).")
    first = as_volume(volume.volume if isinstance(volume, SuperResolution) else volume, "volume")
    segmentation = other if isinstance(other, Segmentation) else None
    point = middle(first, segmentation) if point_mm is None else np.asarray(point_mm, dtype=np.float64)
    place: dict[str, Any] = {"point_mm": point, "views": views, "size": size}
    if segmentation is not None:
        rows = [("Volume", slices(first, **place)), ("Labels", slices(first, segmentation, **place)),
                ("Outlines", outline_slices(first, segmentation, **place))]
        key = [[], [], legend_of(segmentation)]
    elif isinstance(other, SuperResolution):
        rows = [("Before, each voxel as a block", slices(first, nearest=True, **place)),
                ("After", slices(other.volume, **place)),
                ("Difference", comparison_slices(first, other.volume, "difference", same_scale=True, **place))]
        key = [[], [], [("before is brighter", RED), ("after is brighter", BLUE)]]
    elif other is not None:
        second = as_volume(other, "other")
        rows = [(_TITLES[how], comparison_slices(first, second, how, **place)) for how in COMPARISONS]
        key = [_KEYS[how] for how in COMPARISONS]
    else:
        rows, key = [("Volume", slices(first, **place))], [[]]
    parts = [label_views(picture, first, point, views, size) for _, picture in rows]
    parts = [stack(caption(picture, name), legend(entries, picture.shape[1])) if entries else caption(picture, name)
             for (name, _), picture, entries in zip(rows, parts, key, strict=True)]
    sheet = stack(*parts, gap=_GAP)
    return Sheet(caption(sheet, title) if title else sheet)


def legend_of(segmentation: Segmentation) -> list[tuple[str, Color]]:
    """Name and color of the structures that are there, the largest first."""
    counts = np.bincount(segmentation.labels.reshape(-1), minlength=1)
    there = [segment for segment in segmentation.segments if segment.value < len(counts) and counts[segment.value]]
    there.sort(key=lambda segment: -counts[segment.value])
    return [(segment.name, _bytes(segment.color)) for segment in there]


def _bytes(color: tuple[float, float, float]) -> Color:
    red, green, blue = (round(255 * part) for part in color)
    return red, green, blue


def label_views(picture: np.ndarray, volume: Volume, point: np.ndarray, views: Sequence[str], size: int) -> np.ndarray:
    """The picture with the name and the place of each view, and the letters of its left and right ends."""
    picture = picture.copy()
    left = 0
    for name, width in zip(views, widths_of(volume, views, size), strict=True):
        axis, letters = _AXES[name]
        put_text(picture, 4, left + 5, f"{name} {letters[int(point[axis] >= 0)]}{abs(point[axis]):.0f}")
        put_text(picture, size // 2 - 7, left + 5, ends_of(name)[0])
        put_text(picture, size // 2 - 7, left + width - 14, ends_of(name)[1])
        left += width + _GAP
    return picture
