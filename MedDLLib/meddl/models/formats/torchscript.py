"""TorchScript: a program with weights, and a small JSON file beside it that says what goes in and what comes out.

A TorchScript file runs code by nature. It is taken only with a SHA-256 that the user confirmed, kept as bytes, and run
in the worker process alone; importing does not load it.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

from meddl.core.errors import ConfirmationError, IntegrityError, ModelError
from meddl.models.formats.imported import ImportedModel, identifier, label_entries
from meddl.models.formats.plain_content import read_object
from meddl.models.formats.torch_file import TORCHSCRIPT, torch_kind

_NETWORK = "network"
_FIELDS = {"name", "description", "inputs", "orientation", "spacing_mm", "patch_voxels", "overlap", "weighting",
           "intensities", "labels", "output", "license", "source"}
_WEIGHTING = {"gaussian": "centered", "constant": "constant"}
_DESCRIPTION = ("{\"inputs\": [\"CT\"], \"orientation\": \"RAS\", \"spacing_mm\": [1.5, 1.5, 1.5], \"patch_voxels\": "
                "[96, 96, 96], \"labels\": {\"1\": \"liver\"}, \"output\": \"classes\"}")


def find_torchscript(folder: Path) -> Path | None:
    """The TorchScript file in `folder` with a description beside it, None where there is none."""
    for pattern in ("*.ts", "*.pt", "*.pth", "*.jit", "*/*.ts", "*/*.pt"):
        for place in sorted(folder.glob(pattern)):
            if place.with_suffix(".json").is_file() and torch_kind(place) == TORCHSCRIPT:
                return place
    return None


def read_torchscript(place: str | Path, confirmed_sha256: str | None = None, *, name: str | None = None,
                     orientation: str | None = None) -> ImportedModel:
    """Read a TorchScript file as bytes, and the JSON file of the same name beside it.

    Args:
        confirmed_sha256: of the file, as the user confirmed it.
        name: what the model is called; from the description where None.
        orientation: axis codes to which volumes are turned, where the description does not say that.

    Raises:
        ConfirmationError: no confirmation yet; the message ends with the SHA-256.
        ModelError: no description, or one that does not fit.
        IntegrityError: another SHA-256 than confirmed.
    """
    place = Path(place)
    content = place.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if confirmed_sha256 is None:
        raise ConfirmationError(f"'{place.name}' is TorchScript, a program that could do anything on this machine. If "
                                f"you trust where it comes from, import it again and confirm its SHA-256: {sha256}")
    if confirmed_sha256.strip().lower() != sha256:
        raise IntegrityError(f"'{place.name}' has the SHA-256 {sha256}; {confirmed_sha256} was confirmed.")
    described = place.with_suffix(".json")
    if not described.is_file():
        raise ModelError(f"'{place.name}' needs '{described.name}' beside it, such as {_DESCRIPTION}.")
    try:
        return _assemble(place, content, sha256, read_object(described), name, orientation)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"'{described.name}' lacks or garbles something ({type(error).__name__} {error}); expected "
                         f"was such as {_DESCRIPTION}.") from error


def _assemble(place: Path, content: bytes, sha256: str, described: dict, name: str | None,
              orientation: str | None) -> ImportedModel:
    if unknown := sorted(set(described) - _FIELDS):
        raise ModelError(f"'{place.with_suffix('.json').name}' has fields that MedDL does not know: "
                         f"{', '.join(unknown)}. It knows {', '.join(sorted(_FIELDS))}.")
    names = {int(value): str(text) for value, text in described["labels"].items()}
    kind = described.get("output", "classes")
    if kind not in ("classes", "regions"):
        raise ModelError(f"'output' is classes or regions; got {kind!r}.")
    values = [0, *names] if kind == "classes" else list(names)
    inputs = [str(text) for text in described["inputs"]]
    patch = [int(n) for n in described["patch_voxels"]]
    spacing = described.get("spacing_mm")
    steps = [{"name": str(step["name"]), "arguments": dict(step.get("arguments", {}))}
             for step in described.get("intensities", [])]
    if spacing is not None:
        steps.insert(0, {"name": "space", "arguments": {"spacing_mm": [float(size) for size in spacing]}})
    title = str(name or described.get("name") or place.stem)
    orientation = described.get("orientation") or orientation
    notes = [f"TorchScript, a program, confirmed with SHA-256 {sha256}; it runs in the worker process alone.",
             f"Volumes are {'turned to ' + orientation if orientation else 'taken as stored'}."]
    recipe = {"inputs": inputs, "orientation": orientation, "steps": steps,
              "windows": {"patch_voxels": patch, "overlap": float(described.get("overlap", 0.5)), "placement": "dense",
                          "weighting": _WEIGHTING[described.get("weighting", "gaussian")]},
              "output": {"kind": kind, "values": values}, "networks": [_NETWORK], "notes": notes}
    card = {
        "id": identifier(title), "version": "1.0.0", "name": title, "task": "segmentation",
        "description": str(described.get("description") or f"TorchScript model for {', '.join(names.values())}."),
        "modality": inputs, "labels": label_entries(names), "recipe": recipe,
        "networks": {_NETWORK: {"architecture": "TorchScriptNetwork", "spacing_mm": min(spacing) if spacing else 1.0,
                                "arguments": {"sha256": sha256, "size_bytes": len(content),
                                              "out_channels": len(values)},
                                "patch_voxels": patch}},
        "license": {"code": "not stated", "weights": str(described.get("license") or "not stated")},
        "source": {"name": str(described.get("source") or "not stated"), "url": "https://pytorch.org/docs/stable/jit.html"},
        "training": {"data": "not stated", "data_license": "not stated"}, "accuracy": [],
        "intended_use": "What its maker states; imported from a TorchScript file. Research only.",
        "limits": "Unknown to MedDL: it was not measured here.", "citation": ""}
    program = torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())
    return ImportedModel(card, {f"{_NETWORK}.program": program}, tuple(notes))
