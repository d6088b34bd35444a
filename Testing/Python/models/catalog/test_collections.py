"""Several installed models become one that refers to them; its labels are theirs, written over one another in order."""

import importlib
import json

import numpy as np
import pytest
import torch
from nnunet_folder import write_nnunet
from scipy.ndimage import gaussian_filter

import meddl
from meddl.cli import main
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError, ModelError, ModelNotFoundError
from meddl.models.catalog.collections import datasets_in, fingerprint, import_datasets, merge_models
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

EXACT = SegmentConfig(float32=True)
LABELS = ({"background": 0, "liver": 1, "spleen": 2}, {"background": 0, "vertebra_L1": 1, "Spleen": 2, "rib": 3})


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


@pytest.fixture
def parts(tmp_path, store) -> tuple[str, str]:
    """Two models with different weights."""
    for n, labels in enumerate(LABELS):
        folder = write_nnunet(tmp_path / f"part{n}", labels=labels, folds=(n,), mirror=None)
        store.import_model(folder, identifier=f"part{n}", license_text=f"license {n}")
    return "part0", "part1"


@pytest.fixture
def volume() -> Volume:
    data = 100 * gaussian_filter(np.random.default_rng(0).standard_normal((1, 18, 20, 16)), (0, 2, 2, 2)) + 5
    return Volume(data, np.diag([2.0, 2.0, 2.0, 1.0]))


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The models whose networks were asked for."""
    segment = importlib.import_module("meddl.segmentation.segment")  # its name in the package is that of the function
    seen, real = [], segment.load_model
    monkeypatch.setattr(segment, "load_model",
                        lambda name, *rest, **more: seen.append(name) or real(name, *rest, **more))
    return seen


def test_the_later_part_is_right_where_both_label_a_voxel(store, parts, volume):
    card = merge_models("both", parts, name="Both")
    assert {label.name: label.value for label in card.labels} == {"liver": 1, "spleen": 2, "vertebra L1": 3, "rib": 4}
    assert [part.values for part in card.parts] == [{1: 1, 2: 2}, {1: 3, 2: 2, 3: 4}]
    first, second = (meddl.segment(volume, part, EXACT, device="cpu").labels for part in parts)
    expected = np.array([0, 1, 2])[first]
    expected[second > 0] = np.array([0, 3, 2, 4])[second[second > 0]]
    assert ((first > 0) & (second > 0)).any()
    heard = []
    found = meddl.segment(volume, "both", EXACT, device="cpu", on_progress=lambda *one: heard.append(one))
    assert (found.labels == expected).all()
    assert [fraction for fraction, _ in heard] == sorted(fraction for fraction, _ in heard)
    assert {"Part 1 of 2: Segmenting", "Part 2 of 2: Segmenting"} <= {message for _, message in heard}
    assert found.report["parts"] == list(parts) and found.report["parts_left_out"] == []
    assert found.report["volumes_ml"]["rib"] == round((expected == 4).sum() * 0.008, 3)
    assert found.report["seconds"]["total"] > 0
    turned = meddl.segment(volume, merge_models("turned", parts[::-1]).id, EXACT, device="cpu")
    assert (turned.labels != 0).sum() == (expected != 0).sum() and (turned.labels != found.labels).any()


def test_weights_are_not_copied_and_the_licenses_of_all_parts_are_shown(store, parts):
    card = merge_models("both", parts)
    assert card.weights is None and [file.name for file in (store.cache / "both").iterdir()] == ["card.json"]
    assert card.license.weights == "license 0; license 1"
    assert not store.license_accepted("both")
    store.accept_license("both")
    assert store.license_accepted("both")
    store.verify("both")
    assert fingerprint(card) == "+".join(store.card(part).weights.sha256 for part in parts)
    store.remove("both")
    assert {card.id for card in store.list()} >= set(parts)  # they were there before


def test_parts_that_know_none_of_the_structures_are_not_run(store, parts, volume, opened):
    merge_models("both", parts)
    whole = meddl.segment(volume, "both", EXACT, device="cpu").labels
    opened.clear()
    config = SegmentConfig(float32=True, structures=("rib", "Vertebra_L1"))
    found = meddl.segment(volume, "both", config, device="cpu")
    assert opened == ["part1"] and found.report["parts_left_out"] == ["part0"]
    assert (found.labels == np.where(whole > 2, whole, 0)).all()
    assert [segment.name for segment in found.segments] == ["vertebra L1", "rib"]
    with pytest.raises(InputError, match="'ripb'.*rib"):
        meddl.segment(volume, "both", SegmentConfig(structures=("ripb",)), device="cpu")


def test_a_class_map_chooses_values_and_structures(store, parts, tmp_path, capsys):
    (tmp_path / "map.json").write_text(json.dumps({"0": "background", "7": "rib", "300": "liver"}))
    assert main(["models", "merge", "mapped", *parts, "--class-map", str(tmp_path / "map.json")]) == 0
    assert "license 0; license 1" in capsys.readouterr().out
    card = store.card("mapped")
    assert {label.value: label.name for label in card.labels} == {7: "rib", 300: "liver"}
    assert [part.values for part in card.parts] == [{1: 300}, {3: 7}]
    assert main(["models", "list"]) == 0
    assert "mapped" in capsys.readouterr().out
    (tmp_path / "map.json").write_text("[1]")
    assert main(["models", "merge", "mapped", *parts, "--class-map", str(tmp_path / "map.json")]) == 2
    assert "spleen" in capsys.readouterr().err


def test_what_does_not_go_together_is_refused(store, parts, tmp_path, volume):
    two = write_nnunet(tmp_path / "two", channels=("T1", "T2"))
    store.import_model(two, identifier="two-channels")
    merge_models("both", parts)
    for wrong, words in (((parts[0],), "two parts"), ((parts[0], parts[0]), "each once"),
                         ((parts[0], "two-channels"), "same channels"), ((parts[0], "both"), "collection itself")):
        with pytest.raises(ModelError, match=words):
            merge_models("wrong", wrong)
    with pytest.raises(ModelError, match="No structure of 'part0'"):
        merge_models("wrong", parts, names={1: "rib"})
    with pytest.raises(ModelNotFoundError, match="nobody"):
        merge_models("wrong", (parts[0], "nobody"))
    assert not (store.cache / "wrong").exists()
    card = json.loads((store.cache / "both" / "card.json").read_text())
    for one, other in (("a", "b"), ("b", "a")):  # by hand: each a part of the other
        (store.cache / one).mkdir()
        content = card | {"id": one, "parts": [{"model": other, "values": {"1": 1}}]}
        (store.cache / one / "card.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="'b', a part of 'a', is a collection itself"):
        meddl.segment(volume, "a", device="cpu")
    with pytest.raises(ModelError, match="collection"):
        store.verify("a")
    assert store.bytes_of(store.card("a")) == 0
    store.remove("part1")
    with pytest.raises(ModelNotFoundError, match="'both' consists of several models.*part1"):
        meddl.segment(volume, "both", device="cpu")


def test_a_folder_of_several_data_sets_is_one_collection(store, tmp_path):
    for n, labels in enumerate(LABELS):
        write_nnunet(tmp_path / "all" / f"Dataset29{n}_Part" / "nnUNetTrainer__nnUNetPlans__3d_fullres", labels=labels)
    assert [folder.name for folder in datasets_in(tmp_path / "all")] == ["Dataset290_Part", "Dataset291_Part"]
    assert datasets_in(tmp_path / "all" / "Dataset290_Part") == []
    assert main(["models", "import", str(tmp_path / "all"), "--id", "total", "--orientation", "RAS"]) == 0
    assert [part.model for part in store.card("total").parts] == ["total-dataset290-part", "total-dataset291-part"]
    assert store.card("total-dataset290-part").recipe.orientation == "RAS"
    store.remove("total")
    assert not any(card.id.startswith("total") for card in store.list())  # what came together goes together


def test_nothing_is_left_where_one_of_the_data_sets_cannot_be_read(store, tmp_path):
    for n in range(2):
        place = write_nnunet(tmp_path / "all" / f"Dataset29{n}_Part" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    torch.save({"network_weights": {}}, place / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ModelError):
        import_datasets(tmp_path / "all", store, "total")
    assert not list(store.cache.iterdir())


def test_a_collection_has_no_weights_to_install_from_its_folder(store, parts, tmp_path):
    merge_models("both", parts)
    with pytest.raises(ModelError, match="is a collection and has no weights of its own; its parts are part0, part1"):
        store.install(store.cache / "both")
