"""Smooth surfaces of label maps, made in the worker so that the application stays responsive."""

import numpy as np

# Windowed sinc smoothing as in Slicer's own surfaces at its default smoothing factor of 0.5.
ITERATIONS = 40
PASS_BAND = 0.01


def label_surfaces(labels: np.ndarray, spacing_mm: np.ndarray, values, on_progress=None) -> dict:
    """One closed surface for each label.

    Args:
        labels: (I, J, K) integers.
        spacing_mm: voxel size along i, j, k; smoothing is done in mm.
        values: the label values to make surfaces of.
        on_progress: progress callback.

    Returns:
        label value -> (points (N, 3) float32 in voxel indices, triangles (M, 3) int32, seen counterclockwise from
        outside on a right-handed grid). A label without a voxel is left out.
    """
    from scipy.ndimage import find_objects

    from meddl.progress import report

    boxes = find_objects(labels)
    found = {}
    values = list(values)
    for index, value in enumerate(values):
        report(on_progress, index / max(len(values), 1), "Making surfaces")
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is not None:
            found[value] = _surface(labels[box] == value, [axis.start for axis in box], np.asarray(spacing_mm))
    return found


def _surface(mask: np.ndarray, start, spacing_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smoothed boundary of a mask of shape (I, J, K), whose first voxel has the index `start`."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkWindowedSincPolyDataFilter

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
    surface = smooth.GetOutput()
    points = vtk_to_numpy(surface.GetPoints().GetData()) / spacing_mm + np.asarray(start) - 1
    triangles = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return points.astype(np.float32), triangles.astype(np.int32)
