"""Denoising of series by the networks that ship: what is still is averaged, what moves is not smeared."""

import itertools

import numpy as np
import pytest
import torch
from series_phantoms import AFFINE, SIGMA, noisy, rms, series, still

import meddl
from meddl.core.config import SuperResolveConfig
from meddl.core.errors import Cancelled, InputError
from meddl.networks import build_network
from meddl.series import blocks, denoise, follower
from meddl.series.config import needed_bytes
from meddl.spatial.volume import Volume
from meddl.superres.methods.blocks import Blocking

FORWARD = meddl.DenoiseSeriesConfig(passes="forward")
TEMPORAL = meddl.DenoiseSeriesConfig(spatial=False, noise_sigma=SIGMA)


@pytest.fixture(scope="module")
def found():
    clean, volume = series()
    return clean, volume, meddl.denoise_series(volume, device="cpu")


def test_a_still_series_gains_far_more_than_frame_by_frame(found):
    clean, volume, result = found
    alone = meddl.super_resolve(Volume(volume.data[4:6], AFFINE), SuperResolveConfig(method="denoise"),
                                device="cpu").volume.data
    assert rms(result.volume.data[4:6] - clean[4:6]) < 0.75 * rms(alone - clean[4:6])
    report = result.report
    assert report["noise_sigma"] == pytest.approx(SIGMA, rel=0.12) and report["noise_model"] == "gaussian"
    assert report["noise_spread"] < 1.4 and not report["warnings"]
    assert min(report["frames_averaged"]) > 5 and len(report["frames_averaged"]) == len(volume.data)
    assert [model.split()[0] for model in report["models"]] == ["denoise-series", "denoise-residual"]
    np.testing.assert_array_equal(result.volume.affine, volume.affine)


def test_edges_stay_as_sharp_as_in_the_truth(found):
    clean, _, result = found
    step = np.abs(np.diff(clean[5], axis=0)) > 300
    made = np.abs(np.diff(result.volume.data[5].astype(float), axis=0))[step].mean()
    assert made == pytest.approx(np.abs(np.diff(clean[5], axis=0))[step].mean(), rel=0.04)


def test_a_jump_leaves_no_ghost():
    clean, volume = series(shift_at=5)
    result = meddl.denoise_series(volume, device="cpu")
    before = clean[4] - clean[5]
    ghost = [((result.volume.data[t] - clean[t]) * sign * before).sum() / np.square(before).sum()
             for t, sign in ((5, 1), (4, -1))]
    assert np.abs(ghost).max() < 0.03
    averaged = meddl.denoise_series(volume, FORWARD, device="cpu").report["frames_averaged"]
    assert averaged[5] < 0.9 * averaged[4] and averaged[9] > averaged[5]


def test_a_curve_of_contrast_is_followed():
    curve = np.array([0, 0, 0, 0.1, 0.5, 0.8, 0.6, 0.4, 0.3, 0.25])
    bright = still() > 900
    clean = still() * (1 + curve[:, None, None, None] * bright)
    result = meddl.denoise_series(Volume(noisy(clean), AFFINE), device="cpu").volume.data
    means = [frames[:, bright].mean(axis=1) for frames in (result, clean)]
    np.testing.assert_allclose(*means, rtol=0.02)


@pytest.mark.parametrize("shape", [(40, 36, 20), (21, 17, 1), (9, 8, 5)])
def test_frames_one_by_one_are_the_forward_pass(shape):
    clean = np.stack([still(shape)] * 4)
    volume = Volume(noisy(clean), AFFINE)
    together = meddl.denoise_series(volume, FORWARD, device="cpu").volume.data
    singly = meddl.denoise_frames((Volume(frame[None], AFFINE) for frame in volume.data), FORWARD, device="cpu")
    np.testing.assert_allclose(np.concatenate([frame.data for frame in singly]), together, atol=1e-3)


def test_a_series_without_an_end_is_followed_as_it_comes():
    taken = []

    def scanner():
        for number in itertools.count():
            taken.append(number)
            yield Volume(noisy(still((16, 16, 8))[None], seed=number), AFFINE)

    coming = meddl.denoise_frames(scanner(), meddl.DenoiseSeriesConfig(noise_sigma=SIGMA), device="cpu")
    for number, frame in zip(range(12), coming, strict=False):
        assert frame.data.shape == (1, 16, 16, 8) and len(taken) == number + 1


def test_blocks_are_as_if_the_frame_were_seen_whole(monkeypatch):
    volume = Volume(series(3)[1].data, AFFINE)
    whole = meddl.denoise_series(volume, TEMPORAL, device="cpu").volume.data
    monkeypatch.setattr(blocks, "BLOCKING", Blocking(1, blocks.BLOCKING.reach, 12))
    np.testing.assert_allclose(meddl.denoise_series(volume, TEMPORAL, device="cpu").volume.data, whole, atol=0.02)


def test_both_passes_of_a_plain_mean_are_the_mean_of_all_frames(monkeypatch):
    """Each pass of an untrained network averages; together they hold each frame once."""
    plain = build_network("RecurrentGain3D", {}).requires_grad_(False)
    card = meddl.models.store.store.ModelStore().card("denoise-series")
    monkeypatch.setattr(follower, "load_networks", lambda *_: (card, {"network": plain}))
    _, volume = series(7)
    made = meddl.denoise_series(volume, TEMPORAL, device="cpu").volume.data
    np.testing.assert_allclose(made, np.broadcast_to(volume.data.mean(axis=0), made.shape), atol=0.2)


def test_whole_numbers_stay_whole_numbers():
    _, volume = series(4)
    whole = Volume(volume.data.round().astype(np.int16), AFFINE)
    made = meddl.denoise_series(whole, device="cpu").volume.data
    exact = meddl.denoise_series(whole, meddl.DenoiseSeriesConfig(keep_type=False), device="cpu").volume.data
    assert made.dtype == np.int16 and exact.dtype == np.float32
    np.testing.assert_array_equal(made, exact.round())


def test_magnitudes_lose_the_bias_of_their_background():
    clean = np.stack([still()] * 6)
    result = meddl.denoise_series(Volume(noisy(clean, kind="rician"), AFFINE), device="cpu")
    assert result.report["noise_model"] == "rician"
    assert result.volume.data[3][still() < 1].mean() < 0.5 * SIGMA


def test_noise_that_varies_is_named_and_mapped():
    clean = np.stack([still()] * 9)
    factor = np.linspace(0.5, 2.0, 40)[:, None, None]
    volume = Volume((clean + factor * (noisy(clean) - clean)).astype(np.float32), AFFINE)
    plain = meddl.denoise_series(volume, device="cpu")
    assert "varying_noise" in " ".join(plain.report["warnings"]) and plain.report["noise_spread"] > 2
    mapped = meddl.denoise_series(volume, meddl.DenoiseSeriesConfig(varying_noise=True), device="cpu")
    assert not mapped.report["warnings"]
    strong = (slice(None), slice(28, None))
    assert rms((mapped.volume.data - clean)[strong]) < rms((plain.volume.data - clean)[strong])


def test_one_frame_and_two(found):
    clean, volume, _ = found
    one = meddl.denoise_series(Volume(volume.data[:1], AFFINE), device="cpu")
    assert "one frame" in one.report["warnings"][0] and one.report["frames_averaged"] == [1.0]
    two = meddl.denoise_series([Volume(volume.data[t:t + 1], AFFINE) for t in (0, 1)], device="cpu")
    assert rms(two.volume.data[0] - clean[0]) < rms(one.volume.data[0] - clean[0]) < 0.7 * SIGMA


def test_a_series_without_noise_is_left_alone():
    flat = np.zeros((4, 12, 12, 8), np.float32)
    flat[:, 4:8] = 100
    result = meddl.denoise_series(Volume(flat, AFFINE), device="cpu")
    np.testing.assert_array_equal(result.volume.data, flat)
    assert "No noise" in result.report["warnings"][0]


@pytest.mark.parametrize("count", [3, 12, 70])
def test_local_pca_takes_noise_and_leaves_curves(count):
    curve = np.linspace(1, 2, count)[:, None, None, None]
    clean = curve * still((16, 14, 10) if count < 70 else (8, 7, 3))
    volume = Volume(noisy(clean), AFFINE)
    result = meddl.denoise_series(volume, meddl.DenoiseSeriesConfig(method="local-pca"), device="cpu")
    made, bright = result.volume.data, clean[0] > 500
    assert made.shape == clean.shape and rms(made - clean) < {3: 0.9, 12: 0.6, 70: 0.5}[count] * SIGMA
    np.testing.assert_allclose(made[:, bright].mean(axis=1), clean[:, bright].mean(axis=1), rtol=0.06)
    assert result.report["noise_sigma"] == pytest.approx(SIGMA, rel=0.25) and result.report["models"] == []


def test_local_pca_leaves_a_single_frame_and_whole_numbers_alone():
    _, volume = series(1)
    config = meddl.DenoiseSeriesConfig(method="local-pca")
    result = meddl.denoise_series(Volume(volume.data.astype(np.int16), AFFINE), config, device="cpu")
    assert "nothing was changed" in result.report["warnings"][0] and result.volume.data.dtype == np.int16
    np.testing.assert_allclose(result.volume.data, volume.data.astype(np.int16), atol=1)
    with pytest.raises(InputError, match="needs the whole series"):
        next(meddl.denoise_frames([volume], config, device="cpu"))


def test_what_is_no_series_is_refused_with_the_number_of_the_frame():
    _, volume = series(3)
    data = volume.data.copy()
    data[1, 3, 3, 3] = np.nan
    frames = [Volume(frame[None], AFFINE) for frame in volume.data]
    other = Volume(frames[0].data, np.diag([1.0, 2, 3, 1]))
    for given, text in ((Volume(data, AFFINE), "Frame 1 holds 1 voxels that are NaN"), ([], "no frames"),
                        ([*frames, other], "Frame 3 lies on another grid"), ([volume, volume], "Frame 0 has 3 chan")):
        with pytest.raises(InputError, match=text):
            meddl.denoise_series(given, device="cpu")
    with pytest.raises(InputError, match="Frame 3 lies on another grid"):
        list(meddl.denoise_frames([*frames, other], meddl.DenoiseSeriesConfig(noise_sigma=1.0), device="cpu"))
    assert list(meddl.denoise_frames([], device="cpu")) == []


@pytest.mark.parametrize("varying", [False, True])
def test_fine_tuning_keeps_what_does_not_get_worse(varying):
    _, volume = series(6)
    config = meddl.DenoiseSeriesConfig(seconds=2.0, spatial=False, noise_sigma=SIGMA, varying_noise=varying)
    figures = meddl.denoise_series(volume, config, device="cpu").report["fine_tuning"]
    assert figures["steps"] > 0 and figures["loss"]["after"] <= figures["loss"]["before"]


def test_a_cancel_is_heeded_and_progress_grows():
    _, volume = series(3)
    seen = []

    def stop(fraction, message):
        seen.append(fraction)
        if message.startswith("Frame 2 of 3"):
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        meddl.denoise_series(volume, device="cpu", on_progress=stop)
    assert seen == sorted(seen) and 0.3 < seen[-1] < 1


def test_a_series_that_does_not_fit_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(denoise, "free_memory_bytes", lambda _: 1000)
    with pytest.raises(meddl.core.errors.OutOfMemoryError, match="forward pass"):
        meddl.denoise_series(series(2)[1], device="cpu")
    voxels = 128 * 128 * 40
    assert needed_bytes(voxels, 200, 2, meddl.DenoiseSeriesConfig()) < 1.4e9
    assert needed_bytes(voxels, 200, 2, FORWARD) < 0.8e9


@pytest.mark.slow
def test_a_long_series_takes_less_than_three_gigabytes():
    """128 x 128 x 40 x 200 in 16 bits, in a process of its own: the temporal filter, both passes."""
    import subprocess
    import sys

    from places import LIBRARY

    code = """
import numpy as np, meddl
from meddl.core.memory import peak_mb
frame = (np.random.default_rng(0).normal(500, 20, (128, 128, 40))).astype(np.int16)
data = np.stack([frame] * 200)
config = meddl.DenoiseSeriesConfig(spatial=False, noise_sigma=20.0)
meddl.denoise_series(meddl.Volume(data, np.eye(4)), config, device="cpu")
print(peak_mb())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=900,
                          env={"PYTHONPATH": str(LIBRARY), "PATH": "", "OMP_NUM_THREADS": str(torch.get_num_threads())})
    assert float(done.stdout) < 3000
