"""`meddl template`: several volumes in; their mean, the maps to them and a report out, or nothing at all."""

import json

import numpy as np
import pytest
from shell import blobs, run

import meddl
from meddl.cli.commands import template
from meddl.core.errors import Cancelled
from meddl.io import load_transform

QUICK = ("--transform-type", "translation", "--levels-mm", "8", "--samples", "20000", "--rounds", "1",
         "--device", "cpu")


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Two files, 9 and 6 mm apart."""
    folder = tmp_path_factory.mktemp("heads")
    for name, shift in (("a", (0, 0, 0)), ("b", (9, 0, -6))):
        meddl.save(blobs(shift), folder / f"{name}.nii.gz")
    return [folder / "a.nii.gz", folder / "b.nii.gz"]


def test_everything_is_written_in_one_run(heads, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("template", *heads, "--out", out, "--warped", "--report", tmp_path / "report.json", *QUICK) == 0
    assert "template of 2 volumes, its shape moved by" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "map-0001.h5", "map-0002.h5", "template.nii.gz", "warped-0001.nii.gz", "warped-0002.nii.gz"]
    shifts = np.array([load_transform(out / f"map-000{number}.h5").affine[:3, 3] for number in (1, 2)])
    np.testing.assert_allclose(shifts[1] - shifts[0], (9, 0, -6), atol=0.3)
    np.testing.assert_allclose(shifts.sum(axis=0), 0, atol=0.3)
    image = meddl.load(out / "template.nii.gz")
    ones = [meddl.load(out / f"warped-000{number}.nii.gz") for number in (1, 2)]
    assert all(one.grid.same_as(image.grid) for one in ones)
    inner = (0, slice(6, -6), slice(6, -6), slice(6, -6))
    np.testing.assert_allclose((ones[0].data[inner] + ones[1].data[inner]) / 2, image.data[inner],
                               atol=0.03 * image.data.max())
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["volumes"] == 2 and len(report["rounds"]) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_done_is_refused_before_the_work(heads, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("here")
    gone = tmp_path / "c.nii.gz"
    for files, words, part in ((heads, ("--out", tmp_path / "full"), "not an empty folder"),
                               (heads, ("--out", tmp_path / "no" / "where"), "does not exist"),
                               (heads, ("--out", tmp_path / "new", "--rounds", "0"), "rounds is a whole number"),
                               ([*heads, gone], ("--out", tmp_path / "new"), "c.nii.gz' does not exist")):
        assert run("template", *files, *QUICK, *words) == 2
        assert part in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_cancel_while_writing_leaves_nothing(heads, tmp_path, monkeypatch):
    def stop(volume, path):
        path.write_text("half")
        raise Cancelled("stop")

    monkeypatch.setattr(template.meddl, "save", stop, raising=False)
    assert run("template", *heads, "--out", tmp_path / "out", *QUICK) != 0
    assert list(tmp_path.iterdir()) == []
