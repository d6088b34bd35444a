"""Figures that say whether to trust a registration, against their definitions."""

import numpy as np
import pytest
from displacements import inside, oblique, smooth, turned

from meddl.core.errors import Cancelled, InputError
from meddl.measures.overlap import dice
from meddl.registration.quality import quality, with_quality
from meddl.results import Registration, Segment, Segmentation
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

GRID = oblique((2, 2, 2), shape=(40, 40, 40))


def bent(largest_mm=5) -> Registration:
    return Registration(turned(0.1, (1, 1, 1), (4, 0, 0)), smooth(GRID, largest_mm, 14), GRID, {"device": "cpu"})


def structures(grid=GRID, names=("a", "b")) -> Segmentation:
    labels = np.zeros(grid.shape, np.uint8)
    labels[8:20, 10:25, 10:30], labels[22:32, 10:25, 10:30] = 3, 9
    return Segmentation(labels, grid.affine, (Segment(3, names[0], (1, 0, 0)), Segment(9, names[1], (0, 1, 0))))


def test_a_linear_result_has_neither_folding_nor_jacobian():
    assert quality(Registration(turned(), None, GRID)) == {}


def test_a_smooth_field_does_not_fold_and_a_wild_one_does():
    gentle, wild = quality(bent()), quality(bent(60))
    assert gentle["folding_percent"] == 0
    assert 0 < gentle["sd_log_jacobian"] < 0.5
    assert wild["folding_percent"] > 0
    assert wild["sd_log_jacobian"] > gentle["sd_log_jacobian"]


def test_the_affine_does_not_count_as_deformation():
    field = smooth(GRID, 5, 14)
    plain, scaled = (quality(Registration(affine, field, GRID)) for affine in (np.eye(4), np.diag([2.0, 2, 2, 1])))
    assert plain == scaled


def test_target_registration_error_is_the_distance_that_is_left():
    registration, fixed = bent(), inside(GRID, 12)
    moving = registration.points(fixed) + np.array([0, 3.0, 4.0])
    found = quality(registration, landmarks=(fixed, moving))["tre_mm"]
    assert found["after"] == pytest.approx({"mean": 5, "median": 5, "max": 5})
    assert found["before"]["mean"] == pytest.approx(np.linalg.norm(fixed - moving, axis=1).mean())
    assert found["points"] == 12


def test_dice_before_and_after_are_those_of_the_resampled_labels():
    registration = bent()
    fixed, moving = structures(), structures()
    found = quality(registration, fixed_labels=[fixed], moving_labels=[moving])["dice"]
    carried = resample(Volume.scalar(moving.labels, GRID.affine), GRID, "nearest", transform=registration.affine,
                       displacement=registration.displacement).scalar_data
    expected = dice(carried, fixed.labels, [3, 9])
    assert [found["structures"][name]["after"] for name in "ab"] == pytest.approx(expected)
    assert found["after"] == pytest.approx(expected.mean())
    assert found["before"] == 1.0
    assert 0.3 < found["after"] < 0.99


def test_structures_match_by_name_whatever_their_numbers_and_layers():
    moving = structures()
    renumbered = [Segmentation((moving.labels == value).astype(np.uint16) * 400, GRID.affine,
                               (Segment(400, name, (1, 1, 1)),)) for value, name in ((9, "b"), (3, "a"))]
    found = quality(Registration(np.eye(4), None, GRID), fixed_labels=[structures()], moving_labels=renumbered)["dice"]
    assert found["structures"] == {"a": {"before": 1, "after": 1}, "b": {"before": 1, "after": 1}}


def test_only_structures_of_both_sides_count():
    found = quality(Registration(np.eye(4), None, GRID), fixed_labels=[structures()],
                    moving_labels=[structures(names=("a", "other"))])["dice"]
    assert set(found["structures"]) == {"a"}
    with pytest.raises(InputError, match="same name"):
        quality(bent(), fixed_labels=[structures()], moving_labels=[structures(names=("x", "y"))])
    with pytest.raises(InputError, match="same name"):
        quality(bent(), fixed_labels=[structures()])


def test_the_figures_join_the_report():
    report = with_quality(bent(), landmarks=(inside(GRID, 3), inside(GRID, 3))).report
    assert report["device"] == "cpu"
    assert {"folding_percent", "sd_log_jacobian", "tre_mm"} <= set(report)


def test_it_can_be_cancelled():
    def stop(fraction, message):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        quality(bent(), on_progress=stop)
