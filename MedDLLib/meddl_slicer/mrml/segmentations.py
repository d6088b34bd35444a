"""A meddl segmentation as a segmentation node: names, colors, terminology, geometry, surfaces, confidence."""

import numpy as np
import slicer
import vtk

from meddl.results import Segment, Segmentation
from meddl.spatial.segmentation import terminology_entry
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import (
    Placement,
    create_volume_node,
    image_from_array,
    local_affine,
    place_beside,
    read_node,
)
from meddl_slicer.mrml.surfaces import Surface, poly_data

BODY_SUBSTANCE = "91720002"  # SNOMED CT
# Tags of a segment that DICOM SEG export writes; without them Slicer says that it was drawn by hand.
ALGORITHM_TYPE, ALGORITHM_NAME = "DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName"
LONGEST_NAME = 64  # characters of a DICOM value of type LO


def create_segmentation_node(segmentation: Segmentation, sourceNode, name: str | None = None, *,
                             placement: Placement | None = None, surfaces: dict[int, Surface] | None = None, node=None):
    """A segmentation node that lies exactly over the volume that it was made from.

    The labels become one shared label map, voxel for voxel. Under a linear parent transform the node goes under the
    same transform, in the volume's own space; where the volume was hardened through a nonlinear one, it lies in
    world space. Structures without a voxel are left out.

    Args:
        segmentation: labels on the grid that was read from the node.
        sourceNode: the volume node.
        name: of the new node; default "<volume> segmentation", numbered where the scene has it.
        placement: how the volume was read; default: read now.
        surfaces: by label value, in the RAS mm of `placement.local_affine`, shown in 3D; None: none shown.
        node: a segmentation node to fill instead of a new one; what it held is replaced.

    Returns:
        The segmentation node, in the scene.
    """
    if placement is None:
        placement = read_node(sourceNode)[1]
    affine = local_affine(segmentation.affine, placement)
    if node is None:
        name = slicer.mrmlScene.GenerateUniqueName(name or f"{sourceNode.GetName()} segmentation")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    content = segmentation_content(segmentation, affine, surfaces)
    with slicer.util.NodeModify(node):
        _replace_segmentation(node, content)
        node.SetAndObserveTransformNodeID(sourceNode.GetTransformNodeID() if placement.follows_parent else None)
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), sourceNode.GetID())
    node.CreateDefaultDisplayNodes()
    _show(node, surfaces is not None)
    _hide_csf_in_3d(node, segmentation)
    place_beside(node, sourceNode)
    refer_to_images(node, sourceNode)
    return node


def segmentation_content(segmentation: Segmentation, affine: np.ndarray, surfaces: dict[int, Surface] | None = None):
    """What a segmentation node holds: a vtkSegmentation, its label map on the 4x4 `affine` to the node's own RAS mm."""
    content = slicer.vtkSegmentation()
    _set_reference_geometry(content, affine, segmentation.labels.shape)
    _add_segments(content, segmentation, affine, surfaces)
    return content


def create_confidence_node(segmentation: Segmentation, sourceNode, name: str | None = None, *,
                           placement: Placement | None = None):
    """A scalar volume node with the probability of the chosen label at each voxel, 0 to 1.

    Returns None where the segmentation has no confidence.
    """
    if segmentation.confidence is None:
        return None
    if placement is None:
        placement = read_node(sourceNode)[1]
    volume = Volume.scalar(segmentation.confidence, segmentation.affine)
    node = create_volume_node(volume, name or f"{sourceNode.GetName()} confidence", None, None)
    if placement.follows_parent:
        node.SetIJKToRASMatrix(_vtk_matrix(local_affine(volume.affine, placement)))
        node.SetAndObserveTransformNodeID(sourceNode.GetTransformNodeID())
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, 1.0)
    place_beside(node, sourceNode)
    return node


def refer_to_images(node, volumeNode) -> None:
    """Keep with a segmentation which DICOM images it was made from, as one does that was loaded from DICOM SEG."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(node)
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMReferencedInstanceUIDsAttributeName()
    images = volumeNode.GetAttribute("DICOM.instanceUIDs")
    if images:
        hierarchy.SetItemAttribute(item, name, images)
    else:
        hierarchy.RemoveItemAttribute(item, name)


def present_values(segmentation: Segmentation) -> set[int]:
    """Label values that at least one voxel has: from the report's volumes where given, else counted."""
    volumes = segmentation.report.get("volumes_ml")
    if volumes is not None:
        return {segment.value for segment in segmentation.segments if volumes.get(segment.name, 0) > 0}
    counts = np.bincount(segmentation.labels.reshape(-1, order="A"))
    return set(np.flatnonzero(counts).tolist()) - {0}


def _replace_segmentation(node, content) -> None:
    """Let the node hold `content`. Segments that go one by one would each rewrite the label map that they share."""
    earlier = node.GetSegmentation()
    node.SetAndObserveSegmentation(content)
    for index in range(0 if earlier is None else earlier.GetNumberOfSegments()):
        earlier.GetNthSegment(index).RemoveAllRepresentations()


def _add_segments(target, segmentation: Segmentation, affine: np.ndarray, surfaces: dict[int, Surface] | None) -> None:
    labels = slicer.vtkOrientedImageData()
    image_from_array(segmentation.labels, labels)
    labels.SetImageToWorldMatrix(_vtk_matrix(affine))
    target.SetSourceRepresentationName(_binary_label_map())
    present = present_values(segmentation)
    for entry in segmentation.segments:
        if entry.value not in present:
            continue
        segment = slicer.vtkSegment()
        _describe(segment, entry, segmentation.report.get("model"))
        segment.AddRepresentation(_binary_label_map(), labels)
        if surfaces and entry.value in surfaces:
            segment.AddRepresentation(_closed_surface(), poly_data(surfaces[entry.value]))
        target.AddSegment(segment, f"Segment_{entry.value}")


def _describe(segment, entry: Segment, model: str | None) -> None:
    segment.SetName(entry.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*entry.color)
    segment.SetColorAutoGenerated(False)
    segment.SetLabelValue(entry.value)
    if entry.terminology:  # else the segment keeps Slicer's default, Tissue
        segment.SetTerminology(terminology_entry(entry.terminology))
    if model:
        segment.SetTag(ALGORITHM_TYPE, "AUTOMATIC")
        segment.SetTag(ALGORITHM_NAME, f"MedDL {model}"[:LONGEST_NAME])


def _set_reference_geometry(target, affine: np.ndarray, shape) -> None:
    """The editor's grid for this segmentation: the grid of the labels."""
    image = vtk.vtkImageData()
    image.SetDimensions(shape)
    geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(_vtk_matrix(affine), image)
    target.SetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), geometry)


def _show(node, in_3d: bool) -> None:
    """Show the segments; in 3D those are seen that have surfaces, made here or later by the Show 3D button."""
    display = node.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility3D(True)
    if in_3d:
        display.SetPreferredDisplayRepresentationName3D(_closed_surface())


def _hide_csf_in_3d(node, segmentation: Segmentation) -> None:
    """Body substances, such as the CSF around the brain, would hide what lies within."""
    display = node.GetDisplayNode()
    for entry in segmentation.segments:
        identifier = f"Segment_{entry.value}"
        category = (entry.terminology or {}).get("category")
        if category and category[1] == BODY_SUBSTANCE and node.GetSegmentation().GetSegment(identifier) is not None:
            display.SetSegmentVisibility3D(identifier, False)


def _vtk_matrix(matrix: np.ndarray):
    return slicer.util.vtkMatrixFromArray(np.ascontiguousarray(matrix, dtype=np.float64))


def _binary_label_map() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def _closed_surface() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
