"""The pictures of a report: slices with outlines, overlays, checkerboards and differences."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from meddl.pictures.lettering import Color
from meddl.pictures.sheet import label_views, legend_of
from meddl.pictures.slices import (
    BLUE,
    GREEN,
    MAGENTA,
    RED,
    comparison_slices,
    middle,
    outline_slices,
    slices,
)
from meddl.results import Registration, Segmentation
from meddl.spatial.volume import Volume

VIEWS = ("axial", "sagittal", "coronal")
_SIZE = 360       # height of a view in pixels
_THUMBNAIL = 132


@dataclass(frozen=True, eq=False)
class Figure:
    """Pictures of one kind.

    Attributes:
        title: what they show.
        text: how to read them.
        pictures: (description, (height, width, 3) uint8) of each view.
        key: names and colors.
    """

    title: str
    text: str
    pictures: tuple[tuple[str, np.ndarray], ...]
    key: tuple[tuple[str, Color], ...] = ()


def segment_figures(volume: Volume, found: Segmentation) -> list[Figure]:
    """The labels in outlines and filled."""
    point = middle(volume, found)
    key = tuple(legend_of(found))

    def draw(view: str) -> np.ndarray:
        return outline_slices(volume, found, point, (view,), _SIZE)

    def fill(view: str) -> np.ndarray:
        return slices(volume, found, point, views=(view,), size=_SIZE)

    return [_figure("Outlines", "The borders of the structures on the volume.", volume, point, draw),
            _figure("Labels", "The same slices, filled.", volume, point, fill, key)]


def register_figures(fixed: Volume, moving: Volume, found: Registration) -> list[Figure]:
    """Overlay before and after, checkerboard and difference after."""
    point = fixed.grid.center_mm
    warped = found.warp(moving)
    overlay = (("fixed", MAGENTA), ("moving", GREEN))
    shown = (("Before", "Overlay by the headers alone; gray where the volumes agree.", moving, "overlay", overlay),
             ("After", "Overlay after registration.", warped, "overlay", overlay),
             ("Checkerboard", "Squares of the fixed and of the registered volume in turn: edges should meet.", warped,
              "checkerboard", ()),
             ("Difference", "Of the intensities, each volume over its own range; of two modalities it stays large.",
              warped, "difference", (("fixed is brighter", RED), ("moving is brighter", BLUE))))
    return [_figure(title, text, fixed, point, _compare(fixed, other, how, False), key)
            for title, text, other, how, key in shown]


def superres_figures(before: Volume, after: Volume, report: dict[str, Any]) -> list[Figure]:
    """Before, after, and the difference; one channel."""
    point = before.grid.center_mm

    def blocks(view: str) -> np.ndarray:
        return slices(before, point_mm=point, views=(view,), size=_SIZE, nearest=True)

    def sharp(view: str) -> np.ndarray:
        return slices(after, point_mm=point, views=(view,), size=_SIZE)

    return [_figure("Before", "Each voxel as a block.", before, point, blocks),
            _figure("After", f"Method {report['method']}.", before, point, sharp),
            _figure("Difference", "Of the intensities, the measured volume interpolated linearly.", before, point,
                    _compare(after, before, "difference", True),
                    (("after is brighter", RED), ("before is brighter", BLUE)))]


def thumbnail(volume: Volume, found: Segmentation) -> np.ndarray:
    """Three small views of a case, with outlines."""
    return outline_slices(volume, found, middle(volume, found), VIEWS, _THUMBNAIL)


def checkerboard_thumbnail(fixed: Volume, warped: Volume) -> np.ndarray:
    """Three small views of a registration, squares of both volumes in turn."""
    return comparison_slices(fixed, warped, "checkerboard", fixed.grid.center_mm, VIEWS, _THUMBNAIL, False)


def volume_thumbnail(volume: Volume) -> np.ndarray:
    """Three small views of a volume."""
    return slices(volume, point_mm=volume.grid.center_mm, views=VIEWS, size=_THUMBNAIL)


def _compare(first: Volume, second: Volume, how: str, same_scale: bool):
    def draw(view: str) -> np.ndarray:
        return comparison_slices(first, second, how, first.grid.center_mm, (view,), _SIZE, same_scale)
    return draw


def _figure(title: str, text: str, volume: Volume, point: np.ndarray, draw,
            key: tuple[tuple[str, Color], ...] = ()) -> Figure:
    return Figure(title, text, tuple((f"{title}, {view}", label_views(draw(view), volume, point, (view,), _SIZE))
                                     for view in VIEWS), key)
