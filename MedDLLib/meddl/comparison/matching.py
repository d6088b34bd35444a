"""Which structure of one segmentation is which of another: by name, by terminology, or by label value."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError
from meddl.measures.config import MATCH_RULES
from meddl.spatial.label_maps import present_values
from meddl.spatial.segmentation import Segment, Segmentation

MOST_STRUCTURES = 2000


@dataclass(frozen=True)
class Match:
    """A structure of both segmentations, or of one alone.

    Attributes:
        name: of the reference's segment, else of the prediction's.
        prediction, reference: the label values; None where that segmentation has no such structure.
        rule: "name", "terminology" or "value"; "" for a structure of one alone.
    """

    name: str
    prediction: int | None
    reference: int | None
    rule: str = ""


def match_structures(prediction: Segmentation, reference: Segmentation, rule: str = "auto") -> tuple[Match, ...]:
    """The structures of two segmentations in the reference's order, those of the prediction alone last.

    Args:
        rule: what makes two segments the same: the name (without regard to case, underscores and hyphens), the
            terminology codes (those that several segments share, such as Slicer's "Tissue" of what is drawn by hand,
            tell nothing), or the label value; "auto" tries them in this order, values only where no two segments
            have the same name or terminology.

    Raises:
        InputError: an unknown rule, or so many labels that one of the two must be an image.
    """
    if rule not in MATCH_RULES:
        raise InputError(f"Structures are matched by one of {', '.join(MATCH_RULES)}; got '{rule}'.")
    ours, theirs = segments_of(prediction, "prediction"), segments_of(reference, "reference")
    pairs: dict[int, tuple[Segment, str]] = {}
    for one in ("name", "terminology", "value") if rule == "auto" else (rule,):
        if one == "value" and rule == "auto" and pairs:
            break
        shared = _shared_codes(ours) | _shared_codes(theirs) if one == "terminology" else set()
        left = {_key(segment, one): segment for segment in reversed(ours)
                if segment not in [pair for pair, _ in pairs.values()]}
        for segment in theirs:
            key = _key(segment, one)
            if key is not None and key in left and key not in shared and segment.value not in pairs:
                pairs[segment.value] = left.pop(key), one
    used = {pair.value for pair, _ in pairs.values()}
    return (*(Match(segment.name, pairs[segment.value][0].value, segment.value, pairs[segment.value][1])
              if segment.value in pairs else Match(segment.name, None, segment.value) for segment in theirs),
            *(Match(segment.name, segment.value, None) for segment in ours if segment.value not in used))


def segments_of(segmentation: Segmentation, name: str) -> list[Segment]:
    """The segments, and one more for each label value that no segment names.

    Raises:
        InputError: more structures than a segmentation has.
    """
    named = {segment.value: segment for segment in segmentation.segments}
    values = present_values(segmentation.labels)
    if len(values) > MOST_STRUCTURES:
        raise InputError(f"The {name} holds {len(values)} different label values, more than {MOST_STRUCTURES}: "
                         "it looks like an image, not a label map.")
    extra = [Segment(int(value), f"Label {value}", (0.5, 0.5, 0.5)) for value in values if int(value) not in named]
    return [*segmentation.segments, *extra]


def common_labels(segmentation: Segmentation, values: list[int | None]) -> np.ndarray:
    """(I, J, K) uint16: 1, 2, ... for the structures of these values, in order; 0 elsewhere."""
    table = np.zeros(65536, np.uint16)
    for number, value in enumerate(values, start=1):
        if value is not None:
            table[value] = number
    return table[segmentation.labels]


def _shared_codes(segments: list[Segment]) -> set:
    """Terminology codes that more than one of these segments has."""
    counts = Counter(_key(segment, "terminology") for segment in segments)
    return {codes for codes, count in counts.items() if count > 1}


def _key(segment: Segment, rule: str):
    """What two segments have in common under a rule; None: nothing."""
    if rule == "value":
        return segment.value
    if rule == "name":
        return " ".join(segment.name.replace("_", " ").replace("-", " ").casefold().split()) or None
    codes = segment.terminology or {}
    return tuple(tuple(codes[part][:2]) if codes.get(part) else None for part in ("category", "type", "modifier")) \
        if codes.get("type") else None
