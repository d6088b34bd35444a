"""Reading and writing volumes, segmentations and transforms. The one place that knows ITK's LPS coordinates."""

from meddl.io.dicom import frame_of_reference, slice_thickness_mm
from meddl.io.images import from_sitk, is_whole, load, save, save_series, time_step, to_sitk
from meddl.io.points import load_points
from meddl.io.segmentations import load_segmentation, save_segmentation
from meddl.io.transforms import load_transform, save_transform

__all__ = ["frame_of_reference", "from_sitk", "is_whole", "load", "load_points", "load_segmentation", "load_transform",
           "save", "save_segmentation", "save_series", "save_transform", "slice_thickness_mm", "time_step", "to_sitk"]
