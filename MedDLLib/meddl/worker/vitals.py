"""The worker's state in a small shared block, which outlives it: behind a launcher (in Slicer, PythonSlicer) no exit
status says what became of the process, so it writes down beforehand how it does.

The worker writes as long as a job runs, the caller reads once the process has ended. Linux also counts the processes
that it killed for lack of memory: `KillCount` says whether this one was among them.
"""

import os
import re
import struct
from pathlib import Path
from typing import NamedTuple

from meddl.core import memory
from meddl.worker.blocks import Block

INTERVAL_S = 0.05
# Memory counts as used up where less than this part of it was free at the last look, or the process held nearly all.
_SCARCE_FREE, _SCARCE_USED = 0.08, 0.85
_FORM = struct.Struct("=QQQ")
_GROUPS = Path("/sys/fs/cgroup")
_PROCESSES = Path("/proc")


class Vitals(NamedTuple):
    """How a process does: memory in bytes that it holds, that was free for it, and that there is. 0: unknown."""

    used: int
    free: int
    total: int

    @property
    def short_of_memory(self) -> bool:
        """Whether memory was nearly used up."""
        if not self.total:
            return False
        return self.used > _SCARCE_USED * self.total or 0 < self.free < _SCARCE_FREE * self.total


class VitalsBlock:
    """The shared block.

    Args:
        block: that the caller made and handed over; None: a new one.
    """

    def __init__(self, block: Block | None = None):
        self.block = Block.create(_FORM.size) if block is None else block
        self._limits: list[tuple[Path, Path]] = []

    def begin(self) -> None:
        """A job begins: look which limits there are, then write."""
        self._limits = _own_limits()
        self.write()

    def write(self) -> None:
        """The state of this process now."""
        used, total = memory.used_bytes(), memory.total_bytes()
        free = memory.free_bytes()
        for limit, usage in self._limits:
            bytes_limit = _number(limit)
            if bytes_limit and bytes_limit < total:
                total = bytes_limit
                free = min(free, max(bytes_limit - (_number(usage) or 0), 1))
        _FORM.pack_into(self.block.memory, 0, used, free, total)

    def read(self) -> Vitals | None:
        """What was written last; None: nothing yet."""
        vitals = Vitals(*_FORM.unpack_from(self.block.memory, 0))
        return vitals if vitals.used else None

    def close(self) -> None:
        """Let go here."""
        self.block.close()


class OtherProcess:
    """Whether a process still lives. A process that got the same id after its end is not taken for it.

    Without /proc (macOS) the id alone decides. On Windows it counts as alive: there no other process can hold its end
    of a pipe open, so the pipe tells of its end.

    Args:
        pid: the process, which lives now.
    """

    def __init__(self, pid: int):
        self._pid = pid
        self._begun = _begin_of(pid)

    @property
    def alive(self) -> bool:
        """Whether it lives; true where nothing is known of it."""
        if self._begun is not None:
            return _begin_of(self._pid) == self._begun
        if os.name == "nt" or _PROCESSES.is_dir():  # of another namespace, it cannot be seen from here
            return True
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return True


def _begin_of(pid: int) -> str | None:
    """When a process began, in ticks since the start of the machine; None: it has ended, or there is no /proc."""
    fields = _text(_PROCESSES / str(pid) / "stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else None


class KillCount:
    """The processes of another's control group that Linux kills for lack of memory, counted from now on.

    Args:
        pid: the process.
    """

    def __init__(self, pid: int):
        self._files = [folder / name for folder in _groups(pid)
                       for name in ("memory.events", "memory.oom_control") if (folder / name).is_file()]
        self._files = self._files or [Path("/proc/vmstat")]
        self._before = self._count()

    @property
    def grown(self) -> bool:
        """Whether one was killed meanwhile."""
        return self._count() > self._before

    def _count(self) -> int:
        found = [re.search(r"^oom_kill (\d+)", _text(path), re.MULTILINE) for path in self._files]
        return sum(int(match[1]) for match in found if match)


def _groups(process: int | str) -> list[Path]:
    """The folders of the control groups that limit the memory of a process."""
    found = []
    for line in _text(Path(f"/proc/{process}/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            root = _GROUPS / controllers if controllers else _GROUPS
            folder = root / path.lstrip("/")
            found.append(folder if folder.is_dir() else root)  # in a container its own group is the root
    return found


def _own_limits() -> list[tuple[Path, Path]]:
    pairs = [(folder / limit, folder / usage) for folder in _groups("self")
             for limit, usage in (("memory.max", "memory.current"),
                                  ("memory.limit_in_bytes", "memory.usage_in_bytes"))]
    return [(limit, usage) for limit, usage in pairs if limit.is_file()]


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
