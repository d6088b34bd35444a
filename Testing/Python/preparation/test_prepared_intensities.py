"""Bias field, noise, contrast and intensities: known truths, and SimpleITK's and MONAI's own results as witnesses."""

import numpy as np
import pytest
import SimpleITK
from monai.transforms import HistogramNormalize

import meddl
from meddl.core.errors import InputError
from meddl.preparation.steps import N4, Denoise, Equalize, Normalize
from meddl.spatial.volume import Volume

AFFINE = np.array([[0.0, -1.2, 0.3, 5.0], [0.9, 0.1, 0.2, -4.0], [-0.1, 0.2, 1.4, 7.0], [0, 0, 0, 1]])


def head(noise=0.0, shape=(40, 36, 32)):
    """A bright ellipsoid with a brighter core, and its mask."""
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = i ** 2 + j ** 2 + k ** 2
    image = np.where(radius < 0.7, 100.0, 2.0) + np.where(radius < 0.2, 80.0, 0.0)
    image += np.random.default_rng(0).normal(size=shape) * noise
    return np.abs(image).astype(np.float32), radius < 0.6, (i, j, k)


def run(array, *steps, **more):
    return meddl.prepare(Volume.scalar(array, AFFINE), steps, **more)


def spread(array, mask):
    return float(array[mask].std() / array[mask].mean())


def test_n4_takes_a_known_bias_field_out():
    image, mask, (i, j, _k) = head(noise=1.0)
    core = mask & (image < 150)
    biased = image * np.exp(0.4 * i + 0.3 * j).astype(np.float32)
    found = run(biased, N4(shrink=2))
    corrected = found.volume.scalar_data
    assert spread(biased, core) > 0.15 and spread(corrected, core) < 0.06
    low, high = found.report["steps"][0]["bias_field_range"]
    assert low < 0.9 and high > 1.1
    assert np.array_equal(found.volume.affine, AFFINE)


def test_n4_refuses_intensities_without_a_logarithm():
    with pytest.raises(InputError, match="above zero"):
        run(head()[0] - 500, N4())


@pytest.mark.parametrize("method", ["curvature", "network"])
def test_noise_goes_and_edges_stay(method):
    clean, mask, _ = head()
    noisy, _, _ = head(noise=8.0)
    found = run(noisy, Denoise(method=method)).volume.scalar_data
    most = 0.9 if method == "network" else 0.7  # the network was trained on heads, not on ellipsoids
    assert np.sqrt(((found - clean)[mask] ** 2).mean()) < most * np.sqrt(((noisy - clean)[mask] ** 2).mean())
    assert found[mask].mean() == pytest.approx(noisy[mask].mean(), rel=0.02)


def test_global_equalization_is_monais_and_keeps_the_range():
    image, _, _ = head(noise=5.0)
    found = run(image, Equalize()).volume.scalar_data
    witness = np.asarray(HistogramNormalize(256, float(image.min()), float(image.max()))(image[None]))[0]
    assert np.allclose(found, witness, atol=1e-4)
    assert found.min() >= image.min() - 1e-3 and found.max() <= image.max() + 1e-3


def test_adaptive_equalization_raises_local_contrast():
    image, _, (i, _j, _k) = head()
    faint = image + 2 * np.sign(np.sin(12 * i)).astype(np.float32)
    found = run(faint, Equalize(method="adaptive", radius_voxels=4)).volume.scalar_data
    place = (slice(18, 22), slice(4, 8), slice(14, 18))
    assert np.ptp(found[place]) > 1.5 * np.ptp(faint[place])
    assert faint.min() - 1e-3 <= found.min() and found.max() <= faint.max() + 1e-3
    constant = np.full((8, 8, 8), 3.0, np.float32)
    assert np.array_equal(run(constant, Equalize(method="adaptive")).volume.scalar_data, constant)


def test_z_scores_of_all_voxels_and_of_those_that_are_not_zero():
    image, _, _ = head(noise=3.0)
    found = run(image, Normalize())
    data = found.volume.scalar_data
    assert data.mean() == pytest.approx(0, abs=1e-4) and data.std() == pytest.approx(1, abs=1e-4)
    assert found.report["steps"][0]["mean"] == pytest.approx(image.mean(), rel=1e-4)
    stripped = np.where(image > 50, image, 0)
    data = run(stripped, Normalize(nonzero=True)).volume.scalar_data
    assert data[stripped > 0].std() == pytest.approx(1, abs=1e-4) and not data[stripped == 0].any()


def test_percentiles_and_a_ct_window_become_zero_and_one():
    image, _, _ = head(noise=3.0)
    found = run(image, Normalize(method="percentile", low_percent=5, high_percent=95))
    low, high = np.percentile(image, (5, 95))
    assert np.allclose(found.volume.scalar_data, np.clip((image - low) / (high - low), 0, 1), atol=1e-5)
    hu = np.array([-1000, -160, 40, 240, 3000], np.int16).reshape(5, 1, 1)
    assert run(hu, Normalize(method="window")).volume.scalar_data.ravel().tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    with pytest.raises(InputError, match="no width"):
        run(image, Normalize(method="window", width_hu=0))


def test_the_histogram_becomes_that_of_the_reference():
    image, _, _ = head(noise=3.0)
    reference = Volume.scalar(image * 7 + 300, np.diag([2.0, 2.0, 2.0, 1.0]))
    found = run(image, Normalize(method="match"), reference=reference).volume.scalar_data
    quantiles = (30, 50, 70, 90, 99)
    assert np.percentile(found, quantiles) == pytest.approx(np.percentile(reference.data, quantiles), rel=0.03)
    with pytest.raises(InputError, match="reference"):
        run(image, Normalize(method="match"))


def test_each_channel_is_prepared_by_itself():
    image, _, _ = head(noise=3.0)
    both = Volume(np.stack([image, image * 10 + 5]), AFFINE)
    found = meddl.prepare(both, [Normalize()]).volume.data
    assert np.allclose(found[0], found[1], atol=1e-3)


def test_an_order_of_axes_changes_nothing():
    image, _, _ = head(noise=3.0)
    for step in (Denoise(), Equalize(), Normalize(method="percentile"), N4(shrink=2)):
        plain = run(image, step).volume
        turned = meddl.prepare(Volume.scalar(image, AFFINE).reorient("LPS"), [step]).volume.reorient("RAS")
        back = plain.reorient("RAS")
        assert np.allclose(turned.affine, back.affine)
        scale = np.ptp(back.data)
        assert np.abs(turned.data - back.data).max() < (0.05 if isinstance(step, N4) else 1e-3) * scale


def test_the_curvature_filter_is_simpleitks():
    image, _, _ = head(noise=8.0)
    witness = SimpleITK.GetImageFromArray(np.ascontiguousarray(image.T))
    spacing = np.linalg.norm(AFFINE[:3, :3], axis=0)
    witness.SetSpacing(spacing.tolist())
    witness = SimpleITK.CurvatureAnisotropicDiffusion(witness, 0.9 * spacing.min() / 16, 3.0, 1, 5)
    assert np.allclose(run(image, Denoise()).volume.scalar_data, SimpleITK.GetArrayFromImage(witness).T, atol=1e-3)
