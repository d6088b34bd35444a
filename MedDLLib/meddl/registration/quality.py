"""Quality of a registration: Dice of structures, target registration error, regularity of the deformation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.registration.landmarks import check_landmarks
from meddl.results import Registration, Segmentation
from meddl.spatial.displacement import folding_percent, jacobian_determinant, sd_log_jacobian
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume


def quality(registration: Registration, *, fixed_labels: Sequence[Segmentation] = (),
            moving_labels: Sequence[Segmentation] = (), landmarks: tuple[np.ndarray, np.ndarray] | None = None,
            on_progress: ProgressCallback | None = None) -> dict:
    """What says whether to trust a registration, as entries of a report.

    Args:
        fixed_labels, moving_labels: the same structures in both volumes, matched by name; several where structures
            overlap and are kept in layers.
        landmarks: (fixed (N, 3), moving (N, 3)) RAS mm, pairs of points.

    Returns:
        folding_percent and sd_log_jacobian of a deformable result; dice, with the mean over the structures and each
        structure by name, before and after, where labels are given; tre_mm (target registration error: mean, median,
        largest, before and after, and the number of points) where landmarks are given.

    Raises:
        InputError: labels of one side only, or without a structure in common; landmarks that are not pairs.
        Cancelled: from `on_progress`.
    """
    found = {}
    if registration.displacement is not None:
        report(on_progress, 0.0, "Measuring the deformation")
        determinant = jacobian_determinant(registration.displacement, on_progress=span(on_progress, 0.0, 0.3)).data
        found["folding_percent"] = folding_percent(determinant)
        found["sd_log_jacobian"] = sd_log_jacobian(determinant)
    if landmarks is not None:
        found["tre_mm"] = target_registration_error_mm(registration, landmarks)
    if len(fixed_labels) or len(moving_labels):
        report(on_progress, 0.3, "Comparing structures")
        found["dice"] = dice_before_and_after(registration, fixed_labels, moving_labels, on_progress)
    return found


def with_quality(registration: Registration, **more) -> Registration:
    """The registration with `quality(registration, **more)` in its report."""
    return replace(registration, report={**registration.report, **quality(registration, **more)})


def target_registration_error_mm(registration: Registration, landmarks: tuple[np.ndarray, np.ndarray]) -> dict:
    """Distances in mm between mapped fixed points and their moving counterparts, before and after.

    Source: J. M. Fitzpatrick, J. B. West, C. R. Maurer, "Predicting error in rigid-body point-based registration", IEEE
    Transactions on Medical Imaging 17(5), 1998, doi:10.1109/42.736021.
    """
    fixed, moving = check_landmarks(landmarks)

    def spread(points: np.ndarray) -> dict:
        distances = np.linalg.norm(points - moving, axis=1)
        return {"mean": float(distances.mean()), "median": float(np.median(distances)), "max": float(distances.max())}

    return {"before": spread(fixed), "after": spread(registration.points(fixed)), "points": len(fixed)}


def dice_before_and_after(registration: Registration, fixed: Sequence[Segmentation], moving: Sequence[Segmentation],
                          on_progress: ProgressCallback | None = None) -> dict:
    """Dice (Dice, Ecology 1945, doi:10.2307/1932409) of the structures that both sides have, on the fixed labels' grid.

    Returns:
        {"before": mean, "after": mean, "structures": {name: {"before", "after"}}}; a structure that is empty on both
        sides is left out.

    Raises:
        InputError: no structure in common.
    """
    names = {segment.name for labels in fixed for segment in labels.segments}
    names &= {segment.name for labels in moving for segment in labels.segments}
    if not names:
        raise InputError("The fixed and the moving segmentation have no structure of the same name. Dice needs the "
                         "same structures in both, under the same names.")
    still = Registration(np.eye(4), None, registration.grid)
    counts = {}
    steps = 2 * len(fixed) * len(moving)
    for when, transform in (("before", still), ("after", registration)):
        hits, sizes = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
        for n, here in enumerate(fixed):
            for m, there in enumerate(moving):
                done = (when == "after") * len(fixed) * len(moving) + n * len(moving) + m
                report(on_progress, 0.3 + 0.7 * done / steps, "Comparing structures")
                joint = _joint_counts(here, there, transform)
                for a in here.segments:
                    for b in there.segments:
                        if a.name == b.name and a.name in names:
                            hits[a.name] += int(joint[a.value, b.value])
                    if a.name in names and m == 0:
                        sizes[a.name] += int(joint[a.value].sum())
                for b in there.segments:
                    if b.name in names and n == 0:
                        sizes[b.name] += int(joint[:, b.value].sum())
        counts[when] = {name: 2 * hits[name] / sizes[name] for name in names if sizes[name]}
    structures = {name: {when: counts[when].get(name) for when in counts}
                  for name in sorted(names) if any(name in counts[when] for when in counts)}
    return {**{when: float(np.mean(list(counts[when].values()))) if counts[when] else None for when in counts},
            "structures": structures}


def _joint_counts(fixed: Segmentation, moving: Segmentation, registration: Registration) -> np.ndarray:
    """How many voxels of `fixed` have each pair of (fixed value, moving value)."""
    volume = Volume.scalar(moving.labels, moving.affine)
    warped = resample(volume, fixed.grid, "nearest", transform=registration.affine,
                       displacement=registration.displacement).scalar_data
    width = 1 + max([int(moving.labels.max()), *(s.value for s in moving.segments)])
    height = 1 + max([int(fixed.labels.max()), *(s.value for s in fixed.segments)])
    codes = fixed.labels.astype(np.int64) * width + warped
    return np.bincount(codes.ravel(), minlength=height * width).reshape(height, width)
