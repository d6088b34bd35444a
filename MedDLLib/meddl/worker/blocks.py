"""Blocks of memory that two processes share, each under a name.

The standard library's `SharedMemory` is not used as it stands: up to Python 3.12 it registers every block
with a resource tracker, a further process started through `sys.executable` (inside Slicer a launcher), which
then warns of leaks and removes blocks under the feet of their users
(https://github.com/python/cpython/issues/82300). Here the same system calls are used without a tracker. Who
cleans up is decided by the protocol in `client` and `server`.

POSIX: `shm_open`, or a file in the temporary folder where that memory is too small (containers often have 64
MB). The pages are reserved at creation, so that a full system is an error here and not a crash at the first
write. Windows: a named mapping of the page file, which lives as long as any process holds it.
"""

import contextlib
import errno
import mmap
import os
import tempfile
from pathlib import Path

from meddl.core.errors import OutOfMemoryError

try:
    import _posixshmem
except ImportError:  # Windows
    _posixshmem = None

WINDOWS = os.name == "nt"
_NO_RESERVATION = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


class Block:
    """A mapped block.

    Attributes:
        name: what the other process needs to map it.
        size: bytes.
        memory: writable memoryview of bytes. Arrays made from it keep the mapping alive.
    """

    def __init__(self, name: str, size: int, mapping: mmap.mmap):
        self.name = name
        self.size = size
        self._mapping = mapping
        self.memory = memoryview(mapping)[:size]

    @classmethod
    def create(cls, name: str, size: int) -> "Block":
        """A new block.

        Raises:
            OutOfMemoryError: neither memory nor temporary folder has `size` bytes.
        """
        problem = None
        for opener in (_open_shared, _open_file):
            try:
                return cls(*opener(name, size))
            except OSError as error:
                problem = error
        raise OutOfMemoryError(
            f"{size / 1e6:.0f} MB of memory to share with the worker process could not be had ({problem}). "
            "Close other programs or free the temporary folder.") from problem

    @classmethod
    def attach(cls, name: str, size: int) -> "Block":
        """Map a block that another process created and still holds."""
        if WINDOWS:
            return cls(name, size, mmap.mmap(-1, size, tagname=name))
        if name.startswith("/"):
            descriptor = _posixshmem.shm_open(name, os.O_RDWR, mode=0o600)
        else:
            descriptor = os.open(_file_path(name), os.O_RDWR)
        try:
            return cls(name, size, mmap.mmap(descriptor, size))
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Unmap here. Arrays that still use the memory keep the mapping until they are gone."""
        with contextlib.suppress(BufferError):
            self.memory.release()
            self._mapping.close()

    def unlink(self) -> None:
        """Take the name away: nobody else can map the block, its memory goes with the last mapping."""
        discard(self.name.removeprefix("/"))


def discard(name: str) -> None:
    """Take the name of a block away, whether or not there is such a block."""
    if WINDOWS:
        return
    if _posixshmem is not None:
        with contextlib.suppress(OSError):
            _posixshmem.shm_unlink("/" + name)
    with contextlib.suppress(OSError):
        _file_path(name).unlink()


def _file_path(name: str) -> Path:
    return Path(tempfile.gettempdir(), name + ".block")


def _open_shared(name: str, size: int) -> tuple[str, int, mmap.mmap]:
    if WINDOWS:
        return name, size, mmap.mmap(-1, size, tagname=name)
    if _posixshmem is None:
        raise OSError(errno.ENOSYS, "this Python has no shared memory")
    name = "/" + name
    descriptor = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o600)
    try:
        return name, size, _reserve(descriptor, size)
    except OSError:
        _posixshmem.shm_unlink(name)
        raise
    finally:
        os.close(descriptor)


def _open_file(name: str, size: int) -> tuple[str, int, mmap.mmap]:
    if WINDOWS:
        raise OSError(errno.ENOMEM, "the page file is too small")
    path = _file_path(name)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        return name, size, _reserve(descriptor, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> mmap.mmap:
    os.ftruncate(descriptor, size)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _NO_RESERVATION:
                raise
    return mmap.mmap(descriptor, size)
