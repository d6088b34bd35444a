"""What volumes look like to the classifier of `meddl.recognition`, asked of the worker before a run."""

from meddl.core.errors import InputError
from meddl.recognition.thinning import thin_out
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import affine_of_node, linear_parent_matrix, volume_from_node
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
        known, and under a transform that is not linear, through which every voxel would have to be resampled."""
        try:
            affine = linear_parent_matrix(volumeNode) @ affine_of_node(volumeNode)
        except InputError:
            return None
        key = (volumeNode.GetID(), volumeNode.GetImageData().GetMTime(), modality,
               tuple(affine.ravel().round(4).tolist()))
        return self._results.of(key, lambda onDone: tasks.run(
            RECOGNIZE, _to_send(volumeNode), modality, wait=False, inputs=(volumeNode,), onDone=onDone))


def _to_send(volumeNode) -> Volume:
    """What the classifier needs of a node: lines 2 mm apart, as whole as they lie in memory, so that label maps are
    recognized."""
    return thin_out(volume_from_node(volumeNode), axes=(1, 2))
