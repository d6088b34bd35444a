"""Blocks of memory that two processes share, without a name.

On POSIX a block is a file in memory that no folder lists; its descriptor goes to the other process through their
pipe. So nothing can be left behind: the system takes the memory away with the last process that holds it, however
that ends. The standard library's `SharedMemory` has names: what dies before it takes them away leaves the memory
behind, and its resource tracker (a further process, started through `sys.executable`, inside Slicer a launcher)
removes blocks under the feet of their users (https://github.com/python/cpython/issues/82300).

Linux: an unnamed file in /dev/shm (O_TMPFILE); macOS: `shm_open`, whose name is taken away at once; where that memory
is too small (containers often have 64 MB) a file in the temporary folder. The pages are reserved at creation, so that
a full system is an error here and not a crash at the first write. Windows: a mapping of the page file, which has a
name but lives no longer than the processes that hold it.
"""

import contextlib
import errno
import mmap
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from meddl.core.errors import OutOfMemoryError

try:
    import _posixshmem
except ImportError:  # Windows
    _posixshmem = None

WINDOWS = os.name == "nt"
MEMORY_FOLDER = "/dev/shm"
_NO_RESERVATION = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


class Block:
    """A mapped block.

    Attributes:
        name: what the other process needs to map it on Windows, "" elsewhere.
        size: bytes.
        memory: writable memoryview of bytes. Arrays made from it keep the mapping alive.
    """

    def __init__(self, size: int, mapping: mmap.mmap, *, name: str = "", descriptor: int | None = None):
        self.name = name
        self.size = size
        self._mapping = mapping
        self._descriptor = descriptor
        self.memory = memoryview(mapping)[:size]

    @classmethod
    def create(cls, size: int) -> "Block":
        """A new block.

        Raises:
            OutOfMemoryError: neither memory nor temporary folder has `size` bytes.
        """
        problem: OSError | None = None
        makers = [_named_mapping] if WINDOWS else [
            partial(_reserve, opener) for opener in (_in_memory, _shared_object, _in_temporary_folder)]
        for make in makers:
            try:
                return make(size)
            except OSError as error:
                problem = error
        raise OutOfMemoryError(
            f"{size / 1e6:.0f} MB of memory to share with the worker process could not be had ({problem}). "
            "Close other programs or free the temporary folder.") from problem

    def hand_over(self, connection: Connection) -> None:
        """Send what the other process needs for `receive`, right after the message that announces the block."""
        if self._descriptor is not None:
            with _socket_of(connection) as carrier:
                socket.send_fds(carrier, [b"."], [self._descriptor])

    @classmethod
    def receive(cls, connection: Connection, name: str, size: int) -> "Block":
        """Map a block that the other process hands over.

        Raises:
            EOFError: the other process ended.
            OSError: it cannot be mapped here.
        """
        if WINDOWS:
            return cls(size, mmap.mmap(-1, size, tagname=name), name=name)
        with _socket_of(connection) as carrier:
            told, descriptors, _, _ = socket.recv_fds(carrier, 1, 1)
        if not told:
            raise EOFError
        if not descriptors:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        try:
            return cls(size, mmap.mmap(descriptors[0], size))
        finally:
            os.close(descriptors[0])

    def close(self) -> None:
        """Let go here. Arrays that still use the memory keep the mapping until they are gone."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        with contextlib.suppress(BufferError):
            self.memory.release()
            self._mapping.close()


def _named_mapping(size: int) -> Block:
    name = f"meddl-{os.getpid():x}-{secrets.token_hex(8)}"
    return Block(size, mmap.mmap(-1, size, tagname=name), name=name)


def _reserve(opener: Callable[[], int], size: int) -> Block:
    descriptor = opener()
    try:
        os.ftruncate(descriptor, size)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            try:
                os.posix_fallocate(descriptor, 0, size)
            except OSError as error:
                if error.errno not in _NO_RESERVATION:
                    raise
        return Block(size, mmap.mmap(descriptor, size), descriptor=descriptor)
    except OSError:
        os.close(descriptor)
        raise


def _in_memory() -> int:
    return _without_name(MEMORY_FOLDER)


def _shared_object() -> int:
    if _posixshmem is None:
        raise OSError(errno.ENOSYS, "this Python has no shared memory")
    name = f"/meddl{secrets.token_hex(8)}"  # macOS allows 30 characters
    descriptor = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o600)
    _posixshmem.shm_unlink(name)
    return descriptor


def _in_temporary_folder() -> int:
    folder = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        return _without_name(folder)
    descriptor, path = tempfile.mkstemp(dir=folder, prefix="meddl-", suffix=".block")
    Path(path).unlink()
    return descriptor


def _without_name(folder: str) -> int:
    """A file that no folder lists."""
    if not hasattr(os, "O_TMPFILE"):  # Linux has it
        raise OSError(errno.ENOSYS, "this system has no files without a name")
    return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)


def _socket_of(connection: Connection) -> socket.socket:
    """The connection as a socket of its own; closing it leaves the connection open."""
    carrier = socket.socket(fileno=os.dup(connection.fileno()))
    carrier.setblocking(True)  # whatever socket.setdefaulttimeout says: both share this setting
    return carrier
