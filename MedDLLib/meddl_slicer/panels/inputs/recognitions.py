"""What volumes look like to the classifier of `meddl.recognition`, asked of the worker before a run."""

from meddl_slicer.mrml.nodes import affine_of_node, read_node
from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies

RECOGNIZE = "meddl_slicer.runs.remote:recognize"
_KEPT = 4


class Recognitions:
    """Asks the worker once for each volume, while its voxels and its place stay as they are.

    Args:
        onResult: called without arguments when a result has come.
    """

    def __init__(self, onResult):
        self._onResult = onResult
        self._known = {}
        self._asked = None

    def of(self, volumeNode, modality: str | None):
        """The `meddl.Recognition` of a volume node that holds an image; None as long as it is not known, or not to be
        known."""
        key = (volumeNode.GetID(), volumeNode.GetImageData().GetMTime(), modality,
               tuple(affine_of_node(volumeNode).ravel().round(4).tolist()))
        if key not in self._known and self._asked is None and tasks.may_ask() and not dependencies.missing():
            self._ask(key, volumeNode)
        return self._known.get(key)

    def forget(self) -> None:
        """The scene closes."""
        self._known.clear()

    def close(self) -> None:
        """Take no more results."""
        self._onResult = None

    def _ask(self, key, volumeNode) -> None:
        def on_done(task) -> None:
            self._asked = None
            if task.state != "cancelled":  # with the scene, or the node
                while len(self._known) >= _KEPT:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = task.result() if task.state == "done" else None
            if self._onResult is not None:
                self._onResult()

        self._asked = key
        volume, _placement = read_node(volumeNode)
        tasks.run(RECOGNIZE, volume, key[2], wait=False, inputs=(volumeNode,), onDone=on_done)
