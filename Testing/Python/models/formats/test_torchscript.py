"""TorchScript is taken only with a confirmed SHA-256, and runs in the worker process alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.errors import IntegrityError, ModelError
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume
from meddl.worker import Worker

DESCRIPTION = {"name": "Threshold", "inputs": ["CT"], "patch_voxels": [16, 16, 16], "labels": {"1": "bright"},
               "intensities": [{"name": "scale_range", "arguments": {"a_min": 0, "a_max": 100}}]}


class Threshold(torch.nn.Module):
    """Scores of background and of what is above a half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((0.5 - x, x - 0.5), dim=1)


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


def write(folder: Path, **changes) -> tuple[Path, str]:
    """The file, and its SHA-256."""
    folder.mkdir(exist_ok=True)
    place = folder / "threshold.ts"
    torch.jit.script(Threshold()).save(str(place))
    place.with_suffix(".json").write_text(json.dumps(DESCRIPTION | changes))
    return place, hashlib.sha256(place.read_bytes()).hexdigest()


def volume() -> Volume:
    data = 300 * gaussian_filter(np.random.default_rng(0).standard_normal((1, 20, 24, 18)), (0, 2, 2, 2)) + 50
    return Volume(data.astype(np.float32), np.eye(4))


def left_behind(store: ModelStore) -> list[str]:
    return [place.name for place in store.cache.iterdir()] if store.cache.exists() else []


def test_without_a_confirmed_hash_it_is_not_taken(tmp_path, store):
    place, sha256 = write(tmp_path / "model")
    with pytest.raises(ModelError, match=sha256):
        store.import_model(place)
    with pytest.raises(IntegrityError, match="was confirmed"):
        store.import_model(place, confirmed_sha256="0" * 64)
    assert left_behind(store) == []


def test_it_runs_in_the_worker_process_alone_where_a_wrong_description_is_told(tmp_path, store):
    place, sha256 = write(tmp_path / "model")
    assert store.import_model(place.parent, confirmed_sha256=sha256).id == "threshold"
    with pytest.raises(ModelError, match="worker process alone"):
        meddl.segment(volume(), "threshold", device="cpu")
    for name, changes in (("more", {"labels": {"1": "a", "2": "b"}}), ("step", {"intensities": [{"name": "sharpen"}]})):
        other, sha256 = write(tmp_path / name, **changes)
        store.import_model(other, identifier=name, confirmed_sha256=sha256)
    with Worker() as worker:
        found = worker.call("meddl.segmentation.segment:segment", volume(), "threshold", device="cpu")
        for name, words in (("more", "promises 3 channels"), ("step", "sharpen")):
            with pytest.raises(ModelError, match=words):
                worker.call("meddl.segmentation.segment:segment", volume(), name, device="cpu")
    assert (found.labels == (volume().data[0] > 50)).mean() > 0.9999
    assert found.labels.any() and not found.labels.all()


@pytest.mark.parametrize("changes, words", [
    ({"code": "import os"}, "code"), ({"output": "masks"}, "masks"), ({"labels": {"0": "nothing"}}, "not valid"),
    ({"patch_voxels": "all"}, "garbles"), ({"labels": None}, "garbles")])
def test_a_description_that_cannot_be_is_refused(tmp_path, store, changes, words):
    place, sha256 = write(tmp_path / "model", **changes)
    with pytest.raises(ModelError, match=words):
        store.import_model(place, confirmed_sha256=sha256)
    assert left_behind(store) == []


def test_without_a_description_it_is_refused(tmp_path, store):
    place, sha256 = write(tmp_path / "model")
    place.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match="threshold.json"):
        store.import_model(place, confirmed_sha256=sha256)


def test_the_commands_import_it_with_its_hash_and_run_it_in_a_worker(tmp_path, store, capsys):
    from meddl.cli import main

    place, sha256 = write(tmp_path / "model")
    meddl.save(volume(), tmp_path / "head.nii.gz")
    assert main(["models", "import", str(place)]) != 0
    assert sha256 in capsys.readouterr().err
    assert main(["models", "import", str(place), "--sha256", sha256, "--accept-license"]) == 0
    assert "confirmed with SHA-256" in capsys.readouterr().out
    output = tmp_path / "labels.nii.gz"
    assert main(["segment", str(tmp_path / "head.nii.gz"), "--model", "threshold", "-o", str(output)]) == 0
    assert (meddl.load(output).data[0] == (volume().data[0] > 50)).mean() > 0.999
