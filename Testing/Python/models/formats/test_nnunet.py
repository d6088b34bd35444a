"""A trained nnU-Net is read as its own tools read it, runs on volumes, and cannot run code."""

from __future__ import annotations

import itertools
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from nnunet_folder import checkpoint, network, write_cascade, write_nnunet
from scipy.ndimage import gaussian_filter, zoom

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError, ModelError
from meddl.models.formats.nnunet.reader import find_nnunet, read_nnunet
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

EXACT = SegmentConfig(float32=True)  # whatever precision is fastest or forced
NEARLY_ALL = {"float32": 0.9999, "bfloat16": 0.99}  # voxels with the label that float32 gives


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


def blobs(shape, seed: int = 0, channels: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([100 * gaussian_filter(random.standard_normal(shape), 2) + 5 for _ in range(channels)])


def by_hand(net, data: np.ndarray, new_shape, patch: int, earlier: np.ndarray | None = None) -> np.ndarray:
    """nnU-Net's way for one channel in (k, j, i) order, written plainly: normalize, zoom, windows, zoom, argmax.

    Labels of an earlier stage, 0 to 2, are further channels: of each label the fraction, the largest wins.
    """
    image = data.astype(np.float32)
    image = (image - image.mean()) / image.std()
    small = zoom(image.astype(float), np.divide(new_shape, image.shape), order=3, mode="nearest", grid_mode=True)
    small = np.clip(small, image.min(), image.max()).astype(np.float32)
    small = small[None]
    if earlier is not None:
        shares = [zoom((earlier == value).astype(float), np.divide(new_shape, earlier.shape), order=1, mode="nearest",
                       grid_mode=True) for value in (0, 1, 2)]
        winner = np.argmax(shares, axis=0)
        small = np.concatenate((small, np.stack([winner == 1, winner == 2]).astype(np.float32)))
    line = np.zeros((patch,) * 3)
    line[(patch // 2,) * 3] = 1
    weight = gaussian_filter(line, patch / 8, mode="constant")
    weight = torch.from_numpy((10 * weight / weight.max()).astype(np.float16))
    weight[weight == 0] = weight[weight > 0].min()
    starts = []
    for n in new_shape:
        count = int(np.ceil((n - patch) / (patch / 2))) + 1
        starts.append([round((n - patch) / max(count - 1, 1) * c) for c in range(count)])
    scores = torch.zeros((net.decoder.seg_layers[0].out_channels, *new_shape), dtype=torch.half)
    shares = torch.zeros(tuple(new_shape), dtype=torch.half)
    for start in itertools.product(*starts):
        box = tuple(slice(s, s + patch) for s in start)
        window = torch.from_numpy(small[(slice(None), *box)])[None]
        with torch.no_grad():
            found = sum(torch.flip(net(torch.flip(window, axes)), axes) for axes in ((), (2,), (3,), (2, 3))) / 4
        scores[(slice(None), *box)] += found[0] * weight
        shares[box] += weight
    scores = (scores / shares).numpy().astype(float)
    back = [zoom(score, np.divide(image.shape, new_shape), order=1, mode="nearest", grid_mode=True) for score in scores]
    return np.stack(back).astype(np.float16).argmax(axis=0)


@pytest.mark.parametrize("residual", [False, True])
def test_the_answer_is_that_of_nnunet_written_plainly(precision, tmp_path, store, residual):
    write_nnunet(tmp_path / "model", residual=residual)
    card = store.import_model(tmp_path / "model", identifier="small")
    assert [label.name for label in card.labels] == ["liver", "spleen"]
    data = blobs((30, 37, 25))
    volume = Volume(data, np.diag([-1.5, 1.2, 2.5, 1.0]))
    new_shape = [round(25 * 2.5 / 2), round(37 * 1.2 / 2), round(30 * 1.5 / 2)]
    expected = by_hand(network(3, 1, residual, 0).eval(), data[0].transpose(2, 1, 0), new_shape, 16).transpose(2, 1, 0)
    for config, least in ((EXACT, 0.9999), (SegmentConfig(), NEARLY_ALL[precision])):
        found = meddl.segment(volume, "small", config, device="cpu").labels
        assert (found == expected).mean() >= least
    assert len(np.unique(expected)) > 1


def test_a_cascades_second_stage_sees_the_labels_of_the_first(tmp_path, store):
    write_cascade(tmp_path / "Dataset900_Small")
    card = store.import_model(tmp_path / "Dataset900_Small", identifier="cascade")  # the folder that holds both
    assert set(card.networks) == {"previous_fold_1", "fold_1"}
    assert card.recipe.previous.networks == ("previous_fold_1",)
    assert any("cascade" in note for note in card.recipe.notes)
    data = blobs((30, 37, 25))
    turned = data[0].transpose(2, 1, 0)
    fine, coarse = [[round(n * mm / size) for n, mm in zip((25, 37, 30), (2.5, 1.2, 1.5), strict=True)]
                    for size in (2.0, 2.5)]
    first = by_hand(network(3, 1, False, 0).eval(), turned, coarse, 16)
    expected = by_hand(network(3, 3, False, 1).eval(), turned, fine, 16, first)
    found = meddl.segment(Volume(data, np.diag([1.5, 1.2, 2.5, 1.0])), "cascade", EXACT,
                          device="cpu")
    assert (found.labels.transpose(2, 1, 0) == expected).mean() > 0.9995
    without = by_hand(network(3, 3, False, 1).eval(), turned, fine, 16, np.zeros_like(first))
    assert (without != expected).mean() > 0.05  # the first stage matters


def test_a_cascade_is_found_from_its_second_stage_and_refused_without_its_first(tmp_path, store):
    import shutil

    second = write_cascade(tmp_path / "Dataset900_Small")
    assert store.import_model(second, identifier="cascade").recipe.previous is not None
    shutil.rmtree(second.with_name("nnUNetTrainer__nnUNetPlans__3d_lowres"))
    with pytest.raises(ModelError, match="3d_lowres"):
        store.import_model(second)


def test_several_configurations_side_by_side_are_named(tmp_path, store):
    write_cascade(tmp_path)
    write_nnunet(tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    with pytest.raises(ModelError, match="3d_cascade_fullres, .*3d_fullres, .*3d_lowres"):
        store.import_model(tmp_path)
    assert find_nnunet(tmp_path, "3d_fullres").name.endswith("__3d_fullres")
    assert store.import_model(tmp_path, identifier="one", configuration="3d_fullres").recipe.previous is None
    assert store.import_model(tmp_path, identifier="two", configuration="3d_cascade_fullres").recipe.previous
    with pytest.raises(ModelError, match="no configuration '2d'"):
        find_nnunet(tmp_path, "2d")


def test_axes_are_transposed_and_empty_borders_cropped(tmp_path, store):
    """With the transposed plans and a border of zeros, the answer inside is that for the transposed, cropped volume."""
    write_nnunet(tmp_path / "plain")
    write_nnunet(tmp_path / "turned", transpose=(2, 1, 0))
    store.import_model(tmp_path / "plain", identifier="plain")
    store.import_model(tmp_path / "turned", identifier="turned")
    data = blobs((24, 28, 20))
    padded = np.pad(data, ((0, 0), (3, 5), (0, 2), (4, 1)))
    turned = meddl.segment(Volume(padded, np.diag([2.0, 2.0, 2.0, 1])), "turned", EXACT, device="cpu").labels
    plain = meddl.segment(Volume(data.transpose(0, 3, 2, 1), np.diag([2.0, 2.0, 2.0, 1])), "plain", EXACT, device="cpu")
    assert (turned[3:-5, :-2, 4:-1] == plain.labels.transpose(2, 1, 0)).all()
    outside = np.ones(turned.shape, dtype=bool)
    outside[3:-5, :-2, 4:-1] = False
    assert not turned[outside].any()


def test_folds_are_averaged_and_regions_written_in_their_order(tmp_path, store):
    write_nnunet(tmp_path / "model", folds=(0, 1), channels=("T1", "FLAIR"), mirror=None, regions_class_order=(1, 2, 3),
                 labels={"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3})
    card = store.import_model(tmp_path / "model", identifier="regions")
    assert card.recipe.networks == ("fold_0", "fold_1")
    data = blobs((16, 16, 16), channels=2)  # one window
    volume = Volume(data, np.diag([2.0, 2.0, 2.0, 1]))
    found = meddl.segment(volume, "regions", EXACT, device="cpu")
    image = torch.from_numpy(data.transpose(0, 3, 2, 1).astype(np.float32))
    image = (image - image.mean((1, 2, 3), keepdim=True)) / image.std((1, 2, 3), keepdim=True, correction=0)
    with torch.no_grad():
        scores = sum(network(3, 2, False, fold).eval()(image[None])[0] for fold in (0, 1)) / 2
    by_sign = torch.zeros(scores.shape[1:], dtype=torch.int64)
    for channel, value in zip(scores, (1, 2, 3), strict=True):
        by_sign[channel > 0] = value
    middle = (slice(4, 12),) * 3  # at its corners a window's weights in half precision are nearly nothing
    assert len(by_sign[middle].unique()) > 1
    assert (found.labels.transpose(2, 1, 0)[middle] == by_sign.numpy()[middle]).mean() > 0.999


def test_old_plans_build_the_same_network(tmp_path):
    new = read_nnunet(write_nnunet(tmp_path / "new"))
    old = read_nnunet(write_nnunet(tmp_path / "old", old_plans=True))
    assert old.card["networks"] == new.card["networks"]
    assert old.card["recipe"] == new.card["recipe"]


def test_slices_thicker_than_three_times_are_taken_apart(tmp_path, store):
    """Along thick slices nothing is mixed: labels change between slices only where the nearest slice does."""
    write_nnunet(tmp_path / "model", spacing=(6.0, 1.5, 1.5), patch=(8, 16, 16))
    store.import_model(tmp_path / "model", identifier="thick")
    volume = Volume(blobs((24, 24, 24)), np.diag([1.5, 1.5, 3.0, 1]))
    labels = meddl.segment(volume, "thick", EXACT, device="cpu").labels
    assert (labels[:, :, 0::2] == labels[:, :, 1::2]).all()


def test_turned_volumes_get_one_answer_where_the_model_states_its_orientation(tmp_path, store):
    write_nnunet(tmp_path / "model", mirror=None)
    store.import_model(tmp_path / "model", identifier="ras", orientation="RAS")
    volume = Volume(blobs((18, 22, 20)), np.diag([2.0, 2.0, 2.0, 1]))
    expected = meddl.segment(volume, "ras", EXACT, device="cpu").labels
    for codes in ("LPS", "SAR", "ILA"):
        turned = volume.reorient(codes)
        found = meddl.segment(turned, "ras", EXACT, device="cpu")
        assert (Volume(found.labels[None], turned.affine).reorient("RAS").data[0] == expected).all()


def test_a_zip_is_imported_like_its_folder(tmp_path, store):
    folder = write_nnunet(tmp_path / "Dataset900_Small" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                opened.write(file, file.relative_to(tmp_path))
    assert store.import_model(archive).id == "small-3d-fullres"
    assert store.license_accepted("small-3d-fullres") is False


def left_behind(store: ModelStore) -> list[str]:
    return [place.name for place in store.cache.iterdir()] if store.cache.exists() else []


class _Evil:
    def __reduce__(self):
        return eval, ("open('/tmp/meddl-evil', 'w').write('x')",)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, store):
    from pathlib import Path

    Path("/tmp/meddl-evil").unlink(missing_ok=True)
    folder = write_nnunet(tmp_path / "model")
    for save in (lambda content, place: torch.save(content, place),
                 lambda content, place: place.write_bytes(pickle.dumps(content))):
        save({"network_weights": {}, "evil": _Evil()}, folder / "fold_0" / "checkpoint_final.pth")
        with pytest.raises(ModelError, match="not opened|damaged"):
            store.import_model(folder)
    assert not Path("/tmp/meddl-evil").exists()
    assert left_behind(store) == []


def test_a_zip_that_leads_out_is_refused(tmp_path, store):
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("plans.json", "{}")
        opened.writestr("../outside.json", "{}")
    with pytest.raises(ModelError, match="outside"):
        store.import_model(archive)
    assert not (tmp_path / "outside.json").exists()
    assert left_behind(store) == []


def edited(folder, name: str, change) -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("name, change, words", [
    ("plans.json", lambda p: p["configurations"]["3d_base"]["architecture"].update(network_class_name="evil.System"),
     "System"),
    ("plans.json", lambda p: p["configurations"]["3d_base"]["architecture"]["arch_kwargs"].update(nonlin="os.system"),
     "LeakyReLU"),
    ("plans.json", lambda p: p["configurations"]["3d_base"].update(normalization_schemes=["Mine"]), "Mine"),
    ("plans.json", lambda p: p["configurations"]["3d_base"].update(previous_stage="3d_lowres"), "second stage"),
    ("plans.json", lambda p: p["configurations"]["3d_base"].update(inherits_from="3d_fullres"), "inherits from itself"),
    ("plans.json", lambda p: p.pop("transpose_forward"), "transpose_forward"),
    ("dataset.json", lambda d: d.update(labels={"background": 0, "liver": 1}), "shape"),
    ("dataset.json", lambda d: d.update(channel_names={"0": "a", "1": "b"}), "shape"),
    ("plans.json", lambda p: p["configurations"]["3d_base"]["architecture"]["arch_kwargs"].update(
        features_per_stage=[8, 8, 8]), "shape"),
])
def test_what_cannot_be_is_refused_by_name(tmp_path, store, name, change, words):
    folder = write_nnunet(tmp_path / "model")
    edited(folder, name, change)
    with pytest.raises(ModelError, match=words):
        store.import_model(folder)
    assert left_behind(store) == []


@pytest.mark.parametrize("change, words", [
    (lambda w: w.pop("encoder.stages.0.0.convs.0.conv.weight"), "missing"),
    (lambda w: w.update({"encoder.more": torch.zeros(1)}), "not in the network"),
    (lambda w: w.update({"decoder.transpconvs.0.bias": torch.full((8,), torch.nan)}), "finite"),
    (lambda w: w.update({"decoder.transpconvs.0.bias": 3}), "no table of weights"),
])
def test_weights_that_do_not_fit_are_refused(tmp_path, store, change, words):
    folder = write_nnunet(tmp_path / "model")
    content = checkpoint(3, 1, False, 0)
    change(content["network_weights"])
    torch.save(content, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ModelError, match=words):
        store.import_model(folder)
    assert left_behind(store) == []


def test_another_number_of_channels_is_refused(tmp_path, store):
    write_nnunet(tmp_path / "model", channels=("T1", "FLAIR"))
    store.import_model(tmp_path / "model", identifier="two")
    with pytest.raises(InputError, match="2 channels \\(T1, FLAIR\\)"):
        meddl.segment(Volume(blobs((20, 20, 20)), np.eye(4)), "two", device="cpu")


def test_an_empty_volume_is_refused(tmp_path, store):
    write_nnunet(tmp_path / "model")
    store.import_model(tmp_path / "model", identifier="small")
    with pytest.raises(InputError, match="zero"):
        meddl.segment(Volume(np.zeros((1, 20, 20, 20)), np.eye(4)), "small", device="cpu")
