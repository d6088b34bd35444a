"""Counted operations of a run as seconds and memory, asked of the worker before it."""

from meddl_slicer.mrml.nodes import affine_of_node, why_not_usable
from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies

EXPECT = "meddl_slicer.runs.remote:expect_run"


class ExpectedRuns:
    """Asks the worker once for each verb, model, grids, choice of options and device.

    Args:
        onResult: called without arguments when a result has come.
    """

    def __init__(self, onResult):
        self._onResult = onResult
        self._known = {}
        self._asked = None

    def of(self, verb: str, volumeNodes, config, device: str, model: str | None = None):
        """A function that gives seconds and MB, about; None as long as they are not known, or not to be known."""
        if any(why_not_usable(node) is not None for node in volumeNodes):
            return lambda: None
        grids = tuple((node.GetImageData().GetDimensions(), tuple(map(tuple, affine_of_node(node).round(4).tolist())))
                      for node in volumeNodes)
        key = (verb, grids, config, model, device)
        if key not in self._known and self._asked is None and tasks.may_ask() and not dependencies.missing():
            self._ask(key)
        return lambda: self._known.get(key)

    def forget(self) -> None:
        """Ask anew: the models have changed."""
        self._known.clear()

    def close(self) -> None:
        """Take no more results."""
        self._onResult = None

    def _ask(self, key) -> None:
        verb, grids, config, model, device = key

        def on_done(task) -> None:
            self._asked = None
            if task.state != "cancelled":  # with the scene; it is asked again when there is one
                self._known[key] = task.result() if task.state == "done" else None
            if self._onResult is not None:
                self._onResult()

        self._asked = key
        tasks.run(EXPECT, verb, grids, config, model=model, device=device, wait=False, onDone=on_done)
