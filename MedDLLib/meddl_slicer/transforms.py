"""A meddl registration as a transform node.

A registration maps fixed points to moving points, world RAS mm. That is what resampling needs and what a transform
node calls "from parent": a moving node placed under the node lands on the fixed one.
"""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from meddl.errors import GeometryError
from meddl.geometry import Grid
from meddl.results import Registration
from meddl.volume import Volume


def create_transform_node(registration: Registration, name: str, node=None):
    """A transform node that carries the moving volume onto the fixed one.

    Args:
        registration: linear, deformable, or both.
        name: of the new node; numbered where the scene has it.
        node: a transform node to fill instead of a new one; what it held is replaced.

    Returns:
        The vtkMRMLTransformNode, in the scene: a matrix where the result is linear.

    Raises:
        GeometryError: the displacement lies on a sheared grid, which a grid transform cannot hold.
    """
    deformation = None if registration.displacement is None else grid_transform(registration.displacement)
    if node is None:
        name = slicer.mrmlScene.GenerateUniqueName(name)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    matrix = slicer.util.vtkMatrixFromArray(np.ascontiguousarray(registration.affine))
    if deformation is None:
        node.SetMatrixTransformFromParent(matrix)
    elif np.array_equal(registration.affine, np.eye(4)):
        node.SetAndObserveTransformFromParent(deformation)
    else:
        both = vtk.vtkGeneralTransform()
        both.PostMultiply()
        both.Concatenate(deformation)  # p + u(p) first
        both.Concatenate(matrix)       # then the affine
        node.SetAndObserveTransformFromParent(both)
    return node


def registration_from_node(transformNode, grid: Grid) -> Registration:
    """The linear transform of a node, to the world, as a registration on `grid`.

    Raises:
        GeometryError: the node's transform is not linear.
    """
    matrix = vtk.vtkMatrix4x4()
    if not transformNode.IsTransformToWorldLinear() or not transformNode.GetMatrixTransformToWorld(matrix):
        raise GeometryError(f"A linear transform was expected; '{transformNode.GetName()}' is not linear.")
    return Registration(np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix)), None, grid)


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
    directions = grid.directions
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-5):
        raise GeometryError("A displacement field needs a grid with right angles; this one is sheared. "
                            "Resample the fixed volume first.")
    image = vtk.vtkImageData()
    image.SetDimensions(grid.shape)
    image.SetSpacing(*grid.spacing_mm)
    image.SetOrigin(*grid.affine[:3, 3])
    vectors = np.ascontiguousarray(displacement.data.transpose(3, 2, 1, 0), dtype=np.float64)
    image.GetPointData().SetScalars(numpy_to_vtk(vectors.reshape(-1, 3), deep=True))
    transform = slicer.vtkOrientedGridTransform()
    matrix = np.eye(4)
    matrix[:3, :3] = directions
    transform.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(matrix))
    transform.SetDisplacementGridData(image)
    transform.SetInterpolationModeToLinear()  # as the registration itself samples its field
    return transform
