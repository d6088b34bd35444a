"""Failures in words: every exception and every exit code tells the caller something true."""

import sys
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from meddl.core import errors
from meddl.worker import failures
from meddl.worker.messages import receive, send
from meddl.worker.vitals import Vitals, VitalsBlock


def caught(function):
    try:
        function()
    except BaseException as error:  # noqa: BLE001  it is what the test is about
        return error
    raise AssertionError("nothing was raised")


def test_every_error_of_meddl_keeps_type_and_message():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MedDLError)]
    assert len(kinds) > 8
    for kind in kinds:
        rebuilt = failures.rebuild(failures.describe(kind("what came, what to do")))
        assert type(rebuilt) is kind and str(rebuilt) == "what came, what to do"


def test_details_hold_the_traceback_with_its_cause():
    def fail():
        try:
            {}["name"].strip()
        except KeyError as error:
            raise errors.InputError("no") from error

    rebuilt = failures.rebuild(failures.describe(caught(fail)))
    assert "KeyError" in rebuilt.details and Path(__file__).name in rebuilt.details


def test_numpy_out_of_memory_is_recognized():
    error = caught(lambda: np.empty(1 << 60, np.uint8))
    assert isinstance(failures.rebuild(failures.describe(error)), errors.OutOfMemoryError)


posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


GB = 1 << 30
PLENTY, FULL, LITTLE = Vitals(GB, 9 * GB, 12 * GB), Vitals(11 * GB, GB // 2, 12 * GB), Vitals(2 * GB, GB // 5, 12 * GB)
SEGFAULT = """step 3
Fatal Python error: Segmentation fault

Thread 0x00007f01 (most recent call first):
  File "/usr/lib/python3.12/threading.py", line 355 in wait

Current thread 0x00007f02 (most recent call first):
  File "/usr/lib/python3.12/site-packages/torch/nn/functional.py", line 12 in conv3d
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"), (None, "without a word"), (0xC0000005, "access violation, code 0xc0000005"),
        (0xC0000017, "memory ran out"),
        pytest.param(-9, "SIGKILL.*from outside.*memory may", marks=posix),
        pytest.param(137, "SIGKILL", marks=posix),
        pytest.param(-11, "SIGSEGV", marks=posix),
        pytest.param(-60, "signal 60|SIGRT", marks=posix),
    ])
def test_an_exit_code_is_told_in_words(code, words):
    error = failures.describe_end(failures.End(code, "last words", PLENTY))
    assert error.details == "last words"
    with pytest.raises(errors.WorkerError, match=words):
        raise error


@pytest.mark.parametrize("code", [None, pytest.param(-9, marks=posix)])
@pytest.mark.parametrize(("vitals", "figures"), [(FULL, "11.0 of 12.0 GB"), (LITTLE, "2.0 of 12.0 GB")])
def test_a_kill_with_memory_used_up_is_told_as_that_with_the_figures(code, vitals, figures):
    text = str(failures.describe_end(failures.End(code, "", vitals, stage="Segmenting")))
    assert f"in the stage 'Segmenting' while it used {figures}" in text
    assert "memory most likely ran out" in text and "exit code" not in text
    assert "by the system" in str(failures.describe_end(failures.End(code, "", vitals, killed_for_memory=True)))


def test_a_kill_with_memory_left_is_not_told_as_a_lack_of_memory():
    text = str(failures.describe_end(failures.End(None, "", PLENTY)))
    assert "ran out" not in text and "9.0 GB were free" in text


@pytest.mark.parametrize("code", [None, pytest.param(-11, marks=posix)])
def test_a_crash_is_told_with_the_place_in_the_thread_that_crashed(code):
    text = str(failures.describe_end(failures.End(code, SEGFAULT, FULL)))
    assert "crashed (segmentation fault" in text and "in conv3d, functional.py line 12)" in text


def test_an_allocation_that_failed_in_a_library_is_a_lack_of_memory():
    log = "terminate called after throwing an instance of 'std::bad_alloc'\nFatal Python error: Aborted\n"
    assert "memory ran out" in str(failures.describe_end(failures.End(None, log, PLENTY)))
    assert "crashed" in str(failures.describe_end(failures.End(None, "Fatal Python error: Aborted\n", PLENTY)))


def test_the_state_of_a_process_is_read_by_another(tmp_path):
    here, there = Pipe(duplex=True)
    block = VitalsBlock()
    with here, there:
        send(here, ("setup",), block.block)
        own = VitalsBlock(receive(there)[1])
    try:
        assert block.read() is None
        own.write()
        own.close()
        vitals = block.read()
        assert 10 << 20 < vitals.used < vitals.total
        assert not vitals.short_of_memory or vitals.free < 0.1 * vitals.total
    finally:
        block.close()
