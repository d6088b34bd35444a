"""What the worker makes of a registration for the scene, so that the application only copies memory."""

from dataclasses import dataclass

import numpy as np

from meddl.core.progress import report, span
from meddl.results import Registration, Segmentation, SeriesRegistration
from meddl.spatial.points import Points
from meddl.spatial.volume import Volume


@dataclass(frozen=True)
class Wishes:
    """What to make besides the transform.

    Attributes:
        warped: interpolation to resample the moving volume with on the fixed grid; None: not wanted.
        inverse: the map from moving to fixed points.
        jacobian: the determinant of the map's derivative, on the fixed grid.
        checkerboard, difference: both volumes in one, on the fixed grid.
        carried: segmentations of the moving volume to bring onto the fixed grid.
        fixed_labels, moving_labels: the same structures on both sides, for Dice.
        landmarks: points of both volumes that belong together.
        landmarks_guide: whether they also help to find the map, not only to measure it.
        masks: for the fixed and the moving side label volumes whose nonzero voxels are compared; () for all voxels.
    """

    warped: str | None = None
    inverse: bool = False
    jacobian: bool = False
    checkerboard: bool = False
    difference: bool = False
    carried: tuple[Segmentation, ...] = ()
    fixed_labels: tuple[Segmentation, ...] = ()
    moving_labels: tuple[Segmentation, ...] = ()
    landmarks: tuple[Points, Points] | None = None
    landmarks_guide: bool = True
    masks: tuple[tuple[Volume, ...], tuple[Volume, ...]] = ((), ())


@dataclass(frozen=True, eq=False)
class Products:
    """A registration made ready: arrays laid out as nodes hold them, None for what was not wanted.

    Attributes:
        field, matrix: the map as `transforms.fill_transform_node` takes it.
        inverse: (field, matrix) of the inverse.
        carried: the segmentations on the fixed grid.
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
    carried: tuple[Segmentation, ...] = ()


@dataclass(frozen=True, eq=False)
class SeriesProducts:
    """A series registration made ready.

    Attributes:
        maps: for each frame (field, matrix) as `transforms.fill_transform_node` takes it.
        corrected: each frame on the reference's grid, (1, I, J, K), laid out as nodes hold it.
        report: the series registration's.
    """

    maps: tuple[tuple[Volume | None, np.ndarray | None], ...]
    corrected: tuple[Volume, ...]
    report: dict


def make_series_products(found: SeriesRegistration, on_progress=None) -> SeriesProducts:
    """The maps and corrected frames of a series registration, ready for the scene."""
    maps, frames = [], []
    for number, one in enumerate(found.frames):
        report(on_progress, number / len(found.frames), "Handing over")
        maps.append(_parts(one))
        frames.append(_laid_out(Volume.scalar(found.corrected.data[number], found.corrected.affine)))
    return SeriesProducts(tuple(maps), tuple(frames), found.report)


def make_products(found: Registration, fixed: Volume, moving: Volume, wishes: Wishes, on_progress=None) -> Products:
    """Everything that is wanted of a registration of these volumes."""
    found = _measured(found, wishes, span(on_progress, 0.0, 0.2))
    report(on_progress, 0.2, "Making the transform")
    field, matrix = _parts(found)
    inverse = None
    if wishes.inverse:
        back = found.invert(span(on_progress, 0.2, 0.5))
        inverse = _parts(back)
        if not found.is_linear:
            found.report["inverse_error_mm"] = back.report["inverse_error_mm"]
    warped = jacobian = None
    if wishes.warped is not None:
        warped = found.warp(moving, wishes.warped, on_progress=span(on_progress, 0.5, 0.7))
    if wishes.jacobian:
        report(on_progress, 0.7, "Measuring the deformation")
        jacobian = found.jacobian()
    carried = []
    for labels in wishes.carried:
        on_fixed = found.warp_segmentation(labels, on_progress=span(on_progress, 0.75, 0.85))
        carried.append(Segmentation(np.asfortranarray(on_fixed.labels), on_fixed.affine, on_fixed.segments))
    board, left = _views(found, fixed, moving, warped, wishes, span(on_progress, 0.85, 1.0))
    report(on_progress, 1.0, "Handing over")
    return Products(field, matrix, found.report, inverse, _laid_out(warped), _laid_out(jacobian), board, left,
                    tuple(carried))


def union(volumes: tuple[Volume, ...], like: Volume) -> Volume | None:
    """One mask of several label volumes: where any of them is not zero; None of none."""
    if len(volumes) < 2:
        return volumes[0] if volumes else None
    from meddl.spatial.resample import resample

    inside = [resample(volume, like.grid, "nearest").scalar_data != 0 for volume in volumes]
    return Volume.scalar(np.any(inside, axis=0).astype(np.uint8), like.affine)


def _measured(found: Registration, wishes: Wishes, on_progress) -> Registration:
    from meddl.registration.quality import with_quality
    from meddl.spatial.points import matched

    landmarks = None if wishes.landmarks is None else matched(*wishes.landmarks)
    return with_quality(found, fixed_labels=wishes.fixed_labels, moving_labels=wishes.moving_labels,
                        landmarks=landmarks, on_progress=on_progress)


def _parts(found: Registration) -> tuple[Volume | None, np.ndarray | None]:
    if found.is_linear:
        return None, np.array(found.affine)
    field, matrix = found.as_field()
    return _laid_out(field), matrix


def _views(found, fixed, moving, warped, wishes, on_progress):
    if not (wishes.checkerboard or wishes.difference):
        return None, None
    from meddl.registration.views import checkerboard, difference, footprint

    if warped is None:
        warped = found.warp(moving, "linear", on_progress=on_progress)
    inside = footprint(found, moving)
    return (_laid_out(checkerboard(fixed, warped, inside)) if wishes.checkerboard else None,
            _laid_out(difference(fixed, warped, inside)) if wishes.difference else None)


def _laid_out(volume: Volume | None) -> Volume | None:
    """The volume with i the fastest axis in memory, after the channels."""
    return None if volume is None else Volume(np.asfortranarray(volume.data), volume.affine)
