"""What is left of a segmentation where some structures are asked for."""

import numpy as np

from meddl.models.cards import Label
from meddl.results import Segment, Segmentation
from meddl.segmentation.structures import NOTHING_FOUND, restrict_to, volumes_ml

LABELS = tuple(Label(value, name, (0, 0, 0), value) for value, name in (
    (5, "liver"), (2, "kidney left"), (7, "kidney right"), (300, "lung upper lobe left")))


def segmentation(labels: np.ndarray) -> Segmentation:
    segments = tuple(Segment(label.value, label.name, (0, 0, 0)) for label in LABELS)
    found = Segmentation(labels, np.diag([2.0, 2.0, 2.0, 1.0]), segments)
    report = {"volumes_ml": volumes_ml(labels, segments, found.grid), "confidence": {"liver": 0.9, "kidney left": 0.8},
              "warnings": []}
    return Segmentation(labels, found.affine, segments, None, report)


def test_only_what_was_asked_for_is_left_in_labels_segments_and_report():
    labels = np.random.default_rng(0).choice(np.array([0, 5, 2, 7, 300], np.uint16), (6, 5, 4))
    found = restrict_to(segmentation(labels), (5, 300))
    assert (found.labels == np.where(np.isin(labels, (5, 300)), labels, 0)).all()
    assert [segment.value for segment in found.segments] == [5, 300]
    assert found.report["volumes_ml"] == {"liver": round((labels == 5).sum() * 0.008, 3),
                                          "lung upper lobe left": round((labels == 300).sum() * 0.008, 3)}
    assert found.report["confidence"] == {"liver": 0.9}


def test_labels_outside_of_the_region_are_background():
    inside = np.zeros((4, 4, 4), dtype=bool)
    inside[1:3] = True
    found = restrict_to(segmentation(np.full((4, 4, 4), 5, np.uint8)), (5,), inside)
    assert (found.labels[inside] == 5).all() and not found.labels[~inside].any()
    nothing = restrict_to(segmentation(np.full((4, 4, 4), 5, np.uint8)), (2,))
    assert nothing.report["warnings"] == [NOTHING_FOUND]
