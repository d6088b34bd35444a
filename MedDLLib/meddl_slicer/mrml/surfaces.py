"""Smooth surfaces of label maps, made in the worker so that the application stays responsive."""

from typing import NamedTuple

import numpy as np

from meddl.core.progress import report

# Windowed sinc smoothing as in Slicer's own surfaces at its default smoothing factor of 0.5.
ITERATIONS = 40
PASS_BAND = 0.01


class Surface(NamedTuple):
    """A closed triangle mesh.

    Attributes:
        points: (N, 3) float32, mm.
        triangles: (M, 3) int64, indices of points, counterclockwise seen from outside.
        normals: (N, 3) float32, unit, outward.
    """

    points: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray


def label_surfaces(labels: np.ndarray, affine: np.ndarray, values, on_progress=None) -> dict[int, Surface]:
    """One closed surface for each label.

    Args:
        labels: (I, J, K) integers.
        affine: 4x4, voxel index to the mm that the surfaces are wanted in; smoothing is done in mm.
        values: the label values to make surfaces of.
        on_progress: progress callback.

    Returns:
        label value -> Surface. A label without a voxel is left out.
    """
    from scipy.ndimage import find_objects

    boxes = find_objects(labels)
    found = {}
    values = list(values)
    for index, value in enumerate(values):
        report(on_progress, index / max(len(values), 1), "Making surfaces")
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is not None:
            found[value] = _surface(labels[box] == value, [axis.start for axis in box], affine)
    return found


def poly_data(surface: Surface):
    """A surface as a vtkPolyData, copied."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    points, cells, mesh = vtkPoints(), vtkCellArray(), vtkPolyData()
    points.SetData(numpy_to_vtk(surface.points, deep=True))
    offsets = np.arange(0, surface.triangles.size + 1, 3, dtype=np.int64)
    cells.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True),
                  numpy_to_vtkIdTypeArray(surface.triangles.ravel(), deep=True))
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    mesh.GetPointData().SetNormals(numpy_to_vtk(surface.normals, deep=True))
    return mesh


def _surface(mask: np.ndarray, start, affine: np.ndarray) -> Surface:
    """The smoothed boundary of a mask of shape (I, J, K), whose first voxel has the index `start`."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkWindowedSincPolyDataFilter

    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    padded = np.pad(mask.astype(np.uint8), 1)
    image = vtkImageData()
    image.SetDimensions(padded.shape)
    image.SetSpacing(*spacing_mm)
    flat = np.ascontiguousarray(padded.transpose(2, 1, 0)).ravel()
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=False))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(edges.GetOutputPort())
    smooth.SetNumberOfIterations(ITERATIONS)
    smooth.SetPassBand(PASS_BAND)
    smooth.BoundarySmoothingOff()
    smooth.FeatureEdgeSmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    smooth.Update()
    mesh = smooth.GetOutput()
    indices = vtk_to_numpy(mesh.GetPoints().GetData()) / spacing_mm + np.asarray(start) - 1
    points = indices @ affine[:3, :3].T + affine[:3, 3]
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    if np.linalg.det(affine[:3, :3]) < 0:
        triangles = triangles[:, ::-1]  # a mirrored grid turns triangles inside out
    return Surface(points.astype(np.float32), np.ascontiguousarray(triangles), _normals(points, triangles))


def _normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals at the points, (N, 3) float32: the area-weighted mean of the triangles around each."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    total = np.stack([np.bincount(triangles.ravel(), np.repeat(faces[:, axis], 3), len(points))
                      for axis in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.where(length > 0, length, 1)).astype(np.float32)
