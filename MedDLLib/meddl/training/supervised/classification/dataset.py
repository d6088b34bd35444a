"""Volumes and their classes: from folders, one a class, or from a table."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from meddl.core.errors import InputError
from meddl.io.files import as_path
from meddl.training.supervised.data.dataset import stem, volumes_in
from meddl.training.supervised.data.discovery import patient_of

_FILE, _CLASS, _PATIENT = ("file", "path", "image", "volume"), ("class", "label", "group"), ("patient", "subject")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class ClassifiedCase:
    """A volume and its class.

    Attributes:
        name: unique in the data set.
        image: its file.
        label: name of its class.
        patient: cases of one patient never lie on both sides of the split into training and validation.
    """

    name: str
    image: Path
    label: str
    patient: str


@dataclass(frozen=True)
class ClassifiedDataSet:
    """Volumes with their classes.

    Attributes:
        name: of the folder or table.
        cases: sorted by name.
        classes: sorted names, those without a case too.
    """

    name: str
    cases: tuple[ClassifiedCase, ...]
    classes: tuple[str, ...]


def find_classes(data: str | Path, patient: str | None = None) -> ClassifiedDataSet:
    """The volumes of a folder with a folder for each class, or of a table.

    Args:
        data: the folder; or a table (.csv, .tsv) with the columns file, class and, if known, patient, whose files are
            given from its own folder on.
        patient: regular expression whose first group in a volume's name is its patient, where no table names it; if
            not given, "sub-X", or what stands before "_ses-", "_visit", "_tp" and the like, else the whole name.

    Raises:
        InputError: nothing there, no folders in it, or a table without the columns or with a file twice.
    """
    place = as_path(data, "a folder or a table")
    if place.is_dir():
        return _of_folders(place, patient)
    if place.is_file() and place.suffix.lower() in (".csv", ".tsv"):
        return _of_table(place, patient)
    raise InputError(f"'{place}' was expected to be a folder with a folder for each class, or a table (.csv, .tsv) "
                     "with the columns file, class and patient.")


def _of_folders(place: Path, patient: str | None) -> ClassifiedDataSet:
    folders = [folder for folder in sorted(place.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    if not folders:
        raise InputError(f"'{place}' holds no folders. Put the volumes of each class into a folder of its name.")
    cases = [ClassifiedCase(f"{folder.name}/{name}", path, folder.name, patient_of(name, patient))
             for folder in folders for name, path in volumes_in(folder).items()]
    return ClassifiedDataSet(place.name, tuple(cases), tuple(folder.name for folder in folders))


def _of_table(place: Path, patient: str | None) -> ClassifiedDataSet:
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"'{place}' cannot be read: {error}.") from error
    header = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=max(_DELIMITERS, key=header.count))
    columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
    file, label, subject = (next((columns[one] for one in names if one in columns), None)
                            for names in (_FILE, _CLASS, _PATIENT))
    if file is None or label is None:
        raise InputError(f"'{place}' has the columns {', '.join(columns) or 'none'}; file and class were expected, and "
                         "patient if known.")
    cases = []
    for row in reader:
        named, kind = ((row.get(column) or "").strip() for column in (file, label))
        if not named and not kind:
            continue
        if not named or not kind:
            raise InputError(f"Line {reader.line_num} of '{place}' lacks its {'class' if named else 'file'}.")
        path = place.parent / Path(named).expanduser()
        own = (row.get(subject) or "").strip() if subject is not None else ""
        cases.append(ClassifiedCase(named, path, kind, own or patient_of(stem(path), patient)))
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        raise InputError(f"'{place}' names these files more than once: {', '.join(twice[:5])}.")
    return ClassifiedDataSet(place.stem, tuple(sorted(cases, key=lambda case: case.name)),
                             tuple(sorted({case.label for case in cases})))
