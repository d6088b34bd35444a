"""What volumes look like to the classifier of `meddl.recognition`, asked of the worker before a run."""

from meddl_slicer.mrml.nodes import affine_of_node, read_node
from meddl_slicer.runs import tasks
from meddl_slicer.runs.asked_once import AskedOnce

RECOGNIZE = "meddl_slicer.runs.remote:recognize"
_KEPT = 4


class Recognitions:
    """Asks the worker once for each volume, while its voxels and its place stay as they are.

    Args:
        onResult: called without arguments when a result has come.
    """

    def __init__(self, onResult):
        self._results = AskedOnce(onResult, _KEPT)
        self.forget, self.close = self._results.forget, self._results.close

    def of(self, volumeNode, modality: str | None):
        """The `meddl.Recognition` of a volume node that holds an image; None as long as it is not known, or not to be
        known."""
        key = (volumeNode.GetID(), volumeNode.GetImageData().GetMTime(), modality,
               tuple(affine_of_node(volumeNode).ravel().round(4).tolist()))
        return self._results.of(key, lambda onDone: tasks.run(
            RECOGNIZE, read_node(volumeNode)[0], modality, wait=False, inputs=(volumeNode,), onDone=onDone))
