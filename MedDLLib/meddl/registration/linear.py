"""The verb: two volumes in, the linear map between them out."""

import numpy as np
import torch

from meddl.clock import StageClock
from meddl.config import RegisterConfig
from meddl.device import describe, is_out_of_memory, select_device
from meddl.errors import InputError, OutOfMemoryError
from meddl.memory import peak_mb
from meddl.progress import ProgressCallback, report, span
from meddl.registration.comparison import Comparison
from meddl.registration.intensity import finite_scalar
from meddl.registration.motion import about, generators, motion_matrix, rotation_angle_deg
from meddl.registration.optimizer import minimize
from meddl.registration.pyramid import build_pyramid
from meddl.registration.start import center_of_object_mm, radius_of_object_mm, starts
from meddl.results import Registration
from meddl.volume import Volume

_REFINED = 4         # starts that are refined on the coarsest grid
_KEPT = 2            # of these, refined on the next
_COARSE_VOXELS = 12  # voxels along the middle extent that the coarsest grid has at least
_SOUND_OVERLAP = 0.25  # a start with less counts only where none has more


def register(fixed: Volume, moving: Volume, config: RegisterConfig | None = None, *, device: str = "auto",
             on_progress: ProgressCallback | None = None) -> Registration:
    """The linear map that takes points of `fixed` to the same places of `moving`.

    The volumes may be of different modalities, sizes, spacings and orientations; a better alignment is one
    under which the intensities of one tell more about those of the other. The same volumes always give the
    same map, in whatever axis order they are stored.

    Args:
        fixed, moving: one channel each.
        config: kind of transform, metric, starts, grids.

    Returns:
        A registration without displacement. Its report adds to seconds, device, peak_memory_mb and warnings:
        transform; metric (name, before: under the headers' alignment, after); start (the guess that won);
        overlap (share of the fixed object that lies in the moving field of view, 0 to 1); rotation_deg;
        translation_mm (how far the center of the fixed object moves, R, A, S); levels_mm.

    Raises:
        InputError: several channels, too few voxels, a constant volume, no finite value, or an impossible
            choice.
        OutOfMemoryError: the memory was not enough on the CPU either.
    """
    config = config or RegisterConfig()
    _check(config)
    on_device = select_device(device)
    warnings = []
    if on_device.type == "mps":
        on_device = torch.device("cpu")  # sampling in 3D and float64 sums are missing there
    try:
        return _register(fixed, moving, config, on_device, warnings, on_progress)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if on_device.type == "cpu":
            raise OutOfMemoryError(
                f"The memory was not enough to register volumes of {fixed.shape} and {moving.shape} voxels. "
                "Crop or resample them.") from error
    warnings.append(f"{on_device} had too little memory; the CPU was used instead.")
    return _register(fixed, moving, config, torch.device("cpu"), warnings, on_progress)


def _register(fixed, moving, config, device, warnings, on_progress) -> Registration:
    clock = StageClock()
    with clock.stage("prepare"):
        report(on_progress, 0.0, "Preparing the volumes")
        levels_mm = fitted_levels_mm(fixed, moving, config.levels_mm)
        pyramids = []
        for name, volume in (("fixed", fixed), ("moving", moving)):
            upright = volume.reorient("RAS")  # so that the order of the axes changes nothing
            data, low, missing = finite_scalar(upright, name)
            if missing:
                _warn(warnings, f"The {name} volume holds {missing} voxels that are NaN or infinite; "
                                "they were taken for background.")
            pyramids.append(build_pyramid(data, upright.grid, low, levels_mm, device))
            report(on_progress, 0.1 * len(pyramids), "Preparing the volumes")
        center_mm = center_of_object_mm(pyramids[0][-1])
        radius_mm = radius_of_object_mm(pyramids[0][-1])
        search = _Search(pyramids, center_mm, radius_mm, config)
    with clock.stage("start"):
        coarse = search.comparison(0)
        guesses = starts(pyramids[0][-1], pyramids[1][-1], config.search_rotations)
        guesses = guesses[:1] if config.start == "given" else guesses
        first, rest = guesses[0], guesses[1:]
        scored = []
        for index, guess in enumerate(rest):
            scored.append((_score(coarse, guess.affine), guess))
            report(on_progress, 0.2 + 0.1 * (index + 1) / len(rest), "Looking for a start")
        scored.sort(key=lambda pair: pair[0], reverse=True)
        chosen = [first, *(guess for _, guess in scored[:_REFINED - 1])]
    with clock.stage("align"):
        candidates = [(guess.affine, guess.name) for guess in chosen]
        for level in range(len(levels_mm)):
            comparison = search.comparison(level)
            refined = []
            part = span(on_progress, 0.3 + 0.6 * level / len(levels_mm), 0.3 + 0.6 * (level + 1) / len(levels_mm))
            for index, (affine, name) in enumerate(candidates):
                inner = span(part, index / len(candidates), (index + 1) / len(candidates))
                affine = search.refine(level, affine, inner)
                refined.append((_score(comparison, affine), affine, name))
            refined.sort(key=lambda entry: entry[0], reverse=True)
            candidates = [(affine, name) for _, affine, name in refined[:_KEPT if level == 0 else 1]]
        affine, name = candidates[0]

        finest = search.comparison(len(levels_mm) - 1)
        before, overlap_before, _ = finest(np.eye(4))
        after, overlap, _ = finest(affine)
        if _score(finest, np.eye(4)) > _score(finest, affine):
            affine, name = search.refine(len(levels_mm) - 1, np.eye(4), span(on_progress, 0.9, 1.0)), first.name
            after, overlap, _ = finest(affine)
    if overlap < 0.5:
        _warn(warnings, f"Only {overlap:.0%} of the object in the fixed volume lies in the moving volume's field "
                        "of view after registration. Look at the result before using it.")
    if after - 1 < 0.01 and config.metric == "nmi":
        _warn(warnings, "The volumes tell next to nothing about each other even after registration. "
                        "Look at the result before using it.")
    report(on_progress, 1.0, "Done")
    return Registration(affine, None, fixed.grid, {
        "seconds": clock.seconds,
        "device": describe(device),
        "peak_memory_mb": round(peak_mb(), 1),
        "warnings": warnings,
        "transform": config.transform,
        "metric": {"name": config.metric, "before": before if overlap_before > 0 else None, "after": after},
        "start": name,
        "overlap": overlap,
        "rotation_deg": rotation_angle_deg(affine),
        "translation_mm": (affine[:3, :3] @ center_mm + affine[:3, 3] - center_mm).tolist(),
        "levels_mm": list(levels_mm),
    })


def fitted_levels_mm(fixed: Volume, moving: Volume, levels_mm) -> tuple[float, ...]:
    """The grid spacings, made smaller together where the volumes are too small for the coarsest of them."""
    levels = sorted((float(level) for level in levels_mm), reverse=True)
    extent = min(float(np.sort(volume.grid.extent_mm)[1]) for volume in (fixed, moving))
    shrink = min(1.0, extent / (_COARSE_VOXELS * levels[0]))
    return tuple(level * shrink for level in levels)


class _Search:
    """The comparisons of each level, made when first needed, and the search for the best map on one."""

    def __init__(self, pyramids, center_mm, radius_mm, config: RegisterConfig):
        self.fixed, self.moving = pyramids
        self.center_mm, self.radius_mm, self.config = center_mm, radius_mm, config
        self.comparisons = {}

    def comparison(self, level: int) -> Comparison:
        if level not in self.comparisons:
            config = self.config
            self.comparisons[level] = Comparison(self.fixed[level], self.moving[level], self.center_mm,
                                                 config.samples, config.metric, config.bins)
        return self.comparisons[level]

    def refine(self, level: int, affine: np.ndarray, on_progress) -> np.ndarray:
        """The best map near `affine` on this level; `affine` itself where none is better."""
        spacing = self.fixed[level].spacing_mm
        # Shears and scales wait until the volumes are roughly aligned.
        early = self.config.transform == "affine" and level == 0 and len(self.fixed) > 1
        basis = generators("rigid" if early else self.config.transform, self.radius_mm)
        cost = self.comparison(level).cost(affine, basis)
        done = 0

        def counted(parameters):
            nonlocal done
            done += 1
            report(on_progress, 1 - 0.9 ** done, f"Aligning at {spacing:.2g} mm")
            return cost(parameters)

        last = level == len(self.fixed) - 1
        best, _ = minimize(counted, len(basis), first_step=spacing / 2, max_step=2 * spacing,
                           tolerance=spacing / (400 if last else 50), iterations=self.config.iterations)
        motion = motion_matrix(torch.from_numpy(best), torch.from_numpy(basis)).numpy()
        return affine @ about(self.center_mm, motion)


def _score(comparison: Comparison, affine: np.ndarray) -> tuple[bool, float]:
    """What ranks a map: enough overlap first, then the similarity."""
    value, overlap, _ = comparison(affine)
    return overlap >= _SOUND_OVERLAP, value


def _check(config: RegisterConfig) -> None:
    for name, allowed in (("transform", ("translation", "rigid", "affine")), ("metric", ("nmi", "mi")),
                          ("start", ("auto", "given"))):
        if getattr(config, name) not in allowed:
            raise InputError(f"{name} is one of {', '.join(allowed)}; got {getattr(config, name)!r}.")
    if not config.levels_mm or not all(np.isfinite(level) and level > 0 for level in config.levels_mm):
        raise InputError(f"levels_mm lists positive grid spacings in mm; got {config.levels_mm!r}.")
    for name, least in (("samples", 100), ("bins", 8), ("iterations", 1), ("search_rotations", 0)):
        if getattr(config, name) < least:
            raise InputError(f"{name} is at least {least}; got {getattr(config, name)!r}.")


def _warn(warnings: list[str], text: str) -> None:
    if text not in warnings:
        warnings.append(text)
