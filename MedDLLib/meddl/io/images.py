"""Volumes from files and to files, through SimpleITK."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError, InputError
from meddl.io import dicom, nifti
from meddl.io.files import READABLE, WRITABLE, existing_path, for_itk, replacing, suffix_of
from meddl.io.itk import sitk
from meddl.spatial.volume import Volume

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_READERS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".hdr": "NiftiImageIO", ".img": "NiftiImageIO",
            ".seg.nrrd": "NrrdImageIO", ".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO",
            ".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".dcm": "GDCMImageIO"}


def load(path: str | Path, component: int | str | None = None, series: str | int | None = None) -> Volume:
    """Read a volume.

    Args:
        path: a NIfTI, NRRD or MetaImage file, one DICOM file, or a folder that holds a DICOM series.
        component: which time point, vector or color component, or part of a complex number (0 real, 1 imaginary)
            to take from a file that holds several, counted from 0; "all" makes them channels; None expects one.
        series: which series of a DICOM folder that holds several: its UID or its place in the list, from 0.

    Returns:
        Volume (C, I, J, K), C = 1 unless component is "all", type of the voxels as stored (scaled where the file
        says so), affine in RAS mm, also for sheared grids.

    Raises:
        InputError: nothing there, a 2D image, several components or series and no choice, or an impossible choice.
        FileFormatError: an unknown format, an empty, truncated or damaged file, missing slices.
        GeometryError: the file's affine is singular or not finite.
    """
    place = existing_path(path)
    if place.is_dir():
        return _choose(dicom.read_series(place, series), place.name, component)
    if series is not None:
        raise InputError(f"`series` chooses among the DICOM series of a folder; '{place.name}' is one file.")
    reader_name = _READERS.get(suffix_of(place)) or ("GDCMImageIO" if dicom.is_dicom(place) else None)
    if reader_name is None:
        raise FileFormatError(f"'{place.name}' is of no known format. Give {READABLE}.")
    header = None
    if reader_name == "NiftiImageIO" and suffix_of(place) in (".nii", ".nii.gz"):
        header, array = nifti.read(place)
        if array is not None and header.grid is not None:
            return _choose_channel(array[None], header.grid, place.name, "component", component)
    try:
        with for_itk(place) as alone:
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(alone))
            reader.SetImageIO(reader_name)
            reader.ReadImageInformation()
            image = _read_components(reader, component)
    except (RuntimeError, MemoryError) as error:
        sheared = nifti.read_sheared(place, header) if header is not None else None
        if sheared is None:
            raise FileFormatError(f"'{place.name}' cannot be read: {_last_line(error)}") from error
        array, affine = sheared
        if array.ndim not in (3, 4):
            raise FileFormatError(f"'{place.name}' has {array.ndim} axes; 3 (or 4, with time) can be read.") from error
        return _choose_channel(array[None] if array.ndim == 3 else np.moveaxis(array, 3, 0), affine, place.name,
                               "time points", component)
    return _choose(image, place.name, component)


def from_sitk(image: sitk.Image, component: int | str | None = None) -> Volume:
    """The volume of a SimpleITK image of 3 or 4 dimensions; arguments and errors as in `load`."""
    return _choose(image, "the image", component)


def to_sitk(volume: Volume) -> sitk.Image:
    """A SimpleITK image (LPS) of a volume (RAS); several channels become a vector image."""
    data = volume.data
    if data.dtype == np.bool_:
        data = data.view(np.uint8)
    elif data.dtype == np.float16:
        data = data.astype(np.float32)
    elif data.dtype.kind == "f" and data.dtype.itemsize > 8:
        data = data.astype(np.float64)
    data = np.asarray(data, dtype=data.dtype.newbyteorder("="))
    if volume.channels == 1:
        image = sitk.GetImageFromArray(np.ascontiguousarray(data[0].transpose(2, 1, 0)))
    else:
        image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(3, 2, 1, 0)), isVector=True)
    set_geometry(image, volume.affine)
    return image


def set_geometry(image: sitk.Image, affine: np.ndarray) -> None:
    """Give a 3D SimpleITK image the spacing, directions and origin of a RAS affine."""
    lps = _LPS_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())


def save(volume: Volume, path: str | Path, compress: bool = True) -> None:
    """Write a volume as .nii.gz, .nii, .nrrd or .mha, first under a temporary name, then moved into place.

    Voxels keep their type (bool becomes uint8, float16 float32). Several channels become a vector image. A sheared
    grid goes into a NIfTI file's sform, where ITK's own reader refuses or bends it: prefer .nrrd for those.

    Raises:
        InputError: an unknown suffix, or a place that cannot be written to.
    """
    suffix = suffix_of(path)
    if suffix not in WRITABLE:
        raise InputError(f"'{Path(path).name}' cannot be written: volumes are written as {', '.join(WRITABLE)}.")
    write_image(to_sitk(volume), path, suffix, compress, volume.affine)


def save_series(volume: Volume, path: str | Path, step_s: float = 1.0, compress: bool = True) -> None:
    """Write a volume whose channels are time points as one 4D file; formats, types and errors as of `save`.

    Args:
        step_s: time from one to the next, in the unit of the file's fourth axis: seconds.
    """
    suffix = suffix_of(path)
    if suffix not in WRITABLE:
        raise InputError(f"'{Path(path).name}' cannot be written: volumes are written as {', '.join(WRITABLE)}.")
    frames = [to_sitk(Volume(frame[None], volume.affine)) for frame in volume.data]
    write_image(sitk.JoinSeries(frames, 0.0, step_s), path, suffix, compress, volume.affine)


def time_step(path: str | Path) -> float:
    """The time from one time point of a 4D file to the next, in its own unit (of NIfTI files: seconds).

    1 where the file has none or it cannot be told.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(existing_path(path)))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return 1.0
    return float(reader.GetSpacing()[3]) if reader.GetDimension() == 4 else 1.0


def write_image(image: sitk.Image, path: str | Path, suffix: str, compress: bool, affine: np.ndarray) -> None:
    """Write a SimpleITK image whose grid is that RAS affine, under a temporary name first."""
    with replacing(path, suffix) as temporary:
        try:
            if suffix.startswith(".nii") and nifti.is_sheared(affine):
                _write_sheared_nifti(image, temporary, suffix, affine)
            else:
                sitk.WriteImage(image, str(temporary), useCompression=compress)
        except RuntimeError as error:
            raise InputError(f"'{Path(path).name}' could not be written: {_last_line(error)}") from error


def _write_sheared_nifti(image: sitk.Image, temporary: Path, suffix: str, affine: np.ndarray) -> None:
    straight = sitk.Image(image)
    straight.SetDirection(np.eye(image.GetDimension()).ravel().tolist())
    plain = temporary.with_name(temporary.name.removesuffix(suffix) + "-plain.nii")
    try:
        sitk.WriteImage(straight, str(plain))
        nifti.write_sform(plain, affine)
        if suffix == ".nii":
            plain.replace(temporary)
        else:
            with plain.open("rb") as source, gzip.open(temporary, "wb", compresslevel=6) as target:
                shutil.copyfileobj(source, target, 1 << 20)
    finally:
        plain.unlink(missing_ok=True)


def _read_components(reader: sitk.ImageFileReader, component: int | str | None) -> sitk.Image:
    """Read the image; of a 4D file only the chosen 3D volume."""
    size = reader.GetSize()
    if len(size) == 4 and isinstance(component, int) and 0 <= component < size[3]:
        reader.SetExtractSize([*size[:3], 0])
        reader.SetExtractIndex([0, 0, 0, component])
        image = reader.Execute()
        image.SetMetaData("meddl_component", str(component))
        return image
    return reader.Execute()


def _choose(image: sitk.Image, name: str, component: int | str | None) -> Volume:
    """The volume of an image, with its components sorted out."""
    dimension = image.GetDimension()
    if dimension == 2:
        raise InputError(f"'{name}' is a 2D image of {image.GetWidth()} x {image.GetHeight()} pixels; "
                         "a 3D volume is needed.")
    if dimension > 4:
        raise FileFormatError(f"'{name}' has {dimension} dimensions; 3 (or 4, with time) can be read.")
    if image.HasMetaDataKey("meddl_component"):  # already only the chosen one of a 4D file
        component = None
    array = sitk.GetArrayFromImage(image)  # (T,) K, J, I (, component); a view would outlive the image
    parts = image.GetNumberOfComponentsPerPixel()
    kind = "time points (fourth dimension)"
    if array.dtype.kind == "c":
        array = array.view(array.real.dtype).reshape(*array.shape, 2)
        kind, parts = "parts of complex numbers (0 real, 1 imaginary)", 2
    elif parts > 1:
        kind = "vector or color components"
    if parts > 1 and dimension == 4:
        if array.shape[0] != 1:
            raise FileFormatError(f"'{name}' has {array.shape[0]} time points of {parts} components each; "
                                  "save one of them as a file of its own.")
        array = array[0]
    if parts > 1:
        channels = array.transpose(3, 2, 1, 0)
    elif dimension == 4:
        channels = array.transpose(0, 3, 2, 1)
    else:
        channels = array.transpose(2, 1, 0)[None]
    return _choose_channel(channels, affine_of(image), name, kind, component)


def _choose_channel(channels: np.ndarray, affine: np.ndarray, name: str, kind: str,
                    component: int | str | None) -> Volume:
    count = channels.shape[0]
    if component == "all":
        return Volume(channels, affine)
    if component is None:
        if count > 1:
            raise InputError(f"'{name}' holds {count} {kind}; one volume is needed. "
                             f"Choose one with component=0 to component={count - 1}.")
        component = 0
    if isinstance(component, bool) or not isinstance(component, int | np.integer) or not 0 <= component < count:
        raise InputError(f"'{name}' holds {count} {kind if count > 1 else 'component'}; "
                         f"component is a number from 0 to {count - 1} or 'all', not {component!r}.")
    chosen = channels[component:component + 1]
    if count > 1:  # let the other components go
        chosen = np.asfortranarray(chosen)
    return Volume(chosen, affine)


def affine_of(image: sitk.Image) -> np.ndarray:
    """4x4 affine, voxel index to RAS mm, of the first three axes of a SimpleITK image."""
    n = image.GetDimension()
    affine = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(n, n)[:3, :3]
    affine[:3, :3] = directions * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    return _LPS_RAS @ affine + 0.0  # no negative zeros


def _last_line(error: Exception) -> str:
    """The part of ITK's message that the user can use."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[-1] if lines else type(error).__name__
    for mark in ("ITK ERROR: ", "sitk::ERROR: ", "): "):
        line = line.split(mark)[-1]
    return line
