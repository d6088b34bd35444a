"""A DICOM file by the Basic Application Level Confidentiality Profile (DICOM PS3.15, annex E), whose table of
attributes the package dicom-anonymizer keeps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from meddl.core.errors import DependencyError, FileFormatError, InputError
from meddl.io.files import replacing

if TYPE_CHECKING:
    from pydicom import Dataset

_EDITION = "dicomfields_2026c"
_METHOD = "Basic Application Level Confidentiality Profile, PS3.15 E"  # 64 letters at most
_PACKAGE = "dicomanonymizer"
_WITH_TEXT = ("US", "IVUS", "SC", "XC", "ES", "GM", "SM", "OT")  # modalities whose pixels often show text


def check_package() -> None:
    """Raise a DependencyError where dicom-anonymizer is not installed."""
    if importlib.util.find_spec(_PACKAGE) is None:
        raise DependencyError("De-identification of DICOM files needs the Python package dicom-anonymizer: "
                              "pip install dicom-anonymizer.")


def forget_identifiers() -> None:
    """Begin a new set of files: the same UID gets another replacement than in the set before."""
    from dicomanonymizer import simpledicomanonymizer

    simpledicomanonymizer.dictionary.clear()


def deidentify_dicom(source: Path, target: Path) -> tuple[str, ...]:
    """Write one DICOM image without what identifies the patient, also within its sequences; pixels stay as they are.

    UIDs are replaced by new ones, alike in all files since `forget_identifiers`; private attributes are removed.

    Returns:
        What the user has to look at, sentences: pixels that may show text.

    Raises:
        FileFormatError: the file cannot be read.
        InputError: it holds no image (a report, a structure set), or cannot be written.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(source)
        pixels = "PixelData" in dataset or "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
    except (InvalidDicomError, OSError, ValueError, KeyError, NotImplementedError) as error:
        raise FileFormatError(f"'{source.name}' cannot be read as DICOM: {error}") from error
    if not pixels:
        raise InputError("It holds no image; reports and structure sets are not de-identified.")
    notes = _notes_of_pixels(dataset)
    _clean(dataset, _rules())
    dataset.preamble = b"\0" * 128  # any bytes may stand there
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", _METHOD
    with replacing(target, ".dcm") as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return notes


def _rules() -> dict:
    from dicomanonymizer.simpledicomanonymizer import initialize_actions

    return initialize_actions(_EDITION)


def _clean(dataset: Dataset, rules: dict) -> None:
    """Apply the rules here and in each item of the sequences that are left, which the package does not visit."""
    from dicomanonymizer.simpledicomanonymizer import anonymize_dataset

    anonymize_dataset(dataset, base_rules_gen=lambda: dict(rules))
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _clean(item, rules)


def _notes_of_pixels(dataset: Dataset) -> tuple[str, ...]:
    burned = str(dataset.get("BurnedInAnnotation", "")).upper()
    if burned == "YES" or (burned != "NO" and dataset.get("Modality", "") in _WITH_TEXT):
        return ("Its pixels may show text, such as a name: look at them.",)
    return ()
