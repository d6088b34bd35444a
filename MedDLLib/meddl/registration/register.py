"""The verb `meddl.register`: linear, then deformable registration of two volumes."""

from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from meddl.core.config import RegisterConfig, registration_config
from meddl.core.device import describe, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.io import VolumeLike, as_mask, as_volume
from meddl.registration.deformable.deform import deform
from meddl.registration.images.pyramid import Level
from meddl.registration.images.registration_image import prepare_image
from meddl.registration.images.vessels import align_vessels, shows_vessels_alone
from meddl.registration.landmarks import check_landmarks, fit_landmarks
from meddl.registration.linear.align import Alignment, align, fitted_levels_mm
from meddl.registration.linear.header_check import check_header
from meddl.registration.linear.initialization import InitialAlignment
from meddl.registration.linear.quality_estimate import (
    doubts_of,
    limit_by_folding,
    quality_entries,
    warn_of_quality,
)
from meddl.registration.quality import quality
from meddl.results import Registration, load_transform
from meddl.spatial.grid import check_affine
from meddl.spatial.transform import Transform
from meddl.spatial.volume import Volume


def register(fixed: VolumeLike, moving: VolumeLike, config: RegisterConfig | None = None, *,
             preset: str | None = None, fixed_mask: VolumeLike | None = None, moving_mask: VolumeLike | None = None,
             initial: Transform | np.ndarray | str | PathLike[str] | None = None,
             landmarks: tuple[np.ndarray, np.ndarray] | None = None, device: str = "auto",
             on_progress: ProgressCallback | None = None) -> Registration:
    """Register `moving` to `fixed`: the transform from points of `fixed` to corresponding points of `moving`.

    The volumes may be of different modalities, sizes, spacings and orientations. An angiogram of vessels alone is
    registered to the tubular structures of the other volume. The result is deterministic, and the same in whatever axis
    order the volumes are stored.

    Args:
        fixed, moving: one channel each; or the paths of files.
        preset: the name of a preset in any case, such as "deformable", instead of `config`: see
            `meddl.core.config.REGISTER_PRESETS`.
        config: type of the transform, metric, initialization, levels.
        fixed_mask, moving_mask: (1, I, J, K) on any grid in the world of their volume; only where it is nonzero
            the volume is compared.
        initial: initialization instead of a search: a registration, or a 4x4 matrix, fixed to moving, RAS mm, or
            the path of a transform file.
        landmarks: pairs of points, (fixed (N, 3), moving (N, 3)) in RAS mm, whose least-squares fit is the
            initialization instead of a search; beside `initial`, the better of the two is taken.

    Returns:
        A registration. Its report adds to seconds, device, peak_memory_mb and warnings: transform; metric (name,
        before: under the headers' alignment, after); start (the initial alignment that won); alternatives (answers that
        lie apart and agree about as well: start, value and overlap on the level where they were given up, distance_mm);
        quality (an estimate of how likely the linear result is right, 0 to 1) and quality_estimate (word: right,
        doubtful or failed, and what it stands on, see `meddl.registration.linear.quality_estimate.Doubts`; neither for
        angiograms of vessels alone); overlap (fraction of the fixed object that lies in the moving field of view, 0 to
        1); rotation_deg; translation_mm (how far the center of the fixed object moves, R, A, S); levels_mm;
        landmarks_mm (mean distance before and after), if there are any.

    Raises:
        InputError: several channels, too few voxels, a constant volume, no finite value, an empty mask or one of one
            slice, a mask that lies elsewhere, landmarks that are not pairs, or an impossible choice.
        GeometryError: `initial` is no invertible 4x4 matrix.
        OutOfMemoryError: the memory was not enough on the CPU either.
    """
    config = registration_config(config, preset)
    fixed, moving = as_volume(fixed, "fixed"), as_volume(moving, "moving")
    fixed_mask = None if fixed_mask is None else as_mask(fixed_mask, "fixed_mask")
    moving_mask = None if moving_mask is None else as_mask(moving_mask, "moving_mask")
    initial = load_transform(Path(initial)) if isinstance(initial, str | PathLike) else initial
    given = _Given(fixed, moving, (fixed_mask, moving_mask), _given_initializations(config, initial, landmarks),
                   None if landmarks is None else check_landmarks(landmarks))
    if config.symmetric and config.transform_type == "deformable" and content_key(moving) < content_key(fixed):
        found = register(moving, fixed, config, fixed_mask=moving_mask, moving_mask=fixed_mask,
                         initial=_exchange_initialization(initial),
                         landmarks=None if landmarks is None else landmarks[::-1], device=device,
                         on_progress=span(on_progress, 0.0, 1.0, previews=False))
        return found.exchange()
    warnings: list[str] = []
    on_device = select_device(device, warnings)
    if on_device.type == "mps":
        on_device = torch.device("cpu")  # sampling in 3D and float64 sums are missing there

    def run(where: torch.device) -> Registration:
        return _register(given, config, where, warnings, on_progress)

    found, _ = with_cpu_fallback(
        run, on_device, warnings, f"The memory was not enough to register volumes of {fixed.shape} and {moving.shape} "
        "voxels. Crop or resample them.")
    return found


@dataclass(frozen=True, eq=False)
class _Given:
    """What is registered, and what is known of it before; masks and landmarks are of fixed and moving."""

    fixed: Volume
    moving: Volume
    masks: tuple[Volume | None, Volume | None]
    initializations: list[InitialAlignment]
    landmarks: tuple[np.ndarray, np.ndarray] | None


def _register(given: _Given, config: RegisterConfig, device: torch.device, warnings: list[str],
              on_progress: ProgressCallback | None) -> Registration:
    fixed, moving, landmarks = given.fixed, given.moving, given.landmarks
    clock = StageClock()
    with clock.stage("prepare"):
        report(on_progress, 0.0, "Preparing the volumes")
        levels_mm = fitted_levels_mm(fixed, moving, config.levels_mm)
        images, pyramids = [], []
        for name, volume, mask in zip(("fixed", "moving"), (fixed, moving), given.masks, strict=True):
            image = prepare_image(name, volume, mask)
            if image.missing:
                _warn(warnings, f"The {name} volume holds {image.missing} voxels that are NaN or infinite; "
                                "they were treated as background.")
            images.append(image)
            pyramids.append(image.levels(levels_mm, device))
            report(on_progress, 0.05 * len(pyramids), "Preparing the volumes")
    fixed_image, moving_image = images
    deformable = config.transform_type == "deformable"
    aligning = span(on_progress, 0.1, 0.4 if deformable else 1.0)
    if config.metric == "auto" and shows_vessels_alone(fixed_image) != shows_vessels_alone(moving_image):
        with clock.stage("align"):
            linear = align_vessels(fixed_image, moving_image, config, given.initializations, device, aligning)
    else:
        linear = _align_and_doubt(pyramids[0], pyramids[1], config, given.initializations, clock, aligning)
    for text in linear.warnings:
        _warn(warnings, text)
    affine, displacement, inverse, measures = linear.affine, None, None, linear.measures
    if deformable:
        coarse = pyramids[0][len(pyramids[0]) // 2], pyramids[1][len(pyramids[1]) // 2]
        del pyramids
        with clock.stage("deform"):
            deformation = deform(fixed_image, moving_image, coarse, affine, config, device, landmarks,
                                 span(on_progress, 0.4, 0.98))
        displacement, inverse = deformation.displacement, deformation.inverse
        measures = {**measures, **deformation.measures}
        for text in deformation.warnings:
            _warn(warnings, text)
    result = Registration(affine, displacement, fixed.grid, {
        "seconds": clock.seconds,
        "device": describe(device),
        "peak_memory_mb": round(peak_mb(), 1),
        "warnings": warnings,
        "transform": config.transform_type,
        **measures,
    }, moving_grid=moving.grid, inverse_displacement=inverse)
    if deformable:
        result.report.update(quality(result, on_progress=span(on_progress, 0.98, 1.0)))
        for text in limit_by_folding(result.report):
            _warn(warnings, text)
    if landmarks is not None:
        here, there = landmarks
        result.report["landmarks_mm"] = {
            "before": float(np.linalg.norm(here - there, axis=1).mean()),
            "after": float(np.linalg.norm(result.points(here) - there, axis=1).mean())}
    report(on_progress, 1.0, "Done")
    return result


def _align_and_doubt(fixed: list[Level], moving: list[Level], config: RegisterConfig,
                     initializations: list[InitialAlignment], clock: StageClock,
                     on_progress: ProgressCallback | None) -> Alignment:
    """The linear registration of two pyramids, with warnings of doubtful headers and its estimated quality."""
    linear = align(fixed, moving, config, initializations, clock, span(on_progress, 0.0, 0.9))
    if not initializations:
        with clock.stage("align"):
            found = check_header(fixed, moving, linear.affine, config, span(on_progress, 0.9, 0.95))
        linear.warnings.extend(found)
    if config.estimate_quality:
        with clock.stage("quality"):
            doubts = doubts_of(fixed, moving, linear.affine, config, span(on_progress, 0.95, 1.0))
        linear.measures.update(quality_entries(doubts))
        linear.warnings.extend(warn_of_quality(doubts))
    return linear


def content_key(volume: Volume) -> bytes:
    """A hash that orders two volumes, whichever is fixed and however they are stored."""
    upright = volume.reorient("RAS")
    return sha256(np.ascontiguousarray(upright.data).tobytes() + np.round(upright.affine, 6).tobytes()).digest()


def _exchange_initialization(initial: Transform | np.ndarray | None) -> np.ndarray | None:
    if initial is None:
        return None
    return np.linalg.inv(initial.affine if isinstance(initial, Transform) else check_affine(initial))


def _given_initializations(config: RegisterConfig, initial: Transform | np.ndarray | None,
                           landmarks: tuple[np.ndarray, np.ndarray] | None) -> list[InitialAlignment]:
    """The initial alignments that the caller gave instead of a search."""
    found = []
    if initial is not None:
        affine = initial.affine if isinstance(initial, Transform) else check_affine(initial)
        found.append(InitialAlignment("the initial transform", np.array(affine)))
    if landmarks is not None:
        fit = fit_landmarks(*check_landmarks(landmarks), config.transform_type)
        found.append(InitialAlignment("the landmarks", fit))
    return found


def _warn(warnings: list[str], text: str) -> None:
    if text not in warnings:
        warnings.append(text)
