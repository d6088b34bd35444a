"""Reports of the shell: what they hold, what they keep to themselves, and that a run is repeated from them."""

import hashlib
import json
import os
import re

import numpy as np
import pytest
from dicom_folders import put_dicom
from shell import AFFINE, blobs, run
from small_models import models, put, rows_of  # noqa: F401

import meddl
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

CPU = ("--device", "cpu")
BEFORE = os.environ.get("MEDDL_PRECISION")


@pytest.fixture
def files(tmp_path):
    """A fixed and a moving volume and one of thick slices, in a folder that is named after a patient."""
    folder = tmp_path / "Miller^Jane"
    folder.mkdir()
    meddl.save(blobs(), folder / "miller_fixed.nii.gz")
    meddl.save(blobs((9, 0, -6)), folder / "moving.nrrd")
    meddl.save(Volume.scalar(blobs().data[0, :, :, ::4], AFFINE @ np.diag([1, 1, 4, 1])), folder / "thick.nii.gz")
    return folder


def read(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def register(files, *words) -> int:
    return run("register", files / "miller_fixed.nii.gz", files / "moving.nrrd", *words)


def test_a_report_says_what_made_the_result(files, tmp_path):
    assert run("superres", files / "thick.nii.gz", "-o", tmp_path / "out.nii.gz", "--report", tmp_path / "r.json",
               "--profile", "rect", "--threads", "1", *CPU) == 0
    report = read(tmp_path / "r.json")
    card = ModelStore().card("superres-through-plane")
    assert report["meddl"] == meddl.__version__ and report["command"] == "superres"
    assert report["configuration"]["profile"] == "rect" and report["configuration"]["seconds"] == 60
    assert len(report["configuration"]) == len(vars(meddl.SuperResolveConfig()))
    assert (report["device"], report["precision"], report["threads"]) == ("cpu (1 thread)", "float32", 1)
    model = report["models"][0]
    assert (model["id"], model["version"], model["weights_sha256"]) == (card.id, card.version, card.weights.sha256)
    assert "research only" in report["use"] and card.limits in report["limits"]
    content = (files / "thick.nii.gz").read_bytes()
    assert report["inputs"] == [{"role": "volume", "sha256": hashlib.sha256(content).hexdigest()}]


def test_names_paths_date_and_command_line_are_told_only_when_asked_for(files, tmp_path):
    volume = meddl.load(files / "moving.nrrd")
    data = volume.data.astype(np.float32)
    data[0, :2] = np.nan
    meddl.save(Volume(data, volume.affine), files / "moving.nrrd")  # which is warned about
    words = ["-o", files / "out.nii.gz", "--levels-mm", "8", *CPU]
    assert register(files, *words, "--report", tmp_path / "r.json") == 0
    text = (tmp_path / "r.json").read_text()
    for private in ("miller", "Miller", "moving.nrrd", "out.nii.gz", str(tmp_path)):
        assert private not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)
    assert register(files, *words, "--report", tmp_path / "named.json", "--report-inputs", "--overwrite") == 0
    names = read(tmp_path / "named.json")["names"]
    assert [one["role"] for one in names["inputs"]] == ["fixed", "moving"]
    assert names["inputs"][0]["path"] == str(files / "miller_fixed.nii.gz")
    assert names["outputs"] == [str(files / "out.nii.gz")] and re.match(r"20\d\d-", names["date"])
    assert names["command_line"].startswith("meddl register ") and "--report-inputs" in names["command_line"]


def test_warnings_about_files_name_their_role(tmp_path):
    put_dicom(tmp_path / "Smith", "1.2.840.1", 8)
    for number, file in enumerate(sorted((tmp_path / "Smith").iterdir())[:1]):
        (tmp_path / "Smith" / f"Smith-copy-{number}.dcm").write_bytes(file.read_bytes())
    assert run("superres", tmp_path / "Smith", "-o", tmp_path / "out.nii.gz", "--method", "cubic", "--factor", "2",
               "--report", tmp_path / "r.json", *CPU) == 0
    report = read(tmp_path / "r.json")
    assert "copies" in report["warnings"][0] and "Smith" not in json.dumps(report)


def test_the_sum_of_a_dicom_series_does_not_depend_on_names(tmp_path):
    put_dicom(tmp_path / "a", "1.2.840.1", 4)
    (tmp_path / "b").mkdir()
    for number, file in enumerate(sorted((tmp_path / "a").iterdir(), reverse=True)):
        (tmp_path / "b" / f"{number}.dcm").write_bytes(file.read_bytes())
    from meddl.io import sha256_of

    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b") == sha256_of(next((tmp_path / "a").iterdir()))
    assert sha256_of(tmp_path / "a") != hashlib.sha256(b"").hexdigest()


# --- repeated from a report ---


def test_a_registration_is_repeated_from_its_report_bit_for_bit(files, tmp_path):
    asked = ["--preset", "affine", "--levels-mm", "8,4", "--bins", "24", "--interpolation", "lanczos", "--threads", "1"]
    assert register(files, "-o", tmp_path / "a.nii.gz", "--report", tmp_path / "r.json", *asked, *CPU) == 0
    assert register(files, "-o", tmp_path / "b.nii.gz", "--config", tmp_path / "r.json", "--report",
                    tmp_path / "again.json") == 0
    np.testing.assert_array_equal(meddl.load(tmp_path / "a.nii.gz").data, meddl.load(tmp_path / "b.nii.gz").data)
    first, again = read(tmp_path / "r.json"), read(tmp_path / "again.json")
    for name in ("configuration", "options", "inputs", "affine", "precision", "threads", "device"):
        assert first[name] == again[name], name
    assert register(files, "-o", tmp_path / "c.nii.gz", "--config", tmp_path / "r.json", "--bins", "16",
                    "--report", tmp_path / "other.json") == 0
    assert read(tmp_path / "other.json")["configuration"]["bins"] == 16
    assert read(tmp_path / "other.json")["configuration"]["transform_type"] == "affine"


def test_a_super_resolution_is_repeated_from_its_report_bit_for_bit(files, tmp_path):
    words = ["superres", files / "thick.nii.gz"]
    assert run(*words, "-o", tmp_path / "a.nii.gz", "--target-spacing-mm", "4", "--profile", "rect", "--no-keep-type",
               "--threads", "1", "--report", tmp_path / "r.json", *CPU) == 0
    assert run(*words, "-o", tmp_path / "b.nii.gz", "--config", tmp_path / "r.json") == 0
    first, again = meddl.load(tmp_path / "a.nii.gz"), meddl.load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(first.data, again.data)
    assert first.grid.same_as(again.grid) and again.data.dtype == np.float32


@pytest.mark.slow
def test_a_segmentation_is_repeated_from_its_report_bit_for_bit(files, tmp_path):
    words = ["segment", files / "miller_fixed.nii.gz"]
    assert run(*words, "-o", tmp_path / "a.nii.gz", "--no-largest-component", "--modality", "MR", "--threads", "1",
               "--atlas-label-maps", "1", "--precision", "bfloat16", "--confidence", tmp_path / "a-sure.nii.gz",
               "--report", tmp_path / "r.json", *CPU) == 0
    assert run(*words, "-o", tmp_path / "b.nii.gz", "--config", tmp_path / "r.json", "--confidence",
               tmp_path / "b-sure.nii.gz", "--report", tmp_path / "again.json") == 0
    for name in ("", "-sure"):
        np.testing.assert_array_equal(*(meddl.load(tmp_path / f"{one}{name}.nii.gz").data for one in "ab"))
    assert read(tmp_path / "r.json")["precision"] == read(tmp_path / "again.json")["precision"] == "bfloat16"
    assert os.environ.get("MEDDL_PRECISION") == BEFORE


@pytest.mark.parametrize(("content", "said"), [
    (None, "cannot be read"), ("{", "is no report"), ("[]", "is no report"), ('{"meddl": "0.1.0"}', "is no report")])
def test_what_is_no_report_is_refused(files, tmp_path, capsys, content, said):
    if content is not None:
        (tmp_path / "r.json").write_text(content)
    assert register(files, "-o", tmp_path / "a.nii.gz", "--config", tmp_path / "r.json") == 2
    assert said in capsys.readouterr().err


def test_the_report_of_another_command_and_a_preset_beside_one_are_refused(files, tmp_path, capsys):
    assert run("superres", files / "thick.nii.gz", "-o", tmp_path / "a.nii.gz", "--method", "cubic", "--report",
               tmp_path / "r.json", *CPU) == 0
    assert register(files, "-o", tmp_path / "b.nii.gz", "--config", tmp_path / "r.json") == 2
    assert "is the report of `meddl superres`; this is `meddl register`" in capsys.readouterr().err
    assert register(files, "--transform", tmp_path / "t.tfm", "--levels-mm", "8", "--report", tmp_path / "s.json") == 0
    assert register(files, "-o", tmp_path / "b.nii.gz", "--config", tmp_path / "s.json", "--preset", "affine") == 2
    assert "--preset or --config" in capsys.readouterr().err


# --- files that exist ---


def test_what_exists_is_replaced_only_when_asked_for_by_every_verb(files, tmp_path, capsys):
    thick, fixed, out = files / "thick.nii.gz", files / "miller_fixed.nii.gz", tmp_path / "out.nii.gz"
    assert run("superres", thick, "-o", out, "--method", "cubic", *CPU) == 0
    assert register(files, "--transform", tmp_path / "t.tfm", "--levels-mm", "8", *CPU) == 0
    (tmp_path / "table.csv").touch()
    before = out.read_bytes()
    capsys.readouterr()
    for words in (["superres", thick, "-o", out], ["segment", fixed, "-o", out],
                  ["register", fixed, files / "moving.nrrd", "-o", out],
                  ["register", fixed, files / "moving.nrrd", "-o", tmp_path / "new.nii.gz", "--report",
                   tmp_path / "t.tfm"],
                  ["register-series", fixed, "-o", out],
                  ["warp", fixed, "--transform", tmp_path / "t.tfm", "--like", fixed, "-o", out],
                  ["template", fixed, "-o", files], ["compare", fixed, fixed, "-o", tmp_path / "table.csv"]):
        assert run(*words) == 2
        said = capsys.readouterr().err
        assert "--overwrite" in said or "is not an empty folder" in said or "t.tfm' cannot be written" in said, said
    assert out.read_bytes() == before
    assert run("superres", thick, "-o", out, "--method", "back-projection", "--overwrite", *CPU) == 0
    assert out.read_bytes() != before
    assert run("superres", thick, "-o", thick, "--overwrite") == 2
    assert "is an input" in capsys.readouterr().err


# --- what the terminal shows ---


def test_quiet_shows_errors_alone_and_verbose_each_stage(files, tmp_path, capsys):
    words = ["superres", files / "thick.nii.gz", "--method", "cubic", *CPU]
    assert run(*words, "-o", tmp_path / "a.nii.gz", "--quiet") == 0
    said = capsys.readouterr()
    assert said.out == said.err == ""
    assert run(*words, "-o", tmp_path / "a.nii.gz", "--quiet") == 2
    assert "exists" in capsys.readouterr().err
    assert run(*words, "-o", tmp_path / "b.nii.gz", "--verbose") == 0
    said = capsys.readouterr()
    assert re.search(r"^meddl: +\d+\.\d s  Reading the volume$", said.err, re.MULTILINE)
    assert "b.nii.gz: cubic" in said.out
    with pytest.raises(SystemExit):
        run(*words, "-o", tmp_path / "c.nii.gz", "-q", "-v")


def test_a_folder_job_writes_a_line_for_each_case_where_there_is_no_terminal(tmp_path, models, capsys):
    for number in range(3):
        put(tmp_path / "in" / f"case{number}.nii.gz", number)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    words = ["segment", tmp_path / "in", "--model", "one", "--float32", *CPU]
    assert run(*words, "-o", tmp_path / "out") == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if re.fullmatch(r"meddl: case\d: done, \d+\.\d s", line)] == lines[-3:]
    assert len([line for line in lines if line.startswith("meddl: broken failed: ")]) == 1
    assert run(*words, "-o", tmp_path / "quiet", "--quiet") == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("meddl: broken failed: ") and len(said.err.splitlines()) == 1


def test_the_table_of_a_job_has_confidence_quality_and_totals_and_its_report_no_names(tmp_path, models):
    put(tmp_path / "in" / "Miller-1.nii.gz", 1)
    put(tmp_path / "in" / "Miller-2.nii.gz", 2)
    words = ["segment", tmp_path / "in", "-o", tmp_path / "out", "--model", "one", "--float32", *CPU]
    assert run(*words, "--report", tmp_path / "r.json") == 0
    rows = rows_of(tmp_path / "out")
    assert {"quality", "confidence", "total [ml]", "warnings"} <= set(rows[0])
    names = [name for name in rows[0] if name.endswith(" [ml]") and name != "total [ml]"]
    assert float(rows[0]["total [ml]"]) == pytest.approx(sum(float(rows[0][name]) for name in names), abs=0.01)
    report = read(tmp_path / "r.json")
    assert "Miller" not in json.dumps(report)
    content = (tmp_path / "in" / "Miller-2.nii.gz").read_bytes()
    assert [case["case"] for case in report["cases"]] == ["case 1", "case 2"]
    assert report["cases"][1]["sha256"] == [hashlib.sha256(content).hexdigest()]
    assert run(*words, "--report", tmp_path / "r.json", "--report-inputs") == 0  # kept results, the report renewed
    report = read(tmp_path / "r.json")
    assert [case["case"] for case in report["cases"]] == ["Miller-1", "Miller-2"]
    assert report["counts"]["kept"] == 2 and report["cases"][1]["sha256"]
