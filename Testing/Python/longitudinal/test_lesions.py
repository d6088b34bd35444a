"""What became of lesions: known growth on grids of all kinds, SimpleITK's volumes as witness."""

import numpy as np
import pytest
import SimpleITK as sitk
from two_dates import FINE_GRIDS, MOTION, lesion_labels

from meddl.core.errors import InputError
from meddl.io import to_sitk
from meddl.longitudinal.config import ChangeConfig
from meddl.longitudinal.lesions import follow_lesions
from meddl.results import Registration, Segment, Segmentation
from meddl.spatial.volume import Volume

BEFORE = {"grown 5": ((-30, 0, 0), 5.0), "grown 10": ((30, 0, 0), 6.0), "grown 20": ((0, 35, 0), 3.0),
          "gone": ((0, -35, 0), 1.0), "shrunk": ((0, 0, -30), 4.0), "stable": ((0, 0, 30), 3.5)}
AFTER = {"grown 5": 5.25, "grown 10": 6.6, "grown 20": 3.6, "shrunk": 2.0, "stable": 3.5}
NEW = ((30, 35, 0), 0.5)


def follow(grid_name, other_name, config=None):
    here, there = FINE_GRIDS[grid_name], FINE_GRIDS[other_name]
    first = lesion_labels(here, BEFORE.values())
    second = lesion_labels(there, [*((BEFORE[name][0], ml) for name, ml in AFTER.items()), NEW], MOTION)
    known = Registration(MOTION, None, here, {}, there)
    return first, second, *follow_lesions(first, second, known, config or ChangeConfig(stable_percent=3.0))


def by_place(rows):
    """The rows by the names above, found by their centers."""
    places = {**{name: center for name, (center, _) in BEFORE.items()}, "new": NEW[0]}
    return {min(places, key=lambda name: np.linalg.norm(np.subtract(places[name], row["center_mm"]))): row
            for row in rows}


@pytest.mark.parametrize(("here", "there"), [(name, name) for name in FINE_GRIDS] + [
    ("upright", "oblique"), ("anisotropic", "left-handed"), ("left-handed", "anisotropic")])
def test_each_lesion_has_its_state_and_volumes(here, there):
    _, _, rows, map_ = follow(here, there, ChangeConfig(stable_percent=2.5 if here == there else 4.0))
    found = by_place(rows)
    assert len(rows) == 7 and [row["lesion"] for row in rows] == list(range(1, 8))
    states = {name: row["state"] for name, row in found.items()}
    assert states["new"] == "new" and states["gone"] == "gone" and states["shrunk"] == "shrunk"
    assert states["grown 20"] == states["grown 10"] == "grown" and states["stable"] == "stable"
    for name, (_, ml) in BEFORE.items():
        assert found[name]["baseline_ml"] == pytest.approx(ml, rel=0.04)
        assert found[name]["follow_up_ml"] == pytest.approx(AFTER.get(name, 0.0), rel=0.04)
    for name, percent in (("grown 5", 5), ("grown 10", 10), ("grown 20", 20), ("shrunk", -50), ("gone", -100)):
        assert found[name]["change_percent"] == pytest.approx(percent, abs=4)
    assert found["new"]["change_percent"] is None and found["new"]["baseline_ml"] == 0
    changes = [abs(row["change_ml"]) for row in rows]
    assert changes == sorted(changes, reverse=True)
    values = {segment.name: segment.value for segment in map_.segments}
    at = tuple(np.rint(FINE_GRIDS[here].indices(NEW[0])).astype(int))
    assert map_.labels[at] == values["New"] and map_.grid.same_as(FINE_GRIDS[here])


def test_volumes_are_simpleitks():
    first, second, rows, _ = follow("oblique", "left-handed")
    for labels, name in ((first, "baseline_ml"), (second, "follow_up_ml")):
        parts = sitk.ConnectedComponent(to_sitk(Volume.scalar(labels.labels, labels.affine)) > 0, True)
        witness = sitk.LabelShapeStatisticsImageFilter()
        witness.Execute(parts)
        sizes = sorted(witness.GetPhysicalSize(label) / 1000 for label in witness.GetLabels())
        assert sorted(row[name] for row in rows if row[name]) == pytest.approx(sizes)


def labels_of(*boxes, shape=(40, 30, 20), affine=None):
    labels = np.zeros(shape, np.uint8)
    for box_ in boxes:
        labels[box_] = 1
    return Segmentation(labels, np.eye(4) if affine is None else affine, (Segment(1, "Lesion", (1, 0, 0)),))


def still(first, second):
    return Registration(np.eye(4), None, first.grid, {}, second.grid)


def test_lesions_that_merge_or_split_are_one_row():
    two = labels_of(np.s_[2:10, 5:15, 5:15], np.s_[14:20, 5:15, 5:15])
    one = labels_of(np.s_[2:20, 5:15, 5:15])
    rows, _ = follow_lesions(two, one, still(two, one), ChangeConfig())
    assert [(row["state"], row["baseline_parts"], row["follow_up_parts"]) for row in rows] == [("grown", 2, 1)]
    assert rows[0]["change_ml"] == pytest.approx(0.4)
    rows, _ = follow_lesions(one, two, still(one, two), ChangeConfig())
    assert [(row["state"], row["baseline_parts"], row["follow_up_parts"]) for row in rows] == [("shrunk", 1, 2)]


def test_the_rules_of_matching_are_those_of_the_options():
    first = labels_of(np.s_[2:12, 5:15, 5:15])
    second = labels_of(np.s_[11:21, 5:15, 5:15])  # a tenth in common
    speck = labels_of(np.s_[2:12, 5:15, 5:15], np.s_[30:32, 5:7, 5:7])
    states = [[row["state"] for row in follow_lesions(first, second, still(first, second), config)[0]]
              for config in (ChangeConfig(overlap=0.05), ChangeConfig(overlap=0.2))]
    assert states[0] == ["stable"] and sorted(states[1]) == ["gone", "new"]
    for smallest, count in ((0.01, 1), (0.008, 2), (0.0, 2)):
        assert len(follow_lesions(first, speck, still(first, speck), ChangeConfig(smallest_ml=smallest))[0]) == count


def test_what_the_other_date_does_not_cover_is_neither_new_nor_gone():
    wide = labels_of(np.s_[2:12, 5:15, 5:15], np.s_[30:36, 5:15, 5:15])
    narrow = labels_of(np.s_[2:12, 5:15, 5:15], shape=(20, 30, 20))
    for first, second in ((wide, narrow), (narrow, wide)):
        rows, _ = follow_lesions(first, second, still(first, second), ChangeConfig())
        assert sorted(row["state"] for row in rows) == ["not covered", "stable"]


def test_thousands_of_components_are_no_lesions():
    noise = Segmentation((np.random.default_rng(0).random((90, 90, 90)) < 0.02).astype(np.uint8), np.eye(4),
                         (Segment(1, "Noise", (1, 0, 0)),))
    with pytest.raises(InputError, match="no lesions"):
        follow_lesions(noise, noise, still(noise, noise), ChangeConfig())
