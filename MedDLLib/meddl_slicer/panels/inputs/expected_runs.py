"""Counted operations of a run as seconds and memory, asked of the worker before it."""

from meddl_slicer.mrml.nodes import affine_of_node, why_not_usable
from meddl_slicer.runs import tasks
from meddl_slicer.runs.asked_once import AskedOnce

EXPECT = "meddl_slicer.runs.remote:expect_run"


class ExpectedRuns:
    """Asks the worker once for each verb, model, grids, choice of options and device.

    Args:
        onResult: called without arguments when a result has come.
    """

    def __init__(self, onResult):
        self._results = AskedOnce(onResult)
        self.forget, self.close = self._results.forget, self._results.close

    def of(self, verb: str, volumeNodes, config, device: str, model: str | None = None):
        """A function that gives seconds and MB, about; None as long as they are not known, or not to be known."""
        if any(why_not_usable(node) is not None for node in volumeNodes):
            return lambda: None
        return self.ofGrids(verb, tuple(map(grid_of, volumeNodes)), config, device, model)

    def ofGrids(self, verb: str, grids: tuple, config, device: str, model: str | None = None):
        """The same for grids as `grid_of` gives them."""
        key = (verb, grids, config, model, device)
        self._results.of(key, lambda onDone: tasks.run(
            EXPECT, verb, grids, config, model=model, device=device, wait=False, onDone=onDone))
        return lambda: self._results.get(key)


def grid_of(volumeNode) -> tuple:
    """Shape and affine of a volume node, as plain numbers."""
    affine = tuple(map(tuple, affine_of_node(volumeNode).round(4).tolist()))
    return volumeNode.GetImageData().GetDimensions(), affine
