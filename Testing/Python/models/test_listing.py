"""Models that ship, that are installed and that the catalog has, in one list."""

import pytest
from model_files import model_folder

from meddl.core.errors import ModelNotFoundError
from meddl.models.catalog import catalog
from meddl.models.catalog.catalog import VolumeMetadata, search, sort_by_fit
from meddl.models.listing import AVAILABLE, INSTALLED, SHIPS, UNAVAILABLE, find_model, list_models
from meddl.models.store.store import ModelStore


@pytest.fixture
def store(tmp_path):
    model_folder(tmp_path / "shipped" / "tiny")
    model_folder(tmp_path / "cache" / "monai-spleen-ct", id="monai-spleen-ct", modality=["CT"])
    model_folder(tmp_path / "cache" / "own", id="own", modality=["T1", "FLAIR"])
    model_folder(tmp_path / "cache" / "sharp", id="sharp", task="superres")
    return ModelStore(tmp_path / "shipped", tmp_path / "cache")


def test_each_model_is_listed_once_with_its_state(store):
    models = list_models(store)
    identifiers = [model.id for model in models]
    assert len(identifiers) == len(set(identifiers))
    states = {model.id: model.state for model in models}
    assert states["tiny"] == SHIPS
    assert states["monai-spleen-ct"] == states["own"] == INSTALLED
    assert states["totalsegmentator-total"] == AVAILABLE
    assert states["monai-vista3d-ct"] == UNAVAILABLE
    assert "sharp" not in states
    assert identifiers[:3] == ["tiny", "monai-spleen-ct", "own"]
    assert models[-1].state == UNAVAILABLE


def test_installed_models_are_searched_and_sorted_like_those_of_the_catalog(store):
    models = list_models(store)
    assert "tiny" in [model.id for model in search(models, structure="left thalamus")]
    order = [model.id for model in sort_by_fit(models, VolumeMetadata((1.5, 1.5, 2.0), (256, 256, 200), "CT"))]
    assert order.index("monai-spleen-ct") < order.index("tiny")


def test_what_the_catalog_knows_of_an_installed_model_is_kept(store):
    entry = find_model("monai-spleen-ct", store).entry
    assert entry.region == "abdomen" and entry.format == "monai-bundle" and entry.accuracy
    assert find_model("own", store).entry.modality == ("T1", "FLAIR")


def test_models_of_other_tasks_are_found_by_name(store):
    assert find_model("sharp", store).card.task == "superres"
    with pytest.raises(ModelNotFoundError, match="'none'"):
        find_model("none", store)


def test_without_a_catalog_the_models_of_this_machine_are_still_listed(store, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(catalog, "_load_shipped", lambda: catalog._load(tmp_path / "none.json"))
    assert [model.id for model in list_models(store)] == ["tiny", "monai-spleen-ct", "own"]
    assert "cannot be read" in caplog.text
