"""What the folder of a run says of it: its data and options, and how long it has trained; its model, installed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from meddl.core.errors import InputError
from meddl.core.paths import read_record, write_record
from meddl.models.cards import ModelCard
from meddl.models.store.store import ModelStore
from meddl.training.log import CHECKPOINT, TrainingLog

_RECORD = "plan.json"
# Changing these does not make another training: a run may be resumed with more time.
OF_LENGTH = ("minutes", "steps", "patience", "license", "leave_out")


@dataclass(frozen=True)
class TrainingRecord:
    """What a card says about a training: identifier, name and license of the model, steps, hours, device, command."""

    identifier: str
    name: str
    license: str
    steps: int
    hours: float
    device: str
    command: str


def described_run(config: Any, **more: Any) -> dict:
    """What makes a run the one that it is, as JSON has it: its configuration but for its length, and `more`."""
    options = {key: value for key, value in asdict(config).items() if key not in OF_LENGTH}
    return json.loads(json.dumps({"config": options, **more}))


def read_run(folder: Path, asked: dict) -> dict:
    """The record of the run in a folder, if it is of what `described_run` says; empty where none was begun.

    Raises:
        InputError: the run in the folder is of other data or options.
    """
    record = read_record(folder / _RECORD)
    if record.get("asked") == asked:
        return record
    if (folder / CHECKPOINT).exists():
        raise InputError(f"'{folder}' holds a training of other data or with other options. Choose another folder, or "
                         "delete it.")
    return {}


def write_run(folder: Path, record: dict) -> None:
    """Keep the record of a run in its folder.

    Raises:
        InputError: it cannot be written.
    """
    place = folder / _RECORD
    try:
        write_record(place, record)
    except OSError as error:
        raise InputError(f"'{place}' cannot be written: {error.strerror or error}.") from error


def length_of_run(folder: Path) -> tuple[int, float]:
    """Steps and hours of the whole training."""
    steps, hours = TrainingLog(folder, ("step", "hours")).curves()["hours"]
    return int(max(steps, default=0)), float(max(hours, default=0.0))


def install_own(folder: Path, cache: str | None = None) -> ModelCard:
    """Install a model of the user's own, whose license needs no consent; the installed card.

    Args:
        folder: with card and weights.
        cache: folder of the installed models; None: the usual one.
    """
    store = ModelStore(cache=cache)
    card = store.install(folder)
    store.accept_license(card.id)
    return card
