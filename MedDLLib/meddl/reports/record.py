"""The record of a run: all that others need to check a result and to repeat it, and nothing that says whose it is."""

import platform
import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import meddl
from meddl.io import sha256_of
from meddl.models.store.store import ModelStore

USE = "For research only: not a medical device, not for diagnosis or treatment."
_PLAIN_LIMITS = {
    "register": "A deformable registration matches what looks alike; where something is missing in one volume (a "
                "tumor, a resection), it deforms what it finds. A linear registration of very different images can be "
                "several millimeters off: look at the overlay.",
    "superres": "Detail beyond the measured slices is estimated: the result is consistent with them, but not "
                "everything that fits them is true."}
_PLAIN_LIMITS |= dict.fromkeys(("register-series", "template"), _PLAIN_LIMITS["register"])
_SHORT = 6  # characters; shorter names are replaced in quotes alone


@dataclass(frozen=True)
class Run:
    """What was asked for.

    Attributes:
        command: of the shell, such as "segment".
        config: its configuration; None where it has none.
        options: what else ruled the result, by name.
        inputs: (role, path, DICOM series) of each file that was read.
        models: identifiers of the models that may have run.
        device: as the run states it, such as "cpu (2 threads)".
    """

    command: str
    config: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[tuple[str, Path, str | int | None], ...] = ()
    models: tuple[str, ...] = ()
    device: str = "cpu"


def record_run(run: Run, report: dict[str, Any]) -> dict[str, Any]:
    """The run and its report as one JSON object, without names, paths, date and command line.

    Raises:
        OSError: an input cannot be read any more.
    """
    models = [describe_model(identifier) for identifier in run.models]
    limits = [text for text in (_PLAIN_LIMITS.get(run.command), *(model["limits"] for model in models)) if text]
    return {
        "meddl": meddl.__version__, "command": run.command, "use": USE, "limits": list(dict.fromkeys(limits)),
        "models": models, "configuration": None if run.config is None else asdict(run.config), "options": run.options,
        "device": run.device, **_machine(run, report),
        "inputs": [{"role": role, "sha256": sha256_of(path, series)} for role, path, series in run.inputs],
        **without_names(report, [(role, path) for role, path, _ in run.inputs])}


def names_of(run: Run, outputs: Sequence[Path], words: Sequence[str]) -> dict[str, Any]:
    """What a report says with `--report-inputs` alone: names and paths, date, command line."""
    return {"names": {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "command_line": shlex.join(["meddl", *map(str, words)]),
        "inputs": [{"role": role, "path": str(path)} for role, path, _ in run.inputs],
        "outputs": [str(path) for path in outputs]}}


def describe_model(identifier: str) -> dict[str, Any]:
    """Version, checksum, license, intended use and limits of a model, as its card states them."""
    card = ModelStore().card(identifier)
    weights = None if card.weights is None else card.weights.sha256
    return {"id": card.id, "version": card.version, "name": card.name, "weights_sha256": weights,
            "license": card.license.weights, "intended_use": card.intended_use, "limits": card.limits,
            "parts": [describe_model(part.model) for part in card.parts]}


def without_names(value: Any, inputs: Iterable[tuple[str, Path]]) -> Any:
    """A report in whose texts the role of an input stands for its path and its name."""
    words: dict[str, str] = {}
    for role, path in inputs:
        for text in (str(path), str(path.expanduser().absolute()), path.name, *_names_within(path)):
            words.setdefault(text, role)
    if not words:
        return value
    return _replace(value, [(re.compile(rf"(?<![\w.-]){re.escape(text)}(?![\w-])" if len(text) >= _SHORT else
                                        rf"(?<=['\"]){re.escape(text)}(?=['\"])"), role)
                            for text, role in sorted(words.items(), key=lambda item: -len(item[0])) if text])


def _names_within(path: Path) -> list[str]:
    """The names of all files and folders in a folder."""
    place = path.expanduser()
    return sorted({inner.name for inner in place.rglob("*")}) if place.is_dir() else []


def _replace(value: Any, words: list[tuple[re.Pattern[str], str]]) -> Any:
    if isinstance(value, str):
        for pattern, role in words:
            value = pattern.sub(role, value)
        return value
    if isinstance(value, dict):
        return {name: _replace(one, words) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(one, words) for one in value]
    return value


def _machine(run: Run, report: Mapping[str, Any]) -> dict[str, Any]:
    """Precision of networks, threads, and the programs that computed. Only segmentation leaves float32."""
    import torch

    from meddl.core.device import fast_dtype

    imported = any(card.recipe is not None or card.parts for card in map(ModelStore().card, run.models))
    exact = run.command != "segment" or (imported and run.config is not None and run.config.float32)
    precision = torch.float32 if exact else fast_dtype(torch.device(run.device.partition(" ")[0]))
    chosen = report.get("precision_choice", {}).get("precision", str(precision).removeprefix("torch."))
    return {"precision": chosen, "threads": torch.get_num_threads(),
            "software": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
                         "system": f"{platform.system()} {platform.machine()}"}}
