"""The configuration of inpainting. Standard library only."""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option

METHODS = ("auto", "mirror", "biharmonic", "harmonic")
_VOXEL_BYTES = 12    # of a frame: as it is, in float32, and its mask
_MASKED_BYTES = {"harmonic": 400, "biharmonic": 2000}  # for each masked voxel, of its row of the system
_HEAD_BYTES = 160    # for each voxel, of the registration of the hemispheres


@document_fields
@dataclass(frozen=True)
class InpaintConfig(CheckedFields):
    """Configuration of `meddl.inpaint`."""

    method: str = option(
        "auto", "Method: harmonic (each voxel the mean of its neighbors), biharmonic (the slopes at the boundary of "
        "the mask go on into it), mirror (from the other hemisphere of a head, intensities matched; biharmonic near "
        "the boundary), or auto: mirror where the volume is symmetric as a head is, else biharmonic.",
        choices=METHODS)
    margin_mm: float = option(
        0.0, "Margin in mm by which the mask is dilated before it is filled: for masks that leave out the rim of a "
        "lesion.", bounds=(0, 50))
    keep_type: bool = option(True, "Cast the result to the input's data type, rounded and clipped; else float.")


def needed_bytes(voxels: int, masked: int, config: InpaintConfig) -> int:
    """Memory beside volume and result.

    Args:
        voxels: of one channel or frame.
        masked: how many of them are filled.
    """
    order = "harmonic" if config.method == "harmonic" else "biharmonic"
    head = 0 if config.method in ("harmonic", "biharmonic") else _HEAD_BYTES
    return voxels * (_VOXEL_BYTES + head) + masked * _MASKED_BYTES[order]
