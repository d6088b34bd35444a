"""What the worker process runs for a comparison of nodes; see `meddl_slicer.runs.remote`."""

import time
from dataclasses import dataclass, replace

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import report, span
from meddl.results import Registration
from meddl.spatial.grid import Grid
from meddl.spatial.points import Points
from meddl.spatial.segmentation import Segmentation, merge_layers
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.surfaces import Surface, label_surfaces, poly_data

LABELS, PROBABILITY, VOLUMES, TRANSFORMS, LANDMARKS = "labels", "probability", "volumes", "transforms", "landmarks"
_WORST = {LABELS: "dice", PROBABILITY: "auc", VOLUMES: "psnr_db"}


@dataclass(frozen=True, eq=False)
class Layers:
    """A segmentation node for the worker.

    Attributes:
        layers: label maps in world RAS mm, each with the segments that lie in it.
        grid: on which they are to lie together; None: the grid of the first.
        name: of the node.
    """

    layers: tuple[Segmentation, ...]
    grid: Grid | None
    name: str

    def merge(self) -> Segmentation:
        """All segments in one label map.

        Raises:
            InputError: two segments overlap.
        """
        from meddl.spatial.resample import resample

        first = self.layers[0]
        grid = self.grid or first.grid
        arrays = [labels.labels if labels.grid.same_as(grid) else
                  resample(Volume.scalar(labels.labels, labels.affine), grid, "nearest").scalar_data
                  for labels in self.layers]
        outside = [np.count_nonzero(there) > np.count_nonzero(here) for here, there in zip(
            arrays, (labels.labels for labels in self.layers), strict=True) if here is not there]
        if any(outside):
            if len(self.layers) == 1:
                return first
            raise InputError(f"A part of the segmentation '{self.name}' lies outside of its reference geometry. Set "
                             "the reference geometry in the Segment Editor so that it holds all segments.")
        entries = [(number, segment) for number, labels in enumerate(self.layers) for segment in labels.segments]
        return merge_layers(arrays, entries, grid.affine, self.name)


@dataclass(frozen=True, eq=False)
class DistanceSurface:
    """The surface of a structure, (N,) float32 mm at its points: the distance to the reference's surface, positive
    outside of the reference and negative inside."""

    name: str
    surface: Surface
    distance_mm: np.ndarray


@dataclass(frozen=True, eq=False)
class Compared:
    """A comparison for the scene, arrays in the memory layout of nodes; None or () for what the kind does not have.

    Attributes:
        kind: LABELS, PROBABILITY, VOLUMES, TRANSFORMS or LANDMARKS.
        rows: a dictionary for each structure or landmark, or one.
        report: of the comparison, with seconds and device.
        confusion: names of the structures, background first, and voxels by true (row) and predicted structure.
        curve: of a ROC, a dictionary for each point.
        errors: where two segmentations differ; of volumes, `difference`.
    """

    kind: str
    rows: list[dict]
    report: dict
    confusion: tuple[tuple[str, ...], np.ndarray] | None = None
    curve: list[dict] | None = None
    errors: Segmentation | None = None
    difference: Volume | None = None
    surfaces: tuple[DistanceSurface, ...] = ()


def compare(kind: str, result: Layers | Volume | Registration | Points, reference, config, *,
            region: Volume | Layers | None = None, transform: Registration | None = None, distances: bool = False,
            on_progress=None) -> Compared:
    """`meddl.compare`, ready for the scene.

    Args:
        kind: what `result` and `reference` are.
        region: the image of the region "body", a mask of volumes, or a volume on whose grid transforms are compared.
        transform: of landmarks.
        distances: whether surfaces with distances are made.
    """
    begin = time.monotonic()
    inner = span(on_progress, 0.0, 0.6 if distances else 0.95)
    made = {LABELS: _labels, PROBABILITY: _probability, VOLUMES: _volumes, TRANSFORMS: _points, LANDMARKS: _points}[
        kind](kind, result, reference, config, region, transform, inner)
    surfaces: tuple[DistanceSurface, ...] = ()
    if distances and kind == LABELS:
        surfaces = distance_surfaces(result.merge(), reference.merge(), config.match, span(on_progress, 0.6, 1.0))
    report(on_progress, 1.0, "Handing over")
    made.report.update(kind=kind, seconds={"total": time.monotonic() - begin}, device="CPU")
    return replace(made, surfaces=surfaces)


def summarize(kind: str, cases: list[tuple[str, list[dict]]], *, on_progress=None) -> tuple[list[dict], list[dict]]:
    """The rows of several cases, those of the worst case first, and their summary: `FolderComparison.summary`."""
    from meddl.comparison.folders import FolderComparison

    def worst(case: tuple[str, list[dict]]) -> float:
        figures = [row[_WORST[kind]] for row in case[1] if row.get(_WORST[kind]) is not None]
        return float(np.mean(figures)) if figures else float("-inf")

    rows = [{"case": name, **row} for name, found in sorted(cases, key=worst) for row in found]
    return rows, FolderComparison(tuple(rows), ()).summary()


def distance_surfaces(result: Segmentation, reference: Segmentation, match: str, on_progress=None
                      ) -> tuple[DistanceSurface, ...]:
    """The surface of each structure of `result` that both have, with its distance to that of `reference`."""
    from meddl.comparison.matching import match_structures

    pairs = [one for one in match_structures(result, reference, match) if one.rule]
    ours = label_surfaces(result.labels, result.affine, [one.prediction for one in pairs], span(on_progress, 0.0, 0.3))
    theirs = label_surfaces(reference.labels, reference.affine, [one.reference for one in pairs],
                            span(on_progress, 0.3, 0.6))
    made = []
    for number, one in enumerate(pairs):
        report(on_progress, 0.6 + 0.4 * number / len(pairs), f"Measuring distances of {one.name}")
        if one.prediction in ours and one.reference in theirs:
            surface = ours[one.prediction]
            made.append(DistanceSurface(one.name, surface, _distances(surface, theirs[one.reference])))
    return tuple(made)


def _distances(surface: Surface, reference: Surface) -> np.ndarray:
    """(N,) float32 mm: signed distance of the surface's points to the reference."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersGeneral import vtkDistancePolyDataFilter

    distance = vtkDistancePolyDataFilter()
    distance.SetInputData(0, poly_data(surface))
    distance.SetInputData(1, poly_data(reference))
    distance.ComputeSecondDistanceOff()
    distance.ComputeCellCenterDistanceOff()
    distance.Update()
    return vtk_to_numpy(distance.GetOutput().GetPointData().GetArray("Distance")).astype(np.float32)


def _labels(kind, result: Layers, reference: Layers, config, region, _transform, on_progress) -> Compared:
    from meddl.comparison.segmentations import compare_segmentations

    found = compare_segmentations(result.merge(), reference.merge(), match=config.match, region=config.region,
                                  image=region, tolerance_mm=config.tolerance_mm, surfaces=config.surfaces,
                                  on_progress=on_progress)
    errors = Segmentation(np.asfortranarray(found.errors.labels), found.errors.affine, found.errors.segments)
    names = ("Background", *(one.name for one in found.structures))
    return Compared(kind, found.rows(), dict(found.report), (names, found.confusion), errors=errors)


def _probability(kind, result: Volume, reference: Layers, config, region, _transform, on_progress) -> Compared:
    from meddl.comparison.probabilities import compare_probability

    found = compare_probability(result, reference.merge(), structure=config.structure or None, region=config.region,
                                image=region, on_progress=on_progress)
    return Compared(kind, found.rows(), dict(found.report), curve=found.curve_rows())


def _volumes(kind, result: Volume, reference: Volume, config, region, _transform, on_progress) -> Compared:
    from meddl.comparison.volumes import compare_volumes

    mask = None
    if region is not None:
        labels = region.merge()
        mask = Volume.scalar(labels.labels, labels.affine)
    found = compare_volumes(result, reference, mask=mask, on_progress=on_progress)
    difference = Volume(np.asfortranarray(found.difference.data), found.difference.affine)
    return Compared(kind, found.rows(), dict(found.report), difference=difference)


def _points(kind, result, reference, config, region, transform, on_progress) -> Compared:
    from meddl.comparison.transforms import compare_transforms, landmark_errors

    report(on_progress, 0.0, "Comparing")
    if kind == LANDMARKS:
        found = landmark_errors(transform, result, reference)
        return Compared(kind, found.rows(), dict(found.report))
    found = compare_transforms(result, reference, None if region is None else region.grid)
    return Compared(kind, [{name: value for name, value in found.report.items() if name != "warnings"}],
                    dict(found.report))
