"""Every method on every kind of volume: the right answer, or a refusal that says why."""

import numpy as np
import pytest
from superres_phantoms import TURNED, affine, textured

import meddl
from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve
from meddl.superres.methods.registry import METHODS

LEFT = np.diag([-1.0, 1.0, 1.0])
KINDS = {  # shape, directions, type, channels
    "oblique": ((26, 30, 9), TURNED, np.float32, 1),
    "left-handed": ((26, 30, 9), LEFT, np.float32, 1),
    "odd-sized, oblique and left-handed": ((27, 31, 11), TURNED @ LEFT, np.float32, 1),
    "5 slices": ((26, 28, 5), np.eye(3), np.float32, 1),
    "int16": ((26, 30, 9), np.eye(3), np.int16, 1),
    "uint8": ((26, 30, 9), np.eye(3), np.uint8, 1),
    "float64": ((26, 30, 9), np.eye(3), np.float64, 1),
    "4D": ((26, 28, 8), np.eye(3), np.float32, 3),
}


def run(volume: Volume, method: str, **more):
    return super_resolve(volume, SuperResolveConfig(method=method, seconds=1e-6, **more), device="cpu")


def made(kind: str, method: str) -> Volume:
    """A volume of this kind, its voxels thick for methods that make thin ones, of about one length for the others."""
    shape, directions, dtype, channels = KINDS[kind]
    thick = 3.3 if METHODS[method].grid == "finer" else 1.2
    data = np.stack([110 + 40 * textured(shape, seed) for seed in range(channels)]).astype(dtype)
    return Volume(data, affine((1.1, 1.1, thick), directions))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_the_field_of_view_the_type_and_the_mean_stay(method, kind):
    volume = made(kind, method)
    result = run(volume, method).volume
    i, j, k = volume.shape
    expected = {"same": (i, j, k), "finer": (i, j, 3 * k)}.get(METHODS[method].grid)
    if expected is not None:
        assert result.shape == expected
    else:
        assert all(n >= 1.9 * m for n, m in zip(result.shape, volume.shape, strict=True))
    assert (result.channels, result.data.dtype) == (volume.channels, volume.data.dtype)
    assert np.isfinite(result.data).all()
    np.testing.assert_allclose(result.grid.center_mm, volume.grid.center_mm, atol=1e-6)
    np.testing.assert_allclose(result.affine[:3, :3] / result.spacing_mm, volume.affine[:3, :3] / volume.spacing_mm,
                               atol=1e-9)
    for before, after in zip(volume.data, result.data, strict=True):
        assert after.mean(dtype=float) == pytest.approx(before.mean(dtype=float), abs=1.5)


@pytest.mark.parametrize("method", METHODS)
def test_nan_and_infinity_are_refused(method):
    for value in (np.nan, np.inf):
        volume = made("oblique", method)
        volume.data[0, 3, 3, 3] = value
        with pytest.raises(InputError, match="1 voxels that are NaN or infinite"):
            run(volume, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_slice_is_denoised_or_refused(method):
    image = 110 + 40 * textured((30, 34, 8))[..., :1]
    volume = Volume.scalar(image.astype(np.float32), affine((1, 1, 5 if METHODS[method].grid == "finer" else 1)))
    if METHODS[method].grid == "same":
        result = run(volume, method, noise_sigma=2.0).volume
        assert result.shape == (30, 34, 1) and np.isfinite(result.data).all()
        assert result.data.mean() == pytest.approx(volume.data.mean(), abs=1.5)
    else:
        with pytest.raises(InputError, match="single slice"):
            run(volume, method)


@pytest.mark.parametrize("method", ["network", "edsr3d", "denoise"])
def test_a_4d_file_is_refused_unless_a_part_is_chosen_and_its_parts_are_treated_alike(method, tmp_path):
    volume = made("4D", method)
    meddl.save(volume, tmp_path / "frames.nii.gz")
    with pytest.raises(InputError, match="component=0"):
        meddl.load(tmp_path / "frames.nii.gz")
    loaded = meddl.load(tmp_path / "frames.nii.gz", component="all")
    assert loaded.channels == 3
    together = run(loaded, method).volume.data
    alone = run(Volume(loaded.data[1:2], loaded.affine), method).volume.data
    np.testing.assert_allclose(together[1], alone[0], atol=1e-3)
