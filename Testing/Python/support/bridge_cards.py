"""Cards of models whose weights are never read, for panels that list models and show licenses."""

import hashlib
import json
from pathlib import Path


def install_card(cache: Path, identifier: str, weights_license: str = "Apache-2.0") -> None:
    """A model in the cache folder."""
    folder = cache / "Models" / identifier
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"none")
    (folder / "card.json").write_text(json.dumps({
        "id": identifier, "version": "1.0.0", "name": f"The {identifier}", "task": "segmentation",
        "description": "For tests.", "modality": ["MR"],
        "labels": [{"value": 1, "name": "dim", "color": [50, 100, 230], "mirror": 1}],
        "networks": {"segmenter": {"architecture": "shuffle_unet", "arguments": {}, "spacing_mm": 2.0,
                                   "patch_voxels": [32, 32, 32]}},
        "weights": {"file": "weights.safetensors", "sha256": hashlib.sha256(b"none").hexdigest(), "bytes": 4},
        "license": {"code": "Apache-2.0", "weights": weights_license},
        "source": {"name": "MedDL", "url": "https://github.com/MedDL/MedDL"},
        "training": {"data": "none", "data_license": "none"}, "accuracy": [], "intended_use": "Tests.",
        "limits": "Knows nothing.", "citation": "none"}), encoding="utf-8")
