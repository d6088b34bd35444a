"""The catalog of public models: what each finds, in which volumes, under which license, where its files are.

Facts stand in Resources/MedDL/Catalog.json, each entry with the address where they were read; what is not published is
null. The models of this machine are listed with them by `meddl.models.listing`.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from meddl.core.errors import ModelError, ModelNotFoundError
from meddl.core.paths import resources_folder
from meddl.models.catalog.structure_names import structures_named, words
from meddl.models.store.download import Checksum

CATALOG_FILE = "Catalog.json"
_SCHEMA = Path(__file__).with_name("catalog.schema.json")
# Widest and narrowest volumes in mm that are taken as showing a region: the largest extent of the field of view.
_FIELDS_MM = {"head": (120, 320), "neck": (150, 500), "heart": (150, 450), "spine": (280, 2500),
              "thorax": (280, 2500), "abdomen": (280, 2500), "pelvis": (180, 2500), "trunk": (280, 2500),
              "limbs": (100, 2500), "whole body": (280, 2500)}


@dataclass(frozen=True)
class Structure:
    """One structure: its label value, None where its authors publish none, and its name."""

    value: int | None
    name: str


@dataclass(frozen=True)
class RemoteFile:
    """One file to download.

    Attributes:
        url: its address.
        bytes: its length, None where it is not stated.
        checksum: as published; None: it is remembered at the first download.
        part: which part of the model it is, where there are several.
        values: label value in the whole model by label value of this part; empty: they are the same.
    """

    url: str
    bytes: int | None = None
    checksum: Checksum | None = None
    part: str | None = None
    values: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Terms:
    """Licenses of code and weights, None where not stated; whether commercial use is allowed (None: not stated)."""

    code: str
    weights: str | None
    commercial: bool | None
    registration: bool
    url: str | None


@dataclass(frozen=True)
class PublishedAccuracy:
    """A figure that the model's authors publish, and where."""

    metric: str
    structure: str
    value: float
    source: str
    note: str | None = None


@dataclass(frozen=True)
class CatalogEntry:
    """A public model; the fields are described in `catalog.schema.json`."""

    id: str
    name: str
    task: str
    description: str
    modality: tuple[str, ...]
    inputs: tuple[str, ...]
    region: str | None
    structures: tuple[Structure, ...]
    spacing_mm: tuple[float, ...] | None
    patch_voxels: tuple[int, ...] | None
    format: str
    orientation: str | None
    license: Terms
    files: tuple[RemoteFile, ...]
    accuracy: tuple[PublishedAccuracy, ...]
    source: str
    citation: str
    limits: str
    obstacle: str | None
    file_names: tuple[str, ...] = ()

    @property
    def bytes(self) -> int | None:
        """Bytes of all files; None where one is not stated."""
        sizes = [file.bytes for file in self.files if file.bytes is not None]
        return sum(sizes) if sizes and len(sizes) == len(self.files) else None


E = TypeVar("E", bound=CatalogEntry)


@dataclass(frozen=True)
class VolumeMetadata:
    """What is known of a loaded volume: voxel size in mm and voxels by axis, "CT" or "MR" or None, channels, and the
    region of the body: "head", "chest", "no head", or None."""

    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    modality: str | None = None
    channels: int = 1
    region: str | None = None


@dataclass(frozen=True)
class Fit:
    """How well a model suits a volume: 0 is best; and what does not suit, in sentences."""

    penalty: float
    reasons: tuple[str, ...]


def load_catalog(path: str | Path | None = None) -> tuple[CatalogEntry, ...]:
    """The entries of a catalog file; default: the one that ships, read once and taken as it is.

    Raises:
        ModelError: no such file, not JSON, or a field that is missing or wrong.
    """
    return _load_shipped() if path is None else _load(Path(path))


def find_entry(identifier: str, entries: tuple[CatalogEntry, ...] | None = None) -> CatalogEntry:
    """The entry of this identifier.

    Raises:
        ModelNotFoundError: the catalog has none.
    """
    for entry in load_catalog() if entries is None else entries:
        if entry.id == identifier:
            return entry
    raise ModelNotFoundError(f"The catalog has no model '{identifier}'. `meddl models search` finds one.")


def catalog_schema() -> dict:
    """The JSON Schema (draft 2020-12) of catalogs."""
    return json.loads(_SCHEMA.read_text(encoding="utf-8"))


def parse_catalog(content: dict, where: str = "catalog", check_schema: bool = True) -> tuple[CatalogEntry, ...]:
    """The entries of a decoded JSON object.

    Raises:
        ModelError: it does not fit the schema (where that is to be checked and jsonschema is installed), or two entries
            have one identifier.
    """
    problem = _schema_problem(content) if check_schema else None
    if problem:
        raise ModelError(f"The {where} is not valid. {problem}")
    try:
        entries = tuple(_entry(model) for model in content["models"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"The {where} is not valid: {type(error).__name__} at {error}.") from error
    identifiers = [entry.id for entry in entries]
    if twice := sorted({name for name in identifiers if identifiers.count(name) > 1}):
        raise ModelError(f"The {where} is not valid: {', '.join(twice)} occurs twice.")
    return entries


def search(entries: Iterable[E], text: str = "", structure: str | None = None,
           modality: str | None = None) -> list[E]:
    """The entries that hold what is asked for, in their order; those that find a structure of this name first.

    Args:
        entries: catalog entries, or models of a list.
        text: words; each must occur in identifier, name, description, modality, region or one of the structures.
        structure: words of one structure, such as "liver" or "left kidney"; side and order do not matter.
        modality: such as "CT".
    """
    found = [entry for entry in entries
             if (not modality or modality.upper() in {name.upper() for name in entry.modality})
             and (not structure or structures_named(entry.structures, structure))
             and _speaks_of(entry, words(text))]
    wanted = words(structure or text)
    return sorted(found, key=lambda entry: not (wanted and structures_named(entry.structures, " ".join(wanted))))


def fit(entry: CatalogEntry, volume: VolumeMetadata) -> Fit:
    """How well a model suits a volume: modality and number of inputs, field of view, voxel size."""
    penalty, reasons = 0.0, []
    if entry.obstacle:
        penalty += 200
    if reason := modality_reason(entry, volume):
        penalty += 100
        reasons.append(reason)
    if len(entry.inputs) != volume.channels:
        penalty += 50
        reasons.append(f"It takes {len(entry.inputs)} volumes: {', '.join(entry.inputs)}.")
    if reason := field_of_view_reason(entry, volume):
        penalty += 20
        reasons.append(reason)
    if reason := region_reason(entry, volume):
        penalty += 30
        reasons.append(reason)
    if entry.spacing_mm is None:
        penalty += 1
    else:
        pairs = list(zip(sorted(volume.spacing_mm), sorted(entry.spacing_mm), strict=True))
        penalty += sum(abs(math.log2(own / theirs)) for own, theirs in pairs) / len(pairs)
        if max(own / theirs for own, theirs in pairs) > 3:
            reasons.append(f"Its voxels are {min(entry.spacing_mm):g} mm; the volume's, of up to "
                           f"{max(volume.spacing_mm):.1f} mm, may be too thick.")
    return Fit(penalty, tuple(reasons))


def modality_reason(entry: CatalogEntry, volume: VolumeMetadata) -> str | None:
    """Why the volume's modality does not suit a model; None where it does or is not known."""
    if not volume.modality or volume.modality in entry.modality:
        return None
    return f"It is made for {' and '.join(entry.modality)}; the volume seems to be {volume.modality}."


def region_reason(entry: CatalogEntry, volume: VolumeMetadata) -> str | None:
    """Why what the volume shows does not suit a model; None where it does or one of both is not known."""
    if volume.region is None or entry.region in (None, "whole body"):
        return None
    if volume.region == "head":
        fits = entry.region == "head"
    elif volume.region == "chest":
        fits = entry.region in ("thorax", "trunk", "heart", "spine")
    else:
        fits = entry.region != "head"
    seen = "no head" if volume.region == "no head" else f"the {volume.region}"
    return None if fits else f"It is made for volumes of the {entry.region}; this one seems to show {seen}."


def field_of_view_reason(entry: CatalogEntry, volume: VolumeMetadata) -> str | None:
    """Why the volume's largest extent does not suit a model; None where it does or the model's region is not known."""
    extent = max(spacing * n for spacing, n in zip(volume.spacing_mm, volume.shape, strict=True))
    low, high = _FIELDS_MM.get(entry.region or "", (0, math.inf))
    if low <= extent <= high:
        return None
    return f"It is made for volumes of the {entry.region}; this one is {extent:.0f} mm wide."


def sort_by_fit(entries: Iterable[E], volume: VolumeMetadata) -> list[E]:
    """The entries, those that suit the volume best first; with more structures first where they suit alike."""
    return sorted(entries, key=lambda entry: (round(fit(entry, volume).penalty, 1), -len(entry.structures)))


def license_badge(terms: Terms) -> str:
    """A license in a word or two: what the user may do with the weights."""
    if terms.registration:
        return "registration"
    if terms.commercial is False:
        return "non-commercial"
    return terms.weights if terms.weights and len(terms.weights) <= 16 else "see license"


@lru_cache(maxsize=1)
def _load_shipped() -> tuple[CatalogEntry, ...]:
    try:
        return _load(resources_folder() / CATALOG_FILE, check_schema=False)
    except FileNotFoundError as error:
        raise ModelError(str(error)) from error


def _load(place: Path, check_schema: bool = True) -> tuple[CatalogEntry, ...]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"The catalog '{place}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"The catalog '{place}' is not JSON: {error}.") from error
    return parse_catalog(content, f"catalog '{place}'", check_schema)


def _schema_problem(content: object) -> str | None:
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        return None
    for error in Draft202012Validator(catalog_schema()).iter_errors(content):
        return f"{'.'.join(map(str, error.absolute_path)) or 'top'}: {error.message[:300]}."
    return None


def _entry(model: dict) -> CatalogEntry:
    files = tuple(
        RemoteFile(**(file | {"checksum": Checksum(**file["checksum"]) if file["checksum"] else None,
                              "values": tuple((int(own), whole) for own, whole in file.get("values", {}).items())}))
        for file in model["files"])
    return CatalogEntry(**(model | {
        "modality": tuple(model["modality"]), "inputs": tuple(model["inputs"]), "files": files,
        "structures": tuple(Structure(**structure) for structure in model["structures"]),
        "spacing_mm": tuple(model["spacing_mm"]) if model["spacing_mm"] else None,
        "patch_voxels": tuple(model["patch_voxels"]) if model["patch_voxels"] else None,
        "license": Terms(**model["license"]), "file_names": tuple(model.get("file_names", ())),
        "accuracy": tuple(PublishedAccuracy(**figure) for figure in model["accuracy"])}))


def _speaks_of(entry: CatalogEntry, wanted: list[str]) -> bool:
    if not wanted:
        return True
    known = set(words(" ".join((entry.id, entry.name, entry.description, *entry.modality, entry.region or "",
                                *(structure.name for structure in entry.structures)))))
    return all(any(part.startswith(word) for part in known) for word in wanted)
