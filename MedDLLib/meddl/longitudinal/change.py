"""The verb `meddl.change`."""

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from meddl.core.config import RegisterConfig, SegmentConfig, check_config, registration_config
from meddl.core.errors import InputError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import VolumeLike, as_mask, as_segmentation, as_volume
from meddl.longitudinal.config import PRESET, ChangeConfig
from meddl.longitudinal.lesions import count_states, follow_lesions
from meddl.longitudinal.noise import estimate_noise, shared_roughness
from meddl.longitudinal.structures import structure_rows
from meddl.measures.intensity_matching import fit_intensities
from meddl.models.volume_metadata import modality_of
from meddl.registration import register
from meddl.results import Registration, Segmentation
from meddl.segmentation import segment
from meddl.segmentation.region_of_interest import body_mask
from meddl.spatial.grid import axis_codes
from meddl.spatial.normalize import check_magnitude
from meddl.spatial.resample import mask_on_grid
from meddl.spatial.transform import Transform
from meddl.spatial.volume import Volume

_LEAST_COVERED = 0.7      # of the baseline's body in the follow-up's field of view
_LEAST_AGREEMENT = 0.8    # correlation of the matched volumes
_MOST_CHANGED = 0.1       # of the body, beyond the threshold
_MOST_HU = -500.0         # below it there is air, in any CT
_LEAST_VOXELS = 100       # to compare


@dataclass(frozen=True, eq=False)
class Change:
    """What has changed between two dates. All volumes lie on the baseline's grid.

    Attributes:
        z: the difference, follow-up minus baseline, in standard deviations of the noise, float32; 0 outside of the body
            and of the follow-up's field of view.
        difference: the same in the baseline's intensities.
        matched: the follow-up in the baseline's intensities.
        registration: from points of the baseline to points of the follow-up.
        structures: a dictionary for each structure: see `meddl.longitudinal.structures.structure_rows`.
        lesions: a dictionary for each lesion: see `meddl.longitudinal.lesions.follow_lesions`.
        lesion_map: the states of the lesions, or None.
        jacobian: the Jacobian determinant of a deformation, above 1 where the follow-up is larger; None of a linear
            transform.
        report: `reading` (a sentence that says what the map means), `threshold`, `noise_sd` (the median over the
            body, in intensities; see `meddl.longitudinal.noise.Noise`), `modality`, `increased_ml`, `decreased_ml`
            (beyond the threshold), `by_chance_ml` (that Gaussian noise alone would bring there), `agreement`
            (correlation of the matched volumes), `lesion_states`, `registration` (its report), seconds, device,
            warnings.
    """

    z: Volume
    difference: Volume
    matched: Volume
    registration: Registration
    structures: tuple[dict, ...] = ()
    lesions: tuple[dict, ...] = ()
    lesion_map: Segmentation | None = None
    jacobian: Volume | None = None
    report: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Change({len(self.structures)} structures, {len(self.lesions)} lesions, {self.z.grid.describe()})"


def change(baseline: VolumeLike, follow_up: VolumeLike, config: ChangeConfig | None = None, *,
           registration: RegisterConfig | Transform | None = None, preset: str | None = None,
           segmentations: tuple[Segmentation, Segmentation | None] | None = None, mask: VolumeLike | None = None,
           device: str = "auto", on_progress: ProgressCallback | None = None) -> Change:
    """What has changed between two dates of one subject.

    The follow-up is registered to the baseline, brought to its grid by the linear part of the transform, so that a
    change of shape is seen, and given its intensities (not in CT); the difference is counted in standard deviations of
    the noise that the difference itself shows.

    Args:
        baseline, follow_up: one channel each, of the same kind; or the paths of files.
        config: threshold, matching, lesions.
        registration: a configuration, or a transform from points of the baseline to points of the follow-up that is
            known already. A deformable one also gives the volume change of structures of one segmentation.
        preset: the name of a preset of the registration instead; default: rigid.
        segmentations: of the baseline and of the follow-up (or None), each in the space of its volume; or their paths.
        mask: where to look, nonzero voxels, in the baseline's space; default: the bodies.
        device: of the registration and of `config.model`.

    Raises:
        InputError: several channels, volumes without a part in common, a CT and an MR, both a transform and a preset;
            and what `meddl.register` refuses.
        OutOfMemoryError: the memory was not enough.
        Cancelled: from `on_progress`.
    """
    begin = time.monotonic()
    config = check_config(config, ChangeConfig)
    baseline, follow_up = as_volume(baseline, "baseline"), as_volume(follow_up, "follow_up")
    for volume, name in ((baseline, "The baseline"), (follow_up, "The follow-up")):
        check_magnitude(volume.data, name)
    if segmentations is not None:
        segmentations = _read_pair(segmentations)
    modality, warnings = _modality(baseline, follow_up, config)
    found = _registration(baseline, follow_up, registration, preset, device, span(on_progress, 0.0, 0.5))
    warnings += found.report.get("warnings", [])
    if config.model:
        segmentations = _segment_both(baseline, follow_up, config.model, device, span(on_progress, 0.5, 0.7))
        config = replace(config, lesions=False)
    compared, figures = _subtract(baseline, follow_up, found, modality, config,
                                  None if mask is None else as_mask(mask), warnings,
                                  span(on_progress, 0.7, 0.85))
    jacobian = None if found.is_linear else found.jacobian(span(on_progress, 0.85, 0.9))
    rows: list[dict] = []
    lesions: list[dict] = []
    lesion_map = None
    if segmentations is not None:
        first, second = segmentations
        rows = structure_rows(first, second, compared["z"], jacobian, span(on_progress, 0.9, 0.93))
        if second is not None and config.lesions:
            lesions, lesion_map = follow_lesions(first, second, found, config, span(on_progress, 0.93, 1.0))
        elif second is None and jacobian is None:
            warnings.append("One segmentation alone says nothing of volumes after a linear registration. Give that of "
                            "the follow-up too, or a deformable preset.")
    report(on_progress, 1.0, "Done")
    about = {**figures, "modality": modality, "warnings": list(dict.fromkeys(warnings)),
             "lesion_states": count_states(lesions) if lesion_map is not None else None,
             "registration": {name: value for name, value in found.report.items() if name != "warnings"},
             "seconds": {"registration": found.report.get("seconds", {}).get("total", 0.0),
                         "total": round(time.monotonic() - begin, 3)},
             "device": found.report.get("device", "cpu"), "peak_memory_mb": round(peak_mb(), 1)}
    return Change(**compared, registration=found, structures=tuple(rows), lesions=tuple(lesions),
                  lesion_map=lesion_map, jacobian=jacobian, report=about)


def _read_pair(segmentations: object) -> tuple[Segmentation, Segmentation | None]:
    """The segmentations of the two dates, of which those of paths are read."""
    if not isinstance(segmentations, list | tuple) or len(segmentations) != 2:
        raise InputError("`segmentations` is a pair: that of the baseline, and that of the follow-up or None.")
    first, second = segmentations
    return (as_segmentation(first, "segmentations[0]"),
            None if second is None else as_segmentation(second, "segmentations[1]"))


def _modality(baseline: Volume, follow_up: Volume, config: ChangeConfig) -> tuple[str, list[str]]:
    if config.modality != "auto":
        return config.modality, []
    volumes = (baseline, follow_up)
    found = [modality_of(np.asarray(one.scalar_data)) == "CT" for one in volumes]
    if all(found):
        return "CT", []
    if not any(found):
        return "MR", []
    other = volumes[found.index(False)]
    if float(np.nanmin(other.scalar_data)) < _MOST_HU:  # a part of a body, whose histogram says nothing
        return "CT", []
    raise InputError(f"The {'follow-up' if found[0] else 'baseline'} is no CT, but the other volume is: the two cannot "
                     "be subtracted. If both are of one kind, state the modality.")


def _registration(baseline: Volume, follow_up: Volume, given: RegisterConfig | Transform | None, preset: str | None,
                  device: str, on_progress: ProgressCallback | None) -> Registration:
    if not isinstance(given, Transform):
        return register(baseline, follow_up, registration_config(given, preset, PRESET), device=device,
                        on_progress=on_progress)
    if preset is not None:
        raise InputError("Give a transform or the preset of a registration, not both.")
    return Registration(given.affine, given.displacement, baseline.grid, given.report, follow_up.grid,
                        given.inverse_displacement)


def _segment_both(baseline: Volume, follow_up: Volume, model: str, device: str,
                  on_progress: ProgressCallback | None) -> tuple[Segmentation, Segmentation]:
    return (segment(baseline, model, SegmentConfig(), device=device, on_progress=span(on_progress, 0.0, 0.5)),
            segment(follow_up, model, SegmentConfig(), device=device, on_progress=span(on_progress, 0.5, 1.0)))


def _subtract(baseline: Volume, follow_up: Volume, registration: Registration, modality: str, config: ChangeConfig,
              mask: Volume | None, warnings: list[str], on_progress: ProgressCallback | None
              ) -> tuple[dict[str, Volume], dict]:
    """`z`, `difference` and `matched` on the baseline's grid, and figures of the report."""
    report(on_progress, 0.0, "Resampling the follow-up")
    stored, baseline = baseline, baseline.reorient("RAS")  # the same voxels are sampled, however they are stored
    linear = Registration(registration.affine, None, baseline.grid)
    truth = np.asarray(baseline.scalar_data, np.float32)
    warped, known = _on_baseline(follow_up.reorient("RAS"), linear, config.interpolation)
    finite = np.isfinite(truth)
    known &= finite
    if np.count_nonzero(known) < _LEAST_VOXELS:
        raise InputError("The two volumes have nothing in common after the registration.")
    # What has grown out of the baseline's body lies in that of the follow-up.
    body = (mask_on_grid(mask, baseline.grid) if mask is not None else
            _body(truth, finite, baseline, modality) | _body(warped, known, baseline, modality))
    inside = body & known
    truth = np.where(known, truth, 0)
    if np.count_nonzero(inside) < _LEAST_VOXELS:
        name = "bodies" if mask is None else "mask"
        raise InputError(f"The {name} and what the two volumes have in common share {np.count_nonzero(inside)} voxels; "
                         f"{_LEAST_VOXELS} are needed to compare.")
    report(on_progress, 0.5, "Matching intensities")
    if modality == "MR":
        match = fit_intensities(Volume.scalar(np.where(known, warped, np.nan), baseline.affine), baseline,
                                Volume.scalar(inside.astype(np.uint8), baseline.affine), bias_field=config.bias_field)
        warped = match.apply(Volume.scalar(warped, baseline.affine)).scalar_data
    matched = np.where(known, warped, 0).astype(np.float32)
    difference = np.where(inside, matched - truth, 0).astype(np.float32)
    report(on_progress, 0.8, "Estimating the noise")
    roughness = shared_roughness(matched, truth)
    low, high = np.percentile(truth[inside], (1, 99))
    noise = estimate_noise(difference[inside], roughness[inside], float(high - low))
    z = np.where(inside, difference / noise.at(roughness), 0).astype(np.float32)
    figures = _figures(z[inside], matched[inside], truth[inside], noise.at(roughness[inside]), config.threshold,
                       baseline.grid.voxel_volume_ml)
    figures["covered"] = int(np.count_nonzero(inside)) / max(int(np.count_nonzero(body)), 1)
    _doubt(figures, warnings)
    volumes = {"z": z, "difference": difference, "matched": matched}
    codes = axis_codes(stored.affine)
    return {name: Volume(Volume.scalar(data, baseline.affine).reorient(codes).data, stored.affine)
            for name, data in volumes.items()}, figures


def _on_baseline(follow_up: Volume, linear: Registration, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
    """The follow-up on the baseline's grid, and where it is known, (I, J, K) each."""
    values = np.asarray(follow_up.scalar_data)
    finite = np.isfinite(values)
    known = linear.warp(Volume.scalar(finite.astype(np.uint8), follow_up.affine), "nearest").scalar_data > 0
    filled = follow_up if finite.all() else Volume.scalar(
        np.where(finite, values, values[finite].min(initial=0)), follow_up.affine)
    return linear.warp(filled, interpolation).scalar_data, known


def _body(values: np.ndarray, known: np.ndarray, like: Volume, modality: str) -> np.ndarray:
    filled = np.where(known, values, values[known].min())
    return body_mask(Volume.scalar(filled, like.affine), modality, margin_mm=0.0)


def _figures(z: np.ndarray, matched: np.ndarray, truth: np.ndarray, sds: np.ndarray, threshold: float,
             voxel_ml: float) -> dict:
    increased, decreased = (float(np.count_nonzero(one)) * voxel_ml for one in (z >= threshold, z <= -threshold))
    by_chance = math.erfc(threshold / math.sqrt(2)) * z.size * voxel_ml
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = float(np.corrcoef(matched, truth)[0, 1])
    return {"reading": f"Follow-up minus baseline in units of the noise. Beyond {threshold:g}: {increased:.3g} ml "
                       f"brighter and {decreased:.3g} ml darker; Gaussian noise alone would bring {by_chance:.2g} ml.",
            "threshold": threshold, "noise_sd": float(np.median(sds)), "increased_ml": increased,
            "decreased_ml": decreased,
            "by_chance_ml": by_chance, "body_ml": z.size * voxel_ml,
            "agreement": agreement if np.isfinite(agreement) else 0.0}


def _doubt(figures: dict, warnings: list[str]) -> None:
    """Add what speaks against the result."""
    changed = (figures["increased_ml"] + figures["decreased_ml"]) / figures["body_ml"]
    if figures["covered"] < _LEAST_COVERED:
        warnings.append(f"The follow-up covers {figures['covered']:.0%} of the body in the baseline; elsewhere nothing "
                        "is compared.")
    if figures["agreement"] < _LEAST_AGREEMENT:
        warnings.append(f"The two volumes differ in contrast (correlation {figures['agreement']:.2f}), or the "
                        "registration failed: look at both before you read the map.")
    if changed > _MOST_CHANGED:
        warnings.append(f"{changed:.0%} of the body is beyond the threshold. Such volumes often differ by the "
                        "protocol, or are not aligned; look at both before you read the map.")
