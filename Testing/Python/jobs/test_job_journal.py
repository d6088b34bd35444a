"""A job that was stopped goes on where it was; another job is told apart."""

import pytest

from meddl.core.errors import InputError
from meddl.jobs.journal import FILE, Journal

JOB = {"model": "m", "choices": {"a": 1, "structures": ("liver",)}}
STATE = (("a.nii.gz", 10, 123),)


def test_what_was_done_with_the_same_input_is_known_afterwards(tmp_path):
    journal = Journal(tmp_path, JOB)
    journal.started("a")
    journal.ended("a", STATE, [{"case": "a"}])
    journal.started("b")
    again = Journal(tmp_path, JOB)
    assert again.rows_of("a", STATE) == [{"case": "a"}]
    assert again.rows_of("a", (("a.nii.gz", 11, 123),)) is None
    assert again.rows_of("b", STATE) is None
    assert again.begun("b") and again.begun("a") and not again.begun("c")


def test_a_case_that_was_begun_anew_is_not_done(tmp_path):
    journal = Journal(tmp_path, JOB)
    journal.ended("a", STATE, [{}])
    journal.started("a")
    assert Journal(tmp_path, JOB).rows_of("a", STATE) is None


def test_a_line_that_was_cut_off_is_passed_by(tmp_path):
    journal = Journal(tmp_path, JOB)
    journal.started("a")
    journal.ended("a", STATE, [{}])
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text + '{"ended": "b", "inp')
    again = Journal(tmp_path, JOB)
    assert again.rows_of("a", STATE) == [{}] and not again.begun("b")
    again.started("c")
    assert Journal(tmp_path, JOB).begun("c")


def test_results_of_another_job_are_refused_and_overwritten_on_request(tmp_path):
    Journal(tmp_path, JOB).started("a")
    with pytest.raises(InputError, match="another job: its choices differed"):
        Journal(tmp_path, {"model": "m", "choices": {"a": 2}})
    assert not Journal(tmp_path, {"model": "n"}, anew=True).begun("a")


def test_a_job_of_version_0_1_0_goes_on_by_its_old_names(tmp_path):
    old = {**JOB, "choices": {"atlas_heads": 4, "confidence": False}}
    Journal(tmp_path, old).ended("a", STATE, [{}])
    now = {**JOB, "choices": {"atlas_label_maps": 4, "confidence": False}}
    assert Journal(tmp_path, now).rows_of("a", STATE) == [{}]
    with pytest.raises(InputError, match="its choices differed"):
        Journal(tmp_path, {**JOB, "choices": {"atlas_label_maps": 3, "confidence": False}})
