"""The data set in a folder, taken as it lies there.

nnU-Net's raw layout, the Medical Segmentation Decathlon's, BIDS with derivatives, or one folder of images and one of
labels.
"""

import re
from dataclasses import replace
from pathlib import Path

from meddl.core.errors import InputError
from meddl.io.files import as_path
from meddl.training.supervised.data.dataset import DataSet, TrainingCase, by_case, volumes_in
from meddl.training.supervised.data.layouts import of_bids, of_description

_LABEL_ENDINGS = re.compile(r"[-_. ]?(seg|segmentation|labels?|labelmap|mask|dseg|gt|roi)$", re.IGNORECASE)
_IMAGE_ENDINGS = re.compile(r"[-_. ]?(image|img|volume|ct|mr|t1w?|t2w?|flair)$", re.IGNORECASE)
_PATIENT = re.compile(r"(sub-[A-Za-z0-9]+)(?:_.*)?|(.+?)(?:[-_](?:ses|visit|tp|scan|timepoint)[-_]?[A-Za-z0-9]+.*)?")


def find_dataset(images: str | Path, labels: str | Path | None = None, patient: str | None = None) -> DataSet:
    """The data set in a folder, or in one folder of images and one of labels.

    Args:
        images: of the volumes where `labels` is given, else of the whole data set.
        labels: the folder of the label maps.
        patient: a regular expression, whose first group in a case's name is its patient; without it "sub-X", or what
            stands before "_ses-", "_visit", "_tp" and the like, else the whole name.

    Raises:
        InputError: nothing there, no pair, or a description that cannot be read.
    """
    place = _folder(images)
    if labels is not None:
        found = _of_folders(place, _folder(labels), place.name)
    elif (place / "dataset.json").is_file():
        found = of_description(place)
    elif pair := _pair_of_folders(place):
        found = _of_folders(*pair, place.name)
    elif (place / "derivatives").is_dir() or any(place.glob("sub-*")):
        found = of_bids(place)
    else:
        raise InputError(f"'{place}' holds no data set for training: nnU-Net's and the Medical Segmentation "
                         "Decathlon's have dataset.json, BIDS has sub-* and derivatives, others images and labels. Or "
                         "give the folders of images and labels by themselves.")
    if not found.cases:
        raise InputError(f"'{place}' holds no volume with a label map ({found.layout}). "
                         + " ".join(found.unused[:5]))
    return replace(found, cases=tuple(sorted(
        (replace(case, patient=patient_of(case.name, patient)) for case in found.cases), key=lambda case: case.name)))


def unlabeled_files(images: str | Path, labels: str | Path | None = None) -> tuple[Path, ...]:
    """The volumes of a data set, channel by channel, that have no label map yet.

    Args:
        images, labels: as of `find_dataset`; of one folder that holds both those in `images` and `labels`, or in
            `imagesTr` and `labelsTr`.

    Raises:
        InputError: nothing there.
    """
    pair = ((_folder(images), _folder(labels)) if labels is not None else
            _pair_of_folders(_folder(images)))
    if pair is None:
        raise InputError(f"'{images}' holds no folders of images and labels. Give both folders by themselves.")
    volumes = volumes_in(pair[0])
    labeled = {path for case in _of_folders(*pair, "").cases for path in (*case.images, case.labels)}
    return tuple(path for path in volumes.values() if path not in labeled)


def _pair_of_folders(place: Path) -> tuple[Path, Path] | None:
    """The folders of images and of labels in the folder of a data set."""
    return next(((place / one, place / other) for one, other in (("imagesTr", "labelsTr"), ("images", "labels"))
                 if (place / one).is_dir() and (place / other).is_dir()), None)


def _folder(place: str | Path) -> Path:
    folder = as_path(place, "a folder")
    if not folder.is_dir():
        raise InputError(f"'{folder}' is no folder. Give the folder of the data set.")
    return folder


def _of_folders(images: Path, labels: Path, name: str) -> DataSet:
    volumes, maps = volumes_in(images), volumes_in(labels)
    if images.resolve() == labels.resolve():
        maps = {key: path for key, path in maps.items() if _LABEL_ENDINGS.search(key)}
        volumes = {key: path for key, path in volumes.items() if key not in maps}
    groups = by_case(volumes)
    short = {_IMAGE_ENDINGS.sub("", case): case for case in groups}
    cases, unused, taken = [], [], set()
    for key, path in maps.items():
        bare = _LABEL_ENDINGS.sub("", key)
        case = next((one for one in (key, bare, short.get(bare), short.get(key)) if one in groups), None)
        if case is None or case in taken:
            unused.append(f"{path.name}: no image of this name." if case is None else
                          f"{path.name}: '{case}' has a label map already.")
            continue
        taken.add(case)
        cases.append(TrainingCase(case, tuple(volumes[one] for one in groups[case]), path, ""))
    unused += [f"{case}: no label map of this name." for case in groups if case not in taken]
    count = max((len(case.images) for case in cases), default=1)
    channels = ("volume",) if count == 1 else tuple(f"channel {n}" for n in range(count))
    return DataSet(name, "a folder of images and one of labels", tuple(cases), channels, unused=tuple(unused))


def patient_of(name: str, pattern: str | None = None) -> str:
    """The patient of a case by its name; `pattern` as of `find_dataset`.

    Raises:
        InputError: the pattern is no regular expression.
    """
    try:
        match = (re.compile(pattern).search if pattern else _PATIENT.fullmatch)(name)
    except re.error as error:
        raise InputError(f"'{pattern}' is no regular expression: {error}.") from error
    if match is None:
        return name
    return next((group for group in match.groups() if group), match[0])
