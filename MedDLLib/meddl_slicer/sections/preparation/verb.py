"""Preparation of a volume node by a chain of steps."""

from meddl.preparation.steps import Crop, Normalize, chain_to_text
from meddl_slicer.mrml.nodes import check_node, put_volume, read_node
from meddl_slicer.mrml.roi import read_roi
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies

PREPARE = "meddl_slicer.sections.preparation.remote:prepare"
CHAIN_ATTRIBUTE = "MedDL.Chain"


def prepare_node(volumeNode, steps, *, outputNode=None, referenceNode=None, roiNode=None, device: str = "auto",
                 wait: bool = True, onProgress=None, onDone=None):
    """Run a volume node through steps: `meddl.prepare`. The node stays as it is.

    Args:
        volumeNode: a scalar volume node, under any parent transform.
        steps: of `meddl.preparation.steps`.
        outputNode: a volume node to fill instead of a new one; never the input itself.
        referenceNode: the volume whose histogram is matched.
        roiNode: a markups ROI, segmentation or label map to crop to.
        device, wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The volume node, or the Task. It keeps the chain as JSON in its attribute CHAIN_ATTRIBUTE, and the report.
        Removing it undoes the preparation.

    Raises:
        InputError: an input that cannot be used.
    """
    check_node(outputNode, "outputNode", "vtkMRMLVolumeNode", (volumeNode, referenceNode, roiNode))
    dependencies.ensure()
    volume, placement = read_node(volumeNode)
    reference = None if referenceNode is None else read_node(referenceNode)[0]
    roi = None if roiNode is None else read_roi(roiNode, volumeNode)
    steps = tuple(steps)

    def apply(found):
        output = verbs._if_present(outputNode)
        node = put_volume(found.volume, f"{volumeNode.GetName()} prepared", volumeNode, volumeNode, placement, output)
        if any(entry["step"] in ("normalize", "equalize") for entry in found.report["steps"]):
            node.GetDisplayNode().SetAutoWindowLevel(True)
        node.SetAttribute(CHAIN_ATTRIBUTE, chain_to_text(steps))
        verbs.keep_report(node, found.report)
        return node

    return tasks.run(PREPARE, volume, steps, reference=reference, roi=roi, device=device, wait=wait, apply=apply,
                     inputs=(volumeNode, referenceNode, roiNode), onProgress=onProgress, onDone=onDone)


def needed_inputs(steps) -> set[str]:
    """What a chain needs beside the volume: "reference", "roi"."""
    needed = set()
    for step in steps:
        if isinstance(step, Normalize) and step.method == "match":
            needed.add("reference")
        if isinstance(step, Crop) and step.to == "roi":
            needed.add("roi")
    return needed

