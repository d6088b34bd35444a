"""Estimates of the time and memory of a segmentation, computed in the worker."""

from meddl_slicer.mrml.nodes import affine_of_node, why_not_usable
from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies

EXPECT = "meddl_slicer.runs.remote:expect_segmentation"


class ExpectedRuns:
    """Asks the worker once for each model, grid, choice of options and device.

    Args:
        onResult: called without arguments when a result has come.
    """

    def __init__(self, onResult):
        self._onResult = onResult
        self._known = {}
        self._asked = None

    def of(self, model: str, volumeNode, config, device: str):
        """A function that gives seconds and MB, about; None as long as they are not known, or not to be known."""
        if not model or why_not_usable(volumeNode) is not None:
            return lambda: None
        grid = (volumeNode.GetImageData().GetDimensions(), volumeNode.GetSpacing())
        key = (model, grid, config, device)
        if key not in self._known and self._asked is None and tasks.may_ask() and not dependencies.missing():
            self._ask(key, volumeNode)
        return lambda: self._known.get(key)

    def forget(self) -> None:
        """Ask anew: the models have changed."""
        self._known.clear()

    def close(self) -> None:
        """Take no more results."""
        self._onResult = None

    def _ask(self, key, volumeNode) -> None:
        model, (shape, _spacing), config, device = key
        affine = affine_of_node(volumeNode)

        def on_done(task) -> None:
            self._asked = None
            if task.state != "cancelled":  # with the scene; it is asked again when there is one
                self._known[key] = task.result() if task.state == "done" else None
            if self._onResult is not None:
                self._onResult()

        self._asked = key
        tasks.run(EXPECT, model, shape, affine, config, device=device, wait=False, onDone=on_done)
