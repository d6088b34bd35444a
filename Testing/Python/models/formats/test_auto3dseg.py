"""An Auto3DSeg checkpoint gives the labels that MONAI's parts give, and cannot run code."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from places import BENCHMARKS
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError, ModelError
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

sys.path.insert(0, str(BENCHMARKS))
from auto3dseg_cases import CONFIG, NETWORK, TUMOR, reference_labels, write_checkpoint

LABELS = {1: "Left Kidney", 2: "Right Kidney", 3: "Liver"}
EXACT = SegmentConfig(float32=True)
NEARLY_ALL = {"float32": 0.9999, "bfloat16": 0.99}  # voxels with the label that float32 gives


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


def volume(channels: int = 1, spacing=(1.1, 1.3, 2.3)) -> Volume:
    random = np.random.default_rng(3)
    data = np.stack([500 * gaussian_filter(random.standard_normal((38, 33, 26)), 2) + 60 for _ in range(channels)])
    data[:, :13] = 0
    data[:, :, :12] = 0
    return Volume(data.astype(np.float32), np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]))


def left_behind(store: ModelStore) -> list[str]:
    return [place.name for place in store.cache.iterdir()] if store.cache.exists() else []


@pytest.mark.parametrize("changes", [
    {}, {"normalize_mode": "meanstd"}, {"normalize_mode": "meanstdtanh"}, {"normalize_mode": "pet"},
    {"normalize_mode": "none", "resample_resolution": None, "crop_foreground": False},
    {"orientation_ras": True, "resample_resolution": [3.1, 2.9, 1.1]}],
    ids=["range", "meanstd", "meanstdtanh", "pet", "raw", "turned"])
def test_labels_are_those_of_monai(tmp_path, store, changes):
    folder = write_checkpoint(tmp_path / "abdomen", CONFIG | changes, LABELS)
    card = store.import_model(folder, identifier="abdomen")
    assert [label.name for label in card.labels] == list(LABELS.values())
    assert card.labels[2].terminology["type"] == ["SCT", "1003", "Liver"]
    case = volume()
    found = meddl.segment(case, "abdomen", EXACT, device="cpu").labels
    expected = reference_labels(folder, case.data, case.affine)
    assert (found == expected).mean() >= 0.9999
    assert len(np.unique(expected)) >= 2


def test_four_inputs_and_three_overlapping_regions(precision, tmp_path, store):
    folder = write_checkpoint(tmp_path / "tumor", TUMOR)
    card = store.import_model(folder, identifier="tumor")
    assert card.recipe.output.values == (2, 1, 3)
    case = volume(4)
    expected = reference_labels(folder, case.data, case.affine)
    for config, least in ((EXACT, 0.9999), (SegmentConfig(), NEARLY_ALL[precision])):
        found = meddl.segment(case, "tumor", config, device="cpu").labels
        assert (found == expected).mean() >= least
    assert len(np.unique(expected)) >= 3
    with pytest.raises(InputError, match="4 channels"):
        meddl.segment(volume(), "tumor", EXACT, device="cpu")


def test_further_inputs_are_normalized_each_in_its_way(tmp_path, store):
    config = CONFIG | {"network": NETWORK | {"in_channels": 2}, "extra_modalities": {"image2": "meanstd"}}
    card = store.import_model(write_checkpoint(tmp_path / "two", config), identifier="two")
    assert card.recipe.inputs == ("CT", "image2")
    by_name = {(step.name, tuple(step.arguments.get("channels", ()))) for step in card.recipe.steps}
    assert {("scale_range", (0,)), ("squash", (0,)), ("standardize", (1,))} <= by_name
    assert meddl.segment(volume(2), "two", EXACT, device="cpu").labels.any()


def test_it_is_known_by_its_content_in_a_file_and_in_a_zip(tmp_path, store):
    folder = write_checkpoint(tmp_path / "model", CONFIG, LABELS)
    assert [label.name for label in store.import_model(folder / "model.pt", identifier="file").labels][2] == "Liver"
    archive = tmp_path / "abdomen.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in folder.iterdir():
            opened.write(file, f"abdomen-v1/{file.name}")
    assert store.import_model(archive).id == "abdomen-v1"


class _Evil:
    def __reduce__(self):
        return eval, ("open('/tmp/meddl-evil-auto', 'w').write('x')",)


@pytest.mark.parametrize("change, words", [
    (lambda c: c["config"].update(evil=_Evil()), "not opened"),
    (lambda c: c["config"].update(normalize_mode="histogram"), "histogram"),
    (lambda c: c["config"]["network"].update(_target_="os.system"), "os.system"),
    (lambda c: c["config"]["network"].update(init_filters="$__import__('os').getpid()"), "__import__"),
    (lambda c: c["config"]["network"].update(in_channels=2), "extra_modalities"),
    (lambda c: c["config"]["network"].update(init_filters=16), "shape"),
    (lambda c: c["config"].pop("roi_size"), "roi_size"),
    (lambda c: c["state_dict"].popitem(), "missing"),
    (lambda c: c["state_dict"].update(more=torch.zeros(1)), "not in the network"),
])
def test_what_cannot_be_is_refused_by_name(tmp_path, store, change, words):
    folder = write_checkpoint(tmp_path / "model", CONFIG | {"network": dict(NETWORK)})
    content = torch.load(folder / "model.pt", weights_only=False)
    change(content)
    torch.save(content, folder / "model.pt")
    with pytest.raises(ModelError, match=words):
        store.import_model(folder)
    assert not Path("/tmp/meddl-evil-auto").exists()
    assert left_behind(store) == []


def test_labels_beyond_the_network_are_refused(tmp_path, store):
    with pytest.raises(ModelError, match="\\[9\\]"):
        store.import_model(write_checkpoint(tmp_path / "model", CONFIG, LABELS | {9: "Brain"}))


def test_whole_head_models_keep_two_parts_of_each_label(tmp_path, store):
    card = store.import_model(write_checkpoint(tmp_path / "whole-head-v1", CONFIG))
    assert [(step.name, step.arguments) for step in card.recipe.cleanup] == [("keep_largest_components", {"count": 2})]
