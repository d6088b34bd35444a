"""The card of a model: what it is, what it was trained on, how accurate it is, under which license."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from meddl.core.errors import DependencyError, ModelError, printable
from meddl.models.recipes import LandmarkOutput, Recipe, parse_landmarks, parse_recipe
from meddl.spatial.grid import three
from meddl.spatial.segmentation import Segment

_SCHEMA = Path(__file__).with_name("card.schema.json")
_MAXIMUM_BYTES = 1 << 20
_MAXIMUM_PROBLEMS = 50


@dataclass(frozen=True)
class Label:
    """One structure of a segmentation model.

    Attributes:
        value: its number in the label map.
        name: display name.
        color: red, green, blue, 0 to 255.
        mirror: label value of the same structure on the other side, its own where it has none.
        terminology: `{"category": [scheme, code, meaning], "type": [...], "modifier": [...] or None}`, or None.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    mirror: int
    terminology: dict | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """How to build one network: architecture and its arguments, voxel size in mm, patch in voxels (i, j, k)."""

    architecture: str
    arguments: dict
    spacing_mm: float
    patch_voxels: tuple[int, int, int]


@dataclass(frozen=True)
class AtlasSpec:
    """The atlas among a model's weights.

    Attributes:
        structures: label value of each of its tissues, 0 for background first; of a left and a right one the left.
        spacing_mm: its voxel size.
        shape: its voxels (i, j, k).
        data: what it was made from, under which license, with which command.
        heads: how many of the heads that it was made from came along, each with its labels.
    """

    structures: tuple[int, ...]
    spacing_mm: float
    shape: tuple[int, int, int]
    data: str
    data_license: str
    command: str
    heads: int = 0


@dataclass(frozen=True)
class Part:
    """One model of a collection.

    Attributes:
        model: its identifier; it is installed by itself.
        values: label value in the collection by label value in the part; what is not named is left out.
    """

    model: str
    values: dict[int, int]


@dataclass(frozen=True)
class WeightsFile:
    """The weights' file name in the model's folder, its SHA-256 and its length in bytes."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class License:
    """The licenses of the code and of the weights, and where their text is."""

    code: str
    weights: str
    url: str | None = None


@dataclass(frozen=True)
class Source:
    """Who made the model, and where."""

    name: str
    url: str


@dataclass(frozen=True)
class Training:
    """What the model was trained on, how long, with which command; of each round of active learning the cases trained
    on and the mean Dice; hashes of the images held out in all of them."""

    data: str
    data_license: str
    steps: int | None = None
    hours: float | None = None
    device: str | None = None
    command: str | None = None
    date: str | None = None
    curves: str | None = None
    round_cases: tuple[int, ...] = ()
    round_dice: tuple[float, ...] = ()
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Accuracy:
    """One measurement, the command that repeats it, the SHA-256 of the weights measured, and its 95 % interval."""

    case: str
    structure: str
    metric: str
    value: float
    command: str
    sha256: str | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class UsualConfidence:
    """Range of each structure's mean confidence in the measured volumes.

    Attributes:
        ranges: (lowest, highest) by name of the structure, 0 to 1.
        cases: number of volumes.
        command: measures them again.
    """

    ranges: dict[str, tuple[float, float]]
    cases: int
    command: str


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling of the probabilities of a model's labels (Guo et al. 2017, arXiv:1706.04599).

    Attributes:
        temperature: log-probabilities are divided by it.
        cases: number of volumes that it was fitted to.
        error_before, error_after: expected calibration error over these, 0 to 1.
        command: measures them again.
    """

    temperature: float
    cases: int
    error_before: float
    error_after: float
    command: str


@dataclass(frozen=True)
class ModelCard:
    """A model card; the fields are described in `card.schema.json`.

    A collection has `parts` and `inputs` instead of networks and weights: other models, whose labels become one result.
    """

    id: str
    version: str
    name: str
    task: str
    description: str
    modality: tuple[str, ...]
    labels: tuple[Label, ...]
    networks: dict[str, NetworkSpec]
    weights: WeightsFile | None
    license: License
    source: Source
    training: Training
    accuracy: tuple[Accuracy, ...]
    intended_use: str
    limits: str
    citation: str
    recipe: Recipe | None = None
    atlas: AtlasSpec | None = None
    parts: tuple[Part, ...] = ()
    inputs: tuple[str, ...] = ()
    usual_confidence: UsualConfidence | None = None
    calibration: Calibration | None = None
    region: str | None = None
    classes: tuple[str, ...] = ()
    landmarks: LandmarkOutput | None = None

    @property
    def own_weights(self) -> WeightsFile:
        """The weights' file of a model that is no collection.

        Raises:
            ModelError: it is a collection, whose parts have the weights.
        """
        if self.weights is None:
            raise ModelError(f"The model '{self.id}' is a collection and has no weights of its own; its parts are "
                             f"{', '.join(part.model for part in self.parts)}.")
        return self.weights

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The structures as a segmentation holds them, in the order of the labels."""
        return tuple(Segment(label.value, label.name, three(c / 255 for c in label.color), label.terminology)
                     for label in self.labels)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each volume that the model takes is, in its order; one, without a recipe or inputs."""
        if self.parts:
            return self.inputs or self.modality
        return ("volume",) if self.recipe is None else self.recipe.inputs

    @property
    def mirrors(self) -> dict[int, int]:
        """Label value of the other side by label value."""
        return {label.value: label.mirror for label in self.labels}


def load_card(path: str | Path, require_schema: bool = False, check_schema: bool = True) -> ModelCard:
    """Read a card and check it.

    The schema is checked where the package jsonschema is installed; missing and unknown fields, and the labels' values
    and mirrors, are checked always.

    Args:
        require_schema: raise where jsonschema is not installed.
        check_schema: False for a card that ships, which is known to fit it: jsonschema is not even imported.

    Raises:
        ModelError: no such file, not JSON, or a field that is missing, unknown or wrong; the message names it.
        DependencyError: jsonschema is required and not installed.
    """
    place = Path(path)
    try:
        if place.stat().st_size > _MAXIMUM_BYTES:
            raise ModelError(f"The model card '{place}' is larger than {_MAXIMUM_BYTES >> 20} MB; it is no card.")
        content = json.loads(place.read_text(encoding="utf-8-sig"), parse_constant=_refuse_constant)
    except OSError as error:
        raise ModelError(f"The model card '{place}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"The model card '{place}' is not JSON: {error}.") from error
    return parse_card(content, str(place), require_schema, check_schema)


def parse_card(content: dict, where: str = "card", require_schema: bool = False,
               check_schema: bool = True) -> ModelCard:
    """The card of a decoded JSON object; `where` names it in errors. Raises as `load_card`."""
    problems = _schema_problems(content) if check_schema else []
    if problems is None and require_schema:
        raise DependencyError("Checking a model card needs the Python package jsonschema: pip install jsonschema.")
    if problems:
        raise ModelError(f"The model card {where} is not valid. " + " ".join(problems))
    try:
        card = _build(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"The model card {where} is not valid: {type(error).__name__} at {error}.") from error
    _check_labels(card, where)
    return card


def schema() -> dict:
    """The JSON Schema (draft 2020-12) of cards."""
    return json.loads(_SCHEMA.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


def _schema_problems(content: object) -> list[str] | None:
    """What the schema finds wrong, at most five sentences; None where jsonschema is not installed."""
    try:
        validator = _validator()
    except ImportError:
        return None
    found = islice(validator.iter_errors(content), _MAXIMUM_PROBLEMS)
    errors = sorted(found, key=lambda error: [str(part) for part in error.absolute_path])
    return [f"{_field_name(error.absolute_path)}: {error.message[:300]}." for error in errors[:5]]


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _field_name(path: Iterable[str | int]) -> str:
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name or "card"


def _build(content: dict) -> ModelCard:
    if not isinstance(content, dict):
        raise TypeError("the top: an object was expected")
    _check_texts(content)
    known = {field.name for field in fields(ModelCard)}
    if unknown := sorted(set(content) - known):
        raise ValueError(f"unknown fields {', '.join(unknown)}")
    collection = bool(content.get("parts"))
    optional = {"recipe", "atlas", "parts", "usual_confidence", "calibration", "region", "classes", "landmarks"}
    optional |= {"networks", "weights"} if collection else {"inputs"}
    values = {"networks": {}, "weights": None} | {name: content[name] for name in known - optional}
    values["parts"] = tuple(Part(part["model"], {int(own): int(new) for own, new in part["values"].items()})
                            for part in content.get("parts", ()))
    values["inputs"] = tuple(values.get("inputs", ()))
    values["recipe"] = parse_recipe(content["recipe"]) if content.get("recipe") else None
    if atlas := content.get("atlas"):
        values["atlas"] = AtlasSpec(**(atlas | {name: tuple(atlas[name]) for name in ("structures", "shape")}))
    values["region"], values["classes"] = content.get("region"), tuple(content.get("classes", ()))
    values["landmarks"] = parse_landmarks(content["landmarks"]) if content.get("landmarks") else None
    if usual := content.get("usual_confidence"):
        ranges = {name: (float(low), float(high)) for name, (low, high) in usual["ranges"].items()}
        values["usual_confidence"] = UsualConfidence(**(usual | {"ranges": ranges}))
    if calibration := content.get("calibration"):
        values["calibration"] = Calibration(**calibration)
        if not values["calibration"].temperature > 0:
            raise ValueError(f"calibration.temperature '{values['calibration'].temperature}'")
    values["modality"] = tuple(values["modality"])
    values["labels"] = tuple(
        Label(**(label | {"color": tuple(label["color"]), "terminology": _terminology(label.get("terminology"))}))
        for label in values["labels"])
    values["networks"] = {
        name: NetworkSpec(**(spec | {"patch_voxels": tuple(spec["patch_voxels"])}))
        for name, spec in values["networks"].items()}
    for name, part in (("weights", WeightsFile), ("license", License), ("source", Source), ("training", Training)):
        values[name] = None if values[name] is None else part(**_with_tuples(values[name]))
    values["accuracy"] = tuple(Accuracy(**_with_tuples(entry)) for entry in values["accuracy"])
    if set(values["id"]) - set("abcdefghijklmnopqrstuvwxyz0123456789_-"):
        raise ValueError(f"id '{values['id']}'")
    if collection:
        _check_parts(values)
    elif Path(values["weights"].file).name != values["weights"].file or "\\" in values["weights"].file:
        raise ValueError(f"weights.file '{values['weights'].file}'")
    return ModelCard(**values)


def _check_texts(content: Any) -> None:
    """Texts are shown in panels and terminals, which would obey control characters."""
    for part in (*content, *content.values()) if isinstance(content, dict) else content:
        if isinstance(part, str):
            if printable(part) != part:
                raise ValueError(f"a text with control characters, {part[:60]!r}")
        elif isinstance(part, (dict, list)):
            _check_texts(part)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _check_parts(values: dict) -> None:
    known = {label.value for label in values["labels"]}
    for part in values["parts"]:
        if part.model == values["id"]:
            raise ValueError(f"parts: '{part.model}' is a part of itself")
        if unknown := sorted(set(part.values.values()) - known):
            raise ValueError(f"parts: '{part.model}' is to give the labels {unknown}, which labels does not name")


def _terminology(content: dict | None) -> dict | None:
    if content is None:
        return None
    return {"category": list(content["category"]), "type": list(content["type"]),
            "modifier": list(content["modifier"]) if content.get("modifier") else None}


def _check_labels(card: ModelCard, where: str) -> None:
    """Each value once; the mirror of the mirror is the label itself."""
    mirrors = {}
    for n, label in enumerate(card.labels):
        if label.value in mirrors:
            raise ModelError(f"The model card {where} is not valid. labels[{n}].value: {label.value} occurs twice.")
        mirrors[label.value] = label.mirror
    for n, label in enumerate(card.labels):
        if mirrors.get(label.mirror) != label.value:
            raise ModelError(
                f"The model card {where} is not valid. labels[{n}].mirror: {label.value} names {label.mirror} as its "
                f"other side, which names {mirrors.get(label.mirror, 'nothing, as no label has this value')}.")
