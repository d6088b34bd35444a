"""Contrast synthesis of a volume node."""

from meddl.contrast_synthesis.contrasts import TARGETS, check_contrast
from meddl_slicer.mrml.nodes import check_node, put_volume, read_node
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies

SYNTHESIZE = "meddl_slicer.sections.contrast_synthesis.remote:synthesize_contrast"
INVENTED_ATTRIBUTE = verbs.INVENTED_ROLE  # of the result: what is invented


def synthesize_node(volumeNode, contrast: str = "t2", *, outputNode=None, device: str = "auto", wait: bool = True,
                    onProgress=None, onDone=None):
    """Synthesize another contrast of a head: `meddl.synthesize_contrast`. The node stays as it is.

    Args:
        volumeNode: a scalar volume node of MR, under any parent transform.
        contrast: t1, t2 or flair.
        outputNode: a volume node to fill instead of a new one; never the input itself.
        device, wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The volume node, or the Task. Its name says that it is invented, so does its attribute INVENTED_ATTRIBUTE; it
        keeps the report.

    Raises:
        InputError: an input that cannot be used.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    contrast = check_contrast(contrast)
    check_node(outputNode, "outputNode", "vtkMRMLVolumeNode", (volumeNode,))
    dependencies.ensure()
    volume, placement = read_node(volumeNode)

    def apply(found):
        made, report = found
        name = f"{volumeNode.GetName()} {TARGETS[contrast]} (invented)"
        node = put_volume(made, name, None, volumeNode, placement, verbs._if_present(outputNode))
        node.SetName(name)  # also of a node that had another: what is invented says so
        node.SetAttribute(INVENTED_ATTRIBUTE, TARGETS[contrast])
        node.GetDisplayNode().SetAutoWindowLevel(True)
        verbs.keep_report(node, report)
        return node

    return tasks.run(SYNTHESIZE, volume, contrast, device=device, wait=wait, apply=apply, inputs=(volumeNode,),
                     onProgress=onProgress, onDone=onDone)
