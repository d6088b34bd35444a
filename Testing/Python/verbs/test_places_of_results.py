"""Where a command may write: never over what it reads, by whatever name, and what cannot be written is refused before
the work."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from shell import blobs, run

import meddl
from meddl.io.images import save_series
from meddl.spatial.volume import Volume

CPU = ("--device", "cpu")


@pytest.fixture
def files(tmp_path):
    head = blobs(shape=(20, 18, 16))
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    meddl.save(head, tmp_path / "in" / "head.nii.gz")
    save_series(Volume(np.concatenate([head.data] * 2), head.affine), tmp_path / "in" / "series.nii.gz")
    labels = np.zeros(head.shape, np.uint8)
    labels[6:12, 6:12, ::4] = 1
    meddl.save(Volume.scalar(labels, head.affine), tmp_path / "in" / "mask.nii.gz")
    return tmp_path


def commands(folder):
    """The words of each command without its output, and the option that names it."""
    head, mask, series = (folder / "in" / f"{name}.nii.gz" for name in ("head", "mask", "series"))
    return {
        "inpaint": (["inpaint", head, "--mask", mask, "--method", "harmonic", *CPU], "-o"),
        "inpaint's mask": (["inpaint", head, "--mask", mask, "-o", folder / "out" / "a.nii.gz", *CPU], "--filled"),
        "denoise-series": (["denoise-series", series, *CPU], "-o"),
        "paint": (["paint", head, mask, "--steps", "2"], "-o"),
        "paint's confidence": (["paint", head, mask, "-o", folder / "out" / "a.nii.gz"], "--confidence"),
        "change": (["change", head, head, *CPU], "-o"),
        "compare": (["compare", head, head], "--errors"),
        "prepare": (["prepare", head, "--step", "normalize"], "-o"),
        "synthesize": (["synthesize", head, *CPU], "-o"),
        "superres": (["superres", head, *CPU], "-o"),
        "explain": (["explain", head, "--structure", "Brain stem", *CPU], "-o"),
        "segment's uncertainty": (["segment", head, "-o", folder / "out" / "a.nii.gz", *CPU], "--uncertainty"),
        "register-series": (["register-series", series, *CPU], "-o"),
        "deidentify": (["deidentify", head], "-o"),
        "deidentify's table": (["deidentify", head, "-o", folder / "out" / "a.nii.gz"], "--table"),
        "classify": (["classify", head, "--model", "none"], "-o"),
        "landmarks": (["landmarks", head], "-o"),
    }


NAMES = list(commands(Path()))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_an_input_is_never_replaced_by_whatever_name(files, name, capsys, monkeypatch):
    words, option = commands(files)[name]
    read = "series.nii.gz" if "series" in name else "head.nii.gz"
    (files / "link").symlink_to(files / "in")
    before = contents(files)
    for place in (files / "in" / ".." / "in" / read, files / "link" / read):
        assert run(*words, option, place, "--overwrite") == 2
    monkeypatch.chdir(files / "in")
    assert run(*words, option, read, "--overwrite") == 2
    assert contents(files) == before
    text = capsys.readouterr().err
    assert "input" in text or "that is read" in text or "ends with" in text


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_name_is_no_folder(files, name, capsys, monkeypatch):
    words, option = commands(files)[name]
    monkeypatch.chdir(files / "out")
    with pytest.raises(SystemExit) as ended:
        run(*words, option, "")
    assert ended.value.code == 2
    assert "it is empty" in capsys.readouterr().err
    assert not contents(files / "out")


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_written_is_refused_before_the_work(files, name, capsys, monkeypatch):
    words, option = commands(files)[name]
    suffix = {"classify": ".csv", "deidentify's table": ".csv", "landmarks": ".mrk.json"}.get(name, ".nii.gz")
    monkeypatch.setattr(meddl.io.images, "load", lambda *_, **__: pytest.fail("read"))
    (files / "file").write_text("")
    monkeypatch.setattr(os, "access", lambda path, mode, **_: "closed" not in str(path))
    (files / "closed").mkdir()
    for folder, said in (("nowhere", "does not exist"), ("file", "does not exist"), ("closed", "cannot be written to")):
        assert run(*words, option, files / folder / f"a{suffix}") == 2
        assert said in capsys.readouterr().err
    if not name.startswith("deidentify"):
        assert run(*words, option, files / "out" / "a.jpg") == 2
        assert "its name ends with one of" in capsys.readouterr().err
    assert not contents(files / "out")


def test_colors_stay_colors_and_frames_frames(files):
    head = meddl.load(files / "in" / "head.nii.gz")
    colors = Volume(np.stack([head.scalar_data % 256, head.scalar_data % 7, head.scalar_data % 100]).astype(np.uint8),
                    head.affine)
    meddl.save(colors, files / "in" / "colors.nrrd")
    out = files / "out" / "filled.nrrd"
    assert run("inpaint", files / "in" / "colors.nrrd", "--mask", files / "in" / "mask.nii.gz", "-o", out, "--method",
               "harmonic", *CPU) == 0
    made = sitk.ReadImage(str(out))
    assert (made.GetDimension(), made.GetNumberOfComponentsPerPixel()) == (3, 3)
    out = files / "out" / "frames.nii.gz"
    assert run("inpaint", files / "in" / "series.nii.gz", "--mask", files / "in" / "mask.nii.gz", "-o", out, "--method",
               "harmonic", *CPU) == 0
    made = sitk.ReadImage(str(out))
    assert (made.GetDimension(), made.GetSize()[3]) == (4, 2)
