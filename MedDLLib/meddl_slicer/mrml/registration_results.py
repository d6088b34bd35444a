"""Results of a registration for the scene, computed in the worker so that the application only copies memory."""

from dataclasses import dataclass, fields

import numpy as np

from meddl.core.progress import report, span
from meddl.results import Registration, Segmentation, SeriesRegistration
from meddl.spatial.label_maps import fitting_interpolation
from meddl.spatial.points import Points, match_points
from meddl.spatial.volume import Volume


@dataclass(frozen=True)
class ComputedOutputs:
    """Which results are computed besides the transform: the same names in a request, in a script and in the panel.

    Attributes:
        inverse: the inverse transform, from moving to fixed points.
        jacobian: the Jacobian determinant of the transform, on the fixed grid.
        checkerboard, difference: both volumes in one, on the fixed grid.
    """

    inverse: bool = False
    jacobian: bool = False
    checkerboard: bool = False
    difference: bool = False

    @property
    def computed(self) -> dict[str, bool]:
        """The choices above by name."""
        return {one.name: getattr(self, one.name) for one in fields(ComputedOutputs)}


@dataclass(frozen=True)
class RequestedOutputs(ComputedOutputs):
    """Requested outputs of a registration, for the worker.

    Attributes:
        warped: interpolation of the moving volume resampled to the fixed grid, "": see `fitting_interpolation`; None:
            not requested.
        segmentations: of the moving volume, to resample to the fixed grid.
        fixed_labels, moving_labels: the same structures in both volumes, for Dice.
        landmarks: corresponding points of both volumes.
        landmarks_guide: whether they guide the registration, not only evaluate it.
        masks: of the fixed and the moving volume, label volumes whose nonzero voxels are compared; () for all voxels.
    """

    warped: str | None = None
    segmentations: tuple[Segmentation, ...] = ()
    fixed_labels: tuple[Segmentation, ...] = ()
    moving_labels: tuple[Segmentation, ...] = ()
    landmarks: tuple[Points, Points] | None = None
    landmarks_guide: bool = True
    masks: tuple[tuple[Volume, ...], tuple[Volume, ...]] = ((), ())


@dataclass(frozen=True, eq=False)
class RegistrationResults:
    """Results of a registration, in the memory layout of nodes; None for what was not requested.

    Attributes:
        field, matrix: the transform as `transforms.fill_transform_node` takes it.
        inverse: (field, matrix) of the inverse.
        segmentations: resampled to the fixed grid.
        report: the registration's, with figures of quality.
    """

    field: Volume | None
    matrix: np.ndarray | None
    report: dict
    inverse: tuple[Volume | None, np.ndarray | None] | None = None
    warped: Volume | None = None
    jacobian: Volume | None = None
    checkerboard: Volume | None = None
    difference: Volume | None = None
    segmentations: tuple[Segmentation, ...] = ()


@dataclass(frozen=True, eq=False)
class SeriesResults:
    """Results of a series registration, in the memory layout of nodes.

    Attributes:
        maps: for each frame (field, matrix) as `transforms.fill_transform_node` takes it.
        corrected: each frame on the reference's grid, (1, I, J, K), laid out as nodes hold it.
        report: the series registration's.
    """

    maps: tuple[tuple[Volume | None, np.ndarray | None], ...]
    corrected: tuple[Volume, ...]
    report: dict


def make_series_results(found: SeriesRegistration, on_progress=None) -> SeriesResults:
    """The transforms and corrected frames of a series registration, in the memory layout of nodes."""
    maps, frames = [], []
    for number, one in enumerate(found.frames):
        report(on_progress, number / len(found.frames), "Passing the result on")
        maps.append(_parts(one))
        frames.append(_in_node_layout(Volume.scalar(found.corrected.data[number], found.corrected.affine)))
    return SeriesResults(tuple(maps), tuple(frames), found.report)


def make_results(found: Registration, fixed: Volume, moving: Volume, requested: RequestedOutputs,
                 on_progress=None) -> RegistrationResults:
    """Compute the requested outputs of a registration of these volumes."""
    found = _measure(found, requested, span(on_progress, 0.0, 0.2))
    report(on_progress, 0.2, "Making the transform")
    field, matrix = _parts(found, span(on_progress, 0.2, 0.3))
    inverse = None
    if requested.inverse:
        back = found.invert(span(on_progress, 0.3, 0.5))
        inverse = _parts(back, span(on_progress, 0.5, 0.6))
        if not found.is_linear:
            found.report["inverse_error_mm"] = back.report["inverse_error_mm"]
    warped = jacobian = None
    if requested.warped is not None:
        interpolation, doubts = fitting_interpolation(moving.data, requested.warped, "The moving volume")
        found.report["warnings"] = [*found.report.get("warnings", ()), *doubts]
        warped = found.warp(moving, interpolation, on_progress=span(on_progress, 0.6, 0.7))
        warped = warped.astype(moving.data.dtype)
    if requested.jacobian:
        report(on_progress, 0.7, "Measuring the deformation")
        jacobian = found.jacobian(span(on_progress, 0.7, 0.75))
    segmentations = []
    for labels in requested.segmentations:
        on_fixed = found.warp_segmentation(labels, on_progress=span(on_progress, 0.75, 0.85))
        segmentations.append(Segmentation(np.asfortranarray(on_fixed.labels), on_fixed.affine, on_fixed.segments))
    board, left = _views(found, fixed, moving, warped, requested, span(on_progress, 0.85, 1.0))
    report(on_progress, 1.0, "Passing the result on")
    return RegistrationResults(field, matrix, found.report, inverse, _in_node_layout(warped),
                               _in_node_layout(jacobian), board, left, tuple(segmentations))


def union(volumes: tuple[Volume, ...], like: Volume) -> Volume | None:
    """One mask of several label volumes: where any of them is not zero; None of none."""
    if len(volumes) < 2:
        return volumes[0] if volumes else None
    from meddl.spatial.resample import resample

    inside = [resample(volume, like.grid, "nearest").scalar_data != 0 for volume in volumes]
    return Volume.scalar(np.any(inside, axis=0).astype(np.uint8), like.affine)


def _measure(found: Registration, requested: RequestedOutputs, on_progress) -> Registration:
    from meddl.registration.quality import with_quality
    landmarks = None if requested.landmarks is None else match_points(*requested.landmarks)
    return with_quality(found, fixed_labels=requested.fixed_labels, moving_labels=requested.moving_labels,
                        landmarks=landmarks, on_progress=on_progress)


def _parts(found: Registration, on_progress=None) -> tuple[Volume | None, np.ndarray | None]:
    if found.is_linear:
        return None, np.array(found.affine)
    field, matrix = found.as_field(on_progress=on_progress)
    return _in_node_layout(field), matrix


def _views(found, fixed, moving, warped, requested, on_progress):
    if not (requested.checkerboard or requested.difference):
        return None, None
    from meddl.registration.views import checkerboard, difference, footprint

    if warped is None:
        warped = found.warp(moving, "linear", on_progress=span(on_progress, 0.0, 0.2))
    report(on_progress, 0.2, "Comparing the volumes")
    inside = footprint(found, moving)
    report(on_progress, 0.4, "Comparing the volumes")
    board = _in_node_layout(checkerboard(fixed, warped, inside)) if requested.checkerboard else None
    report(on_progress, 0.7, "Comparing the volumes")
    return board, _in_node_layout(difference(fixed, warped, inside)) if requested.difference else None


def _in_node_layout(volume: Volume | None) -> Volume | None:
    """The volume in Fortran order: i is the fastest axis in memory, after the channels."""
    return None if volume is None else Volume(np.asfortranarray(volume.data), volume.affine)
