"""A MONAI bundle gives the labels that MONAI itself gives, and cannot run code."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from places import BENCHMARKS
from scipy import ndimage
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError, ModelError
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

sys.path.insert(0, str(BENCHMARKS))
from bundle_cases import CASES, Reference, reference_labels, write_bundle

EXACT = SegmentConfig(float32=True)


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


def volume_for(case: str, seed: int = 0) -> Volume:
    """Smooth noise with an empty border, oblique, in an order of axes that no network was made for."""
    random = np.random.default_rng(seed)
    shape = (34, 45, 27)
    channels = CASES[case].network["in_channels"]
    data = np.stack([500 * gaussian_filter(random.standard_normal(shape), 2) + 60 for _ in range(channels)])
    for axis in range(1, 4):
        data[(slice(None),) * axis + (slice(0, 3),)] = 0
    angle = np.deg2rad(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, -1.1, 0], [0, 0, 2.6], [-1.4, 0, 0]])
    affine[:3, 3] = (31, -20, 7)
    return Volume(data.astype(np.float32), affine)


@pytest.mark.parametrize("case", CASES)
def test_labels_are_those_of_monai(bfloat16, tmp_path, store, case):
    """Throughout in float32 where that is asked for; and nearly so in bf16."""
    folder = write_bundle(tmp_path / "bundle", CASES[case])
    card = store.import_model(folder, identifier="bundle")
    volume = volume_for(case)
    expected = reference_labels(folder, volume.data, volume.affine)
    fast, found = (meddl.segment(volume, "bundle", config, device="cpu").labels for config in (SegmentConfig(), EXACT))
    assert (found == expected).mean() >= 0.9999
    assert (fast == expected).mean() >= 0.97  # scores of random weights lie close together
    counts = np.unique(expected, return_counts=True)[1]
    assert len(counts) >= 2 and counts.min() > 20
    assert set(np.unique(found)) <= {0, *(label.value for label in card.labels)}


def test_volumes_that_are_joined_to_channels_are_prepared_each_in_its_way(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle", CASES["regions"])

    def join(content: dict) -> None:
        turned, spaced = (part | {"keys": ["t1", "t2"]} for part in transforms(content)[2:4])
        rest = transforms(content)[4:]
        alone = [{"_target_": "ScaleIntensityd", "keys": "t1"}, {"_target_": "NormalizeIntensityd", "keys": ["t2"]}]
        joined = {"_target_": "ConcatItemsd", "keys": ["t1", "t2"], "name": "image"}
        content["preprocessing"]["transforms"] = [turned, spaced, *alone, joined, *rest]
        transforms(content, "postprocessing")[1]["orig_keys"] = "t1"

    card = store.import_model(edited(folder, join), identifier="joined")
    assert card.recipe.inputs == ("t1", "t2")
    assert [step.arguments.get("channels") for step in card.recipe.steps] == [None, [0], [1], None]
    volume = volume_for("regions")
    images = {key: MetaTensor(torch.tensor(volume.data[n:n + 1]), affine=torch.tensor(volume.affine))
              for n, key in enumerate(("t1", "t2"))}
    expected = Reference(folder).labels(images)
    assert (meddl.segment(volume, "joined", EXACT, device="cpu").labels == expected).mean() >= 0.9999


def edited(folder: Path, change, file: str = "configs/inference.json") -> Path:
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))
    return folder


def transforms(content: dict, part: str = "preprocessing") -> list:
    return content[part]["transforms"]


def left_behind(store: ModelStore) -> list[str]:
    return [place.name for place in store.cache.iterdir()] if store.cache.exists() else []


def test_regions_are_written_in_the_order_of_the_bundle(tmp_path, store):
    card = store.import_model(write_bundle(tmp_path / "bundle", CASES["brats"]), identifier="brats")
    assert card.recipe.output.order == (1, 0, 2) and card.recipe.output.values == (2, 1, 4)
    assert {label.value: label.name for label in card.labels} == {1: "structure 0", 2: "structure 1", 4: "structure 2"}
    assert card.recipe.inputs == ("image 1", "image 2", "image 3", "image 4")
    assert any("one over the other: structure 1, structure 0, structure 2" in note for note in card.recipe.notes)
    with pytest.raises(InputError, match="4 channels"):
        meddl.segment(volume_for("unet"), "brats", EXACT, device="cpu")


def test_without_such_a_function_the_channels_order_holds_and_is_told(tmp_path, store):
    folder = edited(write_bundle(tmp_path / "bundle", CASES["brats"]), lambda c: transforms(c, "postprocessing").pop(3))
    card = store.import_model(folder)
    assert card.recipe.output.values == (1, 2, 3)
    assert any("later channels" in note for note in card.recipe.notes)


def test_yaml_and_a_zip_with_a_folder_above_are_imported_alike(tmp_path, store):
    folder = write_bundle(tmp_path / "a" / "small", CASES["unet"], as_yaml=True)
    archive = tmp_path / "small.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(folder.rglob("*")):
            opened.write(file, file.relative_to(tmp_path / "a"))
    from_zip = store.import_model(archive, identifier="zipped")
    from_folder = store.import_model(folder, identifier="plain")
    assert from_zip.recipe == from_folder.recipe and from_zip.weights == from_folder.weights
    assert from_zip.version == "0.3.1"


def test_largest_components_are_kept_on_the_grid_where_the_bundle_does_it(tmp_path, store):
    keep = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]}
    folder = write_bundle(tmp_path / "bundle", CASES["segresnet"])
    plain = store.import_model(folder, identifier="plain")
    before = store.import_model(edited(folder, lambda c: transforms(c, "postprocessing").insert(2, keep)),
                                identifier="before")
    edited(folder, lambda c: transforms(c, "postprocessing").insert(4, transforms(c, "postprocessing").pop(2)))
    after = store.import_model(folder, identifier="after")
    assert (before.recipe.cleanup_grid, after.recipe.cleanup_grid) == ("network", "volume")
    assert not plain.recipe.cleanup
    volume = volume_for("segresnet")
    raw, found, late = (meddl.segment(volume, name, EXACT, device="cpu").labels
                        for name in ("plain", "before", "after"))
    for value in (1, 2):
        assert ndimage.label(raw == value, np.ones((3, 3, 3)))[1] > 1
        assert ndimage.label(late == value, np.ones((3, 3, 3)))[1] == 1
        assert 0 < (found == value).sum() < (raw == value).sum()
    others = ~np.isin(raw, (1, 2))
    assert (found[others] == raw[others]).all() and (late[others] == raw[others]).all()


class _Evil:
    def __reduce__(self):
        return eval, ("open('/tmp/meddl-evil-bundle', 'w').write('x')",)


CODE = "$__import__('os').system('touch /tmp/meddl-evil-bundle')"


def test_code_where_nothing_needs_it_is_not_run(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle", CASES["unet"])
    edited(folder, lambda c: c.update(imports=[CODE], initialize=[CODE], device=CODE))
    edited(folder, lambda c: transforms(c, "postprocessing")[-1].update(output_dir=CODE))
    store.import_model(folder, identifier="bundle")
    assert not Path("/tmp/meddl-evil-bundle").exists()


@pytest.mark.parametrize("change, words", [
    (lambda c: c["network_def"].update(channels=CODE), "network_def#channels.*__import__"),
    (lambda c: c.update(classes=CODE), "classes"),
    (lambda c: c["inferer"].update(roi_size=CODE), "inferer#roi_size"),
    (lambda c: transforms(c)[3].update(pixdim=CODE), "transforms#3#pixdim"),
    (lambda c: transforms(c).append({"_target_": "Lambdad", "keys": "image", "func": CODE}), "Lambdad"),
    (lambda c: transforms(c, "postprocessing").append({"_target_": "Lambdad", "keys": "pred", "func": CODE}),
     "postprocessing#transforms#4"),
    (lambda c: transforms(c).append({"_target_": "scripts.mine.Evil", "keys": "image"}), "scripts.mine.Evil"),
    (lambda c: transforms(c).append({"_target_": "RandFlipd", "keys": "image"}), "RandFlipd"),
    (lambda c: transforms(c)[3].update(diagonal=True), "diagonal"),
    (lambda c: transforms(c)[3].update(sharpness=2), "sharpness"),
    (lambda c: c["network_def"].update(_target_="os.system"), "os.system"),
    (lambda c: c["network_def"].update(_target_="Transchex"), "Transchex"),
    (lambda c: c["network_def"].update(magic=3), "magic"),
    (lambda c: c["network_def"].update(in_channels=2), "shape"),
    (lambda c: c.update(classes=4), "shape"),
    (lambda c: c["network_def"].update(channels=[8, 16, 64]), "shape"),
    (lambda c: c["network_def"].update(strides=[2]), "do not fit"),
    (lambda c: c["handlers"][0].update(load_path="$@bundle_root + '/../../model.pt'"), "outside"),
    (lambda c: c["handlers"][0].update(load_path="$@bundle_root + '/models/other.pt'"), "other.pt"),
    (lambda c: c.pop("inferer"), "inferer"),
    (lambda c: c["inferer"].update(_target_="SaliencyInferer"), "SaliencyInferer"),
    (lambda c: transforms(c, "postprocessing")[2].update(to_onehot=3), "to_onehot"),
])
def test_what_is_not_known_is_refused_by_its_entry_and_nothing_is_run(tmp_path, store, change, words):
    folder = edited(write_bundle(tmp_path / "bundle", CASES["unet"]), change)
    with pytest.raises(ModelError, match=words):
        store.import_model(folder)
    assert not Path("/tmp/meddl-evil-bundle").exists()
    assert left_behind(store) == []


@pytest.mark.parametrize("change, words", [
    (lambda w: w.pop("model.0.conv.unit0.conv.weight"), "missing"),
    (lambda w: w.update(more=torch.zeros(1)), "not in the network"),
    (lambda w: w.update({"model.0.conv.unit0.conv.bias": torch.full((8,), torch.nan)}), "finite"),
    (lambda w: w.update(evil=_Evil()), "not opened"),
    (lambda w: w.update(text="x"), "no table of weights"),
])
def test_weights_that_do_not_fit_are_refused(tmp_path, store, change, words):
    folder = write_bundle(tmp_path / "bundle", CASES["unet"])
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    change(weights)
    torch.save(weights, folder / "models" / "model.pt")
    with pytest.raises(ModelError, match=words):
        store.import_model(folder)
    assert not Path("/tmp/meddl-evil-bundle").exists()
    assert left_behind(store) == []


def test_a_bare_pickle_is_refused_and_not_run(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle", CASES["unet"])
    (folder / "models" / "model.pt").write_bytes(pickle.dumps({"model": _Evil()}))
    with pytest.raises(ModelError, match="not opened|damaged"):
        store.import_model(folder)
    assert not Path("/tmp/meddl-evil-bundle").exists()


def test_a_zip_that_leads_out_is_refused(tmp_path, store):
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("configs/inference.json", "{}")
        opened.writestr("../outside.json", "{}")
    with pytest.raises(ModelError, match="outside"):
        store.import_model(archive)
    assert not (tmp_path / "outside.json").exists() and not (store.cache / "outside.json").exists()
    assert left_behind(store) == []


def test_how_a_crop_is_filled_up_matters_only_where_it_is(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle", CASES["unet"])
    crop = {"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "mode": ["minimum"]}
    edited(folder, lambda c: transforms(c).insert(4, crop))
    assert any(step.name == "crop_foreground" for step in store.import_model(folder).recipe.steps)
    edited(folder, lambda c: transforms(c)[4].update(margin=3))
    with pytest.raises(ModelError, match="mode = 'minimum'"):
        store.import_model(folder)


def test_foreground_above_a_threshold_is_read_from_its_text(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle", CASES["dynunet"])
    edited(folder, lambda c: transforms(c)[2].update(select_fn="$lambda x: x > -500"))
    steps = {step.name: step.arguments for step in store.import_model(folder).recipe.steps}
    assert steps["crop_foreground"]["threshold"] == -500
    edited(folder, lambda c: transforms(c)[2].update(select_fn="$lambda x: __import__('os')"))
    with pytest.raises(ModelError, match="select_fn"):
        store.import_model(folder)


def test_the_command_knows_a_bundle_by_its_content_and_tells_what_it_understood(tmp_path, store, capsys):
    from meddl.cli import main

    folder = write_bundle(tmp_path / "anything", CASES["brats"])
    assert main(["models", "import", str(folder), "--id", "tumor", "--accept-license"]) == 0
    told = capsys.readouterr().out
    assert "SegResNet" in told and "written in this order" in told
    edited(folder, lambda c: c["network_def"].update(init_filters=CODE))
    assert main(["models", "import", str(folder), "--id", "evil"]) != 0
    assert "network_def#init_filters" in capsys.readouterr().err
    assert [card.id for card in store.list() if card.id in ("tumor", "evil")] == ["tumor"]
