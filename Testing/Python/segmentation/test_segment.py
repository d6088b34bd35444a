"""`meddl.segment`: the model that ships on heads of every kind, and what is not a head."""

import importlib

import numpy as np
import pytest
import torch

import meddl
import meddl.segmentation.brain.segment_head  # before a test exchanges what it takes from elsewhere
from meddl import samples
from meddl.core.config import SegmentConfig
from meddl.core.errors import Cancelled, GeometryError, InputError, OutOfMemoryError
from meddl.segmentation.brain import inference
from meddl.segmentation.brain.preprocess import prepare
from meddl.segmentation.imported import memory_plan
from meddl.spatial.volume import Volume

LEFT_RIGHT = {2: 41, 3: 42, 4: 43, 7: 46, 8: 47, 10: 49, 11: 50, 12: 51, 17: 53}


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / max(1, np.count_nonzero(a) + np.count_nonzero(b))


def agreement(first, second):
    """Share of equal voxels among those that are not background in both."""
    inside = (first > 0) | (second > 0)
    return (first == second)[inside].mean()


@pytest.fixture(scope="module")
def head():
    return samples.head("T1", 2.0)


@pytest.fixture(scope="module")
def heard():
    """The progress of `found`."""
    return []


@pytest.fixture(scope="module")
def found(head, heard):
    return meddl.segment(head[0], device="cpu", config=SegmentConfig(confidence=True),
                         on_progress=lambda fraction, message: heard.append((fraction, message)))


def test_the_embedded_head_is_segmented_on_its_own_grid(head, found):
    image, truth = head
    assert found.labels.shape == image.shape
    np.testing.assert_array_equal(found.affine, image.affine)
    brain = [s.value for s in found.segments if s.value != 24]
    assert dice(np.isin(found.labels, brain), np.isin(truth.labels, brain)) > 0.88
    for value in (2, 41, 16):
        assert dice(found.labels == value, truth.labels == value) > 0.6


def test_left_is_on_the_left(found):
    for left, right in LEFT_RIGHT.items():
        centers = [found.grid.points_mm(np.argwhere(found.labels == v)).mean(axis=0)[0] for v in (left, right)]
        assert centers[0] < centers[1]


def test_the_report_says_what_a_person_asks(found):
    report = found.report
    assert set(report["seconds"]) == {"load", "prepare", "locate", "segment", "refine", "clean up", "labels", "total"}
    assert report["device"].startswith("cpu")
    assert report["peak_memory_mb"] > 50
    assert 900 < sum(v for name, v in report["volumes_ml"].items() if name != "csf") < 1900
    voxels = np.count_nonzero(found.labels == 16)
    assert report["volumes_ml"]["brain stem"] == pytest.approx(voxels * 8 / 1000, abs=1e-3)
    assert all(0 <= c <= 1 for c in report["confidence"].values())


def test_confidence_is_a_probability_and_lower_at_borders(found):
    assert found.confidence.shape == found.labels.shape
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1 + 1e-6
    white = found.labels == 2
    core = white.copy()
    for axis in range(3):
        for shift in (1, -1):
            core &= np.roll(white, shift, axis)
    assert found.confidence[core].mean() > found.confidence[white & ~core].mean()


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["SAL", "LPS", "IRP", "PIR"])
def test_the_axis_order_of_the_file_does_not_matter(head, found, codes):
    turned = meddl.segment(head[0].reorient(codes), device="cpu")
    back = Volume.scalar(turned.labels, turned.affine).reorient("RAS").scalar_data
    assert (back == found.labels).mean() > 0.999


@pytest.mark.parametrize("every", [24, pytest.param(8, marks=pytest.mark.slow)])
def test_all_48_orientations_of_a_real_head_give_one_answer(data_folder, every):
    files = sorted((data_folder / "geometry" / "orientations").glob("*.nii.gz"))
    assert len(files) == 48
    first, reference = None, None
    for number, file in enumerate(files):
        volume = meddl.load(file)
        seen = prepare(volume, torch.device("cpu")).image
        first = seen if first is None else first
        assert (seen - first).abs().max() <= 1e-3 * first.max(), file.name  # what the networks are shown
        if number % every:
            continue
        result = meddl.segment(volume, device="cpu")
        labels = Volume.scalar(result.labels, result.affine).reorient("RAS").scalar_data
        reference = labels if reference is None else reference
        assert (labels == reference).mean() >= 0.999, file.name
    assert np.count_nonzero(reference) > 50_000


@pytest.mark.slow
def test_the_labels_turn_with_the_head_in_an_oblique_header(head, found):
    angle = np.radians(12)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = meddl.segment(Volume(head[0].data, turn @ head[0].affine), device="cpu")
    assert agreement(oblique.labels, found.labels) > 0.97
    np.testing.assert_allclose(oblique.affine, turn @ head[0].affine)


@pytest.mark.slow
def test_a_head_turned_far_is_still_found(head):
    angle = np.radians(35)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = Volume(head[0].data, head[0].affine).grid
    from meddl.spatial.grid import grid_around
    from meddl.spatial.resample import resample

    tilted = resample(head[0], grid_around(grid.center_mm, (120, 120, 120), turn[:3, :3] * 2.0))
    truth = resample(Volume.scalar(head[1].labels, head[1].affine), tilted.grid, "nearest").scalar_data
    result = meddl.segment(tilted, device="cpu")
    brain = [s.value for s in result.segments if s.value != 24]
    assert dice(np.isin(result.labels, brain), np.isin(truth, brain)) > 0.85


@pytest.mark.slow
def test_averaging_over_flips_makes_the_mirrored_head_the_mirrored_answer(head):
    # atlas label maps are not symmetric, and neither is their fusion
    config = SegmentConfig(flip_averaging=True, atlas_label_maps=0, largest_component=False)
    straight = meddl.segment(head[0], device="cpu", config=config).labels
    mirrored = meddl.segment(Volume(head[0].data[:, ::-1], head[0].affine), device="cpu", config=config).labels
    swap = np.arange(256)
    for label in samples_labels():
        swap[label.value] = label.mirror
    assert agreement(swap[mirrored[::-1]], straight) > 0.97


def test_a_whole_head_without_label_maps_has_no_structure_beyond_the_brain(head):
    """What was stripped away is dark to the intensity model too: fat and muscle once became ventricle."""
    found = meddl.segment(head[0], device="cpu", config=SegmentConfig(atlas_label_maps=0)).labels
    for value in (4, 43, 17, 53, 10, 49, 26, 58):
        true = np.count_nonzero(head[1].labels == value)
        assert np.count_nonzero(found == value) < 1.4 * true, value


def samples_labels():
    from meddl.models.store.store import ModelStore

    return ModelStore().card("brain").labels


@pytest.mark.slow
def test_thick_slices_are_segmented_on_their_own_grid():
    image, truth = samples.head("T2", (1.0, 1.0, 5.0), seed=3)
    result = meddl.segment(image, device="cpu")
    brain = [s.value for s in result.segments if s.value != 24]
    assert result.labels.shape == image.shape
    assert dice(np.isin(result.labels, brain), np.isin(truth.labels, brain)) > 0.85


@pytest.mark.slow
def test_intensity_scale_and_offset_do_not_matter(head, found):
    other = meddl.segment(Volume(head[0].data.astype(np.float64) * 1e-3 + 7, head[0].affine), device="cpu")
    assert agreement(other.labels, found.labels) > 0.97


def test_progress_rises_to_one_in_words(found, heard):
    fractions = [f for f, _ in heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert "Finding the brain" in [m for _, m in heard]


@pytest.mark.parametrize("moment", [0.0, 0.1, pytest.param(0.7, marks=pytest.mark.slow)])
def test_a_cancel_passes_through(head, moment):
    def cancel(fraction, _message):
        if fraction >= moment:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        meddl.segment(head[0], device="cpu", on_progress=cancel)


@pytest.mark.parametrize(("array", "affine", "message"), [
    (np.full((20, 20, 20), 3.0), np.eye(4), "constant"),
    (np.full((20, 20, 20), np.nan), np.eye(4), "NaN"),
    (np.random.default_rng(0).random((20, 20, 1)), np.eye(4), "slices"),
    (np.random.default_rng(0).random((20, 20, 20)), np.diag([1000, 1000, 1000, 1]), "voxel size"),
])
def test_what_cannot_be_segmented_is_refused_with_a_reason(array, affine, message):
    with pytest.raises((InputError, GeometryError), match=message):
        meddl.segment(Volume.scalar(array, affine), device="cpu")


def test_several_channels_are_refused(head):
    with pytest.raises(InputError, match="has 2"):
        meddl.segment(Volume(np.concatenate([head[0].data] * 2), head[0].affine), device="cpu")


@pytest.mark.slow
def test_nan_and_infinity_are_background_with_a_warning(head, found):
    data = head[0].data.astype(np.float32)
    data[0, :8] = np.nan
    data[0, 8:10] = np.inf
    result = meddl.segment(Volume(data, head[0].affine), device="cpu")
    assert any("NaN" in w for w in result.report["warnings"])
    assert agreement(result.labels, found.labels) > 0.93  # part of the scalp is gone
    assert np.isnan(data[0, :8]).all()  # the person's volume is as it was


@pytest.mark.slow
def test_the_input_is_not_changed(head):
    data = np.asfortranarray(head[0].data.astype(np.float32))
    before = data.copy()
    meddl.segment(Volume(data, head[0].affine), device="cpu")
    np.testing.assert_array_equal(data, before)


@pytest.mark.slow
def test_what_is_not_a_head_gets_a_warning(data_folder):
    result = meddl.segment(meddl.load(data_folder / "body" / "abdomen_ct.nii.gz"), device="cpu")
    assert any("unlike a head" in w or "No brain" in w for w in result.report["warnings"])


@pytest.mark.parametrize("spacing", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_noise_gets_a_warning_and_a_head_none(found, spacing):
    noise = np.random.default_rng(0).normal(size=(60, 60, 60)).astype(np.float32)
    result = meddl.segment(Volume.scalar(noise, np.diag([spacing, spacing, spacing, 1])), device="cpu")
    assert any("noise" in warning for warning in result.report["warnings"])
    assert found.report["warnings"] == []


def test_a_tiny_volume_is_answered_with_a_warning():
    tiny = np.random.default_rng(0).random((40, 40, 5)).astype(np.float32)
    result = meddl.segment(Volume.scalar(tiny, np.diag([1, 1, 17, 1])), device="cpu")
    assert result.labels.shape == (40, 40, 5)
    assert result.report["warnings"]


def test_memory_that_runs_out_on_the_cpu_is_a_clear_error(head, monkeypatch):
    def burst(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(inference, "run_network", burst)
    with pytest.raises(OutOfMemoryError, match="memory"):
        meddl.segment(head[0], device="cpu")


@pytest.mark.slow
def test_memory_that_runs_out_on_a_gpu_hands_over_to_the_cpu(head, monkeypatch):
    module = importlib.import_module("meddl.segmentation.segment")  # its name in the package is that of the function
    real, devices = module._segment_on, []

    def first_bursts(device, *rest):
        devices.append(device.type)
        if len(devices) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(torch.device("cpu"), *rest)

    monkeypatch.setattr(module, "_segment_on", first_bursts)
    monkeypatch.setattr(module, "select_device", lambda *_: torch.device("meta"))
    result = meddl.segment(head[0])
    assert devices == ["meta", "cpu"]
    assert any("ran out of memory" in w for w in result.report["warnings"])


def test_what_cannot_fit_is_not_begun(head, monkeypatch):
    monkeypatch.setattr(memory_plan, "free_memory_bytes", lambda _: 10_000_000)
    heard = []
    with pytest.raises(OutOfMemoryError, match="GB"):
        meddl.segment(head[0], device="cpu", on_progress=lambda _, message: heard.append(message))
    assert set(heard) == {"Loading the model"}


def test_the_plan_counts_voxels_and_scores():
    small, large = (memory_plan.needed_bytes((n, n, n), (80, 104, 88), 33) for n in (128, 256))
    assert large - small == (256**3 - 128**3) * memory_plan.BYTES_PER_VOXEL
    assert 0.4e9 < large < 1.2e9


def test_a_brain_larger_than_the_patch_goes_through_in_windows():
    seen = []

    class Pointwise(torch.nn.Conv3d):
        def forward(self, image):
            seen.append(tuple(image.shape[2:]))
            return super().forward(image)

    network = Pointwise(1, 3, 1)  # sees no neighbors: windows must not change its answer
    image = torch.rand(40, 36, 44)
    whole = inference.predict(network, image, (48, 48, 48))
    windows = inference.predict(network, image, (24, 24, 24))
    assert seen[0] == (40, 36, 44)
    assert len(seen) > 8
    assert set(seen[1:]) == {(24, 24, 24)}
    torch.testing.assert_close(windows, whole, atol=0.02, rtol=0.02)


def test_the_answer_for_a_mirrored_image_is_the_mirrored_answer():
    network = torch.nn.Conv3d(1, 4, 3, padding=1)
    image = torch.rand(20, 16, 18)
    mirror = (0, 2, 1, 3)
    straight = inference.predict(network, image, (24, 24, 24), mirror)
    mirrored = inference.predict(network, image.flip(0), (24, 24, 24), mirror)
    torch.testing.assert_close(mirrored.flip(1)[list(mirror)], straight, atol=1e-4, rtol=1e-4)
