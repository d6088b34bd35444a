"""The grid on which the frames of one stack lie, from their own positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meddl.core.errors import FileFormatError
from meddl.io.dicom.headers import Frame

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNEVEN = 0.05      # tolerated deviation of a slice from its even place, in slice distances,
_ROUNDED_MM = 0.1   # or what positions that are rounded to tenths of millimeters may deviate,
_UNSURE = 0.2       # but never more than this share of the distance


def in_order(frames: Sequence[Frame]) -> list[Frame]:
    """Frames of one orientation from low to high along their normal; as the scanner counted, where they state none."""
    if not are_placed(frames):
        return sorted(frames, key=lambda frame: (frame.number, frame.file.name, frame.index))
    return [frames[n] for n in np.argsort(depths_mm(frames), kind="stable")]


def are_placed(frames: Sequence[Frame]) -> bool:
    """Whether all state where they lie."""
    return all(frame.position is not None and frame.orientation is not None for frame in frames)


def depths_mm(frames: Sequence[Frame]) -> np.ndarray:
    """How far each lies along the normal of the first one."""
    directions = np.array(frames[0].orientation).reshape(2, 3)
    return _positions(frames) @ np.cross(*directions)


def are_even(frames: Sequence[Frame]) -> bool:
    """Whether frames lie at even distances and none in another's place."""
    if len(frames) < 2:
        return True
    places = _positions(in_order(frames))
    step = (places[-1] - places[0]) / (len(places) - 1)
    distance = float(np.linalg.norm(step))
    allowed = max(_UNEVEN * distance, min(_ROUNDED_MM, _UNSURE * distance))
    even = places[0] + np.arange(len(places))[:, None] * step
    return distance > 0 and float(np.linalg.norm(places - even, axis=1).max()) <= allowed


def grid_of(frames: Sequence[Frame], name: str) -> tuple[np.ndarray, list[str]]:
    """Affine, voxel index to RAS mm, of frames in order, and what is to be said about it.

    A tilted gantry (slices that slide sideways) gives a sheared affine, as the slices really lie.

    Raises:
        FileFormatError: slices missing, or at uneven distances.
    """
    first, notes = frames[0], []
    rows, columns = first.spacing or (1.0, 1.0)
    if first.spacing is None:
        notes.append(f"{name} does not state the size of its pixels (Pixel Spacing); 1 mm was taken.")
    lps = np.eye(4)
    if not are_placed(frames):
        notes.append(f"{name} does not state where its slices lie (Image Position and Orientation, Patient); their "
                     "directions are unknown, and they were taken in the order in which they were counted.")
        directions = np.eye(3)[:2]
    else:
        directions = np.array(first.orientation).reshape(2, 3)
        lps[:3, 3] = first.position
    lps[:3, 0], lps[:3, 1] = directions[0] * columns, directions[1] * rows
    stated = first.distance or first.thickness
    if len(frames) > 1 and are_placed(frames):
        if not are_even(frames):
            raise FileFormatError(f"The slices of {name} are not evenly spaced: {_gaps(frames)} Load it in Slicer, "
                                  "which can fill the gaps, or complete the folder.")
        places = _positions(frames)
        lps[:3, 2] = (places[-1] - places[0]) / (len(frames) - 1)
    else:
        lps[:3, 2] = np.cross(*directions) * (stated or 1.0)
        if stated is None:
            notes.append(f"{name} does not state the distance of its slices; 1 mm was taken.")
    return _LPS_RAS @ lps + 0.0, notes  # no negative zeros


def _gaps(frames: Sequence[Frame]) -> str:
    """What is uneven, in words."""
    gaps = np.linalg.norm(np.diff(_positions(frames), axis=0), axis=1)
    usual = float(np.median(gaps))
    text = f"distances from {gaps.min():.2f} to {gaps.max():.2f} mm."
    steps = np.round(gaps / usual) if usual > 0 else np.zeros_like(gaps)
    if steps.min(initial=1) >= 1 and np.abs(gaps - steps * usual).max() <= _UNSURE * usual:
        places = [n for n in range(len(gaps)) if steps[n] > 1]
        after = ", ".join(str(n + 1) for n in places[:5]) + (", ..." if len(places) > 5 else "")
        return (f"{text} {int(steps.sum()) - len(gaps)} slices are missing among {len(frames)}, "
                f"after the slice number {after} in their order.")
    return f"{text} Slices are missing or of several acquisitions."


def _positions(frames: Sequence[Frame]) -> np.ndarray:
    return np.array([frame.position for frame in frames], dtype=np.float64)
