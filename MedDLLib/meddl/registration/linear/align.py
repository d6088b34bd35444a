"""Linear registration of two volumes: initial alignments, refined from coarse to fine."""

from dataclasses import dataclass, field

import numpy as np
import torch

from meddl.core.config import RegisterConfig
from meddl.core.progress import ProgressCallback, preview, report, span
from meddl.core.stage_clock import StageClock
from meddl.registration.images.pyramid import Level
from meddl.registration.linear.alternatives import (
    SOUND_OVERLAP,
    choose_candidate,
    competing,
    competition_warning,
    distinct_candidates,
    measure_candidate,
)
from meddl.registration.linear.bfgs import minimize
from meddl.registration.linear.initialization import (
    InitialAlignment,
    center_of_object_mm,
    initial_alignments,
    radius_of_object_mm,
)
from meddl.registration.linear.motion import about, generators, motion_matrix, rotation_angle_deg
from meddl.registration.linear.sampled_similarity import SampledSimilarity
from meddl.spatial.volume import Volume

_REFINED = 4         # initial alignments that are refined on the coarsest level
_SCORED_AT_ONCE = 16  # initial alignments; between such parts a run can be canceled
_KEPT = 2            # of these, refined on the next
_COARSE_VOXELS = 12  # voxels along the middle extent that the coarsest grid has at least
# So much more NMI, or MI in nats, a percent of least_gain_percent demands at least, and where the alignment by header
# has little: volumes that share little, such as CT and PET, agree better elsewhere by so much.
_GAIN_A_PERCENT, _GAIN_OF_LITTLE, _LITTLE = 0.0025, 0.0075, 0.1


@dataclass(frozen=True, eq=False)
class Alignment:
    """Result of a linear registration.

    Attributes:
        affine: 4x4, fixed points to moving points, RAS mm.
        measures: metric, start, overlap, rotation_deg, translation_mm, levels_mm, see `register`.
        warnings: for the user.
    """

    affine: np.ndarray
    measures: dict
    warnings: list[str] = field(default_factory=list)


def align(fixed: list[Level], moving: list[Level], config: RegisterConfig, given: list[InitialAlignment],
          clock: StageClock, on_progress: ProgressCallback | None = None) -> Alignment:
    """The linear transform from `fixed` to `moving`, optimized over a pyramid from coarse to fine.

    Args:
        given: initial alignments instead of a search; empty: search as `config` says.
        clock: gets the stages "start" and "align".
    """
    levels_mm = [level.spacing_mm for level in fixed]
    center_mm = center_of_object_mm(fixed[-1])
    search = _Search(fixed, moving, center_mm, radius_of_object_mm(fixed[-1]), config)
    warnings = []
    with clock.stage("start"):
        coarse = search.similarity(0)
        guesses = given or initial_alignments(fixed[-1], moving[-1], config.search_rotations)
        guesses = guesses[:1] if config.initialization == "given" and not given else guesses
        scores: list[tuple] = []
        for first in range(0, len(guesses), _SCORED_AT_ONCE):
            report(on_progress, 0.2 * first / len(guesses), "Initializing")
            some = guesses[first:first + _SCORED_AT_ONCE]
            scores += zip(*coarse.values(np.stack([guess.affine for guess in some])), strict=True)
        scores = [(overlap >= SOUND_OVERLAP, value) for value, overlap in scores]
        order = sorted(range(1, len(guesses)), key=scores.__getitem__, reverse=True)
        chosen = [guesses[k] for k in [0, *order[:_REFINED - 1]]]  # the first, the given alignment, always competes
        report(on_progress, 0.2, "Initializing")
    with clock.stage("align"):
        candidates = [(guess.affine, guess.name, guess is guesses[0]) for guess in chosen]
        alternatives: list[dict] = []
        for level in range(len(levels_mm)):
            similarity = search.similarity(level)
            refined = []
            part = span(on_progress, 0.2 + 0.7 * level / len(levels_mm), 0.2 + 0.7 * (level + 1) / len(levels_mm))
            for index, (affine, name, first) in enumerate(candidates):
                inner = span(part, index / len(candidates), (index + 1) / len(candidates))
                refined.append(measure_candidate(similarity, search.refine(level, affine, inner), name,
                                                 first and not given))
            best = choose_candidate(refined, fixed[-1])
            if len(refined) > 1:
                alternatives = competing(best, refined, fixed[-1])
            kept = distinct_candidates(refined, fixed[-1], _KEPT) if level == 0 and len(levels_mm) > 1 else [best]
            candidates = [(one.affine, one.start, one.by_header) for one in kept]
            preview(on_progress, {"kind": "affine", "affine": best.affine})
        if alternatives:
            warnings.append(competition_warning(best, alternatives))
        affine, name = best.affine, best.start

        finest = search.similarity(len(levels_mm) - 1)
        before, overlap_before, _ = finest(np.eye(4))
        if not given and _score(finest, np.eye(4)) > _score(finest, affine):
            affine, name = search.refine(len(levels_mm) - 1, np.eye(4), span(on_progress, 0.9, 1.0)), chosen[0].name
        affine, name = search.unless_gained((affine, name), guesses[0])
        preview(on_progress, {"kind": "affine", "affine": affine})
        after, overlap, _ = finest(affine)
    if overlap < 0.5:
        warnings.append(f"Only {overlap:.0%} of the object in the fixed volume lies in the moving volume's field "
                        "of view after registration. Look at the result before using it.")
    if after - 1 < 0.01 and search.metric == "nmi":
        warnings.append("The mutual information of the volumes is next to none even after registration. "
                        "Look at the result before using it.")
    return Alignment(affine, {
        "metric": {"name": search.metric, "before": before if overlap_before > 0 else None, "after": after},
        "start": name,
        "alternatives": alternatives,
        "overlap": overlap,
        "rotation_deg": rotation_angle_deg(affine),
        "translation_mm": (affine[:3, :3] @ center_mm + affine[:3, 3] - center_mm).tolist(),
        "levels_mm": levels_mm,
    }, warnings)


def fitted_levels_mm(fixed: Volume, moving: Volume, levels_mm) -> tuple[float, ...]:
    """The grid spacings, made smaller together where the volumes are too small for the coarsest of them."""
    levels = sorted((float(level) for level in levels_mm), reverse=True)
    extent = min(float(np.sort(volume.grid.extent_mm)[1]) for volume in (fixed, moving))
    shrink = min(1.0, extent / (_COARSE_VOXELS * levels[0]))
    return tuple(level * shrink for level in levels)


class _Search:
    """The similarity of each level, made when first needed, and its optimization on one level."""

    def __init__(self, fixed, moving, center_mm, radius_mm, config: RegisterConfig):
        self.fixed, self.moving = fixed, moving
        self.center_mm, self.radius_mm, self.config = center_mm, radius_mm, config
        self.metric = "mi" if config.metric == "mi" else "nmi"
        self.transform = (config.linear_transform if config.transform_type == "deformable" else
                          config.transform_type)
        self.similarities: dict[int, SampledSimilarity] = {}

    def similarity(self, level: int) -> SampledSimilarity:
        if level not in self.similarities:
            config = self.config
            self.similarities[level] = SampledSimilarity(self.fixed[level], self.moving[level], self.center_mm,
                                                 config.samples, self.metric, config.bins)
        return self.similarities[level]

    def unless_gained(self, found: tuple[np.ndarray, str], first: InitialAlignment) -> tuple[np.ndarray, str]:
        """`found`, or the initial alignment where it agrees as well but for `RegisterConfig.least_gain_percent`.

        The gain counts on the finest level and on the one before: a true motion agrees better on both, what makes up
        for the interpolation of a resampled volume on the finest alone.
        """
        least_percent, finest = self.config.least_gain_percent, len(self.fixed) - 1
        by_header = np.array_equal(first.affine, np.eye(4))
        for level in {finest, max(0, finest - 1)} if least_percent else {finest}:
            similarity, worst = self.similarity(level), float(self.metric == "nmi")
            (sound, value), (is_better, better) = _score(similarity, first.affine), _score(similarity, found[0])
            shared = value - worst
            doubt = _GAIN_OF_LITTLE if by_header and shared < _LITTLE else _GAIN_A_PERCENT
            least = least_percent * max(shared / 100, doubt)
            if sound and is_better and better - value < least:
                return first.affine, first.name
        return found

    def refine(self, level: int, affine: np.ndarray, on_progress) -> np.ndarray:
        """The optimum near `affine` on this level; `affine` itself where none is better."""
        spacing = self.fixed[level].spacing_mm
        # Shears and scales wait until the volumes are roughly aligned.
        early = self.transform == "affine" and level == 0 and len(self.fixed) > 1
        basis = generators("rigid" if early else self.transform, self.radius_mm)
        cost = self.similarity(level).cost(affine, basis)
        done = 0

        def count_call(parameters):
            nonlocal done
            done += 1
            report(on_progress, 1 - 0.9 ** done, f"Aligning at {spacing:.2g} mm")
            return cost(parameters)

        last = level == len(self.fixed) - 1
        best, _ = minimize(count_call, len(basis), first_step=spacing / 2, max_step=2 * spacing,
                           tolerance=spacing / (400 if last else 50), iterations=self.config.iterations)
        motion = motion_matrix(torch.from_numpy(best), torch.from_numpy(basis)).numpy()
        return affine @ about(self.center_mm, motion)


def _score(similarity: SampledSimilarity, affine: np.ndarray) -> tuple[bool, float]:
    """What ranks a transform: enough overlap first, then the similarity."""
    value, overlap, _ = similarity(affine)
    return overlap >= SOUND_OVERLAP, value
