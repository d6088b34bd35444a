"""A DICOM file by the Basic Application Level Confidentiality Profile (DICOM PS3.15, annex E), whose table of
attributes the package dicom-anonymizer keeps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddl.core.errors import DependencyError, FileFormatError, InputError
from meddl.io.files import replacing

if TYPE_CHECKING:
    from pydicom import Dataset

_EDITION = "dicomfields_2026c"
_METHOD = "Basic Application Level Confidentiality Profile, PS3.15 E"  # 64 letters at most
_PACKAGE = "dicomanonymizer"
_OF_STANDARD = "1.2.840.10008."  # UIDs of classes and transfer syntaxes
_NAMES_AND_DATES = ("PN", "DA", "DT")
# Not in the table: dates of birth and death in other calendars, and the retired forms of order numbers.
_ALSO_EMPTIED = ((0x0010, 0x0033), (0x0010, 0x0034), (0x0040, 0x1006), (0x0040, 0x1007), (0x0040, 0x2006),
                 (0x0040, 0x2007))
_WITH_TEXT = ("US", "IVUS", "SC", "XC", "ES", "GM", "SM", "OT")  # modalities whose pixels often show text


class _NewUIDs(dict[str, str]):
    """New UIDs by old ones. Those of the standard, empty ones and new ones stay: some are come across twice."""

    def __setitem__(self, old: str, new: str) -> None:
        super().__setitem__(old, new)
        super().__setitem__(new, new)

    def __contains__(self, uid: object) -> bool:
        return super().__contains__(uid) or not uid or str(uid).startswith(_OF_STANDARD)

    def get(self, uid: str, default: Any = None) -> Any:
        return super().get(uid, uid)


def check_package() -> None:
    """Raise a DependencyError where dicom-anonymizer is not installed."""
    if importlib.util.find_spec(_PACKAGE) is None:
        raise DependencyError("De-identification of DICOM files needs the Python package dicom-anonymizer: "
                              "pip install dicom-anonymizer.")


def forget_identifiers() -> None:
    """Begin a new set of files: the same UID gets another replacement than in the set before."""
    from dicomanonymizer import simpledicomanonymizer

    simpledicomanonymizer.dictionary = _NewUIDs()


def deidentify_dicom(source: Path, target: Path) -> tuple[str, ...]:
    """Write one DICOM image without what identifies the patient, also within its sequences; pixels stay as they are.

    UIDs are replaced by new ones, alike in all files since `forget_identifiers`; private attributes are removed.

    Returns:
        What the user has to look at, sentences: pixels that may show text.

    Raises:
        FileFormatError: the file cannot be read, or holds an attribute that cannot be de-identified.
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
    try:
        _clean(dataset, _rules())
    except (NotImplementedError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(f"'{source.name}' cannot be de-identified: {error}") from error
    dataset.preamble = b"\0" * 128  # any bytes may stand there
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", _METHOD
    with replacing(target, ".dcm") as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return notes


def _rules() -> dict:
    """What is done with each attribute of the table. Items of sequences that refer to other images are cleaned as all
    items are: their UIDs become the new ones of these images."""
    from dicomanonymizer import simpledicomanonymizer as package

    if not isinstance(package.dictionary, _NewUIDs):
        forget_identifiers()
    rules = package.initialize_actions(_EDITION) | dict.fromkeys(_ALSO_EMPTIED, package.empty)
    return {tag: _replace_references if action is package.delete_or_empty_or_replace_UID else action
            for tag, action in rules.items()}


def _replace_references(dataset: Dataset, tag) -> None:
    from dicomanonymizer.simpledicomanonymizer import replace_UID

    if tag in dataset and dataset[tag].VR == "UI":
        replace_UID(dataset, tag)


def _clean(dataset: Dataset, rules: dict) -> None:
    """Apply the rules here and in each item of the sequences that are left, which the package does not visit; then
    empty names and dates that the table does not name."""
    from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, empty_element

    anonymize_dataset(dataset, base_rules_gen=lambda: dict(rules))
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _clean(item, rules)
        elif element.VR in _NAMES_AND_DATES and (element.tag.group, element.tag.element) not in rules:
            empty_element(element)


def _notes_of_pixels(dataset: Dataset) -> tuple[str, ...]:
    burned = str(dataset.get("BurnedInAnnotation", "")).upper()
    if burned == "YES" or (burned != "NO" and dataset.get("Modality", "") in _WITH_TEXT):
        return ("Its pixels may show text, such as a name: look at them.",)
    return ()
