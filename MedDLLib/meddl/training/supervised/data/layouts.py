"""Data sets that describe themselves: nnU-Net's and the Medical Segmentation Decathlon's dataset.json, and BIDS.

F. Isensee et al., Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z; M. Antonelli et al., Nature Communications
13, 2022, doi:10.1038/s41467-022-30695-9; K. J. Gorgolewski et al., Scientific Data 3, 2016, doi:10.1038/sdata.2016.44.
"""

import csv
import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from meddl.core.errors import InputError
from meddl.training.supervised.data.dataset import DataSet, TrainingCase, by_case, stem, volumes_in

_LABELS = ("dseg", "mask")  # BIDS suffixes of discrete segmentations
_OF_LABELS = {"desc", "label", "atlas", "seg", "res"}  # entities that a label map has and its image has not


def of_description(folder: Path) -> DataSet:
    """The data set of a dataset.json: nnU-Net v2 (channel_names, imagesTr, labelsTr) or the Decathlon (training).

    Raises:
        InputError: it is no JSON, or lacks what it must say.
    """
    try:
        content = json.loads((folder / "dataset.json").read_text(encoding="utf-8-sig"))
        channels = content.get("channel_names") or content.get("modality") or {"0": "volume"}
        named = [str(channels[key]) for key in sorted(channels, key=int)] if isinstance(channels, dict) else channels
        structures, ignore = _structures(content.get("labels") or {})
        order = tuple(int(value) for value in content.get("regions_class_order") or ())
        listed = content.get("training") or []
        if listed:
            cases, unused = _read_list(folder, listed)
        else:
            cases, unused = _in_folders(folder, len(named))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"'{folder / 'dataset.json'}' cannot be read: {type(error).__name__} {error}.") from error
    if any(len(values) > 1 for values in structures.values()) and len(order) != len(structures):
        raise InputError(f"'{folder / 'dataset.json'}' has regions of several labels; regions_class_order must name a "
                         f"value for each of {len(structures)}, and names {len(order)}.")
    layout = "Medical Segmentation Decathlon" if listed else "nnU-Net raw data"
    regions = order if any(len(values) > 1 for values in structures.values()) else ()
    return DataSet(str(content.get("name") or folder.name), layout, tuple(cases), tuple(named), structures, ignore,
                   regions, tuple(unused))


def _structures(labels: dict) -> tuple[dict[str, tuple[int, ...]], int | None]:
    """Values by name; nnU-Net writes {name: value or values}, the Decathlon {value: name}."""
    if all(str(key).isdecimal() for key in labels):
        labels = {name: int(value) for value, name in labels.items()}
    values = {str(name): tuple(int(v) for v in value) if isinstance(value, list) else (int(value),)
              for name, value in labels.items()}
    ignore = values.pop("ignore", (None,))[0]
    return {name: members for name, members in values.items() if set(members) != {0}}, ignore


def _read_list(folder: Path, entries: list) -> tuple[list[TrainingCase], list[str]]:
    cases, unused = [], []
    for entry in entries:
        image, labels = (folder / PurePosixPath(entry[key]) for key in ("image", "label"))
        if missing := [path.name for path in (image, labels) if not path.is_file()]:
            unused.append(f"{', '.join(missing)}: named in dataset.json, and not there.")
        else:
            cases.append(TrainingCase(stem(image), (image,), labels, ""))
    return cases, unused


def _in_folders(folder: Path, channels: int) -> tuple[list[TrainingCase], list[str]]:
    volumes, maps = volumes_in(folder / "imagesTr"), volumes_in(folder / "labelsTr")
    groups = by_case(volumes)
    cases, unused = [], []
    for name, files in groups.items():
        if name not in maps:
            unused.append(f"{name}: no label map of this name in labelsTr.")
        elif len(files) != channels:
            unused.append(f"{name}: {len(files)} channels are there; dataset.json names {channels}.")
        else:
            cases.append(TrainingCase(name, tuple(volumes[one] for one in files), maps[name], ""))
    return cases, unused + [f"{maps[name].name}: no image of this name in imagesTr." for name in maps
                            if name not in groups]


class _File(NamedTuple):
    path: Path
    entities: dict[str, str]
    suffix: str


def of_bids(folder: Path) -> DataSet:
    """BIDS: label maps (dseg, else mask) in derivatives, or beside the images, and images of the same entities.

    Channels are the suffixes (T1w, FLAIR, ...) that every label map has an image of.
    """
    files = [_bids_file(path) for path in sorted(folder.rglob("sub-*.nii*")) if stem(path).startswith("sub-")]
    maps = next((found for found in ([file for file in files if file.suffix == kind] for kind in _LABELS) if found), [])
    images = [file for file in files if file.suffix not in (*_LABELS, "probseg", "bold", "dwi", "sbref", "epi")]
    matches = [(labels, _images_of(labels, images)) for labels in maps]
    counts = Counter(suffix for _, found in matches for suffix in found)
    most = max(counts.values(), default=0)
    channels = tuple(sorted(suffix for suffix, count in counts.items() if count == most))
    cases, unused = [], []
    for labels, found in matches:
        if missing := [suffix for suffix in channels if suffix not in found] or not channels:
            lacking = ", ".join(missing) if isinstance(missing, list) else "one"
            unused.append(f"{labels.path.name}: no image ({lacking}) of the same entities.")
        else:
            name = "_".join(f"{key}-{value}" for key, value in labels.entities.items() if key not in _OF_LABELS)
            cases.append(TrainingCase(name, tuple(found[suffix] for suffix in channels), labels.path, ""))
    names = Counter(case.name for case in cases)
    unused += [f"{case.labels.name}: another label map of {case.name}." for case in cases if names[case.name] > 1]
    return DataSet(folder.name, "BIDS derivatives", tuple({case.name: case for case in cases}.values()),
                   channels or ("volume",), _table(maps[0].path) if maps else None, unused=tuple(unused))


def _bids_file(path: Path) -> _File:
    *entities, suffix = stem(path).split("_")
    return _File(path, dict(part.split("-", 1) for part in entities if "-" in part), suffix)


def _images_of(labels: _File, images: list[_File]) -> dict[str, Path]:
    """By suffix the image whose entities are the label map's, as far as both have them; of several the plainest."""
    wanted = {key: value for key, value in labels.entities.items() if key not in _OF_LABELS}
    found: dict[str, _File] = {}
    for image in images:
        fits = (all(image.entities.get(key) == wanted.get(key) for key in ("sub", "ses", "space"))
                and all(image.entities[key] == value for key, value in wanted.items() if key in image.entities))
        if fits and (image.suffix not in found or len(image.entities) < len(found[image.suffix].entities)):
            found[image.suffix] = image
    return {suffix: image.path for suffix, image in found.items()}


def _table(labels: Path) -> dict[str, tuple[int, ...]] | None:
    """Values by name from the table (index, name) beside a label map, or in a folder above it; None: there is none."""
    for folder in (labels.parent, *labels.parents[1:5]):
        for place in [folder / f"{stem(labels)}.tsv", *sorted(folder.glob("*dseg.tsv"))]:
            if place.is_file():
                with place.open(newline="", encoding="utf-8-sig") as stream:
                    rows = [row for row in csv.DictReader(stream, delimiter="\t") if row.get("index", "").isdecimal()]
                return {row.get("name") or f"Label {row['index']}": (int(row["index"]),)
                        for row in rows if int(row["index"])}
    return None
