"""Candidates of a linear registration that compete: which one is taken, and what is said of the others.

A volume's header is evidence of its own: another candidate, which lies far from the one that starts at the header's
alignment, is taken only where it agrees by more than chance makes. Agreement is the mutual information times the
overlap, since the information of a small overlap alone is high by chance.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from meddl.registration.images.pyramid import Level
from meddl.registration.linear.sampled_similarity import SampledSimilarity

SOUND_OVERLAP = 0.25   # a candidate with less counts only where none has more
APART_MM = 10.0        # candidates that are closer are one, refined from two places
# How many times the header's agreement another candidate needs, and how much more. In limbs, wrong candidates had 1.2
# times at most, and right ones beside a header that is 90 mm off 2.1 times at least.
HEADER_PRIOR, LEAST_GAIN = 1.5, 0.005
_COMPETES = 0.67       # of the chosen candidate's agreement


@dataclass(frozen=True, eq=False)
class Candidate:
    """A refined alignment.

    Attributes:
        affine: 4x4, fixed to moving, RAS mm.
        start: the initial alignment that it was refined from.
        value: its similarity on one level.
        overlap: 0 to 1.
        worst: the similarity of volumes that share nothing: 1 of normalized mutual information, 0 of the other.
        by_header: whether it was refined from the headers' alignment.
    """

    affine: np.ndarray
    start: str
    value: float
    overlap: float
    worst: float
    by_header: bool

    @property
    def agreement(self) -> float:
        """The mutual information times the overlap."""
        return max(self.value - self.worst, 0.0) * self.overlap

    @property
    def rank(self) -> tuple[bool, float]:
        """What orders candidates: enough overlap first, then the agreement."""
        return self.overlap >= SOUND_OVERLAP, self.agreement


def measure_candidate(similarity: SampledSimilarity, affine: np.ndarray, start: str, by_header: bool) -> Candidate:
    """The candidate `affine` as `similarity` measures it."""
    value, overlap, _ = similarity(affine)
    return Candidate(affine, start, value, overlap, float(similarity.metric == "nmi"), by_header)


def distance_mm(first: np.ndarray, second: np.ndarray, level: Level) -> float:
    """How far two linear maps (4x4) take the points of the fixed object apart: the largest distance, in mm, over the
    corners of the object's bounding box."""
    inside = level.object_mask.nonzero().numpy()
    corners = level.grid.points_mm(np.array(list(itertools.product(*zip(inside.min(axis=0), inside.max(axis=0),
                                                                        strict=True)))))
    change = first - second
    return float(np.linalg.norm(corners @ change[:3, :3].T + change[:3, 3], axis=1).max())


def distinct_candidates(candidates: list[Candidate], level: Level, count: int) -> list[Candidate]:
    """The best `count` of these that lie apart, the best first; and the header's, if it may yet be chosen."""
    found: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: one.rank, reverse=True):
        if all(distance_mm(candidate.affine, other.affine, level) >= APART_MM for other in found):
            found.append(candidate)
    more = [candidate for candidate in found[count:] if candidate.by_header and not _beats(found[0], candidate)]
    return found[:count] + more


def choose_candidate(candidates: list[Candidate], level: Level) -> Candidate:
    """The best of these; the header's where the best lies apart from it and is not better by more than chance makes."""
    best = max(candidates, key=lambda candidate: candidate.rank)
    held = next((candidate for candidate in candidates if candidate.by_header), None)
    if held is None or distance_mm(best.affine, held.affine, level) < APART_MM or _beats(best, held):
        return best
    return held


def competing(chosen: Candidate, candidates: list[Candidate], level: Level) -> list[dict]:
    """Of the candidates that lie apart from the chosen one, those with about its agreement, as entries of a report:
    start, value, overlap, distance_mm."""
    found = []
    for candidate in candidates:
        apart = distance_mm(candidate.affine, chosen.affine, level)
        if (apart >= APART_MM and candidate.overlap >= SOUND_OVERLAP
                and candidate.agreement >= _COMPETES * chosen.agreement):
            found.append({"start": candidate.start, "value": candidate.value, "overlap": candidate.overlap,
                          "distance_mm": apart})
    return sorted(found, key=lambda entry: entry["value"] * entry["overlap"], reverse=True)


def competition_warning(chosen: Candidate, alternatives: list[dict]) -> str:
    """The warning of alternatives, of which there is one or more."""
    best, name = alternatives[0], "MI" if chosen.worst == 0 else "NMI"
    return (f"Not sure: alternatives {best['distance_mm']:.0f} mm apart. This result, from {chosen.start}, has {name} "
            f"{chosen.value:.3f} at {chosen.overlap:.0%} overlap, another one, from {best['start']}, "
            f"{best['value']:.3f} at {best['overlap']:.0%}. Look at the result; an initial transform or landmarks "
            "decide between them.")


def _beats(best: Candidate, held: Candidate) -> bool:
    """Whether an candidate elsewhere agrees so much better than the header's."""
    if held.rank[0] != best.rank[0]:
        return best.rank[0]
    return best.agreement >= max(HEADER_PRIOR * held.agreement, held.agreement + LEAST_GAIN)
