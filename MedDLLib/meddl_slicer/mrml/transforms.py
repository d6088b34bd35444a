"""A meddl registration as a transform node.

A registration maps fixed points to moving points, world RAS mm. That is what resampling needs and what a transform
node calls "from parent": a moving node placed under the node lands on the fixed one.
"""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from meddl.core.errors import GeometryError
from meddl.results import Registration
from meddl.spatial.grid import Grid, is_orthonormal
from meddl.spatial.volume import Volume


def create_transform_node(registration: Registration, name: str, node=None):
    """A transform node that registers the moving volume to the fixed one.

    Args:
        registration: linear, deformable, or both.
        name: of the new node; numbered where the scene has it.
        node: a transform node to fill instead of a new one; what it held is replaced.

    Returns:
        The vtkMRMLTransformNode, in the scene: see `fill_transform_node`.
    """
    field, matrix = (None, registration.affine) if registration.is_linear else registration.as_field()
    return fill_transform_node(field, matrix, name, node)


def fill_transform_node(field: Volume | None, matrix: np.ndarray | None, name: str, node=None):
    """A transform node whose transform from parent is a displacement field and then a matrix, world RAS mm.

    Args:
        field: p_moving - p_fixed, (3, I, J, K) mm along R, A, S, on a grid with right angles that ends in zeros, as
            `Registration.as_field` gives it; None for a linear map.
        matrix: 4x4, applied after the field; None for none.

    Returns:
        The vtkMRMLTransformNode, in the scene: a matrix, a vtkOrientedGridTransform, or a vtkGeneralTransform of both.
    """
    deformation = None if field is None else grid_transform(field)
    if node is None:
        name = slicer.mrmlScene.GenerateUniqueName(name)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    if matrix is not None:
        matrix = slicer.util.vtkMatrixFromArray(np.ascontiguousarray(matrix, dtype=np.float64))
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)  # the map is from world to world
        if deformation is None:
            node.SetMatrixTransformFromParent(matrix)
        elif matrix is None:
            node.SetAndObserveTransformFromParent(deformation)
        else:
            both = vtk.vtkGeneralTransform()
            both.PostMultiply()
            both.Concatenate(deformation)  # p + u(p) first
            both.Concatenate(matrix)       # then the affine
            node.SetAndObserveTransformFromParent(both)
    return node


def registration_from_node(transformNode, grid: Grid | None = None) -> Registration:
    """The transform of a node, from the world to what lies under it, as a registration whose fixed grid is `grid`.

    Linear transforms, also under linear parents, and those without a parent whose transform from parent is a
    displacement field, alone or followed by a matrix: what this module and Slicer's reader of ITK files make.

    Raises:
        GeometryError: another kind of transform.
    """
    matrix = vtk.vtkMatrix4x4()
    if transformNode.IsTransformToWorldLinear() and transformNode.GetMatrixTransformToWorld(matrix):
        return Registration(np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix)), None, grid)
    parts = vtk.vtkCollection()
    if transformNode.GetParentTransformNode() is None:
        transformNode.FlattenGeneralTransform(parts, transformNode.GetTransformFromParent())
    parts = [parts.GetItemAsObject(index) for index in range(parts.GetNumberOfItems())]
    after = [part for part in parts[1:] if isinstance(part, vtk.vtkLinearTransform)]
    field = displacement_of(parts[0]) if parts else None
    if field is None or len(after) != len(parts) - 1:
        raise GeometryError(f"'{transformNode.GetName()}' holds a transform that cannot be read: a linear transform or "
                            "a displacement field from parent was expected.")
    affine = np.eye(4)
    for part in after:
        affine = slicer.util.arrayFromVTKMatrix(part.GetMatrix()) @ affine
    return Registration(affine, field, grid or field.grid)


def displacement_of(transform) -> Volume | None:
    """The displacement field of a grid transform, (3, I, J, K) mm along R, A, S, copied; None of any other."""
    if not transform.IsA("vtkOrientedGridTransform") or transform.GetInverseFlag():
        return None
    image = transform.GetDisplacementGrid()
    if image is None or image.GetPointData().GetScalars() is None:
        return None
    shape = image.GetDimensions()
    vectors = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*shape[::-1], 3).transpose(3, 2, 1, 0)
    vectors = vectors * transform.GetDisplacementScale() + transform.GetDisplacementShift()
    affine, matrix = np.eye(4), transform.GetGridDirectionMatrix()
    directions = np.eye(3) if matrix is None else slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    affine[:3, :3] = directions * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return Volume(vectors.astype(np.float32), affine)


def is_under(node, transformNode) -> bool:
    """Whether a node lies under a transform node, directly or through others."""
    parent = None if node is None else node.GetParentTransformNode()
    while parent is not None:
        if parent is transformNode:
            return True
        parent = parent.GetParentTransformNode()
    return False


def grid_transform(displacement: Volume):
    """A displacement field, (3, I, J, K) mm along R, A, S, as a vtkOrientedGridTransform.

    Raises:
        GeometryError: the grid is sheared.
    """
    grid = displacement.grid
    if not is_orthonormal(grid):
        raise GeometryError("A displacement field needs a grid with right angles; this one is sheared. "
                            "Resample the fixed volume first.")
    image = vtk.vtkImageData()
    image.SetDimensions(grid.shape)
    image.SetSpacing(*grid.spacing_mm)
    image.SetOrigin(*grid.affine[:3, 3])
    vectors = np.ascontiguousarray(displacement.data.transpose(3, 2, 1, 0), dtype=np.float32)
    image.GetPointData().SetScalars(numpy_to_vtk(vectors.reshape(-1, 3), deep=True))
    transform = slicer.vtkOrientedGridTransform()
    matrix = np.eye(4)
    matrix[:3, :3] = grid.directions
    transform.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(matrix))
    transform.SetDisplacementGridData(image)
    transform.SetInterpolationModeToLinear()  # as the registration itself samples its field
    return transform
