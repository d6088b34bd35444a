"""Archives of models that would harm: they are refused, and nothing of them is left."""

import stat
import zipfile

import pytest
from model_files import leftovers, model_archive

from meddl.core.errors import ModelError


@pytest.mark.parametrize("name", ["../escaped.txt", "/tmp/escaped.txt", "a/../../escaped.txt", "..\\escaped.txt",
                                  "C:/escaped.txt", "\\\\host\\escaped.txt"])
def test_names_that_lead_out_are_refused(store, tmp_path, archive, name):
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(zipfile.ZipInfo(name), "bad")
    with pytest.raises(ModelError, match="land outside its folder"):
        store.install(archive)
    assert not list(tmp_path.rglob("escaped*"))
    assert store.list() == ()
    assert leftovers(store) == []


def test_links_are_refused(store, tmp_path, folder):
    path = tmp_path / "link.zip"
    (folder / "weights.safetensors").rename(tmp_path / "kept")
    model_archive(path, folder)
    link = zipfile.ZipInfo("weights.safetensors")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr(link, str(tmp_path / "kept"))
    with pytest.raises(ModelError, match="a link or device"):
        store.install(path)


def test_a_bomb_is_refused_before_it_unpacks(store, tmp_path, folder):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.write(folder / "card.json", "card.json")
        opened.writestr("weights.safetensors", b"\0" * (30 << 20))
    with pytest.raises(ModelError, match=r"31457280 bytes; its card says"):
        store.install(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("card.json", b" " * (30 << 20))
    with pytest.raises(ModelError, match="are allowed"):
        store.install(path)
    assert store.cache_size_bytes() == 0


def test_an_archive_that_lies_about_its_sizes_is_refused(store, tmp_path, folder):
    path = tmp_path / "lies.zip"
    size = (folder / "weights.safetensors").stat().st_size
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.write(folder / "card.json", "card.json")
        opened.writestr("weights.safetensors", b"\0" * (30 << 20))
    content = path.read_bytes().replace((30 << 20).to_bytes(4, "little"), size.to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(ModelError):
        store.install(path)
    assert store.cache_size_bytes() == 0


@pytest.mark.parametrize("damage", [lambda b: b[:len(b) // 2], lambda b: b"not a zip", lambda b: b"",
                                    lambda b: b[:5000] + bytes([b[5000] ^ 255]) + b[5001:]])
def test_damaged_archives_are_refused(store, archive, damage):
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ModelError):
        store.install(archive)
    assert store.list() == ()
    assert leftovers(store) == []


def test_an_archive_with_the_same_name_twice_is_refused(store, archive):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("card.json", "{}")
    with pytest.raises(ModelError, match="twice"):
        store.install(archive)


def test_an_archive_without_a_card_is_refused(store, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("deep/er/card.json", "{}")
    with pytest.raises(ModelError, match=r"holds no card\.json"):
        store.install(tmp_path / "a.zip")
