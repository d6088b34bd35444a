"""Landmarks on nodes: read the volume, find them in the worker, make the point list and the transform."""

import numpy as np
import slicer

from meddl.landmarks.result import AC, PC, Landmarks
from meddl_slicer.mrml.nodes import check_node, linear_parent_matrix, place_beside, read_node
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies

MODEL = "brain"  # whose landmarks are those of the brain
FIND = "meddl.landmarks.find:find_landmarks"
ALIGNMENT_ROLE = "MedDL.Alignment"  # node reference of the point list: the transform of the AC-PC alignment
FOUND = "MedDL.Found"  # attribute of markups that a run made: the model
BOXES_ROLE = "MedDL.Boxes"  # node references of the same: ROIs


def find_landmarks_node(volumeNode, *, model: str = MODEL, align: bool = False, markupsNode=None, device: str = "auto",
                        **run):
    """Find landmarks of the brain in a head, or those of a model of one's own: `meddl.find_landmarks`.

    Args:
        volumeNode: a scalar volume node, under any parent transform; for an alignment a linear one or none.
        model: identifier of a model, as `meddl.train_landmarks` makes them, or "brain".
        align: put the volume, and the points with it, under a new linear transform that brings AC to the origin, PC
            straight behind it, and the mid-sagittal plane upright.
        markupsNode: a point list to fill instead of a new one.
        device: "auto", "cpu", "cuda", "mps".
        run: wait, onProgress, onDone, as of `verbs.segment_node`.

    Returns:
        The vtkMRMLMarkupsFiducialNode, or the Task. Its points lie in the space of the volume and have their confidence
        as description; the transform is its node reference ALIGNMENT_ROLE, boxes, as ROIs along R, A and S, are its
        node references BOXES_ROLE. Where there are only boxes, it is the first ROI.

    Raises:
        InputError, GeometryError: a node of another kind, or a volume that shows no head; of an alignment: AC or PC
            was not found, or the volume is under a nonlinear transform.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    check_node(markupsNode, "markupsNode", "vtkMRMLMarkupsFiducialNode")
    dependencies.ensure()
    volume, placement = read_node(volumeNode)
    if align:
        linear_parent_matrix(volumeNode)

    def apply(found: Landmarks):
        matrix = found.ac_pc_matrix if align else None
        parent = volumeNode.GetParentTransformNode() if placement.follows_parent else None
        to_world = linear_parent_matrix(volumeNode) if placement.follows_parent else np.eye(4)
        nodes = []
        if found.points.labels:
            nodes.append(markupsNode if verbs.is_present(markupsNode) else slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLMarkupsFiducialNode", slicer.mrmlScene.GenerateUniqueName(f"{volumeNode.GetName()} landmarks")))
            _fill(nodes[0], found, np.linalg.inv(to_world))
        nodes += add_boxes(found, volumeNode.GetName(), np.linalg.inv(to_world))
        for node in nodes:
            node.SetAndObserveTransformNodeID(None if parent is None else parent.GetID())
            place_beside(node, volumeNode)
            node.SetAttribute(FOUND, model)
        for node in nodes[1:]:
            nodes[0].AddNodeReferenceID(BOXES_ROLE, node.GetID())
        if matrix is not None:
            _align(volumeNode, nodes, matrix, to_world)
        verbs.keep_report(nodes[0], found.report)
        return nodes[0]

    return tasks.run(FIND, volume, model=model, device=device, apply=apply, inputs=(volumeNode,), **run)


def _fill(node, found: Landmarks, from_world: np.ndarray) -> None:
    """Replace the points of a point list."""
    wasModified = node.StartModify()
    node.RemoveAllControlPoints()
    for name, position, sure in zip(found.points.labels, found.points.positions, found.confidence, strict=True):
        local = from_world[:3, :3] @ position + from_world[:3, 3]
        number = node.AddControlPoint(*local, name)
        node.SetNthControlPointDescription(number, f"confidence {sure:.2f}")
    node.EndModify(wasModified)


def add_boxes(found: Landmarks, name: str, from_world: np.ndarray) -> list:
    """An ROI for each box, in the space that `from_world` leads to."""
    nodes = []
    for label, center, size, sure in zip(found.boxes.labels, found.boxes.centers, found.boxes.sizes,
                                         found.box_confidence, strict=True):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", slicer.mrmlScene.GenerateUniqueName(
            f"{name} {label}"))
        scale = np.linalg.norm(from_world[:3, :3], axis=0)
        place = from_world.copy()
        place[:3, :3] /= scale
        place[:3, 3] += from_world[:3, :3] @ center
        node.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(place)))
        node.SetSize(*(size * scale))
        node.SetDescription(f"confidence {sure:.2f}")
        nodes.append(node)
    return nodes


def _align(volumeNode, markupsNodes, matrix: np.ndarray, to_world: np.ndarray) -> None:
    """Put a volume and its markups under a transform below their parent, so that they move by `matrix` in the world."""
    parent = volumeNode.GetParentTransformNode()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", slicer.mrmlScene.GenerateUniqueName(
        f"{volumeNode.GetName()} {AC}-{PC}"))
    local = np.linalg.inv(to_world) @ matrix @ to_world
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(local)))
    transform.SetAndObserveTransformNodeID(None if parent is None else parent.GetID())
    place_beside(transform, volumeNode)
    for node in (volumeNode, *markupsNodes):
        node.SetAndObserveTransformNodeID(transform.GetID())
    markupsNodes[0].SetNodeReferenceID(ALIGNMENT_ROLE, transform.GetID())
