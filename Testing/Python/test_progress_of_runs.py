"""The progress of each verb, as the panels show it: it rises at least every two seconds of work, and never falls."""

import numpy as np
import pytest
from progress_trace import ProgressTrace

from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.models.store.store import ModelStore
from meddl.samples import head_image
from meddl_slicer.mrml.registration_results import RequestedOutputs
from meddl_slicer.runs import remote

MOST_S = 2.0  # of one core's time
THICK = (1.0, 1.0, 5.0)
ALL_OUTPUTS = RequestedOutputs(warped="linear", inverse=True, jacobian=True, checkerboard=True, difference=True)
FEW = {"deformable_iterations": (2, 1, 1)}  # an iteration takes as long as in a run of a hundred


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(run) -> None:
    trace = ProgressTrace()
    run(trace)
    assert not trace.falls, trace.falls[:3]
    assert trace.longest()[0][0] <= MOST_S, trace.longest()
    assert trace.rises[-1][1] > 0.97


@pytest.mark.slow
def test_a_segmentation_with_surfaces_and_confidence():
    if not ModelStore().is_shipped("brain"):
        pytest.skip("the model brain is not in Resources/MedDL/Models")
    head = head_image("T1", 1.0)
    config = SegmentConfig(flip_averaging=True, confidence=True)
    check(lambda trace: remote.segment(head, "brain", config, surfaces=np.array(head.affine), on_progress=trace))


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "options"), [
    ("Rigid", {}), ("Affine", {}), ("Large motion", {}), ("Deformable", FEW), ("Deformable multi-modal", FEW),
    ("Same subject, two dates", FEW)])
def test_a_registration_with_all_outputs(preset, options):
    fixed, moving = head_image("T1", 1.0), head_image("T1", 1.0, seed=3)
    config = RegisterConfig.from_preset(preset, **options)
    check(lambda trace: remote.register(fixed, moving, config, requested=ALL_OUTPUTS, on_progress=trace))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "spacing_mm"), [
    ("cubic", THICK), ("back-projection", THICK), ("network", (1.5, 1.5, 6.0)), ("edsr3d", 2.5), ("srcnn", 3.0),
    ("srgan", 3.0), ("denoise", 1.0), ("denoise-autoencoder", 1.0)])
def test_a_super_resolution(method, spacing_mm):
    head = head_image("T1", spacing_mm)
    config = SuperResolveConfig(method=method)
    check(lambda trace: remote.super_resolve(head, config, reference=head, on_progress=trace))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["self-training", "denoise-self-supervised"])
def test_a_training_on_the_volume_itself(method):
    head = head_image("T1", (2.0, 2.0, 6.0))
    config = SuperResolveConfig(method=method, seconds=15.0)
    check(lambda trace: remote.super_resolve(head, config, on_progress=trace))


def test_a_pause_and_a_fall_are_found():
    trace = ProgressTrace()
    trace(0.1, "Starting")
    begin = sum(range(10**6))
    trace(0.1, "Starting")
    trace(0.2, "Working")
    trace(0.15, "Working")
    assert begin and [rise[1] for rise in trace.rises] == [0.1, 0.2]
    assert trace.longest(1)[0][0] > 0 and trace.falls == [(0.2, 0.15, "Working")]
