"""Compressed pixels, decoded by GDCM in a process of its own, which a damaged stream may crash."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meddl.core.errors import FileFormatError, WorkerError
from meddl.core.progress import ProgressCallback, report
from meddl.io.itk import sitk
from meddl.worker import Worker
from meddl.worker.limits import BEGUN, Limits, hold_limits, run_within

if TYPE_CHECKING:
    from pydicom import Dataset

_TARGET = "meddl.io.dicom.decoding:decode_here"
_SECONDS, _BYTES_A_SECOND = 10.0, 1e6  # ten times slower than the slowest codec of today's machines
_BYTES, _COPIES = 256 << 20, 6
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MODULE = ("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
           "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")


class Decoder:
    """The process that decodes, a context manager; it starts with the first file and ends with the context."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.close()

    def decode(self, name: str, data_set: Dataset, size: int) -> np.ndarray:
        """The pixels of a data set, as stored. GDCM sees them and how they are packed, and nothing else.

        Args:
            name: of the file, for errors; size: bytes of its decoded pixels.

        Raises:
            FileFormatError: they cannot be decoded.
        """
        self._worker = self._worker or Worker(preload=["SimpleITK"])
        limits = Limits(_SECONDS + size / _BYTES_A_SECOND, _BYTES + _COPIES * size)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pixels.dcm"
            _pixels_alone(data_set).save_as(file, enforce_file_format=True)
            try:
                found = run_within(self._worker, _TARGET, (str(file),), limits)
            except WorkerError as error:
                raise FileFormatError(
                    f"The pixels of '{name}' cannot be decoded: the decoder ended. {error}") from error
        if found is None:
            raise FileFormatError(f"The pixels of '{name}' ({data_set.file_meta.TransferSyntaxUID.name}) cannot be "
                                  "decoded.")
        return found


def decode_here(file: str, limits: tuple, on_progress: ProgressCallback) -> np.ndarray | None:
    """The pixels of a file within limits, None where they cannot be decoded; run in a worker process, which may end by
    it."""
    with hold_limits(Limits(*limits)):
        report(on_progress, 0.0, BEGUN)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(file)
        try:
            return sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError:
            return None


def _pixels_alone(data_set: Dataset) -> Dataset:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset

    alone = Dataset()
    for keyword in _MODULE:
        if keyword in data_set:
            alone[keyword] = data_set[keyword]
    if int(data_set.get("SamplesPerPixel") or 1) == 1:
        alone.PhotometricInterpretation = "MONOCHROME2"  # as stored
    alone.SOPClassUID, alone.SOPInstanceUID = _SECONDARY_CAPTURE, "1.2.3"
    alone["PixelData"] = data_set["PixelData"]
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = data_set.file_meta.TransferSyntaxUID
    return alone
