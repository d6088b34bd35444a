"""How sure a linear registration is, without a truth: a number from 0 to 1, and a word.

Around the result lie fifty random rigid perturbations. How many of them agree better, how far the result stands above
them, whether a search from the best of them, or from half a turn, ends elsewhere with more agreement, and how far a
registration the other way comes back to where it began are weighed by a logistic regression (D. R. Cox, "The regression
analysis of binary sequences", Journal of the Royal Statistical Society B 20(2), 1958). Its weights are those that
`Testing/Benchmarks/register_quality.py` finds on pairs with known maps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from meddl.core.config import RegisterConfig
from meddl.core.progress import ProgressCallback, report
from meddl.registration.images.pyramid import Level
from meddl.registration.linear.alternatives import Candidate, distance_mm, measure_candidate
from meddl.registration.linear.bfgs import minimize
from meddl.registration.linear.initialization import center_of_object_mm, radius_of_object_mm
from meddl.registration.linear.motion import about, generators, motion_matrix
from meddl.registration.linear.sampled_similarity import SampledSimilarity

PERTURBATIONS = 50
RIGHT, FAILED = 0.7, 0.15  # quality from which a result counts as right, and below which as failed
MOST_FOLDING_PERCENT = 1.0  # of a deformation that may still count as right
_DOUBTFUL = 0.45  # the quality of one that folds more, at best
_LEAST_GAIN, _LEAST_BETTER = 0.05, 0.2  # restart_gain and better_fraction that contradict a result, see `Doubts`
_SMALLEST_MM, _LARGEST_MM = 4.0, 40.0  # of a perturbation, at the object's radius
_RESTARTS = 2
_SAMPLES = 4_000
_ITERATIONS = 8
_SEED = 20240229
_LEAST_AGREEMENT = 1e-4
_TURNED = 0.5  # of the result's agreement: so much of it a half turn keeps before a search starts there too
# Weight of each figure of `Doubts`, in this order, and the constant.
WEIGHTS = {"better_fraction": -3.022, "standing": 4.382, "restart_gain": -0.566, "restart_mm": -1.7,
           "inverse_error_mm": -2.43, "agreement": 0.776, "overlap": 0.445}
CONSTANT = 0.27


@dataclass(frozen=True)
class Doubts:
    """Figures about a result that can be had without a truth.

    Attributes:
        better_fraction: of the perturbations, those that agree better than the result, 0 to 1.
        standing: how many standard deviations of the perturbations' agreement the result stands above their mean.
        restart_gain: the logarithm of the agreement that a search from the best perturbations ends with, over the
            result's; 0 where it ends at the result.
        restart_mm: how far that is from the result.
        inverse_error_mm: how far a registration of the moving to the fixed volume that starts at the result's inverse
            ends from it.
        agreement: see `Candidate`, of the result.
        overlap: 0 to 1.
    """

    better_fraction: float
    standing: float
    restart_gain: float
    restart_mm: float
    inverse_error_mm: float
    agreement: float
    overlap: float

    @property
    def features(self) -> np.ndarray:
        """What the regression weighs, (7,), each of the order of 1."""
        return np.array([self.better_fraction, np.log1p(max(self.standing, 0.0)), min(self.restart_gain, 1.0),
                         np.log1p(self.restart_mm / 5), np.log1p(self.inverse_error_mm / 5),
                         np.log(max(self.agreement, _LEAST_AGREEMENT)), self.overlap])

    @property
    def contradicted(self) -> bool:
        """Whether something else agrees clearly better than the result."""
        return self.restart_gain >= _LEAST_GAIN or self.better_fraction >= _LEAST_BETTER

    @property
    def quality(self) -> float:
        """The probability that the result is within 5 mm of the truth, on such pairs as the weights come from.

        Where nothing contradicts the result it is doubtful at worst: CT and PET of a limb have so little in common that
        the figures of a right result can look like those of a failed one.
        """
        score = CONSTANT + float(np.dot(list(WEIGHTS.values()), self.features))
        found = float(1 / (1 + np.exp(-score)))
        return found if self.contradicted else max(found, FAILED)


def quality_word(quality: float) -> str:
    """"right", "doubtful" or "failed"."""
    return "right" if quality >= RIGHT else "failed" if quality < FAILED else "doubtful"


def quality_entries(doubts: Doubts) -> dict:
    """The estimate as entries of a report: quality, and quality_estimate with its word and the figures."""
    return {"quality": doubts.quality, "quality_estimate": {"word": quality_word(doubts.quality), **asdict(doubts)}}


def limit_by_folding(entries: dict) -> list[str]:
    """Lower the quality in the report `entries` of a deformation that folds, and warn of it."""
    folding = entries.get("folding_percent", 0.0)
    if "quality" not in entries or folding <= MOST_FOLDING_PERCENT:
        return []
    entries["quality"] = min(entries["quality"], _DOUBTFUL)
    entries["quality_estimate"]["word"] = quality_word(entries["quality"])
    return [f"The deformation folds in {folding:.1f} % of the voxels, where it maps two places onto one. Look at the "
            "result before using it."]


def warn_of_quality(doubts: Doubts) -> list[str]:
    """Warnings of a result that does not count as right."""
    word = quality_word(doubts.quality)
    if word == "right":
        return []
    return [f"The registration seems {word} (quality estimate {doubts.quality:.2f} of 1): of {PERTURBATIONS} random "
            f"perturbations {doubts.better_fraction:.0%} agree better, a search from the best of them ends "
            f"{doubts.restart_mm:.0f} mm away, the registration the other way {doubts.inverse_error_mm:.0f} mm. "
            "Look at the result before using it."]


def doubts_of(fixed: list[Level], moving: list[Level], affine: np.ndarray, config: RegisterConfig,
              on_progress: ProgressCallback | None = None) -> Doubts:
    """What speaks for and against a linear result.

    Args:
        fixed, moving: pyramids, coarse to fine; the two coarsest levels are used.
        affine: 4x4, the result, fixed to moving, RAS mm.
        config: its metric.
    """
    fine = min(1, len(fixed) - 1)
    near = _Look(fixed[fine], moving[fine], config)
    found = near.measure(affine)
    wide = near if fine == 0 else _Look(fixed[0], moving[0], config)
    report(on_progress, 0.0, "Estimating the quality")
    perturbed = wide.perturb(affine)
    turned = wide.half_turns(affine)
    *found_there, here = wide.agreements(np.concatenate([perturbed, turned, affine[None]]))
    agreements, of_turned = np.array(found_there[:PERTURBATIONS]), np.array(found_there[PERTURBATIONS:])
    report(on_progress, 0.2, "Estimating the quality")
    starts = [perturbed[number] for number in np.argsort(-agreements)[:_RESTARTS]]
    if of_turned.max() > _TURNED * here:
        starts.append(turned[int(of_turned.argmax())])
    best, apart = _restart(wide, near, starts, found)
    report(on_progress, 0.7, "Estimating the quality")
    back = _Look(moving[fine], fixed[fine], config)
    inverse = np.linalg.inv(affine)
    returned = back.refine(inverse) if back.measure(inverse).overlap > 0.05 else inverse
    gain = np.log(max(best.agreement, _LEAST_AGREEMENT) / max(found.agreement, _LEAST_AGREEMENT))
    return Doubts(float((agreements > here).mean()),
                  float((here - agreements.mean()) / max(agreements.std(), _LEAST_AGREEMENT)), float(max(gain, 0.0)),
                  apart, distance_mm(returned, inverse, moving[fine]), found.agreement, found.overlap)


def _restart(wide: _Look, near: _Look, starts: list[np.ndarray], found: Candidate) -> tuple[Candidate, float]:
    """The best candidate of a search from the best perturbations, and how far it is from `found`, in mm."""
    ends = [wide.refine(start) for start in starts]
    best = ends[int(np.argmax(wide.agreements(np.stack(ends))))]
    candidate = near.measure(near.refine(best))
    return candidate, distance_mm(candidate.affine, found.affine, near.fixed)


class _Look:
    """One level, on which maps are compared and refined rigidly."""

    def __init__(self, fixed: Level, moving: Level, config: RegisterConfig):
        self.fixed, self.center_mm, self.radius_mm = fixed, center_of_object_mm(fixed), radius_of_object_mm(fixed)
        metric = "mi" if config.metric == "mi" else "nmi"
        self.similarity = SampledSimilarity(fixed, moving, self.center_mm, _SAMPLES, metric, config.bins)
        self.basis = generators("rigid", self.radius_mm)

    def measure(self, affine: np.ndarray) -> Candidate:
        return measure_candidate(self.similarity, affine, "", False)

    def agreements(self, affines: np.ndarray) -> np.ndarray:
        values, overlaps = self.similarity.values(affines)
        return np.maximum(values - float(self.similarity.metric == "nmi"), 0) * overlaps

    def perturb(self, affine: np.ndarray) -> np.ndarray:
        """Maps (PERTURBATIONS, 4, 4) around `affine`, always the same ones for the same object."""
        rng = np.random.default_rng(_SEED)
        sizes = np.exp(rng.uniform(np.log(_SMALLEST_MM), np.log(_LARGEST_MM), (PERTURBATIONS, 1))) / np.sqrt(2)
        ways, axes = rng.normal(size=(2, PERTURBATIONS, 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        motions = np.tile(np.eye(4), (PERTURBATIONS, 1, 1))
        motions[:, :3, :3] = Rotation.from_rotvec(axes * sizes / self.radius_mm).as_matrix()
        motions[:, :3, 3] = ways * sizes
        return np.stack([affine @ about(self.center_mm, motion) for motion in motions])

    def half_turns(self, affine: np.ndarray) -> np.ndarray:
        """`affine` after half a turn about R, A and S through the center of the object, (3, 4, 4)."""
        return np.stack([affine @ about(self.center_mm, np.diag([*signs, 1.0]))
                         for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))])

    def refine(self, affine: np.ndarray) -> np.ndarray:
        """The optimum near by; `affine` itself where none is better."""
        spacing = self.fixed.spacing_mm
        best, _ = minimize(self.similarity.cost(affine, self.basis), len(self.basis), first_step=spacing / 2,
                           max_step=2 * spacing, tolerance=spacing / 40, iterations=_ITERATIONS)
        motion = motion_matrix(torch.from_numpy(best), torch.from_numpy(self.basis)).numpy()
        return affine @ about(self.center_mm, motion)
