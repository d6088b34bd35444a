"""Input and output nodes of a registration, besides the volumes and the transform.

All outputs are node references of the transform node: `companions` lists them, `undo` takes them away.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import slicer

from meddl.core.config import accept_old_names
from meddl.core.errors import InputError
from meddl.results import Segment, Segmentation
from meddl.spatial.points import Points
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import (
    Placement,
    copy_display,
    is_label_map,
    linear_parent_matrix,
    place_beside,
    put_volume,
    read_node,
)
from meddl_slicer.mrml.registration_results import ComputedOutputs, RegistrationResults, RequestedOutputs
from meddl_slicer.mrml.segment_layers import Layer, create_from_layers, read_layers
from meddl_slicer.mrml.transforms import fill_transform_node, is_under, registration_from_node

WARPED_ROLE = "MedDL.Warped"
INVERSE_ROLE = "MedDL.Inverse"
TRANSFORMED_ROLE = "MedDL.Carried"
MOVED_ROLE = "MedDL.Moved"              # the moving node, while it lies under the transform
PARENT_ROLE = "MedDL.MovedFrom"         # the transform that it lay under before
PARENT_COPY_ROLE = "MedDL.MovedFromCopy"  # what stands for that transform under the new one
GRID_LINES = 24                         # of the shown grid, along the longest side
_JACOBIAN_COLORS = ("vtkMRMLColorTableNodeFileColdToHotRainbow.txt", "vtkMRMLColorTableNodeRainbow")


@dataclass(frozen=True, eq=False)
class RegistrationInputs:
    """Input nodes of a registration besides the volumes, each None where there is none, each in world space.

    Attributes:
        fixedMask, movingMask: a segmentation or label map node; only where it is not empty the volume is compared.
        initialTransform: a transform node as initialization: under it, the moving volume would lie roughly over
            the fixed one. Where the moving volume lies under it already, it has no further effect.
        fixedLandmarks, movingLandmarks: markups nodes of corresponding points, by label or by order.
        landmarksGuide: whether landmarks guide the registration; else they only evaluate it.
        fixedSegmentation, movingSegmentation: the same structures in both volumes: their Dice goes into the report.
    """

    fixedMask: object = None
    movingMask: object = None
    initialTransform: object = None
    fixedLandmarks: object = None
    movingLandmarks: object = None
    landmarksGuide: bool = True
    fixedSegmentation: object = None
    movingSegmentation: object = None

    @property
    def nodes(self) -> tuple:
        """All nodes that are given."""
        return tuple(node for node in (
            self.fixedMask, self.movingMask, self.initialTransform, self.fixedLandmarks, self.movingLandmarks,
            self.fixedSegmentation, self.movingSegmentation) if node is not None)


@accept_old_names
@dataclass(frozen=True, eq=False)
class RegistrationOutputs(ComputedOutputs):
    """Requested outputs of a registration besides the transform (and the warped volume).

    Attributes:
        inverse, jacobian, checkerboard, difference: nodes of these, see `ComputedOutputs`.
        showGrid: show the transform as a deformed grid in the slice views.
        applyToMoving: put the moving volume under the transform.
        nodesToTransform: segmentation, markups or model nodes of the moving volume; transformed copies are made.
        interpolation: of the warped volume, one of `meddl.core.config.INTERPOLATIONS`; "": linear, nearest for
            label maps and for what looks like one.
    """

    showGrid: bool = False
    applyToMoving: bool = False
    nodesToTransform: tuple = field(default=(), metadata={"old_names": ("along",)})
    interpolation: str = ""


# --- before the run ---


def requested_outputs(inputs: RegistrationInputs, outputs: RegistrationOutputs, fixedNode, movingNode,
              warp: bool) -> tuple[RequestedOutputs, tuple[tuple[object, tuple[Layer, ...]], ...]]:
    """Requested outputs for the worker, and (segmentation node, layers) of the segmentations to resample.

    Raises:
        InputError: landmarks or segmentations of one volume only, a node of another kind, a parent transform that is
            not linear where it has to be.
    """
    _check_pair(inputs.fixedLandmarks, inputs.movingLandmarks, "landmarks")
    _check_pair(inputs.fixedSegmentation, inputs.movingSegmentation, "segmentations")
    if outputs.applyToMoving:
        linear_parent_matrix(movingNode)
    landmarks = None
    if inputs.fixedLandmarks is not None:
        landmarks = points_of(inputs.fixedLandmarks), points_of(inputs.movingLandmarks)
    for node in outputs.nodesToTransform:
        if not node.IsA("vtkMRMLTransformableNode") or node.IsA("vtkMRMLTransformNode") or \
                node.IsA("vtkMRMLVolumeNode"):
            raise InputError(f"Segmentations, markups and models can be transformed; '{node.GetName()}' is a "
                             f"{node.GetNodeTagName()}.")
    along = tuple((node, read_layers(node, movingNode)) for node in outputs.nodesToTransform
                  if node.IsA("vtkMRMLSegmentationNode"))
    interpolation = outputs.interpolation or ("nearest" if is_label_map(movingNode) else "")
    return RequestedOutputs(
        **outputs.computed, warped=interpolation if warp else None,
        segmentations=tuple(layer.labels for _, layers in along for layer in layers),
        fixed_labels=_labels_of(inputs.fixedSegmentation, fixedNode),
        moving_labels=_labels_of(inputs.movingSegmentation, movingNode),
        landmarks=landmarks, landmarks_guide=inputs.landmarksGuide,
        masks=(_mask_of(inputs.fixedMask, fixedNode), _mask_of(inputs.movingMask, movingNode))), along


def initial_of(inputs: RegistrationInputs, movingNode):
    """The registration that the initial transform stands for, or None."""
    node = inputs.initialTransform
    return None if node is None or is_under(movingNode, node) else registration_from_node(node)


def points_of(markupsNode) -> Points:
    """The placed points of a markups node in the world, with their labels.

    Raises:
        InputError: not a markups node, or no placed point.
    """
    if not markupsNode.IsA("vtkMRMLMarkupsNode"):
        raise InputError(f"A markups point list was expected; '{markupsNode.GetName()}' is a "
                         f"{markupsNode.GetNodeTagName()}.")
    placed = [n for n in range(markupsNode.GetNumberOfControlPoints())
              if markupsNode.GetNthControlPointPositionStatus(n) == markupsNode.PositionDefined]
    if not placed:
        raise InputError(f"The point list '{markupsNode.GetName()}' has no placed point.")
    positions = []
    for n in placed:
        position = [0.0, 0.0, 0.0]
        markupsNode.GetNthControlPointPositionWorld(n, position)
        positions.append(position)
    return Points(np.array(positions), tuple(markupsNode.GetNthControlPointLabel(n) for n in placed))


def _check_pair(first, second, what: str) -> None:
    if (first is None) != (second is None):
        missing = "moving" if second is None else "fixed"
        raise InputError(f"There are {what} of one volume only. Choose those of the {missing} volume too, or none.")


def label_map_of(labelMapNode) -> Segmentation:
    """The labels of a label map node in the world, with the names of its color table.

    Raises:
        InputError: no image in it, or values that are no labels.
    """
    volume, _ = read_node(labelMapNode)
    if volume.data.min() < 0 or volume.data.max() > 65535:
        raise InputError(f"The label map '{labelMapNode.GetName()}' holds values that are no labels from 0 to 65535.")
    labels = volume.scalar_data.astype(np.uint16)
    values = np.flatnonzero(np.bincount(labels.ravel(order="K")))
    segments = tuple(Segment(int(value), _color_name(labelMapNode, int(value)), (1.0, 1.0, 1.0))
                     for value in values if value)
    return Segmentation(labels, volume.affine, segments)


def _labels_of(node, volumeNode) -> tuple:
    if node is None:
        return ()
    if is_label_map(node):
        return (label_map_of(node),)
    return tuple(layer.labels for layer in read_layers(node, volumeNode))


def _color_name(labelMapNode, value: int) -> str:
    colors = None if labelMapNode.GetDisplayNode() is None else labelMapNode.GetDisplayNode().GetColorNode()
    return (colors.GetColorName(value) if colors is not None else "") or f"Label {value}"


def _mask_of(node, volumeNode) -> tuple[Volume, ...]:
    if node is None:
        return ()
    if node.IsA("vtkMRMLVolumeNode"):
        return (read_node(node)[0],)
    return tuple(Volume.scalar(layer.labels.labels, layer.labels.affine) for layer in read_layers(node, volumeNode))


# --- after the run ---


def _show_as_volume(node, volume: Volume, fixedNode) -> None:
    copy_display(fixedNode, node)


def _show_around_one(node, volume: Volume, fixedNode) -> None:
    show_jacobian(node)


def show_jacobian(node) -> None:
    """Show a volume node of Jacobian determinants in colors from 0 to 2."""
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    colors = next((one for one in _JACOBIAN_COLORS if slicer.mrmlScene.GetNodeByID(one) is not None), None)
    if colors is not None:
        display.SetAndObserveColorNodeID(colors)
    display.SetWindowLevelMinMax(0.0, 2.0)


def _show_around_zero(node, volume: Volume, fixedNode) -> None:
    largest = float(np.percentile(np.abs(volume.data[..., ::2, ::2, ::2]), 99.5)) or 1.0
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(-largest, largest)


@dataclass(frozen=True)
class VolumeResult:
    """A result that is a volume on the fixed grid.

    Attributes:
        name: in `ComputedOutputs`, `RegistrationResults` and the parameter node of the panel.
        role: the node reference of the transform node.
        title: of the volume node, with {fixed} and {moving}.
        show: sets the display of node, volume and fixed node.
    """

    name: str
    role: str
    title: str
    show: Callable


VOLUME_RESULTS = (
    VolumeResult("jacobian", "MedDL.Jacobian", "{moving} to {fixed} Jacobian", _show_around_one),
    VolumeResult("checkerboard", "MedDL.Checkerboard", "{moving} and {fixed} checkerboard", _show_as_volume),
    VolumeResult("difference", "MedDL.Difference", "{moving} minus {fixed}", _show_around_zero),
)


def put_results(node, results: RegistrationResults, along, outputs: RegistrationOutputs, fixedNode, movingNode,
                 placement: Placement, warpedNode=None) -> None:
    """Add all results but the transform itself to the scene, as node references of the transform node.

    Companions of an earlier run with the same transform node are renewed, those that are no longer wanted removed; an
    earlier warped volume stays.
    """
    fixed, moving = fixedNode.GetName(), movingNode.GetName()
    node.RemoveNodeReferenceIDs(WARPED_ROLE)
    if results.warped is not None:
        made = put_volume(results.warped, f"{moving} on {fixed}", movingNode, fixedNode, placement, warpedNode)
        node.SetNodeReferenceID(WARPED_ROLE, made.GetID())
    for result in VOLUME_RESULTS:
        volume, earlier = getattr(results, result.name), node.GetNodeReference(result.role)
        if volume is None:
            _remove(earlier)
            continue
        made = put_volume(volume, result.title.format(fixed=fixed, moving=moving), None, fixedNode, placement, earlier)
        place_beside(made, fixedNode)
        node.SetNodeReferenceID(result.role, made.GetID())
        result.show(made, volume, fixedNode)
    _put_inverse(node, results, f"{fixed} to {moving}", movingNode)
    for number in reversed(range(node.GetNumberOfNodeReferences(TRANSFORMED_ROLE))):
        _remove(node.GetNthNodeReference(TRANSFORMED_ROLE, number))
    node.RemoveNodeReferenceIDs(TRANSFORMED_ROLE)
    for made in (*_segmentations(results, along, fixedNode, placement), *_hardened_copies(node, outputs, fixed)):
        node.AddNodeReferenceID(TRANSFORMED_ROLE, made.GetID())
    if outputs.showGrid:
        show_grid(node, fixedNode)
    if outputs.applyToMoving:
        apply_to(node, movingNode)


def companions(transformNode) -> list:
    """The nodes that a registration left beside its transform node."""
    roles = (WARPED_ROLE, INVERSE_ROLE, *(result.role for result in VOLUME_RESULTS), TRANSFORMED_ROLE)
    found = [transformNode.GetNthNodeReference(role, n) for role in roles
             for n in range(transformNode.GetNumberOfNodeReferences(role))]
    return [node for node in found if node is not None]


def apply_to(transformNode, movingNode) -> None:
    """Put the moving volume under the transform: it is shown aligned with the fixed one.

    Where it lies under a linear transform already, a copy of that goes between; other nodes under it stay.

    Raises:
        InputError: it lies under a transform that is not linear.
    """
    parent = movingNode.GetParentTransformNode()
    if is_under(movingNode, transformNode):
        return
    matrix = linear_parent_matrix(movingNode)
    transformNode.SetNodeReferenceID(MOVED_ROLE, movingNode.GetID())
    under = transformNode
    if parent is not None:
        transformNode.SetNodeReferenceID(PARENT_ROLE, parent.GetID())
        name = slicer.mrmlScene.GenerateUniqueName(f"{parent.GetName()} for {movingNode.GetName()}")
        under = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        under.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(matrix)))
        under.SetAndObserveTransformNodeID(transformNode.GetID())
        transformNode.SetNodeReferenceID(PARENT_COPY_ROLE, under.GetID())
    movingNode.SetAndObserveTransformNodeID(under.GetID())


def take_back(transformNode) -> None:
    """Put the moving volume back to where it was before `apply_to`."""
    moved, copy = transformNode.GetNodeReference(MOVED_ROLE), transformNode.GetNodeReference(PARENT_COPY_ROLE)
    if moved is not None and is_under(moved, transformNode):
        parent = transformNode.GetNodeReference(PARENT_ROLE)
        moved.SetAndObserveTransformNodeID(None if parent is None else parent.GetID())
    _remove(copy)
    for role in (MOVED_ROLE, PARENT_ROLE, PARENT_COPY_ROLE):
        transformNode.RemoveNodeReferenceIDs(role)


def undo(transformNode) -> None:
    """Leave the scene as it was before the registration: without its transform and what hangs on it."""
    take_back(transformNode)
    for node in companions(transformNode):
        _remove(node)
    _remove(transformNode)


def show_grid(transformNode, fixedNode) -> None:
    """Show the transform in the slice views as a grid, deformed, over the fixed volume."""
    transformNode.CreateDefaultDisplayNodes()
    display = transformNode.GetDisplayNode()
    extent = max(size * spacing for size, spacing in zip(fixedNode.GetImageData().GetDimensions(),
                                                         fixedNode.GetSpacing()))
    with slicer.util.NodeModify(display):
        display.SetVisualizationMode(slicer.vtkMRMLTransformDisplayNode.VIS_MODE_GRID)
        display.SetAndObserveRegionNode(fixedNode)
        display.SetGridSpacingMm(extent / GRID_LINES)
        display.SetVisibility(True)
        display.SetVisibility2D(True)
        display.SetVisibility3D(False)


def _put_inverse(node, results: RegistrationResults, name: str, movingNode) -> None:
    earlier = node.GetNodeReference(INVERSE_ROLE)
    if results.inverse is None:
        _remove(earlier)
        return
    made = fill_transform_node(*results.inverse, name, earlier)
    place_beside(made, movingNode)
    node.SetNodeReferenceID(INVERSE_ROLE, made.GetID())


def _segmentations(results: RegistrationResults, along, fixedNode, placement: Placement) -> list:
    made, at = [], 0
    for source, layers in along:
        warped = results.segmentations[at:at + len(layers)]
        at += len(layers)
        layers = tuple(Layer(labels, layer.ids) for labels, layer in zip(warped, layers))
        made.append(create_from_layers(layers, source, f"{source.GetName()} on {fixedNode.GetName()}", placement,
                                       fixedNode))
    return made


def _hardened_copies(transformNode, outputs: RegistrationOutputs, fixed: str) -> list:
    """Copies of markups and models, hardened through their own transforms and then through the registration."""
    made = []
    for source in outputs.nodesToTransform:
        if source.IsA("vtkMRMLSegmentationNode"):
            continue
        name = slicer.mrmlScene.GenerateUniqueName(f"{source.GetName()} on {fixed}")
        copy = slicer.mrmlScene.AddNewNodeByClass(source.GetClassName(), name)
        copy.CopyContent(source)
        copy.SetName(name)
        for parent in (source.GetTransformNodeID(), transformNode.GetID()):
            if parent is not None:
                copy.SetAndObserveTransformNodeID(parent)
                copy.HardenTransform()
        copy.CreateDefaultDisplayNodes()
        place_beside(copy, source)
        made.append(copy)
    return made


def _remove(node) -> None:
    if node is not None and slicer.mrmlScene.IsNodePresent(node):
        slicer.mrmlScene.RemoveNode(node)
