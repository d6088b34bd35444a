"""What the worker draws of results: sheets of pictures, as PNG."""

import numpy as np

from meddl.results import Segmentation, SuperResolution
from meddl.spatial.volume import Volume


def draw_sheet(volume: Volume, other: Volume | tuple[Segmentation, ...] | None, title: str, *, sharper: bool = False,
               on_progress=None) -> bytes:
    """`meddl.view` of a volume and its result.

    Args:
        other: the layers of a segmentation, or a volume in the same world.
        sharper: whether `other` is the super-resolution of `volume`, rather than a volume over it.

    Returns:
        The content of a PNG file.
    """
    from meddl.pictures.sheet import view

    if isinstance(other, tuple):
        other = merge_layers(other, volume)
    elif sharper:
        other = SuperResolution(other)
    return view(volume, other, title=title).png


def merge_layers(layers: tuple[Segmentation, ...], volume: Volume) -> Segmentation:
    """Layers of segments on the grid of a volume, as one segmentation: where they overlap the last one counts."""
    from meddl.spatial.resample import resample

    labels, segments = np.zeros(volume.shape, np.uint16), []
    for layer in layers:
        here = resample(Volume.scalar(layer.labels, layer.affine), volume.grid, "nearest").scalar_data
        for segment in layer.segments:
            segments.append(type(segment)(len(segments) + 1, segment.name, segment.color, segment.terminology))
            labels[here == segment.value] = len(segments)
    return Segmentation(labels, volume.affine, tuple(segments))
