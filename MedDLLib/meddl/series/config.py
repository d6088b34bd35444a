"""The configuration of the denoising of a series. Standard library only."""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option

MODEL = "denoise-series"
_STORED_BYTES = 4  # for each voxel of each frame, of the backward pass
_COMPONENT_BYTES = 4  # for each voxel of each frame, of local PCA
_FRAME_BYTES = 500  # for each voxel of one frame, of its networks
_RECURRENT = {"method": ("recurrent",)}


@document_fields
@dataclass(frozen=True)
class DenoiseSeriesConfig(CheckedFields):
    """Configuration of `meddl.denoise_series` and `meddl.denoise_frames`."""

    method: str = option(
        "recurrent", "Method: recurrent (a temporal filter whose gain a recurrent network sets, then the spatial "
        "denoiser) or local-pca (principal components of the frames in each neighborhood; no network; needs the whole "
        "series).", choices=("recurrent", "local-pca"))
    passes: str = option(
        "both", "Temporal passes: both (each frame is denoised by those before and after it) or forward (causal: by "
        "those before it alone).", choices=("both", "forward"), applies_to=_RECURRENT)
    spatial: bool = option(True, "Denoise each frame spatially after the temporal filter, by the network of the method "
                           "denoise, for the noise that is left at each voxel.", applies_to=_RECURRENT)
    memory_frames: int = option(
        16, "Frames that the temporal filter averages at most, in each pass, where nothing changes: more is smoother, "
        "and changes below the noise get lost over more frames.", bounds=(2, 64), applies_to=_RECURRENT)
    sensitivity: float = option(
        2.0, "Sensitivity to change: more follows contrast and motion more closely, and averages less where they are; "
        "1 as the network was trained, for the least squared error.", bounds=(0.25, 8), applies_to=_RECURRENT)
    noise_sigma: float | None = option(
        None, "Standard deviation of a frame's noise, in its intensities; if not given, it is estimated from the first "
        "frames.", bounds=(0, None), applies_to=_RECURRENT)
    varying_noise: bool = option(
        False, "Estimate a map of the noise from the differences of the first frames: for noise that is not the same "
        "everywhere, as of parallel imaging.", applies_to=_RECURRENT)
    seconds: float = option(
        0.0, "Self-supervised fine-tuning of the temporal filter on this series for so many seconds, each frame as the "
        "noisy target of the one before; 0 for none.", bounds=(0, None), applies_to=_RECURRENT)
    model: str | None = option(
        None, "Your own model (`meddl train superres --network series-denoiser`) for the temporal filter: its "
        "identifier.", applies_to=_RECURRENT)
    keep_type: bool = option(True, "Cast the result to the input's data type, rounded and clipped; else float.")


def needed_bytes(voxels: int, frames: int, itemsize: int, config: DenoiseSeriesConfig) -> int:
    """Memory beside the series itself: its result, what the backward pass stores, and what a frame takes.

    Args:
        voxels: of a frame.
        itemsize: bytes of a voxel of the result.
    """
    if config.method == "local-pca":
        return voxels * frames * (2 * itemsize + _COMPONENT_BYTES)
    stored = _STORED_BYTES if config.passes == "both" else 0
    return voxels * (frames * (itemsize + stored) + _FRAME_BYTES)
