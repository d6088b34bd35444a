"""De-identification: volumes, segmentations and DICOM files without the names, dates and places of their headers."""

from meddl.deidentification.deidentify import DeidentifiedFile, deidentify

__all__ = ["DeidentifiedFile", "deidentify"]
