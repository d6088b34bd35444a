"""Full disks for tests: a limit on the length of files, everywhere, and a small tmpfs, where one may be mounted."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import LIBRARY

resource = pytest.importorskip("resource", reason="limits on files are POSIX")


@contextlib.contextmanager
def files_of_at_most(size: int):
    """No file of this process, or of one that it starts, grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def meddl_with_files_of_at_most(size: int, *words, **environment) -> subprocess.CompletedProcess:
    """The shell command, in a process whose files grow to so many bytes at most."""
    code = (f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "
            "import sys; from meddl.cli import main; sys.exit(main(sys.argv[1:]))")
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(LIBRARY), **environment}, timeout=240)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 kB; the test is skipped where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True,
                          check=False) if sys.platform == "linux" else None
    if made is None or made.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, by their names."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
