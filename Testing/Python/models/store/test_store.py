"""The store: install, list, verify, remove; broken, hostile and interrupted installs leave no trace."""

import hashlib
import json
import os
import sys
from types import SimpleNamespace

import pytest
from model_files import card_content, leftovers, model_archive, model_folder
from model_server import FileServer, running

from meddl.core.errors import Cancelled, DependencyError, IntegrityError, ModelError, ModelNotFoundError
from meddl.core.paths import resources_folder
from meddl.models import cards
from meddl.models.store import download
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_weights


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def server(archive, monkeypatch):
    with running(FileServer(archive.read_bytes(), "tiny.zip"), monkeypatch) as started:
        yield started


# --- local sources --------------------------------------------------------------------------------------------

def test_a_model_is_installed_from_a_folder_a_zip_and_a_file_url(store, folder, archive):
    for source in (folder, str(archive), archive.as_uri()):
        card = store.install(source)
        assert card.id == "tiny"
        assert [c.id for c in store.list()] == ["tiny"]
        assert load_weights(store.weights_path("tiny"))["segmenter.a"].shape == (200_000,)
        assert leftovers(store) == []
        store.remove("tiny")
        assert store.list() == ()


def test_a_zip_may_hold_the_model_in_a_folder_with_its_license(store, tmp_path, folder):
    (folder / "LICENSE.txt").write_text("free")
    (folder / "run.py").write_text("bad")
    store.install(model_archive(tmp_path / "b.zip", folder, top="tiny-1.0/"))
    assert sorted(p.name for p in store.folder("tiny").iterdir()) == ["LICENSE.txt", "card.json", "weights.safetensors"]


def test_another_version_takes_the_place_of_the_old_one(store, tmp_path, folder):
    store.install(folder)
    store.install(model_folder(tmp_path / "new", version="2.0.0"))
    assert store.card("tiny").version == "2.0.0"
    assert leftovers(store) == []


def test_the_sha256_of_an_archive_is_checked(store, archive, folder):
    store.install(archive, sha256=sha256(archive).upper())
    with pytest.raises(IntegrityError, match="is not the file that was published"):
        store.install(archive, sha256="0" * 64)
    with pytest.raises(ModelError, match="SHA-256 is of one file"):
        store.install(folder, sha256="0" * 64)


@pytest.mark.parametrize("source", ["nowhere", "file:///nowhere/a.zip"])
def test_a_missing_source_is_named(store, source):
    with pytest.raises(ModelError, match="does not exist"):
        store.install(source)


def test_a_folder_without_card_or_weights_is_refused(store, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"holds no card\.json"):
        store.install(tmp_path / "empty")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks 'weights\.safetensors'"):
        store.install(folder)
    assert leftovers(store) == []


def test_changed_weights_are_refused_and_the_old_model_stays(store, tmp_path, folder):
    store.install(folder)
    other = model_folder(tmp_path / "other", version="2.0.0")
    content = bytearray((other / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (other / "weights.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError):
        store.install(other)
    assert store.card("tiny").version == "1.0.0"
    assert leftovers(store) == []


def test_weights_of_another_format_are_refused(store, tmp_path):
    source = tmp_path / "pickled"
    source.mkdir()
    (source / "weights.safetensors").write_bytes(b"\x80\x04K\x01.")
    (source / "card.json").write_text(json.dumps(card_content(source / "weights.safetensors")))
    with pytest.raises(ModelError, match="looks like a Python pickle"):
        store.install(source)
    assert store.list() == ()


def test_an_invalid_card_is_refused(store, tmp_path):
    source = model_folder(tmp_path / "bad", task="paint")
    for attempt in (source, model_archive(tmp_path / "bad.zip", source)):
        with pytest.raises(ModelError, match=r"was not installed\..*task"):
            store.install(attempt)
    assert leftovers(store) == []


def test_installing_needs_jsonschema(store, folder, monkeypatch):
    cards._validator.cache_clear()
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    try:
        with pytest.raises(DependencyError):
            store.install(folder)
    finally:
        cards._validator.cache_clear()


# --- downloads ------------------------------------------------------------------------------------------------

def test_a_model_is_downloaded_with_progress(store, server, archive):
    seen = []
    store.install(server.url, sha256(archive), lambda fraction, message: seen.append((fraction, message)))
    assert store.card("tiny").id == "tiny"
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert any("Downloading 0.8 of 0.8 MB" in message for _, message in seen)
    assert list((store.cache / ".downloads").iterdir()) == []


def test_a_broken_connection_is_resumed_in_the_same_call(store, server, archive):
    server.break_after = [300_000, 200_000]
    store.install(server.url, sha256(archive))
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert store.list()[0].id == "tiny"


def test_a_connection_that_keeps_breaking_is_resumed_by_the_next_call(store, server, archive):
    server.break_after = [100_000] * 3
    with pytest.raises(ModelError, match="goes on where it stopped"):
        store.install(server.url, sha256(archive))
    assert store.list() == ()
    store.install(server.url, sha256(archive))
    assert server.ranges[-1] == "bytes=300000-"
    assert store.list()[0].id == "tiny"


def test_a_cancelled_download_is_resumed(store, server, archive):
    def stop(fraction, message):
        if fraction > 0.3:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        store.install(server.url, on_progress=stop)
    assert store.list() == ()
    assert leftovers(store) == []
    assert 0 < store.cache_size_bytes() < archive.stat().st_size
    store.install(server.url)
    assert server.ranges[-1].startswith("bytes=")
    assert store.list()[0].id == "tiny"


def test_a_file_that_changed_on_the_server_is_fetched_anew(store, server, tmp_path):
    server.break_after = [100_000] * 3
    with pytest.raises(ModelError):
        store.install(server.url)
    newer = model_archive(tmp_path / "n.zip", model_folder(tmp_path / "newer", 150_000, version="3.0.0"))
    server.content, server.etag = newer.read_bytes(), '"two"'
    assert store.install(server.url).version == "3.0.0"


def test_a_part_longer_than_the_file_is_fetched_anew(store, server, archive):
    server.lie_about_length = 100
    with pytest.raises(ModelError, match="the connection ended after|failed"):
        store.install(server.url)
    server.lie_about_length = 0
    assert store.install(server.url, sha256(archive)).id == "tiny"


def test_a_changed_download_is_refused_and_deleted(store, server, archive):
    server.content = archive.read_bytes()[:-1] + b"\x01"
    with pytest.raises(IntegrityError):
        store.install(server.url, sha256(archive))
    assert store.cache_size_bytes() == 0
    assert store.list() == ()


def test_an_unknown_address_is_named(store, server):
    with pytest.raises(ModelError, match="answered 404"):
        store.install(server.url.replace("tiny", "none"))


def test_without_a_network_the_way_out_is_named(store, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError, match="install it from disk"):
        store.install(server.url)


def test_the_proxy_is_honored(store, server, archive, monkeypatch):
    """An address that nobody has is asked of the proxy, and the model comes from there."""
    monkeypatch.setenv("http_proxy", server.host)
    store.install("http://models.invalid/tiny.zip", sha256=sha256(archive))
    assert server.addresses == ["http://models.invalid/tiny.zip"]
    assert store.list()[0].id == "tiny"


def test_http_without_sha256_and_other_schemes_are_refused(store, tmp_path):
    with pytest.raises(ModelError, match="not encrypted"):
        store.install("http://models.invalid/tiny.zip")
    with pytest.raises(ModelError, match="neither"):
        download.download("ftp://models.invalid/tiny.zip", tmp_path)


def test_a_full_disk_is_noticed_before_the_download(store, server, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ModelError, match="has 0 MB left"):
        store.install(server.url)


def test_leftovers_can_be_cleared(store, server):
    server.break_after = [100_000] * 3
    with pytest.raises(ModelError):
        store.install(server.url)
    (store.cache / ".new-dead").mkdir()
    assert store.cache_size_bytes() > 0
    store.clear_downloads()
    assert store.cache_size_bytes() == 0
    assert leftovers(store) == []


def test_a_cancelled_install_leaves_the_old_model(store, tmp_path, folder):
    store.install(folder)

    def stop(fraction, message):
        if fraction > 0.9:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        store.install(model_folder(tmp_path / "new", version="2.0.0"), on_progress=stop)
    with pytest.raises(Cancelled):
        store.install(model_archive(tmp_path / "n.zip", tmp_path / "new"), on_progress=stop)
    assert store.card("tiny").version == "1.0.0"
    assert leftovers(store) == []


# --- what is there ----------------------------------------------------------------------------------------------

def test_an_unknown_model_names_the_installed_ones(store, folder):
    store.install(folder)
    for name in ("none", "../tiny", "", ".downloads"):
        with pytest.raises(ModelNotFoundError, match="Installed: tiny"):
            store.card(name)


def test_models_that_ship_are_listed_and_cannot_be_removed_or_replaced(store, tmp_path):
    source = model_folder(store.shipped / "tiny")
    assert [card.id for card in store.list()] == ["tiny"]
    with pytest.raises(ModelError, match="ships with MedDL"):
        store.remove("tiny")
    with pytest.raises(ModelError, match="ships with MedDL"):
        store.install(source)
    assert store.license_accepted("tiny")
    assert store.is_shipped("tiny")


def test_a_broken_model_does_not_hide_the_others(store, folder):
    store.install(folder)
    (store.cache / "broken").mkdir()
    (store.cache / "broken" / "card.json").write_text("{")
    model_folder(store.cache / "renamed")
    assert [card.id for card in store.list()] == ["tiny"]
    assert sorted(path.rsplit("/", 1)[-1] for path in store.problems()) == ["broken", "renamed"]


def test_weights_are_checked_once_and_again_when_they_change(store, folder, monkeypatch):
    store.install(folder)
    calls = []
    real = download.sha256_of
    monkeypatch.setattr(download, "sha256_of", lambda path, *rest: calls.append(path) or real(path, *rest))
    path = store.weights_path("tiny")
    assert ModelStore(store.shipped, store.cache).weights_path("tiny") == path
    assert len(calls) == 1
    store.verify("tiny")
    assert len(calls) == 2
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    for check in (store.weights_path, store.verify):
        with pytest.raises(IntegrityError):
            check("tiny")
    path.write_bytes(bytes(content[:100]))
    with pytest.raises(IntegrityError, match="100 bytes"):
        store.weights_path("tiny")
    path.unlink()
    with pytest.raises(ModelError, match="missing"):
        store.weights_path("tiny")


def test_a_license_is_accepted_once_and_asked_for_anew_when_it_changes(store, tmp_path, folder):
    store.install(folder)
    assert not store.license_accepted("tiny")
    store.accept_license("tiny")
    assert ModelStore(store.shipped, store.cache).license_accepted("tiny")
    store.install(model_folder(tmp_path / "new", license={"code": "Apache-2.0", "weights": "other"}))
    assert not store.license_accepted("tiny")
    (store.cache / "licenses.json").write_text("{")
    assert not store.license_accepted("tiny")


def test_the_size_of_the_cache_is_that_of_its_files(store, folder):
    assert store.cache_size_bytes() == 0
    store.install(folder)
    assert store.cache_size_bytes() == sum(p.stat().st_size for p in folder.iterdir())


def test_an_empty_or_missing_place_lists_nothing(tmp_path):
    store = ModelStore(tmp_path / "none", tmp_path / "nothing")
    assert store.list() == ()
    assert not (tmp_path / "nothing").exists(), "looking makes no folder"


def test_models_that_ship_with_meddl_are_whole():
    store = ModelStore(cache="/nonexistent/MedDL")
    assert store.problems() == {}
    for card in store.list():
        store.verify(card.id)
        assert set(load_weights(store.weights_path(card.id))), card.id
        prefixes = {name.split(".", 1)[0] for name in load_weights(store.weights_path(card.id))}
        assert prefixes == set(card.networks) | ({"atlas"} if card.atlas else set())
    assert store.shipped == resources_folder() / "Models"
