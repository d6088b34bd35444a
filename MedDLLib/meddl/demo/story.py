"""What the demo works on: four tasks whose truth is known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.results import Segmentation
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume, as_type

SPACING_MM = 1.0      # voxel size of the sample head
MOVING_SPACING_MM = 1.5
OTHER_SEED = 7        # of the head of another shape
ROTATION_DEG = 12.0
SHIFT_MM = (9.0, -7.0, 6.0)
THICKNESS_MM = 4.0    # of the slices that are made for super-resolution
_AXIS = (0.3, 0.2, 0.93)
_THICK_ALREADY = 1.5  # a volume whose voxels are this many times longer along one axis has thick slices itself


@dataclass(frozen=True, eq=False)
class Story:
    """The demo's inputs and their truths.

    Attributes:
        name: what the head is, in words.
        head: the volume to segment, and the fixed one of the registration.
        truth: its true labels, on its grid, or None.
        moving_name: what the moving volume is, in words.
        moving: the same head as it would be seen after it had moved.
        motion: 4x4, points of `head` to the same places of `moving`, RAS mm.
        other: the head of another subject, for a deformable registration, or None.
        other_truth: its true labels.
        thick: the head in thick slices.
        fine: what super-resolution should find, or None where the input itself has thick slices.
    """

    name: str
    head: Volume
    truth: Segmentation | None
    moving_name: str
    moving: Volume
    motion: np.ndarray
    other: Volume | None
    other_truth: Segmentation | None
    thick: Volume
    fine: Volume | None


def make_story(path: str | Path | None = None, spacing_mm: float = SPACING_MM, seed: int = 0) -> Story:
    """The embedded head, or the volume in a file.

    The sample's moving volume has another contrast; a file's own volume is moved itself.

    Args:
        path: a volume of any head; None: the embedded one.
        spacing_mm: voxel size of the embedded head.
        seed: 0: the average head; another number: a head of its own shape.

    Raises:
        InputError, FileFormatError, GeometryError: the file does not hold one usable 3D volume.
    """
    other_subject, other_truth = None, None
    if path is None:
        from meddl.samples import head as sample

        head, truth = sample("T1", spacing_mm, seed)
        other_subject, other_truth = sample("T1", max(spacing_mm, MOVING_SPACING_MM), seed + OTHER_SEED)
        name = "embedded head, T1"
        moving_name, other = "T2", sample("T2", max(spacing_mm, MOVING_SPACING_MM), seed)[0]
    else:
        from meddl.io import load

        head, truth = load(path), None
        name, moving_name, other = Path(path).name, "same", head
    motion = rigid_motion(ROTATION_DEG, _AXIS, SHIFT_MM, head.grid.center_mm)
    moving = move(other, motion)
    if path is not None and head.spacing_mm.max() >= _THICK_ALREADY * head.spacing_mm.min():
        return Story(name, head, truth, moving_name, moving, motion, None, None, head, None)
    thick, fine = thick_slices(head)
    return Story(name, head, truth, moving_name, moving, motion, other_subject, other_truth, thick, fine)


def rigid_motion(angle_deg: float, axis, shift_mm, center_mm) -> np.ndarray:
    """A turn about an axis through `center_mm`, then a shift, as a 4x4 matrix in RAS mm."""
    from meddl.registration.linear.motion import about

    x, y, z = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(angle_deg)
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = shift_mm
    return about(np.asarray(center_mm, dtype=np.float64), matrix)


def move(volume: Volume, motion: np.ndarray) -> Volume:
    """The volume after `motion` of what is in it, on its own grid: the scanner stays, the head has moved.

    Linear interpolation; what comes in from outside has the volume's smallest value.
    """
    low = float(volume.data.min())
    above = Volume(volume.data.astype(np.float32) - low, volume.affine)
    seen = resample(above, volume.grid, transform=np.linalg.inv(motion))
    return Volume(as_type(seen.data + low, volume.data.dtype), volume.affine)


def thick_slices(volume: Volume, thickness_mm: float = THICKNESS_MM) -> tuple[Volume, Volume]:
    """Means over packs of slices, along the axis that lies nearest to the body's.

    Returns:
        `(thick, fine)`: fine is the volume without the slices that fill no pack; both have one field of view.

    Raises:
        InputError: fewer slices than two packs need.
    """
    axis = int(np.argmax(np.abs(volume.grid.directions[2])))
    factor = max(2, round(thickness_mm / volume.spacing_mm[axis]))
    packs = volume.shape[axis] // factor
    if packs < 2:
        raise InputError(f"Thick slices are made of at least {2 * factor} thin ones; the volume has "
                         f"{volume.shape[axis]}.")
    fine = np.moveaxis(volume.data, axis + 1, 1)[:, :packs * factor]
    thick = fine.reshape(volume.channels, packs, factor, *fine.shape[2:]).mean(axis=2, dtype=np.float64)
    affine = np.array(volume.affine)
    affine[:3, 3] += affine[:3, axis] * (factor - 1) / 2
    affine[:3, axis] *= factor
    return (Volume(np.moveaxis(as_type(thick, volume.data.dtype), 1, axis + 1), affine),
            Volume(np.moveaxis(fine, 1, axis + 1), volume.affine))
