"""`meddl register` and `meddl superres` over whole folders."""

import json

import numpy as np
import pytest
from many_pairs import put_head, shift_of
from shell import run
from small_models import models, rows_of  # noqa: F401
from superres_phantoms import affine, textured

import meddl

SHIFT = (6.0, -4.0, 3.0)
QUICK = ["--transform-type", "translation", "--initialization", "given", "--levels-mm", "10", "--samples", "2000",
         "--iterations", "10", "--device", "cpu"]


def test_a_folder_is_registered_to_one_volume_and_the_next_run_goes_on(tmp_path, models, capsys):
    fixed = put_head(tmp_path / "fixed.nii.gz")
    put_head(tmp_path / "in" / "Miller.nii.gz", SHIFT)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    words = ["register", fixed, tmp_path / "in", "-o", tmp_path / "out", *QUICK]
    assert run(*words, "--report", tmp_path / "r.html") == 1
    out, err = capsys.readouterr()
    assert "1 done, 1 failed" in out and "summary.csv" in out
    assert "broken failed" in err and "Miller: done" in err
    np.testing.assert_allclose(shift_of(tmp_path / "out" / "transforms" / "Miller.h5"), SHIFT, atol=1.0)
    assert (tmp_path / "out" / "warped" / "Miller.nii.gz").exists()
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Registration of 2 cases" in page and "<img" in page and "metric after" in page and "Miller" not in page
    assert run(*words) == 1 and "1 kept, 1 failed" in capsys.readouterr().out
    assert run(*words, "--results", "jacobian") == 2 and "another job" in capsys.readouterr().err
    assert run(*words, "--results", "jacobian", "--overwrite", "--suffix", ".mha", "--workers", "2") == 1
    assert (tmp_path / "out" / "jacobian" / "Miller.mha").exists()


def test_follow_ups_and_tables_of_pairs_are_registered(tmp_path, models, capsys):
    put_head(tmp_path / "in" / "sub-1" / "ses-1" / "T1w.nii.gz")
    put_head(tmp_path / "in" / "sub-1" / "ses-2" / "T1w.nii.gz", SHIFT)
    assert run("register", "--follow-ups", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--report",
               tmp_path / "r.json") == 0
    row, = rows_of(tmp_path / "out")
    np.testing.assert_allclose(shift_of(tmp_path / "out" / "transforms" / "sub-1" / "ses-2" / "T1w.h5"), SHIFT, atol=1)
    case, = json.loads((tmp_path / "r.json").read_text())["cases"]
    assert len(case["sha256"]) == 2 and case["figures"]["overlap"] == pytest.approx(float(row["overlap"]), rel=1e-4)
    table = tmp_path / "in" / "pairs.csv"
    table.write_text("fixed,moving\nsub-1/ses-2/T1w.nii.gz,sub-1/ses-1/T1w.nii.gz\n")
    assert run("register", "--pairs", table, "-o", tmp_path / "pairs", *QUICK) == 0
    found = shift_of(tmp_path / "pairs" / "transforms" / "sub-1" / "ses-1" / "T1w.h5")
    np.testing.assert_allclose(found, -np.array(SHIFT), atol=1)


def test_what_is_for_two_volumes_or_for_folders_is_told(tmp_path, capsys):
    head = put_head(tmp_path / "a.nii.gz")
    put_head(tmp_path / "in" / "b.nii.gz")
    folder = ["register", head, tmp_path / "in", "-o", tmp_path / "out"]
    for words, said in (
            (["register", head, "-o", tmp_path / "w.nii.gz"], "give FIXED and MOVING"),
            (["register", head, tmp_path / "in", "-o", tmp_path / "w.nii.gz"], "holds 1 volume in files, such as"),
            (["superres", tmp_path / "in", "-o", tmp_path / "w.nii.gz"], "or, to run on all of them, a folder"),
            (["register", head, head, "-o", tmp_path / "w.nii.gz"], "are the same volume"),
            (["register", head, "-o", tmp_path / "out"], "Give one of these"),
            ([*folder, "--follow-ups", tmp_path], "Give one of these"),
            (["register", "--follow-ups", tmp_path, "--pairs", head, "-o", tmp_path / "out"], "Give one of these"),
            (["register", "--follow-ups", tmp_path, "-o", tmp_path / "w.nii.gz"], "go to a folder"),
            (["register", "--follow-ups", tmp_path], "go to a folder"),
            ([*folder, "--transform", tmp_path / "t.h5"], "--transform is for two volumes"),
            ([*folder, "--fixed-mask", head], "--fixed-mask is for two volumes"),
            ([*folder, "--moving-component", "0"], "--moving-component is for two volumes"),
            ([*folder, "--results", "warped,lines"], "Results of a registration"),
            (["register", head, head, "-o", tmp_path / "w.nii.gz", "--workers", "2"], "--workers is for folders"),
            (["superres", head, head, "-o", tmp_path / "w.nii.gz", "--series", "0"], "--series is for one volume"),
            (["superres", tmp_path / "in", "-o", tmp_path / "out", "--residual", "r.nii"], "--residual is for one"),
            (["superres", head, "-o", tmp_path / "w.nii.gz", "--workers", "2"], "--workers is for folders")):
        assert run(*words) == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "in"]


def test_a_folder_of_thick_slices_becomes_sharp(tmp_path, models, capsys):
    (tmp_path / "in").mkdir()
    for number in range(2):
        meddl.save(meddl.Volume.scalar(textured((16, 16, 6), number).astype(np.float32), affine((1.0, 1.0, 3.0))),
                   tmp_path / "in" / f"Miller{number}.nii.gz")
    words = ["superres", tmp_path / "in", "-o", tmp_path / "out", "--method", "cubic", "--device", "cpu"]
    assert run(*words, "--report", tmp_path / "r.html") == 0
    assert "2 done" in capsys.readouterr().out
    assert meddl.load(tmp_path / "out" / "Miller0.nii.gz").spacing_mm[2] == pytest.approx(1.0)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and "voxels after" in page and "Miller" not in page
    assert run(*words) == 0 and "2 kept" in capsys.readouterr().out
