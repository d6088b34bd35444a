"""Segmentation nodes as label maps in the world, layer by layer, and back: names, colors and codes stay.

Segments that do not overlap share a label map, a layer; those that do have layers of their own.
"""

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from meddl.core.errors import InputError
from meddl.results import Segment, Segmentation
from meddl.spatial.grid import Grid
from meddl.spatial.segmentation import parse_terminology_entry
from meddl_slicer.mrml.nodes import Placement, image_from_array, linear_parent_matrix, local_affine, place_beside
from meddl_slicer.mrml.segmentations import refer_to_images


@dataclass(frozen=True, eq=False)
class Layer:
    """Segments that share a label map.

    Attributes:
        labels: in world RAS mm.
        ids: the segments' identifiers in the node, in the order of `labels.segments`.
    """

    labels: Segmentation
    ids: tuple[str, ...]


def read_layers(segmentationNode, volumeNode=None) -> tuple[Layer, ...]:
    """The layers of a segmentation node, where it is seen. The node stays as it is.

    Args:
        volumeNode: gives the grid where the segments are only surfaces.

    Raises:
        InputError: not a segmentation node, no segments, or a parent transform that is not linear.
    """
    if segmentationNode is None or not segmentationNode.IsA("vtkMRMLSegmentationNode"):
        raise InputError("A segmentation was expected; "
                         f"{'none is selected' if segmentationNode is None else segmentationNode.GetName()}.")
    parent = linear_parent_matrix(segmentationNode)
    content = _with_label_maps(segmentationNode, volumeNode)
    layers = []
    for index in range(content.GetNumberOfLayers(_binary_label_map())):
        image = content.GetLayerDataObject(index, _binary_label_map())
        ids = tuple(content.GetSegmentIDsForLayer(index, _binary_label_map()))
        array = _array_of(image)
        if array is None or not ids:
            continue
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        affine = parent @ slicer.util.arrayFromVTKMatrix(matrix) @ _first_voxel(image)
        segments = tuple(_segment_of(content.GetSegment(one)) for one in ids)
        layers.append(Layer(Segmentation(array, affine, segments), ids))
    if not layers:
        raise InputError(f"The segmentation '{segmentationNode.GetName()}' has no segment with a voxel.")
    return tuple(layers)


def reference_grid(segmentationNode) -> Grid | None:
    """The grid on which a segmentation was made, where it is seen: its reference geometry; None where it has none.

    Raises:
        InputError: a parent transform that is not linear.
    """
    text = segmentationNode.GetSegmentation().GetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName())
    geometry = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, geometry, False):
        return None
    extent, matrix = geometry.GetExtent(), vtk.vtkMatrix4x4()
    shape = tuple(last - first + 1 for first, last in zip(extent[0::2], extent[1::2]))
    if min(shape) < 1:
        return None
    geometry.GetImageToWorldMatrix(matrix)
    return Grid(shape, linear_parent_matrix(segmentationNode) @ slicer.util.arrayFromVTKMatrix(matrix)
                @ _first_voxel(geometry))


def create_from_layers(layers: tuple[Layer, ...], sourceNode, name: str, placement: Placement, placeNode):
    """A new segmentation node with these layers; the segments look and are called like those of `sourceNode`.

    Args:
        placement, placeNode: the volume node over which the layers lie, and how it was read.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(name))
    source, content = sourceNode.GetSegmentation(), slicer.vtkSegmentation()
    content.SetSourceRepresentationName(_binary_label_map())
    for layer in layers:
        image = slicer.vtkOrientedImageData()
        image_from_array(layer.labels.labels, image)
        affine = local_affine(layer.labels.affine, placement)
        image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(affine)))
        for identifier, entry in zip(layer.ids, layer.labels.segments):
            segment = slicer.vtkSegment()
            if source.GetSegment(identifier) is not None:
                segment.DeepCopyMetadata(source.GetSegment(identifier))
            segment.SetName(entry.name)
            segment.SetColor(*entry.color)
            segment.SetLabelValue(entry.value)
            segment.AddRepresentation(_binary_label_map(), image)
            content.AddSegment(segment, identifier)
    with slicer.util.NodeModify(node):
        node.SetAndObserveSegmentation(content)
        node.SetAndObserveTransformNodeID(placeNode.GetTransformNodeID() if placement.follows_parent else None)
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), placeNode.GetID())
    node.CreateDefaultDisplayNodes()
    place_beside(node, placeNode)
    refer_to_images(node, placeNode)
    return node


def _with_label_maps(node, volumeNode):
    """The node's segmentation, or a copy with label maps where it has only surfaces."""
    content = node.GetSegmentation()
    if not content.GetNumberOfSegments() or content.ContainsRepresentation(_binary_label_map()):
        return content
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(content)
    if volumeNode is not None:
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(matrix, volumeNode.GetImageData())
        copy.SetConversionParameter(
            slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), geometry)
    if not copy.CreateRepresentation(_binary_label_map()):
        raise InputError(f"The segments of '{node.GetName()}' could not be turned into a label map.")
    return copy


def _array_of(image) -> np.ndarray | None:
    """The labels as (I, J, K) uint8 or uint16; None where there is no voxel."""
    scalars = None if image is None else image.GetPointData().GetScalars()
    if scalars is None or not scalars.GetNumberOfTuples():
        return None
    array = vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1]).transpose(2, 1, 0)
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.min() < 0 or array.max() > 65535:
        raise InputError("A segmentation holds labels beyond 65535, which cannot be read.")
    return array.astype(np.uint16)


def _first_voxel(image) -> np.ndarray:
    """A cropped label map starts at the index where its extent starts, not at zero."""
    shift = np.eye(4)
    shift[:3, 3] = image.GetExtent()[0::2]
    return shift


def _segment_of(segment) -> Segment:
    return Segment(segment.GetLabelValue(), segment.GetName(), tuple(segment.GetColor()),
                   parse_terminology_entry(segment.GetTerminology() or ""))


def _binary_label_map() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
