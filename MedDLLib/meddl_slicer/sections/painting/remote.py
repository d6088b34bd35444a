"""What the worker process runs for the Segment Editor effect: the paint of several layers becomes one label map."""

import numpy as np

from meddl.results import Segment, Segmentation
from meddl.spatial.volume import Volume


def predict(volume: Volume, layers: tuple[Volume, ...], tables: tuple[dict[int, int], ...],
            segments: tuple[Segment, ...], config, *, on_progress=None) -> Segmentation:
    """`meddl.segment_from_paint`.

    Args:
        volume: the part of the volume around the paint.
        layers: label maps of the paint, in world RAS mm.
        tables: for each layer the value that each of its labels has among `segments`.
        segments: of the paint.
    """
    from meddl.painting.segment import segment_from_paint
    from meddl.spatial.resample import resample

    labels = np.zeros(volume.shape, dtype=np.uint8)
    for layer, table in zip(layers, tables):
        on_grid = resample(layer, volume.grid, "nearest").data[0]
        for own, value in table.items():
            labels[on_grid == own] = value
    return segment_from_paint(volume, Segmentation(labels, volume.affine, segments), config, on_progress=on_progress)
