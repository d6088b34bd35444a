"""Fixtures of all tests: the data folder with real volumes, and the Slicer stand-in."""

import os
import sys
from pathlib import Path

import pytest
from places import LIBRARY, REPOSITORY, SUPPORT, TESTS

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

for folder in (LIBRARY, TESTS, SUPPORT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from meddl.core.thread_waiting import wait_briefly  # noqa: E402

wait_briefly(os.environ)  # before a test loads torch
os.environ.setdefault("MEDDL_PRECISION", "float32")  # of tests that state none: the same on every machine


def pytest_collection_modifyitems(items):
    """Mark the tests that meet Slicer, real or imitated: `make test-slicer` runs these on Slicer's own files."""
    fixtures = {"host", "installed_host", "clean", "bridge_worker"}
    for item in items:
        names = {"host", "slicer"} & set(vars(item.module)) if hasattr(item, "module") else set()
        if names or fixtures & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slicer)
            left_out = item.get_closest_marker("stand_in_only")
            if left_out is not None and os.environ.get("SLICER_SOURCE"):
                item.add_marker(pytest.mark.skip(reason=f"left out on Slicer's own files: {left_out.args[0]}"))


@pytest.fixture(scope="session")
def data_folder():
    """Folder with real volumes; the test is skipped where there is none."""
    given = os.environ.get("MEDDL_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real volumes in {folder}; set MEDDL_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session", autouse=True)
def warm_imports():
    """The process in which models of others are read starts once for all tests that import one."""
    from meddl.models.store.import_process import warm_imports

    with warm_imports():
        yield


@pytest.fixture
def float32(monkeypatch):
    """Networks compute in float32, also in processes that the test starts."""
    monkeypatch.setenv("MEDDL_PRECISION", "float32")


@pytest.fixture
def bfloat16(monkeypatch):
    """Networks compute in bf16, emulated where the processor lacks it, also in processes that the test starts."""
    monkeypatch.setenv("MEDDL_PRECISION", "bfloat16")


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request):
    """The test runs twice, with networks in float32 and in bf16: which of them."""
    request.getfixturevalue(request.param)
    return request.param


@pytest.fixture(scope="session")
def installed_host():
    """The stand-in for Slicer, installed once."""
    import host

    host.install()
    return host


@pytest.fixture
def host(installed_host):
    """The stand-in with an empty scene; exceptions that nobody caught fail the test unless it takes them."""
    installed_host.clear_scene()
    yield installed_host
    installed_host.process_events()
    left, waiting = installed_host.take_unhandled(), installed_host.under_wait_cursor()
    installed_host.clear_scene()
    assert not waiting, f"dialogs under a wait cursor: {waiting!r}"
    assert not left, f"exceptions that nobody caught: {left!r}"
