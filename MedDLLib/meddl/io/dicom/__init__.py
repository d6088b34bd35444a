"""DICOM: series of files and of frames, divided, put in order and read as volumes.

pydicom reads the headers, which say which frames there are and where each lies; GDCM, through SimpleITK, decodes
compressed pixels.
"""

from meddl.io.dicom.headers import is_dicom
from meddl.io.dicom.reading import (
    SeriesVolume,
    files_of,
    frame_of_reference,
    read_series,
    sha256_of,
    slice_thickness_mm,
)
from meddl.io.dicom.series import Series, series_in, walk_folders

__all__ = ["Series", "SeriesVolume", "files_of", "frame_of_reference", "is_dicom", "read_series", "series_in",
           "sha256_of", "slice_thickness_mm", "walk_folders"]
