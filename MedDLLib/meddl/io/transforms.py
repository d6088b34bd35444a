"""Transforms as files that ITK, Slicer and ANTs read and write, and back.

ITK's transforms map fixed points to moving points, as `Transform` does, in LPS mm. A displacement field moves
nothing outside of its voxels there: what is written ends in zeros, so that every reader agrees with the transform.
Slicer interpolates between the voxels of a field from a file by cubic polynomials, ITK and ANTs linearly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from meddl.core.config import FIELD_TOLERANCE_MM
from meddl.core.errors import FileFormatError, InputError
from meddl.io.files import check_room, cut_short, existing_path, replacing
from meddl.io.formats import itk_hdf5
from meddl.io.images import from_sitk, read_header, to_sitk, write_image
from meddl.io.itk import quiet_itk, sitk
from meddl.spatial.grid import is_orthonormal, padded_grid
from meddl.spatial.transform import Transform
from meddl.spatial.volume import Volume

TRANSFORM_SUFFIXES = (".h5", ".tfm", ".txt")            # transforms of any kind
FIELD_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")   # the whole map as a vector image
_READABLE = (*TRANSFORM_SUFFIXES, ".hdf5", ".mat", ".xfm", *FIELD_SUFFIXES, ".mhd", ".nhdr")
_HDF5_BYTES = 1 << 14  # of a file without its numbers, at most
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def save_transform(transform: Transform, path: str | Path, tolerance_mm: float = FIELD_TOLERANCE_MM) -> None:
    """Write the map from fixed to moving points.

    .h5, .tfm and .txt hold an AffineTransform for a linear map, else a DisplacementFieldTransform with the affine
    flattened in (see `Transform.as_field`; a CompositeTransform of field and affine where the map turns too far
    for one field). .nii.gz, .nii, .nrrd and .mha hold the whole map as a vector image, LPS mm, that SimpleITK takes
    as a DisplacementFieldTransform and Slicer as a transform. A field is single precision and compressed where the
    format has it; of .h5 where h5py is installed.

    Args:
        tolerance_mm: so far a displacement field may be from the map within the fixed field of view: it is written on
            the coarsest grid that keeps that, and rounded, so that it compresses. 0: the full grid, not rounded.

    Raises:
        InputError: a negative tolerance, another suffix, a linear map without a grid in a vector image, a place that
            cannot be written to.
    """
    name = Path(path).name.lower()
    suffix = next((s for s in (*TRANSFORM_SUFFIXES, *FIELD_SUFFIXES) if name.endswith(s)), None)
    if suffix is None:
        raise InputError(f"'{Path(path).name}': a transform is written as one of "
                         f"{', '.join((*TRANSFORM_SUFFIXES, *FIELD_SUFFIXES))}.")
    if not tolerance_mm >= 0:
        raise InputError(f"The tolerance of a displacement field is 0 mm or more; got {tolerance_mm}.")
    if suffix in FIELD_SUFFIXES:
        field = transform.flatten(tolerance_mm=tolerance_mm)
        write_image(_lps_image(field, np.float32), path, suffix, True, field.affine)
        return
    itk_transform = transform_of(transform, tolerance_mm)
    packed = suffix == ".h5" and itk_hdf5.is_available()
    with replacing(path, suffix) as temporary:
        if suffix == ".h5":  # HDF5 ends the process where it cannot finish a file
            check_room(temporary, _HDF5_BYTES + sum((4 if packed else 8) * field.size
                                                    for field in _fields_of(itk_transform)))
        try:
            (itk_hdf5.write if packed else sitk.WriteTransform)(itk_transform, str(temporary))
        except RuntimeError as error:
            raise InputError(f"'{Path(path).name}' could not be written: {_last_line(error)}") from error
        if not _is_on_disk(itk_transform, temporary):
            raise cut_short(Path(path))


def load_transform(path: str | Path) -> Transform:
    """Read a transform file of ITK, Slicer or ANTs.

    Matrices of every kind (.h5, .tfm, .txt, .mat, .xfm), displacement fields (.h5, .tfm, or vector images .nii.gz,
    .nrrd, .mha), and composites of these (of several fields the joined one is linear between the voxels of the one
    that is applied first). Where a field in the file does not end in zeros, a ring of zeros is added,
    as ITK moves nothing outside of it.

    Returns:
        A transform whose grid is the displacement field's, None for a linear map.

    Raises:
        InputError: no such file, or an unknown suffix.
        FileFormatError: not a transform of points in three dimensions, or of a kind other than these.
    """
    place = existing_path(path)
    name = place.name.lower()
    if not name.endswith(_READABLE):
        raise InputError(f"'{place.name}': transforms are read from {', '.join(_READABLE)} files.")
    header = read_header(place)
    if header is not None:
        return _of_field(Volume(header.read(), header.affine), place.name)
    try:
        with quiet_itk():
            transform = sitk.ReadTransform(str(place))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"'{place.name}' could not be read as a transform: {_last_line(error)}") from error
    return of_itk(transform, place.name)


def transform_of(transform: Transform, tolerance_mm: float = 0.0) -> sitk.Transform:
    """The transform as a SimpleITK transform from fixed to moving points, LPS mm; the tolerance as of `flatten`."""
    if transform.displacement is None:
        return _affine_transform(transform.affine)
    field, matrix = transform.as_field(tolerance_mm)
    deformable = sitk.DisplacementFieldTransform(_lps_image(field, np.float64))
    if matrix is None:
        return deformable
    composite = sitk.CompositeTransform(3)  # the transform added last is applied first
    composite.AddTransform(_affine_transform(matrix))
    composite.AddTransform(deformable)
    return composite


def of_itk(transform: sitk.Transform, name: str = "the transform") -> Transform:
    """A SimpleITK transform as a `Transform`; `name` is what errors call it.

    Raises:
        FileFormatError: two dimensions, or a kind other than matrices, displacement fields and composites of them.
    """
    if transform.GetDimension() != 3:
        raise FileFormatError(f"{name} has {transform.GetDimension()} dimensions; a transform of 3D points is needed.")
    kind = transform.GetTransformEnum()
    if kind == sitk.sitkComposite:
        return _of_composite(sitk.CompositeTransform(transform), name)
    if kind == sitk.sitkDisplacementField:
        field = sitk.DisplacementFieldTransform(transform).GetDisplacementField()
        return _of_field(from_sitk(field, "all"), name)
    if transform.IsLinear():
        return Transform(_matrix_of(transform), None, None)
    raise FileFormatError(f"{name} is a {transform.GetName()}; matrices, displacement fields and composites of them "
                          "can be read. Convert it to a displacement field, for example in Slicer's Transforms module.")


def _fields_of(transform: sitk.Transform) -> list[np.ndarray]:
    """The displacements of a transform and of its parts."""
    if transform.GetTransformEnum() == sitk.sitkComposite:
        parts = sitk.CompositeTransform(transform)
        return [field for n in range(parts.GetNumberOfTransforms()) for field in _fields_of(parts.GetNthTransform(n))]
    if transform.GetTransformEnum() == sitk.sitkDisplacementField:
        return [sitk.GetArrayFromImage(sitk.DisplacementFieldTransform(transform).GetDisplacementField())]
    return []


def _is_on_disk(transform: sitk.Transform, file: Path) -> bool:
    try:
        return _are_equal(transform, sitk.ReadTransform(str(file)))
    except RuntimeError:
        return False


def _are_equal(first: sitk.Transform, second: sitk.Transform) -> bool:
    fields = _fields_of(first), _fields_of(second)
    if first.GetTransformEnum() != second.GetTransformEnum() or len(fields[0]) != len(fields[1]):
        return False
    return (all(np.array_equal(one, other) for one, other in zip(*fields, strict=True))
            if fields[0] else first.GetParameters() == second.GetParameters())


def _of_composite(composite: sitk.CompositeTransform, name: str) -> Transform:
    joined = Transform(np.eye(4), None, None)
    for index in reversed(range(composite.GetNumberOfTransforms())):  # the last is applied first
        part = of_itk(composite.GetNthTransform(index), name)
        joined = joined.then(part)
    grid = None if joined.displacement is None else joined.displacement.grid
    return Transform(joined.affine, joined.displacement, grid)


def _of_field(lps: Volume, name: str) -> Transform:
    """The transform of displacements in LPS mm."""
    if lps.channels != 3:
        raise FileFormatError(f"{name} has {lps.channels} values per voxel; a displacement field has three.")
    data = lps.data.astype(np.float32)
    data[:2] *= -1
    field = Volume(data, lps.affine)
    if not _ends_in_zeros(data):
        ring = padded_grid(field.grid, (1, 1, 1), (1, 1, 1))
        padded = Volume(np.pad(data, ((0, 0), (1, 1), (1, 1), (1, 1))), ring.affine)
        return Transform(np.eye(4), padded, field.grid)
    return Transform(np.eye(4), field, field.grid)


def _ends_in_zeros(data: np.ndarray) -> bool:
    return not any(np.take(data, end, axis=axis).any() for axis in (1, 2, 3) for end in (0, -1))


def _matrix_of(transform: sitk.Transform) -> np.ndarray:
    """The RAS matrix of a linear transform, whatever its parameters mean: from where it takes four points."""
    offset = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    for axis in range(3):
        matrix[:3, axis] = np.array(transform.TransformPoint(np.eye(3)[axis].tolist())) - offset
    return _FLIP @ matrix @ _FLIP


def _affine_transform(affine: np.ndarray) -> sitk.AffineTransform:
    matrix = _FLIP @ affine @ _FLIP
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform


def _lps_image(field: Volume, dtype: DTypeLike) -> sitk.Image:
    if not is_orthonormal(field.grid):
        raise InputError("A displacement field in a file needs a grid with right angles; this one is sheared.")
    data = field.data.astype(dtype)
    data[:2] *= -1
    return to_sitk(Volume(data, field.affine))


def _last_line(error: Exception) -> str:
    """The part of ITK's message that the user can use."""
    return str(error).strip().splitlines()[-1].split("ITK ERROR: ")[-1].split("): ")[-1]
