"""The scripts in examples/, each run on embedded samples, and with a small model in place of `brain`."""

import csv
import importlib.util
import re

import numpy as np
import pytest
from nnunet_folder import write_nnunet
from places import REPOSITORY

import meddl
from meddl import samples
from meddl.io import save_series
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

EXAMPLES = {path.stem: path for path in sorted((REPOSITORY / "examples").glob("*.py"))}


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A small nnU-Net of large voxels, installed as "one"."""
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    write_nnunet(tmp_path / "trained", spacing=(8.0, 8.0, 8.0), patch=(32, 32, 32), mirror=())
    ModelStore().import_model(tmp_path / "trained", identifier="one")
    ModelStore().accept_license("one")
    return tmp_path / "trained"


def run(name: str, *words) -> None:
    """Run an example with a command line, in this process."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES[name])
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main([str(word) for word in words])


def table(path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def save_heads(folder, *seeds, spacing_mm=8.0):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"head{seed}.nii.gz" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        meddl.save(samples.head_image("T1", spacing_mm, seed), path)
    return paths


def test_every_example_is_run_here_and_says_how():
    tested = set(re.findall(r'\brun\("(\w+)"', (REPOSITORY / "Testing/Python/demo/test_examples.py").read_text()))
    assert len(EXAMPLES) == 5 and tested == set(EXAMPLES)
    for name, path in EXAMPLES.items():
        text = path.read_text(encoding="utf-8")
        assert f"python examples/{name}.py " in text and len(text.splitlines()) <= 60


def test_a_folder_of_heads_becomes_a_table_of_volumes(model, tmp_path, capsys):
    save_heads(tmp_path / "scans", 0, 7)
    for words in ("2 segmented, 0 kept", "0 segmented, 2 kept"):
        run("volumes_of_folder", tmp_path / "scans", tmp_path / "volumes.csv", "--model", "one",
            "--structures", "spleen", "liver")
        assert words in capsys.readouterr().out
    rows = table(tmp_path / "volumes.csv")
    assert [row["head"] for row in rows] == ["head0", "head7"]
    assert list(rows[0])[1:3] == ["spleen", "liver"]
    for row in rows:
        labels = meddl.load(tmp_path / "volumes" / f"{row['head']}.nii.gz")
        assert float(row["liver"]) == pytest.approx((labels.data == 1).sum() * 0.512, rel=1e-3)


def test_thick_slices_are_sharpened_and_measured(model, tmp_path, capsys):
    meddl.save(samples.head_image("T2", (6.0, 6.0, 18.0)), tmp_path / "thick.nii.gz")
    run("sharpen_and_measure", tmp_path / "thick.nii.gz", tmp_path / "sharp.nii.gz", "--model", "one",
        "--structures", "liver", "--method", "back-projection")
    said = capsys.readouterr().out
    assert "6.00 x 6.00 x 18.00 -> 6.00 x 6.00 x 6.00 mm" in said
    assert re.search(r"^liver: [\d.]+ ml -> [\d.]+ ml$", said, re.MULTILINE)
    assert np.allclose(meddl.load(tmp_path / "sharp.nii.gz").grid.spacing_mm, 6, atol=0.02)


def test_an_nnunet_of_ones_own_is_imported_and_run(model, tmp_path, capsys):
    (head,) = save_heads(tmp_path, 0)
    run("own_nnunet_model", model, head, tmp_path / "labels.seg.nrrd", "--id", "mine")
    found = meddl.load_segmentation(tmp_path / "labels.seg.nrrd")
    assert found.grid.same_as(meddl.load(head).grid)
    said = dict(line.rsplit(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert set(said) == {"liver", "spleen"}
    volume = (found.labels == next(one.value for one in found.segments if one.name == "liver")).sum() * 0.512
    assert said["liver"] == f"{volume:.2f} ml"


def test_the_motion_of_a_series_is_found_and_taken_out(tmp_path, capsys):
    head = samples.head_image("T2", 5.0)
    frames = [np.roll(head.scalar_data, shift, axis=0) for shift in (0, 1, 2)]  # 5 mm a voxel, along R
    save_series(Volume(np.stack(frames), head.affine), tmp_path / "series.nii.gz", 2.0)
    run("series_motion", tmp_path / "series.nii.gz", tmp_path / "corrected.nii.gz", tmp_path / "motion.csv")
    rows = table(tmp_path / "motion.csv")
    direction = np.sign(head.affine[0, 0])
    assert [float(row["shift R [mm]"]) for row in rows] == pytest.approx([0, 5 * direction, 10 * direction], abs=1)
    before, after = map(float, re.findall(r"[\d.]+", capsys.readouterr().out))
    assert after < before / 2
    assert meddl.load(tmp_path / "corrected.nii.gz", component="all").data.shape == (3, *head.shape)


def test_heads_become_a_template(tmp_path, capsys):
    heads = save_heads(tmp_path / "heads", 3, 7, spacing_mm=6.0)
    run("mean_template", *heads, "--out", tmp_path / "template", "--preset", "Affine", "--rounds", 1)
    assert "round 1: the shape changed by" in capsys.readouterr().out
    template = meddl.load(tmp_path / "template" / "template.nii.gz")
    moving = meddl.load(heads[0])
    warped = meddl.load_transform(tmp_path / "template" / "head3.h5").warp(moving, grid=template.grid)
    assert np.corrcoef(warped.scalar_data.ravel(), template.scalar_data.ravel())[0, 1] > 0.9


@pytest.mark.slow
def test_the_table_with_the_model_that_ships(tmp_path):
    save_heads(tmp_path / "scans", 0, spacing_mm=2.0)
    run("volumes_of_folder", tmp_path / "scans", tmp_path / "volumes.csv", "--structures", "left hippocampus")
    assert 1 < float(table(tmp_path / "volumes.csv")[0]["left hippocampus"]) < 6
