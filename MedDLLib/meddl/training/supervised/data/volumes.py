"""Data sets of single volumes, without label maps: each is read once, and what all of them have in common is said."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meddl.core.errors import InputError
from meddl.io import load
from meddl.recognition.recognize import metadata_with_region
from meddl.spatial.volume import Volume

_MOST = 0.9      # of the volumes that have to show a region
_REGIONS = {"head": "head", "chest": "thorax"}  # as the catalog calls them


@dataclass(frozen=True, eq=False)
class CaseFigures:
    """Figures of a case.

    Attributes:
        case: with name, image (its file) and patient.
        spacing_mm, extent_mm: of the volume, axes in RAS order.
        modality: "CT" where the numbers show it.
        region: what the volume shows, None where that is not known.
        digest: of its voxels.
    """

    case: Any
    spacing_mm: np.ndarray
    extent_mm: np.ndarray
    modality: str | None
    region: str | None
    digest: str


def load_volume(image: Path) -> Volume:
    """A case's volume, one channel in RAS order.

    Raises:
        InputError, FileFormatError, GeometryError: it cannot be read, is 4D, constant, or holds values that are not
            finite.
    """
    volume = load(image, component="all")
    if volume.channels > 1:
        raise InputError(f"It is 4D: it holds {volume.channels} time points or components. Save the one to learn from "
                         "as a volume by itself.")
    bad = 0 if volume.data.dtype.kind != "f" else int(np.count_nonzero(~np.isfinite(volume.data)))
    if bad:
        raise InputError(f"{bad} voxels are NaN or infinite. Replace them, or leave the case out.")
    if volume.data.min() == volume.data.max():
        raise InputError(f"It is constant: every voxel is {volume.data.flat[0]:g}.")
    return volume.reorient("RAS")


def figures_of(case: Any, volume: Volume) -> CaseFigures:
    """The figures of a case with this volume."""
    metadata = metadata_with_region(volume)
    data = np.ascontiguousarray(volume.data, dtype=np.float32)
    return CaseFigures(case, volume.spacing_mm, volume.grid.extent_mm, metadata.modality, metadata.region,
                       hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest())


def same_images(figures: Sequence[CaseFigures]) -> list[list[Any]]:
    """Cases of the same image, where there are several."""
    by_digest: dict[str, list[Any]] = defaultdict(list)
    for one in figures:
        by_digest[one.digest].append(one.case)
    return [same for same in by_digest.values() if len(same) > 1]


def common_region(cases: Sequence[CaseFigures]) -> str | None:
    """The body region that nearly all volumes show, as the catalog calls it."""
    region, count = Counter(one.region for one in cases).most_common(1)[0]
    return _REGIONS.get(region or "") if count >= _MOST * len(cases) else None


def modalities(cases: Sequence[CaseFigures]) -> list[str]:
    """The modalities of the volumes, as a card states them."""
    known = {one.modality for one in cases}
    return [*sorted(one for one in known if one), *(["other than CT"] if None in known else [])]
