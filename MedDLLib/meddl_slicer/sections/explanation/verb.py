"""Uncertainty and explanation on nodes: read the nodes, run in the worker, make the map's node.

All take `device`, `wait`, `onProgress` and `onDone` as `meddl_slicer.runs.verbs`. The map lies over its input, with a
color table; how to read it and the figures are the report, `verbs.report_of(node)`. What the map belongs to is its
node reference RESULT_ROLE.
"""

import slicer

from meddl.core.config import SegmentConfig
from meddl.explanation.config import ExplainConfig
from meddl.results import Uncertainty
from meddl.spatial.volume import Volume
from meddl.uncertainty.config import UncertaintyConfig
from meddl_slicer.mrml.channels import other_nodes, read_others
from meddl_slicer.mrml.nodes import Placement, check_node, place_beside, put_volume, read_node
from meddl_slicer.mrml.roi import read_roi
from meddl_slicer.mrml.segmentations import create_segmentation_node
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.landmarks.verb import find_landmarks_node
from meddl_slicer.sections.training.compression.verb import shrink_installed_model

EXPLAIN = "meddl_slicer.sections.explanation.remote:explain"
SEGMENT = "meddl_slicer.sections.explanation.remote:segment"
REGISTER = "meddl.uncertainty.registration:register_with_uncertainty"
SUPER_RESOLVE = "meddl.uncertainty.superres:super_resolve_with_uncertainty"

RESULT_ROLE = "MedDL.UncertaintyOf"
RESIDUAL_ROLE = "MedDL.Residual"
_COLORS = ("vtkMRMLColorTableNodeFileColdToHotRainbow.txt", "vtkMRMLColorTableNodeRainbow")


def explain_node(volumeNode, model: str, structures, config: ExplainConfig | None = None, *,
                 segmentConfig: SegmentConfig | None = None, otherNodes=None, roiNode=None, mapNode=None, **run):
    """Where in a volume a structure of its segmentation depends on: `meddl.explain`.

    Args:
        volumeNode, model, otherNodes: as of `verbs.segment_node`.
        structures: one structure, or several that are explained as one.
        config: method, and how fine.
        segmentConfig: of the segmentation.
        roiNode: where parts are hidden; see `roi.read_roi`. None: the body.
        mapNode: a volume node to fill instead of a new one.

    Returns:
        The volume node of the map, or the Task.
    """
    check_node(mapNode, "mapNode", "vtkMRMLVolumeNode", (volumeNode, *other_nodes(otherNodes), roiNode))
    dependencies.ensure()
    volume, placement, more = _read_inputs(volumeNode, otherNodes, roiNode, "region")
    device = run.pop("device", "auto")

    def apply(found):
        names = ", ".join(found.report["structures"])
        node = put_map(found.map, f"{volumeNode.GetName()} {found.report['method']} of {names}", volumeNode, placement,
                       1.0, mapNode)
        verbs.keep_report(node, {**found.report, "reading": found.reading})
        return node

    return tasks.run(EXPLAIN, volume, model, structures, config or ExplainConfig(), segmentConfig or SegmentConfig(),
                     device=device, apply=apply, inputs=(volumeNode, *other_nodes(otherNodes)), **run, **more)


def segment_node_with_uncertainty(volumeNode, model: str = "brain", config: SegmentConfig | None = None, *,
                                  uncertainty: UncertaintyConfig | None = None, otherNodes=None, roiNode=None,
                                  segmentationNode=None, **run):
    """Segment a volume node and say how sure that is: `meddl.segment_with_uncertainty`.

    Args:
        volumeNode, model, config, otherNodes, roiNode, segmentationNode: as of `verbs.segment_node`.
        uncertainty: number and size of the perturbations.

    Returns:
        The volume node of the map, or the Task; the segmentation is its node reference RESULT_ROLE.
    """
    dependencies.ensure()
    volume, placement, more = _read_inputs(volumeNode, otherNodes, roiNode, "roi")
    device = run.pop("device", "auto")

    def apply(result):
        segmentation, found = result
        target = segmentationNode if verbs.is_present(segmentationNode) else None
        node = create_segmentation_node(segmentation, volumeNode, placement=placement, node=target)
        verbs.keep_report(node, segmentation.report)
        return _put_uncertainty(found, volumeNode, placement, node)

    return tasks.run(SEGMENT, volume, model, config or SegmentConfig(), uncertainty or UncertaintyConfig(),
                     device=device, apply=apply, inputs=(volumeNode, *other_nodes(otherNodes)), **run, **more)


def register_uncertainty_node(fixedNode, movingNode, config=None, *, uncertainty: UncertaintyConfig | None = None,
                              **run):
    """The spread of the displacement over repeated registrations, in mm: `meddl.register_with_uncertainty`.

    Returns:
        The volume node of the map over the fixed volume, or the Task. The transform is made by `register`.
    """
    dependencies.ensure()
    fixed, placement = read_node(fixedNode)
    moving = read_node(movingNode)[0]
    device = run.pop("device", "auto")
    return tasks.run(REGISTER, fixed, moving, config, uncertainty or UncertaintyConfig(), device=device,
                     apply=lambda result: _put_uncertainty(result[1], fixedNode, placement, None),
                     inputs=(fixedNode, movingNode), **run)


def super_resolve_uncertainty_node(volumeNode, config=None, *, uncertainty: UncertaintyConfig | None = None, **run):
    """The standard deviation over repeated runs of super-resolution: `meddl.super_resolve_with_uncertainty`.

    Returns:
        The volume node of the map, or the Task. The sharper volume is its node reference RESULT_ROLE, the consistency
        residual RESIDUAL_ROLE.
    """
    dependencies.ensure()
    volume, placement = read_node(volumeNode)
    device = run.pop("device", "auto")

    def apply(result):
        sharp, found = result
        name = volumeNode.GetName()
        node = put_volume(sharp.volume, f"{name} sharp", volumeNode, volumeNode, placement, None)
        verbs.keep_report(node, sharp.report)
        map_ = _put_uncertainty(found, volumeNode, placement, node)
        if sharp.residual is not None:
            residual = put_volume(sharp.residual, f"{name} residual", None, volumeNode, placement, None)
            place_beside(residual, volumeNode)
            map_.SetNodeReferenceID(RESIDUAL_ROLE, residual.GetID())
        return map_

    return tasks.run(SUPER_RESOLVE, volume, config, uncertainty or UncertaintyConfig(), device=device, apply=apply,
                     inputs=(volumeNode,), **run)


def put_map(volume: Volume, name: str, sourceNode, placement: Placement, highest: float, node=None):
    """A map over a volume: a scalar volume with a color table from 0 to `highest`; in `node`, or a new one."""
    node = put_volume(volume, name, None, sourceNode, placement, node if verbs.is_present(node) else None)
    place_beside(node, sourceNode)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, highest)
    colors = next((one for one in _COLORS if slicer.mrmlScene.GetNodeByID(one) is not None), None)
    if colors is not None:
        display.SetAndObserveColorNodeID(colors)
    display.SetApplyThreshold(True)
    display.SetThreshold(0.05 * highest, float(volume.data.max()) + highest)
    return node


def show_map(volumeNode, mapNode) -> None:
    """Show a map half transparent over its volume."""
    slicer.util.setSliceViewerLayers(background=volumeNode, foreground=mapNode, foregroundOpacity=0.5)


class SegmentationVerbs:
    """Part of the logic of MedDL Segmentation."""

    def explain(self, volumeNode, model: str, structures, config: ExplainConfig | None = None, **choices):
        """Where in a volume a structure depends on; returns the map's volume node. See `explain_node`."""
        return explain_node(volumeNode, model, structures, config, **choices)

    def segmentWithUncertainty(self, volumeNode, model: str = "brain", config: SegmentConfig | None = None, **choices):
        """Segment, and say how sure that is; returns the map's node. See `segment_node_with_uncertainty`."""
        return segment_node_with_uncertainty(volumeNode, model, config, **choices)

    def findLandmarks(self, volumeNode, **choices):
        """Find landmarks of the brain, or of one's own model; returns the point list. See `find_landmarks_node`."""
        return find_landmarks_node(volumeNode, **choices)

    def shrinkModel(self, model: str, source, **choices):
        """Make a smaller model of an installed one; returns the table of its figures. See `shrink_installed_model`."""
        return shrink_installed_model(source, model=model, **choices)


class RegistrationVerbs:
    """Part of the logic of MedDL Registration."""

    def uncertainty(self, fixedNode, movingNode, config=None, **choices):
        """The spread of the displacement in mm; returns the map's node. See `register_uncertainty_node`."""
        return register_uncertainty_node(fixedNode, movingNode, config, **choices)


class SuperResolutionVerbs:
    """Part of the logic of MedDL Super-resolution."""

    def uncertainty(self, volumeNode, config=None, **choices):
        """The spread of the intensities; returns the map's node. See `super_resolve_uncertainty_node`."""
        return super_resolve_uncertainty_node(volumeNode, config, **choices)


def _read_inputs(volumeNode, otherNodes, roiNode, name: str) -> tuple:
    """The volume, where its node stands, and as arguments the further channels and the region, under its name."""
    volume, placement = read_node(volumeNode)
    more = {"others": read_others(volumeNode, otherNodes)} if otherNodes else {}
    if roiNode is not None:
        more[name] = read_roi(roiNode, volumeNode)
    return volume, placement, more


def _put_uncertainty(found: Uncertainty, sourceNode, placement: Placement, resultNode):
    """The map's node, over the input, and what it belongs to."""
    highest = float(found.map.data.max()) or 1.0
    name = f"{(resultNode or sourceNode).GetName()} uncertainty"
    node = put_map(found.map, name, sourceNode, placement, highest)
    if resultNode is not None:
        node.SetNodeReferenceID(RESULT_ROLE, resultNode.GetID())
    verbs.keep_report(node, {**found.report, "reading": found.reading})
    return node
