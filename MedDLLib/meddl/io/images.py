"""Volumes from files and to files, through SimpleITK."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError, InputError, MedDLError
from meddl.io import dicom
from meddl.io.files import READABLE, WRITABLE, cut_short, existing_path, replacing, suffix_of
from meddl.io.formats import metaimage, nifti, nrrd
from meddl.io.formats.nifti_grid import is_sheared
from meddl.io.formats.stored_image import TIME, StoredImage
from meddl.io.header import SCANNER, VolumeHeader
from meddl.io.itk import quiet_itk, sitk
from meddl.spatial.volume import Volume

VolumeLike = Volume | str | os.PathLike  # a volume, or the path of a file or of a folder with a DICOM series

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_DESCRIPTIONS = {".nrrd": "NRRD_content", ".seg.nrrd": "NRRD_content", ".mha": "Comment"}  # as ITK calls them
_HEADERS = {".nii.gz": nifti.read_header, ".nii": nifti.read_header, ".hdr": nifti.read_header,
            ".img": nifti.read_header, ".seg.nrrd": nrrd.read_header, ".nrrd": nrrd.read_header,
            ".nhdr": nrrd.read_header, ".mha": metaimage.read_header, ".mhd": metaimage.read_header}


def load(path: str | Path, component: int | str | None = None, series: str | int | None = None) -> Volume:
    """Read a volume.

    Args:
        path: a NIfTI, NRRD or MetaImage file, a DICOM file (one of several slices stands for its series), or a folder
            in which, or below which, a DICOM series lies.
        component: which time point, vector or color component, or part of a complex number (0 real, 1 imaginary)
            to take from a file that holds several, or which echo, b-value or time point of a DICOM series, counted
            from 0; "all" makes them channels; None expects one.
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
    if series is not None and not place.is_dir():
        raise InputError(f"`series` chooses among the DICOM series of a folder; '{place.name}' is one file.")
    if place.is_dir() or suffix_of(place) == ".dcm" or (suffix_of(place) not in _HEADERS and dicom.is_dicom(place)):
        found = dicom.read_series(place, series, component)
        return _choose_channel(found.channels, found.affine, place.name, "color components", found.component)
    header = read_header(place)
    if header is None:
        raise FileFormatError(f"'{place.name}' is of no known format. Give {READABLE}.")
    volume = _of_stored(header, component)
    header.warn()
    return volume


def as_volume(value: object, name: str = "volume", component: int | str | None = None) -> Volume:
    """A volume as it is, or read from its path.

    Args:
        value: a volume, or the path of a file or of a folder with a DICOM series.
        name: what the error calls it.
        component: as of `load`.

    Raises:
        InputError: something else; and all that `load` raises.
    """
    if isinstance(value, Volume):
        return value
    if isinstance(value, str | os.PathLike):
        return load(Path(value), component)
    raise _no_volume(value, name, "a meddl.Volume or the path of a file")


def _no_volume(value: object, name: str, wanted: str) -> InputError:
    """The error of something that is no volume, with what to give instead."""
    hint = ""
    if hasattr(value, "__array__"):
        hint = " Make one of an array (i, j, k): meddl.Volume.scalar(array, affine)."
    elif isinstance(getattr(value, "volume", None), Volume):
        hint = " Give its `volume`."
    return InputError(f"`{name}` is {wanted}; got {type(value).__name__}.{hint}")


def read_header(place: Path) -> StoredImage | None:
    """What the header of a NIfTI, NRRD or MetaImage file says; None for files of other names.

    Raises:
        InputError: a 2D image.
        FileFormatError: damaged, or not what its name says.
    """
    reader = _HEADERS.get(suffix_of(place))
    return None if reader is None else reader(place)


def is_whole(path: str | Path) -> bool:
    """Whether a NIfTI, NRRD or MetaImage file has a possible header and all of its voxels, intact; reads it through."""
    try:
        header = read_header(existing_path(path))
        if header is None:
            return False
        header.check()
    except (MedDLError, OSError, MemoryError):
        return False
    return True


def _of_stored(header: StoredImage, component: int | str | None) -> Volume:
    """The volume of a file whose header was read."""
    check_component(header.count, header.channels, header.name, component)
    single = component != "all" and header.count > 1
    return Volume(header.read(int(component or 0) if single else None), header.affine)


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


def load_header(path: str | Path) -> VolumeHeader:
    """What a file's header says of its volume beyond voxels and grid, for `save`; of DICOM nothing but its space.

    Raises:
        InputError: nothing there.
        FileFormatError: a damaged header.
    """
    place = existing_path(path)
    stored = None if place.is_dir() else read_header(place)
    return VolumeHeader(space=(SCANNER, SCANNER)) if stored is None else stored.said


def save(volume: Volume, path: str | Path, compress: bool = True, header: VolumeHeader | None = None) -> None:
    """Write a volume as .nii.gz, .nii, .nrrd or .mha, first under a temporary name, then moved into place.

    Voxels keep their type (bool becomes uint8, float16 float32). Several channels become a vector image. A sheared
    grid goes into a NIfTI file's sform, where ITK's own reader refuses or bends it: prefer .nrrd for those.

    Args:
        header: what else the file says of the volume, as of `load_header`, where the format has an entry for it.

    Raises:
        InputError: no volume, an unknown suffix, or a place that cannot be written to.
    """
    if not isinstance(volume, Volume):
        raise _no_volume(volume, "volume", "a meddl.Volume")
    suffix = suffix_of(path)
    if suffix not in WRITABLE:
        raise InputError(f"'{Path(path).name}' cannot be written: volumes are written as {', '.join(WRITABLE)}.")
    write_image(to_sitk(volume), path, suffix, compress, volume.affine, header)


def save_series(volume: Volume, path: str | Path, step_s: float = 1.0, compress: bool = True,
                header: VolumeHeader | None = None) -> None:
    """Write a volume whose channels are time points as one 4D file; formats, types, header, errors as of `save`.

    Args:
        step_s: time from one to the next, in the unit of the file's fourth axis: seconds.
    """
    suffix = suffix_of(path)
    if suffix not in WRITABLE:
        raise InputError(f"'{Path(path).name}' cannot be written: volumes are written as {', '.join(WRITABLE)}.")
    frames = [to_sitk(Volume(frame[None], volume.affine)) for frame in volume.data]
    write_image(sitk.JoinSeries(frames, 0.0, step_s), path, suffix, compress, volume.affine, header)


def save_like(volume: Volume, path: str | Path, source: str | Path, header: VolumeHeader | None = None) -> None:
    """Write a volume with its channels as the file has them that it was read from, all of them: time points as one 4D
    file, components and colors as a vector image; formats, types, header, errors as of `save`."""
    place = existing_path(source)
    stored = None if place.is_dir() else read_header(place)
    if volume.channels == 1 or stored is not None and stored.channels != TIME:
        save(volume, path, header=header)
    else:
        save_series(volume, path, 1.0 if stored is None else stored.time_step, header=header)


def time_step(path: str | Path) -> float:
    """The time from one time point of a 4D file to the next, in its own unit (of NIfTI files: seconds).

    1 where the file has none or the header does not say.
    """
    header = read_header(existing_path(path))
    return 1.0 if header is None else header.time_step


def write_image(image: sitk.Image, path: str | Path, suffix: str, compress: bool, affine: np.ndarray,
                header: VolumeHeader | None = None) -> None:
    """Write a SimpleITK image whose grid is that RAS affine, under a temporary name first, and read it back.

    Raises:
        InputError: a place that cannot be written to, or a disk that is full.
    """
    said = header or VolumeHeader()
    if said.description and suffix in _DESCRIPTIONS:
        image.SetMetaData(_DESCRIPTIONS[suffix], " ".join(said.description.split()))
    with replacing(path, suffix) as temporary:
        try:
            if suffix.startswith(".nii") and (is_sheared(affine) or said != VolumeHeader()):
                _write_nifti(image, temporary, suffix, affine, said)
            else:
                with quiet_itk():
                    sitk.WriteImage(image, str(temporary), useCompression=compress)
        except RuntimeError as error:
            raise InputError(f"'{Path(path).name}' could not be written: {_last_line(error)}") from error
        except FileFormatError as error:
            raise cut_short(Path(path)) from error
        if not _is_on_disk(image, temporary, affine):
            raise cut_short(Path(path))


def _is_on_disk(image: sitk.Image, file: Path, affine: np.ndarray) -> bool:
    """Whether a file holds the voxels of an image on that grid; ITK does not notice all writes that fail."""
    array = sitk.GetArrayViewFromImage(image)
    if suffix_of(file).startswith(".nii") and image.GetNumberOfComponentsPerPixel() > 1:
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))  # NIfTI has components last
    try:
        header = read_header(file)
        return (header is not None and np.allclose(header.affine, affine, rtol=1e-3, atol=1e-2)
                and header.compare(array.astype(header.dtype, copy=False).reshape(-1).view(np.uint8)))
    except MedDLError:
        return False


def _write_nifti(image: sitk.Image, temporary: Path, suffix: str, affine: np.ndarray, said: VolumeHeader) -> None:
    """Write a NIfTI file with what ITK cannot put into its header."""
    sheared = is_sheared(affine)
    if sheared:
        image = sitk.Image(image)
        image.SetDirection(np.eye(image.GetDimension()).ravel().tolist())
    plain = temporary.with_name(temporary.name.removesuffix(suffix) + "-plain.nii")
    try:
        with quiet_itk():
            sitk.WriteImage(image, str(plain))
        if sheared:
            nifti.write_sform(plain, affine)
        nifti.write_header(plain, said)
        if suffix == ".nii":
            plain.replace(temporary)
        else:
            with (plain.open("rb") as source, temporary.open("wb") as packed,
                  gzip.GzipFile("", "wb", 6, packed, mtime=0) as target):  # the same bytes at any time
                shutil.copyfileobj(source, target, 1 << 20)
    finally:
        plain.unlink(missing_ok=True)


def _choose(image: sitk.Image, name: str, component: int | str | None) -> Volume:
    """The volume of an image, with its components sorted out."""
    dimension = image.GetDimension()
    if dimension == 2:
        raise InputError(f"'{name}' is a 2D image of {image.GetWidth()} x {image.GetHeight()} pixels; "
                         "a 3D volume is needed.")
    if dimension > 4:
        raise FileFormatError(f"'{name}' has {dimension} dimensions; 3 (or 4, with time) can be read.")
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
    check_component(count, kind, name, component)
    if component == "all":
        return Volume(channels, affine)
    number = int(component or 0)
    chosen = channels[number:number + 1]
    if count > 1:  # let the other components go
        chosen = np.asfortranarray(chosen)
    return Volume(chosen, affine)


def check_component(count: int, kind: str, name: str, component: int | str | None) -> None:
    """Refuse a choice that is none of `count` components, or none where there are several.

    Raises:
        InputError: with the choices that there are.
    """
    if component == "all" or component is None and count == 1:
        return
    if component is None:
        raise InputError(f"'{name}' holds {count} {kind}; one volume is needed. "
                         f"Choose one with component=0 to component={count - 1}.")
    if isinstance(component, bool) or not isinstance(component, int | np.integer) or not 0 <= component < count:
        raise InputError(f"'{name}' holds {count} {kind if count > 1 else 'component'}; "
                         f"component is a number from 0 to {count - 1} or 'all', not {component!r}.")


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
