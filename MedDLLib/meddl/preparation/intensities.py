"""Steps that change intensities and leave the grid: SimpleITK and MONAI compute, each channel by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.io.itk import quiet_itk, sitk
from meddl.preparation.steps import N4, Denoise, Equalize, Normalize
from meddl.spatial.volume import Volume


def correct_bias(volume: Volume, step: N4, figures: dict) -> Volume:
    """The volume divided by its bias field; `figures` gets the field's range within the object.

    Raises:
        InputError: intensities of zero or less in the object, of which there is no logarithm.
    """
    from meddl.spatial.normalize import object_threshold

    def correct(data: np.ndarray) -> np.ndarray:
        image = _image(data, volume)
        mask = sitk.Greater(image, object_threshold(data))
        inside = sitk.GetArrayViewFromImage(mask) > 0
        if not inside.any() or float(sitk.GetArrayViewFromImage(image)[inside].min()) <= 0:
            raise InputError("N4 corrects MR intensities, which are above zero in the object. Leave this step out for "
                             "CT, or put it before the normalization.")
        factors = [max(1, min(step.shrink, size // 8)) for size in image.GetSize()]
        filter_ = sitk.N4BiasFieldCorrectionImageFilter()
        filter_.SetMaximumNumberOfIterations([step.iterations] * step.levels)
        filter_.Execute(sitk.Shrink(image, factors), sitk.Shrink(mask, factors))
        field = sitk.Exp(filter_.GetLogBiasFieldAsImage(image))
        values = sitk.GetArrayViewFromImage(field)[inside]
        figures["bias_field_range"] = [float(values.min()), float(values.max())]
        return _array(sitk.Divide(image, field))

    return _each_channel(volume, correct)


def remove_noise(volume: Volume, step: Denoise, device: str = "auto", on_progress: ProgressCallback | None = None
                 ) -> Volume:
    """The volume without noise; see `Denoise`."""
    if step.method == "network":
        from meddl.superres import super_resolve

        config = SuperResolveConfig(method="denoise", keep_type=False)
        return super_resolve(volume, config, device=device, on_progress=on_progress).volume

    def smooth(data: np.ndarray) -> np.ndarray:
        image = _image(data, volume)
        # The largest stable step in three dimensions is the smallest voxel size over 2 ** 4.
        with quiet_itk():
            return _array(sitk.CurvatureAnisotropicDiffusion(
                image, timeStep=0.9 * float(volume.spacing_mm.min()) / 16, conductanceParameter=step.conductance,
                numberOfIterations=step.iterations))

    return _each_channel(volume, smooth)


def equalize(volume: Volume, step: Equalize) -> Volume:
    """The volume with an equalized histogram, over the same range of intensities; see `Equalize`.

    Global: MONAI's `HistogramNormalize`. Adaptive: SimpleITK's filter (J. A. Stark, IEEE Transactions on Image
    Processing 9(5), 2000, doi:10.1109/83.841534), which limits contrast by alpha and beta where CLAHE clips the
    histogram.
    """
    def spread(data: np.ndarray) -> np.ndarray:
        from monai.transforms.intensity.array import HistogramNormalize

        low, high = float(data.min()), float(data.max())
        if not high > low:
            return data
        if step.method == "global":
            bounds: dict[str, Any] = {"min": low, "max": high}
            return np.asarray(HistogramNormalize(step.bins, **bounds, dtype=np.float32)(data[None]))[0]
        found = _array(sitk.AdaptiveHistogramEqualization(
            _image(data, volume), radius=[min(step.radius_voxels, (size - 1) // 2) for size in data.shape],
            alpha=step.alpha, beta=step.beta))
        return np.clip(found, low, high)

    return _each_channel(volume, spread)


def normalize(volume: Volume, step: Normalize, reference: Volume | None, figures: dict) -> Volume:
    """The volume with normalized intensities; see `Normalize`. `figures` gets mean and standard deviation, or the
    intensities that became 0 and 1.

    Raises:
        InputError: a reference is missing, or percentiles or a window without width.
    """
    from monai.transforms.intensity.array import NormalizeIntensity, ScaleIntensityRange

    from meddl.measures.intensity_matching import match_intensities

    def scale(data: np.ndarray) -> np.ndarray:
        if step.method == "z-score":
            inside = data[data != 0] if step.nonzero else data
            if inside.size:
                figures.update(mean=float(inside.mean()), standard_deviation=float(inside.std()))
            return np.asarray(NormalizeIntensity(nonzero=step.nonzero)(data[None]))[0]
        if step.method == "match":
            if reference is None:
                raise InputError("The histogram is matched to that of a reference volume; none was given.")
            first = Volume(reference.data[:1], reference.affine)
            return match_intensities(Volume.scalar(data, volume.affine), first, corresponding=False).scalar_data
        low, high = (np.percentile(data, (step.low_percent, step.high_percent)) if step.method == "percentile" else
                     (step.level_hu - step.width_hu / 2, step.level_hu + step.width_hu / 2))
        if not high > low:
            raise InputError(f"Intensities from {low:g} to {high:g} cannot become 0 to 1: they have no width.")
        figures.update(zero=float(low), one=float(high))
        return np.asarray(ScaleIntensityRange(float(low), float(high), 0.0, 1.0, clip=True)(data[None]))[0]

    return _each_channel(volume, scale)


def _each_channel(volume: Volume, change: Callable[[np.ndarray], np.ndarray]) -> Volume:
    """The volume with `change` applied to each channel, (I, J, K) float32."""
    # A copy: some of MONAI's transforms write into what they are given.
    made = [change(np.array(data, dtype=np.float32, order="C")) for data in volume.data]
    return Volume(np.stack(made).astype(np.float32, copy=False), volume.affine)


def _image(data: np.ndarray, volume: Volume):
    """A SimpleITK image with the volume's voxel sizes: directions do not matter to these filters."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing(volume.spacing_mm.tolist())
    return image


def _array(image) -> np.ndarray:
    return sitk.GetArrayFromImage(image).T
