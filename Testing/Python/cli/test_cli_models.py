"""`meddl models`: tables of what is here and in the catalog, search, metadata, install and import."""

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ct_body import ct_body
from model_server import FileServer, running
from nnunet_folder import write_nnunet

import meddl
from meddl.cli import main
from meddl.cli.terminal import table
from meddl.models.catalog import catalog
from meddl.models.catalog.catalog import find_entry
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def archive(tmp_path):
    """A trained nnU-Net, packed and named as a file of the catalog."""
    write_nnunet(tmp_path / "Dataset900" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    path = tmp_path / "Dataset297_TotalSegmentator_total_3mm_1559subj.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for file in (tmp_path / "Dataset900").rglob("*.*"):
            opened.write(file, file.relative_to(tmp_path))
    return path


def run(*words):
    return main([str(word) for word in words])


def test_the_catalog_is_listed_beside_what_is_installed(capsys):
    assert run("models", "list", "--all") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["id", "version", "task", "structures"]
    (total,) = [line for line in lines if line.startswith("totalsegmentator-total ")]
    assert total.split()[1:4] == ["-", "segmentation", "117"] and total.endswith("to install")


def test_a_structure_is_searched_and_the_best_fit_to_a_volume_comes_first(tmp_path, capsys):
    path = tmp_path / "ct.nii.gz"
    meddl.save(Volume.scalar(ct_body(), np.diag([10.0, 10.0, 10.0, 1])), path)
    assert run("models", "search", "--structure", "left kidney", "--for", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("totalsegmentator-total-fastest")
    order = [line.split()[0] for line in lines[2:]]
    assert order.index("totalsegmentator-total") < order.index("totalsegmentator-mr-fastest")
    assert run("models", "search", "hippocampus", "--modality", "MR") == 0
    assert "monai-whole-brain-mr" in capsys.readouterr().out
    assert run("models", "search", "unicorn") == 2
    assert "No model fits" in capsys.readouterr().err


def test_all_metadata_of_a_model_are_shown(capsys):
    assert run("models", "show", "monai-spleen-ct") == 0
    shown = capsys.readouterr().out
    for value in ("1.5 x 1.5 x 2 mm", "Apache-2.0", "sha1 8e99230050906d0d3cec484010598aa138201892", "dice 0.961",
                 "1 spleen", "model-zoo"):
        assert value in shown
    assert run("models", "show", "nothing") == 2


def test_no_structure_s_name_is_broken_over_two_lines(capsys):
    run("models", "show", "totalsegmentator-total")
    lines = capsys.readouterr().out.splitlines()
    for structure in find_entry("totalsegmentator-total").structures:
        assert any(f"{structure.value} {structure.name}" in line for line in lines)


def test_a_model_of_the_catalog_is_installed_from_its_address(archive, monkeypatch, capsys):
    with running(FileServer(archive.read_bytes()), monkeypatch) as server:
        entry = find_entry("totalsegmentator-total-fast")
        moved = replace(entry, files=(catalog.RemoteFile(server.url),))
        monkeypatch.setattr(catalog, "_load_shipped", lambda: (moved,))
        assert run("models", "install", entry.id, "--accept-license") == 0
    assert "License of the weights: Apache-2.0" in capsys.readouterr().out
    assert ModelStore().license_accepted(entry.id)
    assert ModelStore().card(entry.id).recipe.orientation == "RAS"


def test_a_file_of_the_catalog_from_another_machine_is_known_by_its_name(archive, capsys):
    assert run("models", "import", archive) == 0
    card = ModelStore().card("totalsegmentator-total-fast")
    assert (card.recipe.orientation, card.license.weights) == ("RAS", "Apache-2.0")
    assert run("models", "remove", card.id) == 0
    assert run("models", "install", card.id, "--from", archive) == 0
    assert ModelStore().card(card.id)


def test_what_the_catalog_does_not_know_is_imported_as_it_is(archive, tmp_path):
    other = archive.rename(tmp_path / "mine.zip")
    assert run("models", "import", other, "--id", "mine", "--license", "mine alone") == 0
    assert ModelStore().card("mine").license.weights == "mine alone"


def test_what_cannot_be_installed_says_why(archive, capsys):
    assert run("models", "install", "monai-vista3d-ct") == 2
    assert "prompts" in capsys.readouterr().err
    assert run("models", "install", "brian") == 2 and "Similar: brain." in capsys.readouterr().err
    assert run("models", "install", "brain") == 2 and "is installed already" in capsys.readouterr().err
    assert run("models", "install", "mine", "--from", archive) == 2
    assert "has no model 'mine'" in capsys.readouterr().err
    assert run("models", "install", "hd-bet", "--sha256", "0" * 64) == 2


def test_a_table_has_straight_columns_and_fits_the_terminal():
    text = table(("name", "MB"), [("a" * 40, "1.5"), ("b", "10.25")], right=(1,), shrink=0, width=30)
    lines = text.splitlines()
    assert all(len(line) <= 30 for line in lines)
    assert lines[2].endswith("…    1.5") and lines[3].endswith(" 10.25")
    assert len({len(line) for line in lines[2:]}) == 1


def test_a_reader_that_has_gone_is_no_error():
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, "-m", "meddl", "models", "list", "--all"], stdout=write,
                              stderr=subprocess.PIPE, text=True, check=False,
                              env=os.environ | {"PYTHONPATH": str(Path(meddl.__file__).parent.parent)})
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
