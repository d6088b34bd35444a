"""Small but real model folders and archives for the tests of cards, store and weights."""

import hashlib
import json
import zipfile
from pathlib import Path

import torch

from meddl.models.weights import save_weights


def card_content(weights: Path | None = None, **changes) -> dict:
    """A valid card; of these weights where they are given."""
    figures = {"file": "weights.safetensors", "sha256": "0" * 64, "bytes": 10}
    if weights is not None:
        content = weights.read_bytes()
        figures = {"file": weights.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    code = ["SCT", "119406000", "Thalamus"]
    category = ["SCT", "123037004", "Anatomical Structure"]
    return {
        "id": "tiny", "version": "1.0.0", "name": "A tiny model", "task": "segmentation",
        "description": "For tests.", "modality": ["MR"],
        "labels": [
            {"value": 10, "name": "left thalamus", "color": [0, 118, 14], "mirror": 49,
             "terminology": {"category": category, "type": code, "modifier": ["SCT", "7771000", "Left"]}},
            {"value": 49, "name": "right thalamus", "color": [0, 118, 255], "mirror": 10,
             "terminology": {"category": category, "type": code, "modifier": None}},
            {"value": 16, "name": "brain stem", "color": [119, 159, 176], "mirror": 16}],
        "networks": {"segmenter": {"architecture": "UNet", "arguments": {"channels": [4, 8]}, "spacing_mm": 2,
                                   "patch_voxels": [96, 112, 96]}},
        "weights": figures,
        "license": {"code": "Apache-2.0", "weights": "CC-BY-4.0"},
        "source": {"name": "MedDL", "url": "https://example.org/tiny"},
        "training": {"data": "none", "data_license": "Apache-2.0", "steps": 0, "hours": 0.5, "date": "2026-11-21"},
        "accuracy": [{"case": "a", "structure": "brain stem", "metric": "dice", "value": 0.9, "command": "meddl"}],
        "intended_use": "Tests.", "limits": "All.", "citation": "",
    } | changes


def model_folder(folder: Path, size: int = 8, **changes) -> Path:
    """A folder with card and weights; `size` numbers of weights."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    weights = folder / "weights.safetensors"
    save_weights({"segmenter.a": torch.randn(size, generator=generator)}, weights)
    (folder / "card.json").write_text(json.dumps(card_content(weights, **changes)), encoding="utf-8")
    return folder


def model_archive(path: Path, folder: Path, top: str = "") -> Path:
    """A zip of a model folder, its files under `top`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, top + file.name)
    return path


def leftovers(store):
    """Temporary folders in the cache; finished and resumable downloads are not meant."""
    return [p.name for p in store.cache.glob(".*") if p.name != ".downloads"] if store.cache.is_dir() else []
