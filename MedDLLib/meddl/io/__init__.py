"""Reading and writing volumes, segmentations and transforms. The one place that knows ITK's LPS coordinates."""

from meddl.io.dicom import files_of, frame_of_reference, sha256_of, slice_thickness_mm
from meddl.io.header import VolumeHeader
from meddl.io.images import (
    VolumeLike,
    as_volume,
    from_sitk,
    is_whole,
    load,
    load_header,
    save,
    save_like,
    save_series,
    time_step,
    to_sitk,
)
from meddl.io.masks import as_mask
from meddl.io.points import load_points
from meddl.io.segmentations import as_segmentation, load_segmentation, save_segmentation
from meddl.io.transforms import load_transform, save_transform

__all__ = ["VolumeHeader", "VolumeLike", "as_mask", "as_segmentation", "as_volume", "files_of", "frame_of_reference",
           "from_sitk", "is_whole", "load", "load_header", "load_points", "load_segmentation", "load_transform", "save",
           "save_like", "save_segmentation", "save_series", "save_transform", "sha256_of", "slice_thickness_mm",
           "time_step", "to_sitk"]
