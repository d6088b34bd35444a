"""What panels ask of the worker before a run, each question once."""

from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies


class AskedOnce:
    """Asks the worker one question at a time, and remembers what it has said.

    Args:
        onResult: called without arguments when a result has come.
        most: so many results are remembered; None: all.
    """

    def __init__(self, onResult, most=None):
        self._onResult = onResult
        self._most = most
        self._known = {}
        self._asked = None

    def of(self, key, ask):
        """The result of a question; None as long as it is not known, or not to be known.

        Args:
            key: what the question is, hashable.
            ask: starts the task; called with the `onDone` of `tasks.run`.
        """
        if key not in self._known and self._asked is None and tasks.may_ask() and not dependencies.missing():
            self._asked = key
            ask(self._onDone)
        return self._known.get(key)

    def get(self, key):
        """The result of a question that was asked before, or None."""
        return self._known.get(key)

    def forget(self) -> None:
        """Ask anew."""
        self._known.clear()

    def close(self) -> None:
        """Take no more results."""
        self._onResult = None

    def _onDone(self, task) -> None:
        key, self._asked = self._asked, None
        if task.state != "cancelled":  # with the scene or a node; it is asked again when there is one
            while self._most is not None and len(self._known) >= self._most:
                self._known.pop(next(iter(self._known)))
            self._known[key] = task.result() if task.state == "done" else None
        if self._onResult is not None:
            self._onResult()
