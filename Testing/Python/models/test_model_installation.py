"""A model of the catalog is downloaded or taken from disk, checked and imported; nothing half-installed is left."""

import hashlib
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from model_server import FileServer, running
from nnunet_folder import write_nnunet

import meddl
from meddl.core.errors import Cancelled, IntegrityError, ModelError
from meddl.models.catalog.catalog import CatalogEntry, Checksum, RemoteFile, Structure, Terms
from meddl.models.listing import list_models
from meddl.models.store import installation
from meddl.models.store.download import place_of
from meddl.models.store.installation import entry_of_files, install_entry
from meddl.models.store.store import ModelStore
from meddl.segmentation.run_estimate import expected_run
from meddl.spatial.volume import Volume


@pytest.fixture
def store(tmp_path):
    (tmp_path / "shipped").mkdir()
    return ModelStore(tmp_path / "shipped", tmp_path / "cache" / "Models")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nnunet")
    write_nnunet(folder / "Dataset900" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    path = folder / "small.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for file in (folder / "Dataset900").rglob("*.*"):
            opened.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def server(archive, monkeypatch):
    with running(FileServer(archive.read_bytes(), "small.zip"), monkeypatch) as started:
        yield started


@pytest.fixture
def entry(server):
    return CatalogEntry(
        id="small-liver", name="A small liver", task="segmentation", description="Liver and spleen.", modality=("CT",),
        inputs=("CT",), region="abdomen", structures=(Structure(1, "liver"), Structure(2, "spleen")),
        spacing_mm=(2.0, 2.0, 2.0), patch_voxels=None, format="nnunet", orientation="RAS",
        license=Terms("Apache-2.0", "CC BY 4.0", True, False, "https://example.org/license"),
        files=(RemoteFile(server.url),), accuracy=(), source="https://example.org/small", citation="Someone, 2026",
        limits="Adults only.", obstacle=None)


def left(store):
    """All that is in the store's folder but for what it remembers."""
    return sorted(path.name for path in store.cache.glob("*") if path.name != "downloaded.json") \
        if store.cache.is_dir() else []


def test_a_model_is_installed_under_the_catalog_s_name_with_its_facts(store, entry):
    seen = []
    card = install_entry(entry, store, on_progress=lambda fraction, message: seen.append((fraction, message)))
    assert (card.id, card.name, card.recipe.orientation) == ("small-liver", "A small liver", "RAS")
    assert (card.license.weights, card.license.url) == ("CC BY 4.0", "https://example.org/license")
    assert (card.citation, card.limits, card.source.url) == ("Someone, 2026", "Adults only.", entry.source)
    assert store.weights_path("small-liver").is_file()
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert any("Downloading" in message for _, message in seen)
    assert left(store) == [".downloads", "small-liver"]
    assert list(store.downloads.iterdir()) == []


def test_structures_are_called_as_in_the_catalog_where_it_names_them_all(store, entry, archive):
    named = replace(entry, structures=(Structure(1, "the liver"), Structure(2, "the spleen"), Structure(3, "more")))
    assert [label.name for label in install_entry(named, store, files=[archive]).labels] == ["the liver", "the spleen"]
    for structures in ((Structure(1, "the liver"),), (Structure(None, "the liver"), Structure(None, "the spleen"))):
        card = install_entry(replace(entry, structures=structures), store, files=[archive])
        assert [label.name for label in card.labels] == ["liver", "spleen"]


def test_a_cut_connection_is_resumed_by_the_next_call(store, entry, server):
    server.break_after = [5000] * 3
    with pytest.raises(ModelError, match="goes on where it stopped"):
        install_entry(entry, store)
    assert store.list() == ()
    install_entry(entry, store)
    assert server.ranges[-1] == "bytes=15000-"
    assert [card.id for card in store.list()] == ["small-liver"]


def test_a_cancel_while_importing_keeps_the_download_for_the_next_call(store, entry, server):
    def stop(fraction, message):
        if fraction > 0.8:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        install_entry(entry, store, on_progress=stop)
    assert left(store) == [".downloads"]
    install_entry(entry, store)
    assert len(server.ranges) == 1


def test_the_published_checksum_is_held(store, entry, server, archive):
    right = Checksum("sha1", hashlib.sha1(archive.read_bytes(), usedforsecurity=False).hexdigest())
    wrong = Checksum("sha1", "0" * 40)
    with pytest.raises(IntegrityError, match="not the file that was published"):
        install_entry(replace(entry, files=(RemoteFile(server.url, checksum=wrong),)), store)
    assert left(store) == [".downloads"]
    install_entry(replace(entry, files=(RemoteFile(server.url, checksum=right),)), store)
    assert store.card("small-liver")


def test_without_a_published_checksum_the_first_download_is_remembered(store, entry, server):
    install_entry(entry, store)
    install_entry(entry, store)  # the same file once more
    server.content = server.content + b" "
    with pytest.raises(IntegrityError, match="--accept-changed"):
        install_entry(entry, store)
    assert list(store.downloads.iterdir()) == []
    assert store.card("small-liver")
    install_entry(entry, store, accept_changed=True)
    install_entry(entry, store)


def test_a_download_that_is_no_model_is_deleted_and_nothing_is_installed(store, entry, server):
    server.content = b"no archive"
    with pytest.raises(ModelError):
        install_entry(entry, store)
    assert store.list() == ()
    assert list(store.downloads.iterdir()) == []


def test_the_files_of_another_machine_are_installed_without_a_network(store, entry, server, archive):
    card = install_entry(entry, store, files=[archive])
    assert (card.id, card.recipe.orientation) == ("small-liver", "RAS")
    assert server.ranges == []
    assert archive.is_file()
    with pytest.raises(ModelError, match="2 were given"):
        install_entry(entry, store, files=[archive, archive])
    with pytest.raises(ModelError, match="does not exist"):
        install_entry(entry, store, files=["nowhere.zip"])
    wrong = replace(entry, files=(RemoteFile(server.url, checksum=Checksum("md5", "0" * 32)),))
    with pytest.raises(IntegrityError):
        install_entry(wrong, store, files=[archive])


def test_an_obstacle_is_told_before_anything_is_fetched_but_not_for_files_on_disk(store, entry, server, archive):
    closed = replace(entry, obstacle="Its weights come only after registration.", files=())
    with pytest.raises(ModelError, match="only after registration"):
        install_entry(closed, store)
    assert server.ranges == []
    assert install_entry(closed, store, files=[archive]).id == "small-liver"


def test_a_full_disk_is_noticed_before_unpacking(store, entry, archive, monkeypatch):
    monkeypatch.setattr(installation.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(ModelError, match="has 0 MB left"):
        install_entry(entry, store, files=[archive])
    assert store.list() == ()


def test_a_model_that_ships_is_not_replaced(store, entry, archive):
    install_entry(entry, store, files=[archive])
    (store.cache / "small-liver").rename(store.shipped / "small-liver")
    with pytest.raises(ModelError, match="ships with MedDL"):
        install_entry(entry, store, files=[archive])


def test_files_of_the_catalog_are_known_by_their_names():
    names = [f"Dataset29{n}_TotalSegmentator_{part}.zip" for n, part in enumerate(
        ("part1_organs_1559subj", "part2_vertebrae_1532subj", "part3_cardiac_1559subj", "part4_muscles_1559subj",
         "part5_ribs_1559subj"), start=1)]
    assert entry_of_files(reversed(names)).id == "totalsegmentator-total"
    assert entry_of_files(["/tmp/Dataset297_TotalSegmentator_total_3mm_1559subj"]).id == "totalsegmentator-total-fast"
    assert entry_of_files(["spleen_ct_segmentation_v0.5.9.zip"]).id == "monai-spleen-ct"
    assert entry_of_files(["Dataset301_heart_highres_1559subj.zip"]).id == "totalsegmentator-heartchambers-highres"
    assert entry_of_files(["mine.zip"]) is None


def test_the_download_keeps_the_publisher_s_file_name(entry, store):
    assert place_of(entry.files[0].url, store.downloads).name == "small.zip"


@pytest.fixture
def two_parts(entry, archive, tmp_path):
    """An entry of two files, whose structures are numbered on, and the files."""
    files = [tmp_path / f"part{n}.zip" for n in (1, 2)]
    for file in files:
        file.write_bytes(archive.read_bytes())
    values = (((1, 1), (2, 2)), ((1, 3), (2, 4)))
    remote = tuple(RemoteFile(f"https://example.org/{file.name}", part=part, values=table)
                   for file, part, table in zip(files, ("upper", "lower"), values, strict=True))
    structures = tuple(Structure(value, name) for value, name in enumerate(("liver", "spleen", "colon", "bladder"), 1))
    return replace(entry, files=remote, structures=structures), files


def test_parts_become_one_model_with_the_whole_s_label_values(store, two_parts, monkeypatch):
    entry, files = two_parts
    card = install_entry(entry, store, files=files[::-1])  # known by their names, in whichever order
    assert [label.name for label in card.labels] == ["liver", "spleen", "colon", "bladder"]
    assert {part.model: part.values for part in card.parts} == {
        "small-liver-upper": {1: 1, 2: 2}, "small-liver-lower": {1: 3, 2: 4}}
    store.verify(card.id)
    assert store.bytes_of(card) == 2 * store.card("small-liver-upper").weights.bytes
    shown = [model.id for model in list_models(store) if model.usable]
    assert shown == ["small-liver"]
    with pytest.raises(ModelError, match="is a collection"):
        store.weights_path(card.id)
    monkeypatch.setenv("MEDDL_CACHE", str(store.cache.parent))
    volume = Volume.scalar(np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32),
                           np.diag([2.0, 2.0, 2.0, 1]))
    found = meddl.segment(volume, "small-liver", device="cpu")
    assert set(np.unique(found.labels)) <= {0, 1, 2, 3, 4}
    once = expected_run("small-liver-upper", volume.shape, volume.affine, device="cpu")
    assert expected_run("small-liver", volume.shape, volume.affine, device="cpu").windows == 2 * once.windows
    store.remove("small-liver")
    assert store.list() == ()


def test_where_one_part_fails_none_stays(store, two_parts):
    entry, files = two_parts
    files[1].write_bytes(b"no archive")
    with pytest.raises(ModelError):
        install_entry(entry, store, files=files)
    assert store.list() == ()
    assert left(store) == []


def test_what_a_killed_installation_left_is_swept_away(store, entry, archive):
    for name in (".new-dead", ".unpacked-dead"):
        (store.cache / name).mkdir(parents=True)
        os.utime(store.cache / name, (0, 0))
    (store.cache / ".new-alive").mkdir()
    install_entry(entry, store, files=[archive])
    assert left(store) == [".new-alive", "small-liver"]
