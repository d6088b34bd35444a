"""Models that are broken or made to do harm: nothing of them runs, each ends in an error of MedDL's own, in time."""

import pickle
import shutil
import time
import zipfile

import pytest
import torch
from hostile_models import run
from nnunet_folder import write_nnunet

from meddl.core.errors import Cancelled, ModelError, printable
from meddl.models.formats.checkpoint import load_checkpoint, tensors_of
from meddl.models.formats.network_limits import in_proportion
from meddl.models.formats.plain_content import check_plain, read_object
from meddl.models.store import import_process
from meddl.models.store.import_process import import_in_process
from meddl.models.store.store import ModelStore
from meddl.worker import limits
from meddl.worker.limits import Limits


@pytest.fixture
def store(tmp_path):
    return ModelStore(shipped=tmp_path / "none", cache=tmp_path / "cache")


def test_some_hostile_models_do_no_harm(tmp_path):
    assert run(range(3, 350, 29), int(time.strftime("%Y%m%d")), tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_350_hostile_models_do_no_harm(tmp_path):
    seed = int(time.strftime("%Y%m%d"))
    print(f"seed {seed}")
    assert run(range(350), seed, tmp_path) == []


def saved(content, place):
    torch.save(content, place)
    return place


def refused(place, words):
    with pytest.raises(ModelError, match=words) as caught:
        tensors_of(load_checkpoint(place), "it")
    assert "safe_globals" not in str(caught.value) and "allowlist" not in str(caught.value)


def test_numbers_of_numpy_come_out_as_numbers_and_nothing_else_of_it_does(tmp_path):
    import numpy as np

    numbers = {"a": np.float64(0.25), "b": np.int32(-3), "c": np.bool_(True), "d": np.float32(1.5)}
    assert load_checkpoint(saved(numbers, tmp_path / "good.pt")) == {"a": 0.25, "b": -3, "c": True, "d": 1.5}
    head = b"\x80\x02}U\x01acnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n"
    for kind in ("V2000000000", "S2147483647", "O8", "f8,f8"):
        bomb = head + pickle.dumps((kind, False, True), 2)[2:-1] + b"RU\x01x\x86Rs."
        (tmp_path / "bomb.pt").write_bytes(bomb)
        refused(tmp_path / "bomb.pt", "no number")


@pytest.mark.parametrize(("tensor", "words"), [
    (torch.empty(10**9, device="meta"), "names torch._utils._rebuild_meta_tensor_no_storage"),
    (torch.eye(3).to_sparse(), "names torch._utils._rebuild_sparse_tensor"),
    (torch.zeros(1).expand(10**9), "claims 1000000000 values and holds fewer")])
def test_tensors_without_values_of_their_own_are_refused(tmp_path, tensor, words):
    refused(saved({"weight": tensor}, tmp_path / "a.pt"), words)


def test_names_without_end_and_large_numbers_are_refused(tmp_path):
    refused(saved({"x" * 10**6: torch.zeros(1)}, tmp_path / "a.pt"), "1000000 characters long")
    refused(saved({"a": 10**100}, tmp_path / "a.pt"), "bits")


def test_a_record_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(tmp_path):
    place = saved({"weight": torch.zeros(10)}, tmp_path / "a.pt")
    with zipfile.ZipFile(place) as opened:
        records = {name: opened.read(name) for name in opened.namelist()}
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in records.items():
            opened.writestr(name, bytes(200 << 20) if name.endswith("data/0") else content)
    refused(place, "would unpack to 210 MB")


def test_what_shares_its_parts_is_counted_as_often_as_it_is_met():
    value = [1]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(ModelError, match="shared again and again"):
        check_plain(value, "it")
    value = {}
    value["itself"] = [value]
    with pytest.raises(ModelError, match="holds itself"):
        check_plain(value, "it")
    with pytest.raises(ModelError, match="unfolds"):
        check_plain(["x" * 10**6] * 1000, "it")
    check_plain({"a": [[0.5] * 10_000] * 10, "b": ("c", None, True, 2**63)}, "it")


@pytest.mark.parametrize("text", [
    "a: &a {x: 1}\n" + "".join(f"{b}: &{b}\n  <<: [*{a}, *{a}, *{a}]\n  {b}: 1\n" for a, b in zip(
        "abcdefghijklmnopqrs", "bcdefghijklmnopqrst")),
    "a: &a [*a]\n", "a: !!python/object/apply:os.system ['true']\n", "? [1]\n: 2\n", "<<: 3\n"])
def test_yaml_that_explodes_or_asks_for_more_than_data_is_refused(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ModelError):
        read_object(tmp_path / "a.yaml")


def test_a_network_out_of_proportion_to_the_weights_is_not_built():
    weights = {"a": torch.zeros(1000)}
    with in_proportion(weights):
        torch.nn.Sequential(*(torch.nn.Conv3d(8, 8, 3) for _ in range(50)))
    with pytest.raises(ModelError, match="far larger"), in_proportion(weights):
        torch.nn.Conv3d(10**5, 10**5, 3)
    with pytest.raises(ModelError, match="far larger"), in_proportion(weights):
        torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(10**5)))
    torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(5000)))


def test_errors_can_be_shown_whatever_a_file_calls_its_parts():
    error = ModelError("a\x1b[2J\x07b \ud800 \u202ec\n" + "x" * 10**6)
    assert str(error).startswith("a?[2J?b ? ?c\nxxx") and len(str(error)) < 5000
    assert printable("Größe µm\tпечень 肝臓") == "Größe µm\tпечень 肝臓"
    str(error).encode("utf-8")


@pytest.mark.parametrize("watched", ["system", pytest.param("thread", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("target", "what"), [("spin", "time"), ("swell", "memory")])
def test_a_reading_that_does_not_end_is_ended(tmp_path, store, target, what, watched, monkeypatch):
    """By the system's limits, and where it has none by the thread that looks."""
    if watched == "system" and limits.resource is None:
        pytest.skip("this system has no limits of its own")
    with import_process.Worker(allowed=("limited_targets.", "meddl."), paths=[limited_targets_folder()],
                               preload=["torch"]) as worker:
        monkeypatch.setattr(import_process, "_worker", worker)
        monkeypatch.setattr(import_process, "_TARGET", f"limited_targets:{target}_{watched}")
        with pytest.raises(ModelError, match=f"more {what} than goes with its size"):
            import_in_process(tmp_path, tmp_path, {}, None, Limits(2.0, 200 << 20))
        monkeypatch.setattr(import_process, "_TARGET", "limited_targets:nothing")
        import_in_process(tmp_path, tmp_path, {}, None, Limits(2.0, 200 << 20))  # the next one works


def limited_targets_folder():
    from places import SUPPORT

    return SUPPORT


def test_an_import_that_is_cancelled_leaves_nothing(tmp_path, store):
    folder = write_nnunet(tmp_path / "model", features=(2, 4))
    archive = shutil.make_archive(str(tmp_path / "zip"), "zip", folder)

    def stop(fraction, message):
        if fraction > 0:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        store.import_model(archive, on_progress=stop)
    assert list(store.cache.iterdir()) == []
    assert store.import_model(archive, identifier="again").id == "again"


def test_texts_beside_a_model_are_copied_by_name_and_size(tmp_path, store):
    store.import_model(write_nnunet(tmp_path / "model", features=(2, 4)), identifier="one")
    folder = shutil.copytree(store.folder("one"), tmp_path / "one")
    with (folder / "README.md").open("wb") as stream:
        stream.truncate(1 << 33)
    (folder / "LICENSE").write_text("free")
    (folder / "LICENSE-of-something").write_text("other")
    store.install(folder)
    assert sorted(place.name for place in store.folder("one").iterdir()) == [
        "LICENSE", "card.json", "weights.safetensors"]
