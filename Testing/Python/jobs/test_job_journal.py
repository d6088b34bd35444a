"""A job that was stopped goes on where it was; another job is told apart."""

import json
import shutil

import numpy as np
import pytest

import meddl
from meddl.core.errors import InputError
from meddl.jobs.journal import FILE, Journal

JOB = {"model": "m", "choices": {"a": 1, "structures": ("liver",)}}
STATE = (("a.nii.gz", 10, 123),)


@pytest.fixture
def output(tmp_path):
    """Labels that are there and whole."""
    path = tmp_path / "labels" / "a.nii.gz"
    path.parent.mkdir()
    meddl.save(meddl.Volume.scalar(np.ones((4, 5, 6), np.uint8), np.eye(4)), path)
    return path


def test_what_was_done_with_the_same_input_is_known_afterwards(tmp_path, output):
    journal = Journal(tmp_path, JOB)
    journal.note_start("a")
    journal.note_end("a", STATE, [{"case": "a"}], [output])
    journal.note_start("b")
    again = Journal(tmp_path, JOB)
    assert again.rows_of("a", STATE, [output]) == [{"case": "a"}]
    assert again.rows_of("a", (("a.nii.gz", 11, 123),), [output]) is None
    assert again.rows_of("b", STATE, [output]) is None
    assert again.has_begun("b") and again.has_begun("a") and not again.has_begun("c")


def test_a_case_that_was_begun_anew_is_not_done(tmp_path, output):
    journal = Journal(tmp_path, JOB)
    journal.note_end("a", STATE, [{}], [output])
    journal.note_start("a")
    assert Journal(tmp_path, JOB).rows_of("a", STATE, [output]) is None


def test_a_line_that_was_cut_off_is_passed_by(tmp_path, output):
    journal = Journal(tmp_path, JOB)
    journal.note_start("a")
    journal.note_end("a", STATE, [{}], [output])
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text + '{"ended": "b", "inp')
    again = Journal(tmp_path, JOB)
    assert again.rows_of("a", STATE, [output]) == [{}] and not again.has_begun("b")
    again.note_start("c")
    assert Journal(tmp_path, JOB).has_begun("c")


def test_results_of_another_job_are_refused_and_overwritten_on_request(tmp_path):
    Journal(tmp_path, JOB).note_start("a")
    with pytest.raises(InputError, match="another job: its choices differed"):
        Journal(tmp_path, {"model": "m", "choices": {"a": 2}})
    assert not Journal(tmp_path, {"model": "n"}, anew=True).has_begun("a")


def test_a_job_of_version_0_1_0_goes_on_by_its_old_names(tmp_path, output):
    old = {**JOB, "choices": {"atlas_heads": 4, "confidence": False}}
    Journal(tmp_path, old).note_end("a", STATE, [{}], [output])
    now = {**JOB, "choices": {"atlas_label_maps": 4, "confidence": False}}
    assert Journal(tmp_path, now).rows_of("a", STATE, [output]) == [{}]
    with pytest.raises(InputError, match="its choices differed"):
        Journal(tmp_path, {**JOB, "choices": {"atlas_label_maps": 3, "confidence": False}})


def test_a_case_counts_as_done_only_while_its_output_is_whole(tmp_path, output):
    Journal(tmp_path, JOB).note_end("a", STATE, [{}], [output])
    whole, copied = output.read_bytes(), tmp_path / "copied.nii.gz"
    assert Journal(tmp_path, JOB).rows_of("a", STATE, [output]) == [{}]
    shutil.copyfile(output, copied)  # another time of change
    assert Journal(tmp_path, JOB).rows_of("a", STATE, [copied]) == [{}]
    for content in (b"", whole[:-8], whole[:60] + bytes(4) + whole[64:]):
        output.write_bytes(content)
        assert Journal(tmp_path, JOB).rows_of("a", STATE, [output]) is None
    output.unlink()
    assert Journal(tmp_path, JOB).rows_of("a", STATE, [output]) is None


def test_a_line_after_one_that_was_cut_off_in_the_same_job_stands_by_itself(tmp_path, output):
    journal = Journal(tmp_path, JOB)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"ended": "b", "inp')
    journal.note_end("a", STATE, [{}], [output])
    assert Journal(tmp_path, JOB).rows_of("a", STATE, [output]) == [{}]


def test_a_case_of_several_outputs_is_done_while_all_of_them_are_whole(tmp_path, output):
    transform, copied = tmp_path / "a.h5", tmp_path / "copied.h5"
    meddl.Registration(np.eye(4), None, meddl.Grid((4, 5, 6), np.eye(4))).save(transform)
    Journal(tmp_path, JOB).note_end("a", STATE, [{}], [output, transform])
    shutil.copyfile(transform, copied)  # another time of change
    assert Journal(tmp_path, JOB).rows_of("a", STATE, [output, transform]) == [{}]
    assert Journal(tmp_path, JOB).rows_of("a", STATE, [output, copied]) == [{}]
    copied.write_bytes(transform.read_bytes()[:100])
    for outputs in ([output, copied], [output, tmp_path / "none.h5"], [output]):
        assert Journal(tmp_path, JOB).rows_of("a", STATE, outputs) is None


def test_a_journal_that_says_each_thing_once_is_not_written_anew(tmp_path):
    journal = Journal(tmp_path, {"model": "m"})
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"labels")
        journal.note_start(name)
        journal.note_end(name, [1], [], [tmp_path / name])
    before = (tmp_path / FILE).stat().st_ino
    assert Journal(tmp_path, {"model": "m"}).rows_of("a", [1], [tmp_path / "a"]) == []
    assert (tmp_path / FILE).stat().st_ino == before
    Journal(tmp_path, {"model": "m"}).note_start("b")
    Journal(tmp_path, {"model": "m"})
    assert (tmp_path / FILE).stat().st_ino != before
    assert [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()][1:3] == [
        {"started": "a"}, {"started": "b"}]
