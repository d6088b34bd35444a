"""Channels of a model that were not imaged are synthesized where that is asked for, and the warnings say so."""

import json

import pytest
from shell import run
from small_models import models  # noqa: F401

import meddl
from meddl.contrast_synthesis.channels import contrast_of_channel
from meddl.core.errors import InputError
from meddl.samples import head_image


@pytest.fixture(scope="module")
def t1():
    return head_image("T1", 4.0)


def test_a_channel_is_known_by_its_name():
    assert [contrast_of_channel(name) for name in ("T1", "t1w", "T2", "FLAIR", "T2-FLAIR", "t2_flair")] == [
        "t1", "t1", "t2", "flair", "flair", "flair"]
    for name in ("T1c", "t1gd", "T1 post", "CT", "DWI", "PET"):
        with pytest.raises(InputError, match="cannot be synthesized"):
            contrast_of_channel(name)


def test_a_missing_channel_is_the_synthesized_one(t1, models):
    others, warnings = meddl.complete_channels(t1, model="two", device="cpu")
    assert list(others) == ["T2"] and "'T2' was missing and is synthesized from 'T1'" in warnings[0]
    assert others["T2"].grid.same_as(t1.grid) and others["T2"].data.max() > 500
    given, said = meddl.complete_channels(head_image("T2", 4.0), {"t1": t1}, "two", device="cpu")
    assert list(given) == ["T1"] and not said
    with pytest.raises(InputError, match="takes one channel"):
        meddl.complete_channels(t1, model="brain", device="cpu")
    with pytest.raises(InputError, match="2 channels; 3 volumes"):
        meddl.complete_channels(t1, [t1, t1], "two", device="cpu")


@pytest.mark.slow
def test_in_a_shell_it_is_done_where_asked_for_alone(t1, models, tmp_path, capsys):
    meddl.save(t1, tmp_path / "t1.nii.gz")
    words = ["segment", tmp_path / "t1.nii.gz", "-o", tmp_path / "out.nii.gz", "--model", "two", "--device", "cpu",
             "--float32", "--overwrite", "--report", tmp_path / "r.json"]
    assert run(*words) == 2 and "takes 2 channels" in capsys.readouterr().err
    assert run(*words, "--synthesize-missing") == 0
    assert "'T2' was missing" in capsys.readouterr().err
    report = json.loads((tmp_path / "r.json").read_text())
    assert "invented, not measured" in report["warnings"][0]
    assert meddl.load(tmp_path / "out.nii.gz").grid.same_as(t1.grid)
    assert run(*words, "--synthesize-missing", "--frames") == 2


def test_in_a_shell_a_contrast_is_synthesized_into_a_file(t1, tmp_path, capsys):
    meddl.save(t1, tmp_path / "t1.nii.gz")
    words = ["synthesize", tmp_path / "t1.nii.gz", "--contrast", "flair", "-o", tmp_path / "flair.nrrd", "--device",
             "cpu"]
    assert run(*words, "--report", tmp_path / "r.json") == 0
    out = capsys.readouterr()
    assert "FLAIR, invented" in out.out and "was not measured" in out.err
    found, report = meddl.load(tmp_path / "flair.nrrd"), json.loads((tmp_path / "r.json").read_text())
    assert found.grid.same_as(t1.grid) and report["contrast"] == "FLAIR" and report["invented"]
    assert run(*words) == 2 and "--overwrite" in capsys.readouterr().err
