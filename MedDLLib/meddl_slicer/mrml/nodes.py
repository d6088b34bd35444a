"""Volume nodes to meddl volumes in world space, and back.

A node's array has the axes (k, j, i); a meddl volume has (channel, i, j, k). The bridge transposes it as a view.
A node under a parent transform is read where it is seen: a linear transform goes into the affine, a nonlinear one
is hardened on a temporary copy. The user's own node is never changed by reading it.
"""

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from meddl.core.errors import InputError
from meddl.spatial.volume import Volume


@dataclass(frozen=True, eq=False)
class Placement:
    """How a volume was read from a node, so that a result goes back to exactly the same place.

    Attributes:
        local_affine: 4x4, voxel index to the node's own RAS mm (before its parent transform).
        shape: voxels along i, j, k of the volume that was read.
        follows_parent: True where results belong under the node's parent transform (none or linear), on
            `local_affine`; False where the node was hardened through a nonlinear one: results belong in world space.
        world_affine: 4x4, voxel index to world RAS mm, the affine of the volume that was read.
    """

    local_affine: np.ndarray
    shape: tuple[int, int, int]
    follows_parent: bool
    world_affine: np.ndarray


def affine_of_node(volumeNode) -> np.ndarray:
    """The node's own 4x4 matrix, voxel index to RAS mm, without its parent transform."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def volume_from_node(volumeNode, component: int | None = None) -> Volume:
    """The node's image in world RAS mm.

    Args:
        volumeNode: a scalar, label map, vector or diffusion weighted volume node.
        component: which component of a node with several; needed there, not elsewhere.

    Returns:
        A volume of shape (1, I, J, K). Its array is a view of the node's voxels, except under a nonlinear
        transform: do not write into it.

    Raises:
        InputError: not a volume node, no image in it, several components and none chosen, or tensors.
        GeometryError: the node's matrix cannot be inverted.
    """
    return read_node(volumeNode, component)[0]


def read_node(volumeNode, component: int | None = None) -> tuple[Volume, Placement]:
    """`volume_from_node`, and the placement that takes results of the same grid back to the node."""
    _check_volume_node(volumeNode)
    parent = volumeNode.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        return _read_hardened(volumeNode, parent, component)
    array = _scalar_array(volumeNode, component)
    local_affine = affine_of_node(volumeNode)
    world_affine = linear_parent_matrix(volumeNode) @ local_affine
    return Volume.scalar(array, world_affine), Placement(local_affine, array.shape, True, world_affine)


def linear_parent_matrix(node) -> np.ndarray:
    """The 4x4 matrix of the node's parent transforms to the world, identity where it has none.

    Raises:
        InputError: a parent transform is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    if not parent.IsTransformToWorldLinear() or not parent.GetMatrixTransformToWorld(matrix):
        raise InputError(f"The transform of '{node.GetName()}' was expected to be linear; '{parent.GetName()}' is not.")
    return slicer.util.arrayFromVTKMatrix(matrix)


def is_label_map(volumeNode) -> bool:
    """Whether the node's values are labels, to be resampled by nearest neighbor."""
    return is_of_class(volumeNode, "vtkMRMLLabelMapVolumeNode")


def is_plain_volume(node) -> bool:
    """Whether the node is what the panels list as volumes: a scalar volume, no label map and no vectors."""
    return is_of_class(node, "vtkMRMLScalarVolumeNode") and node.GetClassName() == "vtkMRMLScalarVolumeNode"


def why_not_usable(volumeNode) -> str | None:
    """Why the node cannot be an input, as a sentence for a tooltip; None where it can. Reads no voxels."""
    try:
        _check_volume_node(volumeNode)
        _component(volumeNode, None)
    except InputError as error:
        return str(error)
    return None


def create_volume_node(volume: Volume, name: str, like=None, placement: Placement | None = None):
    """A new volume node with the volume's voxels, in the scene.

    Args:
        volume: one channel, in world RAS mm.
        name: the wished name; a number is added where the scene already has it.
        like: a node whose kind (label map or not), display window and subject-hierarchy folder are taken over.
        placement: where `like` was read from: the new node then lies under the same (linear) parent transform.

    Raises:
        InputError: the volume has several channels, or a type that Slicer cannot show.
    """
    class_name = "vtkMRMLLabelMapVolumeNode" if is_label_map(like) else "vtkMRMLScalarVolumeNode"
    node = slicer.mrmlScene.AddNewNodeByClass(class_name, slicer.mrmlScene.GenerateUniqueName(name))
    try:
        update_volume_node(node, volume, like, placement)
    except InputError:
        slicer.mrmlScene.RemoveNode(node)
        raise
    node.CreateDefaultDisplayNodes()
    if like is not None:
        copy_display(like, node)
        place_beside(node, like)
    return node


def update_volume_node(node, volume: Volume, like=None, placement: Placement | None = None) -> None:
    """Put the volume's voxels and place into the node, copied.

    Args:
        node: a scalar or label map volume node.
        volume: one channel, in world RAS mm.
        like, placement: as in `create_volume_node`; without them the node ends under no parent transform.

    Raises:
        InputError: the volume has several channels, or a type that Slicer cannot show.
    """
    array = _slicer_array(volume.scalar_data)
    affine, parent_id = volume.affine, None
    if like is not None and placement is not None and placement.follows_parent:
        parent_id = like.GetTransformNodeID()
        affine = local_affine(volume.affine, placement)
    image = image_from_array(array)
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(parent_id)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(affine)))
        node.SetAndObserveImageData(image)


def put_volume(volume: Volume, name: str, looks, place, placement: Placement, node):
    """A volume that looks like the node `looks` and lies in the space of `place`; in `node`, or a new one."""
    if node is None:
        node = create_volume_node(volume, name, looks)
    update_volume_node(node, volume, place, placement)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def local_affine(world_affine: np.ndarray, placement: Placement) -> np.ndarray:
    """An affine to world RAS as an affine to the RAS of the node that `placement` was read from.

    The grid that was read gives exactly the node's own matrix, without rounding.
    """
    if not placement.follows_parent:
        return np.array(world_affine)
    if np.allclose(world_affine, placement.world_affine, rtol=0, atol=1e-9):
        return np.array(placement.local_affine)
    return placement.local_affine @ np.linalg.solve(placement.world_affine, world_affine)


def image_from_array(array: np.ndarray, image=None):
    """Voxels of shape (I, J, K) as a vtkImageData (or in the given one), copied, without spacing or origin.

    The copy is fast where i is already the fastest axis in memory.
    """
    image = vtk.vtkImageData() if image is None else image
    image.SetDimensions(array.shape)
    image.AllocateScalars(get_vtk_array_type(array.dtype), 1)
    target = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(array.shape[::-1])
    np.copyto(target, array.transpose(2, 1, 0))
    return image


def copy_display(source, target) -> None:
    """Take over the window, level and colors of a node that shows the same kind of intensities."""
    source_display, target_display = source.GetDisplayNode(), target.GetDisplayNode()
    if source_display is None or target_display is None or is_label_map(source) != is_label_map(target):
        return
    target_display.SetAndObserveColorNodeID(source_display.GetColorNodeID())
    if not is_label_map(source):
        target_display.SetAutoWindowLevel(source_display.GetAutoWindowLevel())
        target_display.SetWindowLevel(source_display.GetWindow(), source_display.GetLevel())


def place_beside(node, source) -> None:
    """Put the node into the subject-hierarchy folder (study, patient) that holds `source`."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    if hierarchy is None or source is None:
        return
    source_item = hierarchy.GetItemByDataNode(source)
    if source_item:
        hierarchy.CreateItem(hierarchy.GetItemParent(source_item), node)


def is_of_class(node, nodeClass: str) -> bool:
    """Whether it is a node of this class; nothing, and what is no node, is not."""
    return bool(hasattr(node, "IsA") and node.IsA(nodeClass))


def name_of_node(node) -> str:
    """The node's name; of what is no node, what it is."""
    return node.GetName() if hasattr(node, "GetName") else type(node).__name__


def check_node(node, name: str, nodeClass: str, inputs=()) -> None:
    """See that an output node is of its class, and no input; None is.

    Args:
        name: of the argument, for the error.
        nodeClass: such as "vtkMRMLTransformNode".
        inputs: nodes that stay as they are.

    Raises:
        InputError: another node, an input, or no node at all.
    """
    if node is None:
        return
    if is_of_class(node, nodeClass):
        if any(node is one for one in inputs):
            raise InputError(f"'{node.GetName()}' is the input. Choose another node to fill as {name}, or none.")
        return
    found = f"'{node.GetName()}' is a {node.GetClassName()}" if hasattr(node, "IsA") else f"got {name_of_node(node)}"
    raise InputError(f"{name} is a {nodeClass} or None; {found}.")


def _check_volume_node(node) -> None:
    if node is None:
        raise InputError("A volume was expected; none is selected.")
    if not hasattr(node, "IsA"):
        raise InputError(f"A volume node was expected; got {type(node).__name__}. slicer.util.getNode(name) finds one.")
    if not node.IsA("vtkMRMLVolumeNode"):
        raise InputError(f"A volume was expected; '{node.GetName()}' is a {node.GetNodeTagName()}.")
    if node.IsA("vtkMRMLDiffusionTensorVolumeNode"):
        raise InputError(f"A volume of numbers was expected; '{node.GetName()}' holds tensors. "
                         "Compute a scalar map from it first.")
    image = node.GetImageData()
    if image is None or image.GetPointData() is None or image.GetPointData().GetScalars() is None:
        raise InputError(f"The volume '{node.GetName()}' has no image in it. Load one.")


def _component(node, component: int | None) -> int:
    count = node.GetImageData().GetNumberOfScalarComponents()
    if component is None:
        if count > 1:
            raise InputError(f"A volume with one value per voxel was expected; '{node.GetName()}' has {count}. "
                             "Extract one component (module Vector To Scalar Volume), or name it.")
        return 0
    if not 0 <= component < count:
        raise InputError(f"Component {component} was asked for; '{node.GetName()}' has components 0 to {count - 1}.")
    return component


def _scalar_array(node, component: int | None) -> np.ndarray:
    """The voxels of one component as a view of shape (I, J, K)."""
    index = _component(node, component)
    image = node.GetImageData()
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*image.GetDimensions()[::-1], -1)
    return array[..., index].transpose(2, 1, 0)


def _read_hardened(volumeNode, parent, component: int | None) -> tuple[Volume, Placement]:
    index = _component(volumeNode, component)
    to_world = vtk.vtkGeneralTransform()
    parent.GetTransformToWorld(to_world)
    # A node of its own, outside the scene: hardening resamples it on a box that holds the whole warped image.
    copy = slicer.vtkMRMLLabelMapVolumeNode() if is_label_map(volumeNode) else slicer.vtkMRMLScalarVolumeNode()
    copy.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine_of_node(volumeNode)))
    copy.SetAndObserveImageData(image_from_array(_scalar_array(volumeNode, index)))
    copy.ApplyTransform(to_world)
    array = _scalar_array(copy, None)
    affine = affine_of_node(copy)
    return Volume.scalar(array, affine), Placement(affine, array.shape, False, affine)


def _slicer_array(array: np.ndarray) -> np.ndarray:
    """The array in a type that Slicer draws: 64-bit integers and half floats are narrowed, if nothing is lost."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype in (np.int64, np.uint64):
        narrow = array.astype(np.int32)
        if not np.array_equal(narrow, array):
            raise InputError("The volume holds integers beyond 32 bits, which Slicer cannot show.")
        return narrow
    return array
