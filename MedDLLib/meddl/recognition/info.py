"""What a file says of its volume, and what the volume looks like."""

import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np

from meddl.core.errors import FileWarning
from meddl.io import load, load_header
from meddl.models.catalog.volume_check import look_at, reasons_to_doubt
from meddl.models.volume_metadata import metadata_of_volume
from meddl.recognition.recognize import recognize
from meddl.spatial.grid import axis_codes

_SPACES = ("not stated", "scanner", "aligned to another file", "Talairach", "MNI 152", "another template")


def info(path: str | Path, component: int | str | None = None, series: str | int | None = None) -> dict:
    """What a file says of its volume, what speaks against it, and what it looks like.

    Args:
        path, component, series: as of `meddl.load`; without a component the first one of several is looked at.

    Returns:
        {"file", "voxels" (i, j, k), "components", "type", "spacing_mm", "extent_mm" (i, j, k), "axes" (where i, j, k
        grow, as "LIA"), "oblique_deg" (between the axes and those of the world), "minimum", "maximum",
        "invalid_fraction", "modality" ("CT" where the values are Hounsfield units, else None), "description",
        "display_range", "space" (qform and sform of NIfTI in words, else None), "recognition" (the fields of
        `Recognition`), "looks_like" (that in words), "warnings"}.

    Raises:
        InputError, FileFormatError, GeometryError: as of `meddl.load`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FileWarning)
        volume = load(path, "all" if component is None else component, series)
        header = load_header(path)
    metadata = metadata_of_volume(volume)
    look = look_at(volume.data[0].transpose(2, 1, 0), metadata.modality)
    found = recognize(volume)
    told = dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, FileWarning))
    return {
        "file": Path(path).name, "voxels": list(volume.shape), "components": volume.channels,
        "type": str(volume.data.dtype), "spacing_mm": [round(float(size), 4) for size in volume.spacing_mm],
        "extent_mm": [round(float(size), 1) for size in volume.grid.extent_mm], "axes": axis_codes(volume.affine),
        "oblique_deg": round(_oblique_deg(volume.grid.directions), 1),
        "minimum": _number(look.minimum), "maximum": _number(look.maximum),
        "invalid_fraction": look.invalid_fraction, "modality": metadata.modality, "description": header.description,
        "display_range": header.display_range and list(header.display_range),
        "space": header.space and [_SPACES[min(code, len(_SPACES) - 1)] for code in header.space],
        "recognition": asdict(found), "looks_like": found.describe(),
        "warnings": [*told, *reasons_to_doubt(look, metadata), *found.warnings()]}


def _oblique_deg(directions: np.ndarray) -> float:
    """The largest angle between a voxel axis and the world axis nearest to it."""
    return float(np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0), 0, 1))).max())


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
