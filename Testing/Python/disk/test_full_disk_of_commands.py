"""The three verbs, folder jobs, model imports and downloads on a full disk, from the shell."""

import csv

import numpy as np
import pytest
from full_disks import contents, files_of_at_most, meddl_with_files_of_at_most
from model_server import FileServer, running
from nnunet_folder import write_nnunet
from shell import blobs, run
from small_models import models, put  # noqa: F401

import meddl
from meddl.core.errors import ModelError
from meddl.models.catalog.collections import merge_models
from meddl.models.store.download import download
from meddl.models.store.store import ModelStore

CPU = ("--device", "cpu")


@pytest.fixture
def noise(tmp_path):
    """Thick slices of noise, which no format packs to less than the limits below."""
    path = tmp_path / "in" / "noise.nii"
    path.parent.mkdir()
    values = np.random.default_rng(0).integers(0, 4000, (1, 30, 30, 10)).astype(np.int16)
    meddl.save(meddl.Volume(values, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_super_resolution_leaves_the_earlier_file(tmp_path, noise, suffix, capsys):
    out = tmp_path / "out" / f"sharp{suffix}"
    out.parent.mkdir()
    out.write_bytes(b"earlier")
    words = ("superres", noise, "-o", out, "--method", "cubic", "--overwrite", *CPU)
    with files_of_at_most(8000):
        assert run(*words) == 2
    assert "could not be written" in capsys.readouterr().err
    assert contents(out.parent) == {out.name: b"earlier"}
    assert run(*words) == 0
    assert meddl.load(out).shape[2] > 10


@pytest.mark.parametrize("option", ["-o .nii.gz", "-o .mha", "--transform .h5", "--transform .nii.gz", "--inverse .tfm",
                                    "--jacobian .nrrd"])
def test_registration_leaves_the_earlier_file(tmp_path, option, capsys):
    option, suffix = option.split()
    for name, shift in (("f", (0, 0, 0)), ("m", (3, -4, 2))):
        meddl.save(blobs(shift), tmp_path / f"{name}.nii.gz")
    out = tmp_path / "out" / f"o{suffix}"
    out.parent.mkdir()
    out.write_bytes(b"earlier")
    with files_of_at_most(3000):
        assert run("register", tmp_path / "f.nii.gz", tmp_path / "m.nii.gz", option, out,
                   "--transform-type", "deformable", "--levels-mm", "8", "--overwrite", *CPU) == 2
    assert "could not be written" in capsys.readouterr().err
    assert contents(out.parent) == {out.name: b"earlier"}


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha"])
def test_segmentation_leaves_the_earlier_file(tmp_path, models, suffix, capsys):
    put(tmp_path / "v.nii.gz")
    out = tmp_path / "out" / f"labels{suffix}"
    out.parent.mkdir()
    out.write_bytes(b"earlier")
    words = ("segment", tmp_path / "v.nii.gz", "-o", out, "--model", "one", "--overwrite", *CPU)
    with files_of_at_most(300):
        assert run(*words) == 2
    assert "could not be written" in capsys.readouterr().err
    assert contents(out.parent) == {out.name: b"earlier"}
    assert run(*words) == 0


def rows(folder) -> dict[str, str]:
    with (folder / "summary.csv").open(newline="") as file:
        return {row["case"]: row["state"] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_a_folder_job_fails_on_a_full_disk_and_goes_on_when_there_is_room(tmp_path, models):
    for name in ("a", "b"):
        put(tmp_path / "in" / f"{name}.nii.gz")
    words = ("segment", tmp_path / "in", "-o", tmp_path / "out", "--model", "one", "--suffix", ".nii", *CPU)
    found = meddl_with_files_of_at_most(5000, *words)  # room for tables, not for labels
    assert found.returncode == 1, found.stderr
    assert "Traceback" not in found.stderr
    assert rows(tmp_path / "out") == {"a": "failed", "b": "failed"}
    assert not [name for name in contents(tmp_path / "out") if name.endswith(".nii")]
    assert run(*words) == 0
    assert rows(tmp_path / "out") == {"a": "done", "b": "done"}
    assert meddl.load(tmp_path / "out" / "a.nii").data.any()


@pytest.mark.slow
def test_a_job_whose_journal_finds_no_room_ends_and_goes_on_later(tmp_path, models, capsys):
    put(tmp_path / "in" / "a.nii.gz")
    words = ("segment", tmp_path / "in", "-o", tmp_path / "out", "--model", "one", *CPU)
    with files_of_at_most(100):
        assert run(*words) == 2
    assert "could not be written" in capsys.readouterr().err
    assert not [name for name in contents(tmp_path / "out") if name != ".meddl-job.jsonl"]
    assert run(*words) == 0
    assert rows(tmp_path / "out") == {"a": "done"}


@pytest.mark.parametrize("damage", ["empty", "cut", "gone"])
def test_labels_that_are_not_whole_are_made_anew(tmp_path, models, damage):
    put(tmp_path / "in" / "a.nii.gz")
    put(tmp_path / "in" / "b.nii.gz", 1)
    words = ("segment", tmp_path / "in", "-o", tmp_path / "out", "--model", "one", "--suffix", ".nii.gz", *CPU)
    assert run(*words) == 0
    victim = tmp_path / "out" / "a.nii.gz"
    whole = meddl.load(victim).data
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(b"" if damage == "empty" else victim.read_bytes()[:-30])
    assert run(*words) == 0
    assert rows(tmp_path / "out") == {"a": "done", "b": "kept"}
    assert np.array_equal(meddl.load(victim).data, whole)


@pytest.mark.parametrize("limit", [0, 300, 20_000])
def test_an_import_leaves_the_earlier_model(tmp_path, monkeypatch, limit, capsys):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    write_nnunet(tmp_path / "model", folds=(4,))
    ModelStore().import_model(tmp_path / "model", identifier="one")
    before = contents(tmp_path / "cache")
    with files_of_at_most(limit):
        assert run("models", "import", tmp_path / "model", "--id", "one") == 2
        with pytest.raises(ModelError, match="could not be written|was not installed: File too large"):
            ModelStore().import_model(tmp_path / "model", identifier="one")
    assert "Traceback" not in capsys.readouterr().err
    assert contents(tmp_path / "cache") == before
    ModelStore().import_model(tmp_path / "model", identifier="one")


def test_records_beside_the_models_are_whole_or_not_there(tmp_path):
    store = ModelStore(cache=tmp_path / "cache")
    write_nnunet(tmp_path / "model", folds=(4,))
    for name in ("one", "two"):
        store.import_model(tmp_path / "model", identifier=name)
    store.accept_license("one")
    before = contents(tmp_path / "cache")
    with files_of_at_most(20):
        for action in (lambda: merge_models("both", ["one", "two"], store=store), lambda: store.accept_license("one"),
                       lambda: store.import_model(tmp_path / "model", identifier="one", metadata={"name": "One"})):
            with pytest.raises(ModelError, match="File too large|could not be written"):
                action()
    assert contents(tmp_path / "cache") == before
    assert ModelStore(cache=tmp_path / "cache").license_accepted("one")


def test_a_download_ends_in_an_error_and_goes_on_later(tmp_path, monkeypatch):
    content = np.random.default_rng(0).bytes(300_000)
    with running(FileServer(content), monkeypatch) as server:
        with files_of_at_most(100_000), pytest.raises(ModelError):
            download(server.url, tmp_path)
        assert download(server.url, tmp_path).read_bytes() == content
