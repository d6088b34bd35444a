"""The demo's pictures: sheets with captions and legends that say what is seen, and how good it is."""

import numpy as np

from meddl.core.config import SuperResolveConfig
from meddl.demo.story import Story
from meddl.pictures.lettering import caption, legend, put_text
from meddl.pictures.sheet import Sheet, label_views, view
from meddl.pictures.slices import GREEN, MAGENTA, beside, comparison_slices, slices, stack
from meddl.results import Registration, Segmentation, SuperResolution
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve

_VIEWS = ("axial", "sagittal", "coronal")
_SIZE = 300
_ZOOM = 440     # height in pixels of the part of a coronal slice that super-resolution shows
_PART = 0.45    # of the field of view that it shows


def segmentation_sheet(story: Story, found: Segmentation, figures: dict) -> Sheet:
    """Volume, labels and outlines, with the structures' names."""
    score = f"; mean Dice against the truth {figures['mean_dice']:.2f}" if "mean_dice" in figures else ""
    return view(story.head, found, title=f"Segmentation of {story.name} by the model {figures['model']}{score}")


def registration_sheet(story: Story, moving: Volume, found: Registration, point_mm: np.ndarray, texts: tuple[str, str]
                       ) -> Sheet:
    """Overlay before and after, and a checkerboard.

    Args:
        texts: captions of the overlays before and after.
    """
    warped = found.warp(moving)
    rows = [(texts[0], moving, "overlay"), (texts[1], warped, "overlay"),
            ("After, squares of both in turn: edges meet where the registration is right", warped, "checkerboard")]
    parts = [caption(label_views(comparison_slices(story.head, other, how, point_mm, _VIEWS, _SIZE), story.head,
                                 point_mm, _VIEWS, _SIZE), text) for text, other, how in rows]
    key = legend([("fixed volume", MAGENTA), ("moving volume", GREEN), ("both alike", (190, 190, 190))],
                 parts[0].shape[1])
    return Sheet(stack(*parts[:2], key, parts[2]))


def super_resolution_sheet(story: Story, sharp: SuperResolution, figures: dict) -> Sheet:
    """The same part of a coronal slice: measured, cubic interpolation, super-resolution, and the truth."""
    sharp_name = f"MedDL, method {sharp.report['method']}"
    shown = [(f"Measured: slices of {max(story.thick.spacing_mm):.2g} mm", story.thick, True)]
    if story.fine is not None:
        shown += [(f"Cubic interpolation: {figures['cubic_psnr_db']:.1f} dB", cubic_volume(story.thick), False),
                  (f"{sharp_name}: {figures['psnr_db']:.1f} dB", sharp.volume, False),
                  ("The truth", story.fine, False)]
    else:
        shown += [("Cubic interpolation", cubic_volume(story.thick), False), (sharp_name, sharp.volume, False)]
    span = tuple(np.percentile(story.thick.data[0], (1, 99.5)))
    tiles = []
    for text, volume, blocks in shown:
        part = _part(volume)
        picture = slices(part, point_mm=story.head.grid.center_mm, views=("coronal",), size=_ZOOM, nearest=blocks,
                         span=span)
        put_text(picture, _ZOOM // 2, 5, "R")
        put_text(picture, _ZOOM // 2, picture.shape[1] - 14, "L")
        tiles.append(caption(picture, text))
    height = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(tile, ((height - tile.shape[0], 0), (0, 0), (0, 0))) for tile in tiles]
    pairs = [beside(*padded[number:number + 2]) for number in range(0, len(padded), 2)]
    return Sheet(stack(*pairs))


def cubic_volume(thick: Volume) -> Volume:
    """Cubic interpolation of thick slices to the voxels that super-resolution makes: what it has to be better than."""
    return super_resolve(thick, SuperResolveConfig(method="cubic"), device="cpu").volume


def _part(volume: Volume) -> Volume:
    """The voxels in the middle of the field of view, so that single ones are seen."""
    size = np.maximum(1, np.round(np.array(volume.shape) * _PART)).astype(int)
    first = (np.array(volume.shape) - size) // 2
    affine = np.array(volume.affine)
    affine[:3, 3] = volume.grid.points_mm(first)
    box = tuple(slice(begin, begin + count) for begin, count in zip(first, size, strict=True))
    return Volume(volume.data[(slice(None), *box)], affine)
