"""The three verbs on nodes: read the nodes, run in the worker, make the result nodes.

Each takes `wait` (True: return the result node; False: return a Task at once), `onProgress(fraction, stage)`
and `onDone(task)`, the last two verbs also `onPreview(value)`, and raises or ends as `tasks.run` says. Output
nodes left out are made new. The report of a run is kept as JSON in the attribute `MedDL.Report` of its result
node.
"""

import json

import slicer

from meddl.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.volume import Volume
from meddl_slicer import tasks
from meddl_slicer.nodes import (
    Placement,
    create_volume_node,
    is_label_map,
    place_beside,
    read_node,
    update_volume_node,
)
from meddl_slicer.segmentations import create_confidence_node, create_segmentation_node
from meddl_slicer.tables import create_volume_table
from meddl_slicer.transforms import create_transform_node

SEGMENT = "meddl_slicer.remote:segment"
REGISTER = "meddl_slicer.remote:register"
SUPER_RESOLVE = "meddl_slicer.remote:super_resolve"

REPORT_ATTRIBUTE = "MedDL.Report"
TABLE_ROLE = "MedDL.VolumeTable"
CONFIDENCE_ROLE = "MedDL.Confidence"
WARPED_ROLE = "MedDL.Warped"


def segment_node(volumeNode, model: str = "brain", config: SegmentConfig | None = None, *, segmentationNode=None,
                 show3D: bool = False, device: str = "auto", wait: bool = True, onProgress=None, onDone=None):
    """Segment a volume node.

    Args:
        volumeNode: a scalar volume node, under any parent transform.
        model: identifier of an installed model.
        config: choices of `meddl.segment`; with `confidence`, a confidence volume is made too.
        segmentationNode: a node to fill instead of a new one.
        show3D: make surfaces and show them.
        device: "auto", "cpu", "cuda", "mps".

    Returns:
        The segmentation node, or the Task. The table of volumes and the confidence volume are its node
        references `TABLE_ROLE` and `CONFIDENCE_ROLE`.
    """
    volume, placement = read_node(volumeNode)

    def apply(result):
        segmentation, surfaces = result
        node = create_segmentation_node(segmentation, volumeNode, placement=placement, surfaces=surfaces,
                                        node=_if_present(segmentationNode))
        _add_companions(node, segmentation, volumeNode, placement)
        keep_report(node, segmentation.report)
        return node

    return tasks.run(SEGMENT, volume, model, config or SegmentConfig(), device=device,
                     surfaces=placement.local_affine if show3D else None, wait=wait, apply=apply,
                     inputs=(volumeNode,), onProgress=onProgress, onDone=onDone)


def register_nodes(fixedNode, movingNode, config: RegisterConfig | None = None, *, transformNode=None,
                   warpedNode=None, warp: bool = False, device: str = "auto", wait: bool = True,
                   onProgress=None, onDone=None, onPreview=None):
    """Find the transform that carries one volume node onto another, both where they are seen.

    Args:
        fixedNode, movingNode: scalar or label map volume nodes, under any parent transforms.
        config: choices of `meddl.register`.
        transformNode: a node to fill instead of a new one.
        warpedNode: a volume node for the moving volume on the fixed grid.
        warp: make such a node where none is given.
        device: "auto", "cpu", "cuda", "mps".

    Returns:
        The transform node, or the Task. The warped volume is its node reference WARPED_ROLE.
    """
    fixed, placement = read_node(fixedNode)
    moving, _ = read_node(movingNode)
    interpolation = "nearest" if is_label_map(movingNode) else "linear"

    def apply(result):
        registration, warped = result
        name = f"{movingNode.GetName()} to {fixedNode.GetName()}"
        node = create_transform_node(registration, name, _if_present(transformNode))
        place_beside(node, movingNode)
        node.RemoveNodeReferenceIDs(WARPED_ROLE)
        if warped is not None:
            target = _put_volume(warped, f"{movingNode.GetName()} on {fixedNode.GetName()}", movingNode,
                                 fixedNode, placement, _if_present(warpedNode))
            node.SetNodeReferenceID(WARPED_ROLE, target.GetID())
        keep_report(node, registration.report)
        return node

    return tasks.run(REGISTER, fixed, moving, config or RegisterConfig(),
                     device=device, warp=interpolation if warp or warpedNode is not None else None, wait=wait,
                     apply=apply, inputs=(fixedNode, movingNode), onProgress=onProgress, onDone=onDone,
                     onPreview=onPreview)


def super_resolve_node(volumeNode, config: SuperResolveConfig | None = None, *, outputNode=None,
                       device: str = "auto", wait: bool = True, onProgress=None, onDone=None, onPreview=None):
    """Make a volume node's voxels smaller over the same field of view.

    Args:
        volumeNode: a scalar volume node, under any parent transform.
        config: choices of `meddl.super_resolve`.
        outputNode: a volume node to fill instead of a new one; never the input itself.
        device: "auto", "cpu", "cuda", "mps".

    Returns:
        The volume node, or the Task.
    """
    volume, placement = read_node(volumeNode)

    def apply(result):
        node = _put_volume(result.volume, f"{volumeNode.GetName()} sharp", volumeNode, volumeNode, placement,
                           _if_present(outputNode))
        keep_report(node, result.report)
        return node

    return tasks.run(SUPER_RESOLVE, volume, config or SuperResolveConfig(),
                     device=device, wait=wait, apply=apply, inputs=(volumeNode,), onProgress=onProgress,
                     onDone=onDone, onPreview=onPreview)


def keep_report(node, report: dict) -> None:
    """Keep the report of a run with its result."""
    node.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report))


def report_of(node) -> dict:
    """The report that `keep_report` kept; {} where the node has none."""
    text = None if node is None else node.GetAttribute(REPORT_ATTRIBUTE)
    return json.loads(text) if text else {}


def _add_companions(node, segmentation, volumeNode, placement: Placement) -> None:
    """The table of volumes and, where there is one, the confidence volume; those of an earlier run are replaced."""
    name = node.GetName()
    table = create_volume_table(segmentation, f"{name} volumes", node.GetNodeReference(TABLE_ROLE))
    place_beside(table, node)
    node.SetNodeReferenceID(TABLE_ROLE, table.GetID())
    earlier = node.GetNodeReference(CONFIDENCE_ROLE)
    if earlier is not None:
        slicer.mrmlScene.RemoveNode(earlier)
    confidence = create_confidence_node(segmentation, volumeNode, f"{name} confidence", placement=placement)
    if confidence is not None:
        node.SetNodeReferenceID(CONFIDENCE_ROLE, confidence.GetID())


def _put_volume(volume: Volume, name: str, looks, place, placement: Placement, node):
    """A volume that looks like the node `looks` and lies in the space of `place`; in `node` or a new one."""
    if node is None:
        node = create_volume_node(volume, name, looks)
    update_volume_node(node, volume, place, placement)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def _if_present(node):
    """The node, unless it has left the scene meanwhile."""
    return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None
