"""Failures in words: every exception and every exit code tells the caller something true."""

import sys

import numpy as np
import pytest

from meddl import errors
from meddl.worker import failures


def caught(function):
    try:
        function()
    except BaseException as error:  # noqa: BLE001  it is what the test is about
        return error
    raise AssertionError("nothing was raised")


def test_every_error_of_meddl_keeps_type_and_message():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
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
    assert "KeyError" in rebuilt.details and "test_worker_failures.py" in rebuilt.details


def test_numpy_out_of_memory_is_recognized():
    error = caught(lambda: np.empty(1 << 60, np.uint8))
    assert isinstance(failures.rebuild(failures.describe(error)), errors.OutOfMemoryError)


def test_torch_out_of_memory_is_recognized():
    torch = pytest.importorskip("torch")
    error = caught(lambda: torch.empty(1 << 60, dtype=torch.uint8))
    assert failures.is_out_of_memory(error)
    assert failures.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not failures.is_out_of_memory(RuntimeError("shape mismatch"))
    assert not failures.is_out_of_memory(ValueError("the phrase out of memory in another error"))


posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"), (None, "unknown reason"), (0xC0000005, "access violation"),
        pytest.param(-9, "SIGKILL.*memory", marks=posix),
        pytest.param(137, "SIGKILL.*memory", marks=posix),
        pytest.param(-11, "SIGSEGV", marks=posix),
        pytest.param(-60, "signal 60|SIGRT", marks=posix),
    ])
def test_an_exit_code_is_told_in_words(code, words):
    error = failures.ended(code, "last words")
    assert error.details == "last words"
    with pytest.raises(errors.WorkerError, match=words):
        raise error
