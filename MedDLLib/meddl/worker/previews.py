"""What a computation shows before it ends: from the worker to the caller, the newest only.

One preview is under way at a time, in a shared block of its own; until the caller has taken it, a newer one waits
and replaces the one that waited. So a caller who does not look holds nothing up.
"""

import logging
import pickle
import threading
from typing import Any

from meddl.core.errors import OutOfMemoryError
from meddl.worker.blocks import Block
from meddl.worker.messages import Packed, pack, unpack


class PreviewSender:
    """The worker's side.

    Args:
        send: sends a message to the caller, with a block.
    """

    def __init__(self, send):
        self._send = send
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: tuple[Any, ...] = ()
        self._under_way = False
        self._block: Block | None = None
        self.wanted = False

    def begin(self, number: int, wanted: bool) -> None:
        """A job arrived; `wanted`: its caller looks at previews."""
        with self._lock:
            self._number, self.wanted = number, wanted
            self._let_go()

    def show(self, value: Any) -> None:
        """Send a value, now or when the caller has taken the one before."""
        with self._lock:
            if self.wanted:
                self._waiting = (value,)
                self._send_waiting()

    def acknowledge(self) -> None:
        """The caller has taken what was under way."""
        with self._lock:
            waiting = self._waiting
            self._let_go()
            self._waiting = waiting
            self._send_waiting()

    def finish(self) -> None:
        """The job ended: what waits is out of date."""
        with self._lock:
            self._waiting, self.wanted = (), False

    def _let_go(self) -> None:
        self._waiting, self._under_way = (), False
        if self._block is not None:
            self._block.close()
            self._block = None

    def _send_waiting(self) -> None:
        if self._under_way or not self._waiting:
            return
        (value,), self._waiting = self._waiting, ()
        try:
            packed, self._block = pack(value)
        except (OutOfMemoryError, pickle.PicklingError, TypeError, AttributeError, ValueError):
            logging.getLogger(__name__).exception("A preview cannot be sent.")  # the computation goes on
            return
        self._under_way = True
        self._send("preview", self._number, packed, block=self._block)


def take(packed: Packed, block: Block | None) -> Any:
    """The caller's side: a preview's value, which shares no memory with the worker."""
    return unpack(packed, block, copy=True)
