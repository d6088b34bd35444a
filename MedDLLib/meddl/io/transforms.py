"""Registrations as ITK transform files, which Slicer and ITK read."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from meddl.errors import InputError
from meddl.io.files import replacing
from meddl.io.images import to_sitk
from meddl.results import Registration
from meddl.volume import Volume

_SUFFIXES = (".h5", ".tfm", ".txt")


def save_transform(registration: Registration, path: str | Path) -> None:
    """Write the map from fixed to moving points (LPS mm in the file, ITK's convention for resampling).

    A linear map becomes an AffineTransform. A deformable one becomes a CompositeTransform: displacement field
    first, then the affine.

    Raises:
        InputError: a suffix other than .h5, .tfm, .txt, or a place that cannot be written to.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(f"'{Path(path).name}': a transform is written as one of {', '.join(_SUFFIXES)}.")
    transform = transform_of(registration)
    with replacing(path, suffix) as temporary:
        try:
            sitk.WriteTransform(transform, str(temporary))
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1]
            raise InputError(f"'{Path(path).name}' could not be written: {last}") from error


def transform_of(registration: Registration) -> sitk.Transform:
    """The registration as a SimpleITK transform from fixed to moving points, LPS mm."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix = flip @ registration.affine @ flip
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix[:3, :3].ravel().tolist())
    affine.SetTranslation(matrix[:3, 3].tolist())
    if registration.displacement is None:
        return affine
    field = registration.displacement
    signs = np.array([-1.0, -1.0, 1.0]).reshape(3, 1, 1, 1)
    image = to_sitk(Volume(field.data.astype(np.float64) * signs, field.affine))
    composite = sitk.CompositeTransform(3)  # the transform added last is applied first
    composite.AddTransform(affine)
    composite.AddTransform(sitk.DisplacementFieldTransform(image))
    return composite
