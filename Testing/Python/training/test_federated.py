"""Sites that exchange weights alone train a better model than each by itself, and nothing else leaves them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from labeled_phantoms import AFFINE, ball_case, put, write_folders, write_nnunet_raw

import meddl
from meddl import TrainConfig
from meddl.cli import main
from meddl.core.errors import InputError, ModelError
from meddl.measures.overlap import dice
from meddl.models.formats.safetensors_header import read_safetensors_header
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_weights, save_weights
from meddl.spatial.volume import Volume
from meddl.training.federated import contribute, merge_contributions, read_contribution, start_federation
from meddl.training.supervised import plan

PLAN = {"network": "unet", "patch_voxels": (16, 16, 16)}
QUICK = {"batch": 2, "learning_rate": 4e-3}


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "FEATURES", (8, 16, 16, 16, 16, 16))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def looks_of(site: int, seed: int) -> tuple[Volume, Volume]:
    """A ball within a ball as the scanner of a site shows it: bright, dark, or the core dark in a bright shell."""
    _, truth = ball_case(seed)
    levels = np.array([(100.0, 150.0, 220.0), (200.0, 120.0, 60.0), (120.0, 220.0, 60.0)][site])
    noise = np.random.default_rng(1000 * site + seed).normal(0, 6, truth.shape)
    return Volume.scalar((levels[truth.data[0]] + noise).astype(np.float32), AFFINE), truth


def write_site(folder: Path, site: int, count: int) -> Path:
    for n in range(count):
        put(folder, f"Jane_Doe_{site}{n}", *looks_of(site, 10 * site + n))
    return folder


def small_site(folder: Path) -> Path:
    write_folders(folder, 3)
    return folder


def mean_dice(identifier: str) -> float:
    """Over new cases of all sites."""
    figures = []
    for site in range(3):
        volume, truth = looks_of(site, 100 + site)
        found = meddl.segment(volume, identifier, device="cpu")
        figures.append(dice(found.labels, truth.data[0], (1, 2)))
    return float(np.mean(figures))


def installed(folder: Path) -> str:
    store = ModelStore()
    card = store.install(folder)
    store.accept_license(card.id)
    return card.id


@pytest.mark.slow
def test_three_sites_together_are_better_than_each_alone(tmp_path):
    sites = [write_site(tmp_path / f"site{n}", n, 3 + n) for n in range(3)]
    common = tmp_path / "round0"
    start_federation(common, sites[0], config=TrainConfig(**PLAN))
    alone = []
    for n, site in enumerate(sites):
        model = meddl.train(site, out=tmp_path / f"alone{n}", name=f"alone {n}", device="cpu", config=TrainConfig(
            steps=240, **PLAN, **QUICK))
        alone.append(mean_dice(model.card.id))
    for turn in range(6):
        given = []
        for n, site in enumerate(sites):
            place = tmp_path / f"given_{turn}_{n}.safetensors"
            contribute(common, site, work=tmp_path / f"work_{turn}_{n}", out=place, device="cpu",
                       config=TrainConfig(steps=40, **QUICK))
            given.append(place)
        common = tmp_path / f"round{turn + 1}"
        card = merge_contributions(tmp_path / f"round{turn}", given, common)
    assert card.training.data == "9 cases of 3 sites, federated averaging"  # one of each is validated with
    together = mean_dice(installed(common))
    assert together > max(alone), (together, alone)


def test_nothing_but_weights_and_counts_leaves_a_site(tmp_path):
    site = write_site(tmp_path / "site", 1, 3)
    common = tmp_path / "common"
    card = start_federation(common, site, config=TrainConfig(**PLAN))
    given, _ = contribute(common, site, work=tmp_path / "work", out=tmp_path / "given.safetensors", device="cpu",
                          config=TrainConfig(steps=1, **QUICK))
    header = read_safetensors_header(given.path)
    stated = header.pop("__metadata__")
    assert set(stated) == {"kind", "cases", "base", "agreement"}
    assert stated["cases"] == "2" and len(stated["base"]) == len(stated["agreement"]) == 64
    expected = {name: tuple(tensor.shape) for name, tensor in load_weights(common / "weights.safetensors").items()}
    assert {name: tuple(entry["shape"]) for name, entry in header.items()} == expected
    bytes_of_weights = sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values())
    content = given.path.read_bytes()
    assert len(content) == 8 + int.from_bytes(content[:8], "little") + bytes_of_weights  # and not a byte more
    for place in (given.path, *common.iterdir()):
        for text in ("Jane", "Doe", str(tmp_path), str(Path.home()), "site"):
            assert text.encode() not in place.read_bytes().replace(b"several sites", b"").replace(b"the sites'", b""), (
                place.name, text)
    assert card.training.date is None and not card.accuracy
    assert {path.name for path in common.iterdir()} == {"card.json", "weights.safetensors"}


def contributions(tmp_path, counts) -> tuple[Path, list[Path]]:
    """A common model, and contributions of random weights with so many cases."""
    common = tmp_path / "common"
    card = start_federation(common, small_site(tmp_path / "site"), config=TrainConfig(**PLAN))
    given, _ = contribute(common, tmp_path / "site", work=tmp_path / "work", out=tmp_path / "given.safetensors",
                          device="cpu", config=TrainConfig(steps=1, **QUICK))
    assert given == read_contribution(tmp_path / "given.safetensors")
    places = []
    for n, cases in enumerate(counts):
        torch.manual_seed(n)
        tensors = {name: torch.randn_like(tensor) for name, tensor in
                   load_weights(common / card.own_weights.file).items()}
        places.append(tmp_path / f"site{n}.safetensors")
        save_weights(tensors, places[-1], {"kind": "MedDL contribution 1", "cases": str(cases), "base": given.base,
                                           "agreement": given.agreement})
    return common, places


def test_weights_are_averaged_by_cases(tmp_path):
    common, places = contributions(tmp_path, (3, 1))
    card = merge_contributions(common, places, tmp_path / "merged")
    first, second, merged = map(load_weights, (*places, tmp_path / "merged" / card.own_weights.file))
    for name in merged:
        torch.testing.assert_close(merged[name], 0.75 * first[name] + 0.25 * second[name])
    assert card.training.data == "4 cases of 2 sites, federated averaging"


def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path):
    common, (one, two) = contributions(tmp_path, (3, 1))
    about = read_safetensors_header(one)["__metadata__"]

    def changed(name: str, metadata: dict, change=lambda tensors: tensors) -> Path:
        save_weights(change(load_weights(one)), tmp_path / f"{name}.safetensors", about | metadata)
        return tmp_path / f"{name}.safetensors"

    def without_first(tensors: dict) -> dict:
        return dict(list(tensors.items())[1:])

    def spoiled(tensors: dict) -> dict:
        return {name: torch.full_like(tensor, float("nan")) for name, tensor in tensors.items()}

    cases = [(changed("network", {"agreement": "0" * 64}), "another network, or of other structures"),
             (changed("round", {"base": "0" * 64}), "another round"),
             (changed("none", {"cases": "0"}), "no contribution"), (changed("kind", {"kind": "x"}), "no contribution"),
             (changed("less", {}, without_first), "does not fit the common model.*missing"),
             (changed("nan", {}, spoiled), "not finite"), (common / "weights.safetensors", "no contribution")]
    for place, words in cases:
        with pytest.raises(ModelError, match=words):
            merge_contributions(common, [two, place], tmp_path / "merged")
    with pytest.raises(InputError, match="same contribution"):
        merge_contributions(common, [two, two], tmp_path / "merged")
    with pytest.raises(InputError, match="at least one"):
        merge_contributions(common, [], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    with pytest.raises(InputError, match="there already"):
        merge_contributions(common, [one, two], common)


def test_a_site_with_other_structures_is_refused_before_it_trains(tmp_path):
    start_federation(tmp_path / "common", small_site(tmp_path / "a"), config=TrainConfig(**PLAN))
    other = write_nnunet_raw(tmp_path / "b", {"background": 0, "shell": 1, "core": 2}, channels=("T1",))
    with pytest.raises(InputError, match="are 1 shell, 2 core; those of the common model are 1 Label 1, 2 Label 2"):
        contribute(tmp_path / "common", other, work=tmp_path / "work", out=tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists() and not (tmp_path / "work" / "checkpoint.pt").exists()


def test_a_federation_starts_with_a_trained_model_and_keeps_its_cases_to_itself(tmp_path):
    model = meddl.train(small_site(tmp_path / "site"), out=tmp_path / "run", name="first", device="cpu",
                        config=TrainConfig(steps=1, **PLAN, **QUICK))
    start_federation(tmp_path / "common", model="first")
    before, after = (load_weights(folder / "weights.safetensors") for folder in (model.folder, tmp_path / "common"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    card = json.loads((tmp_path / "common" / "card.json").read_text())
    assert card["accuracy"] == [] and set(card["training"]) == {"data", "data_license"}
    with pytest.raises(InputError, match="data set .* or with a model"):
        start_federation(tmp_path / "x")
    with pytest.raises(ModelError, match="no model of one network"):
        start_federation(tmp_path / "x", model="brain")


def test_the_shell_starts_contributes_and_merges(tmp_path, capsys):
    site = small_site(tmp_path / "site")
    assert main(["federate", "start", "--data", str(site), "-o", str(tmp_path / "common"), "--network", "unet",
                 "--patch-voxels", "16,16,16"]) == 0
    assert main(["federate", "contribute", str(tmp_path / "common"), "--images", str(site / "images"), "--labels",
                 str(site / "labels"), "--work", str(tmp_path / "work"), "-o", str(tmp_path / "a.safetensors"),
                 "--steps", "1", "--batch", "1", "--device", "cpu"]) == 0
    assert "a.safetensors: weights, 2 cases" in capsys.readouterr().out
    assert main(["federate", "merge", str(tmp_path / "common"), str(tmp_path / "a.safetensors"), "-o",
                 str(tmp_path / "next")]) == 0
    assert "2 cases of 1 site" in capsys.readouterr().out
    assert main(["models", "install", str(tmp_path / "next")]) == 0
    assert main(["federate", "contribute", str(tmp_path / "common"), "--work", str(tmp_path / "w"), "-o",
                 str(tmp_path / "b.safetensors")]) == 2
