"""What is told of a volume before a run, by its header and by the worker."""

import time

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, phantom, process_events

from meddl_slicer.runs.acquisition import Detector, detection_text, thickest_axis

DETECTION = {"axis": 0, "slice_distance_mm": 2.0, "noise_sigma": (12.345,), "zero_filling": (1.5, 1.0, 1.0)}


@pytest.fixture
def thick(clean):
    array = phantom() + np.random.default_rng(0).normal(0, 5, phantom().shape)
    return add_volume(array.astype(np.float32), centered(np.diag([1.0, 1.0, 4.0])))


@pytest.fixture
def detector():
    detector = Detector(lambda: answers.append(detector.detection))
    answers = detector.answers = []
    yield detector
    detector.close()


def test_the_worker_tells_axis_and_noise_once_for_one_volume(thick, detector):
    detector.ask(thick, None)
    detector.ask(thick, None)
    process_events(lambda: detector.answers)
    assert detector.detection["axis"] == thickest_axis(thick) == 2
    assert detector.detection["noise_sigma"][0] == pytest.approx(5, rel=0.5)
    process_events(seconds=0.3)
    assert len(detector.answers) == 1


def test_an_answer_on_what_is_no_longer_chosen_is_not_told(thick, detector):
    detector.ask(thick, None)
    detector.ask(thick, 0)
    process_events(lambda: detector.answers)
    assert [detection["axis"] for detection in detector.answers] == [0]


def test_changed_voxels_are_looked_at_again(thick, detector):
    detector.ask(thick, None)
    process_events(lambda: detector.answers)
    before = detector.detection["noise_sigma"][0]
    slicer.util.updateVolumeFromArray(thick, slicer.util.arrayFromVolume(thick) * 10)
    detector.ask(thick, None)
    process_events(lambda: len(detector.answers) == 2)
    assert detector.detection["noise_sigma"][0] == pytest.approx(10 * before, rel=0.01)


def test_a_volume_that_leaves_the_scene_meanwhile_is_forgotten(thick, detector):
    detector.ask(thick, None)
    slicer.mrmlScene.RemoveNode(thick)
    detector.ask(None, None)
    process_events(seconds=0.5)
    assert detector.detection is None and not detector.answers


def test_a_closed_panel_hears_nothing(thick, detector):
    detector.ask(thick, None)
    detector.close()
    process_events(seconds=1.0)
    assert not detector.answers


def test_asking_takes_the_application_no_longer_than_a_copy(clean, detector):
    large = add_volume(np.asfortranarray(np.tile(phantom((64, 64, 64)), (4, 4, 4))))
    begin = time.process_time()
    detector.ask(large, None)
    assert time.process_time() - begin < 0.1
    process_events(lambda: detector.answers)


def test_the_text_says_which_way_the_slices_lie(thick):
    assert detection_text(None, None) == ""
    assert detection_text(thick, None) == "Axis k (bottom to top): slices 4.00 mm apart, 4.0 × the smallest voxel size."
    text = detection_text(thick, DETECTION)
    assert text.startswith("Axis i (left to right): slices 2.00 mm apart, 2.0 ×")
    assert "Noise (SD) about 12.3." in text and "interpolated it by 1.50" in text
