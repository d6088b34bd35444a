"""A volume or segmentation file whose header holds geometry and type of the voxels alone."""

from __future__ import annotations

from pathlib import Path

from meddl.io import VolumeHeader, load, load_header, load_segmentation, save_like, save_segmentation
from meddl.io.files import WRITABLE, suffix_of

SEGMENTATION = ".seg.nrrd"
# A format of two files, or one that is not written, becomes this one.
_WRITTEN_AS = {".hdr": ".nii.gz", ".img": ".nii.gz", ".nhdr": ".nrrd", ".mhd": ".mha"}


def target_suffix(source: Path) -> str:
    """The suffix of the file that `deidentify_volume` writes; "" where `source` is no volume file."""
    suffix = suffix_of(source)
    return suffix if suffix in (*WRITABLE, SEGMENTATION) else _WRITTEN_AS.get(suffix, "")


def deidentify_volume(source: Path, target: Path) -> tuple[str, ...]:
    """Write the voxels with a header of grid, type, space codes and display range alone.

    Descriptions, comments, extensions and all other entries are left out. A `.seg.nrrd` keeps names, colors and
    terminology of its segments. Time points stay one 4D file.

    Returns:
        What the user has to look at, sentences: names of segments.

    Raises:
        InputError, FileFormatError, GeometryError: as of `meddl.load` and `meddl.save`.
    """
    if suffix_of(source) == SEGMENTATION:
        found = load_segmentation(source)
        save_segmentation(found, target)
        names = ", ".join(segment.name for segment in found.segments)
        return (f"Names of segments are kept: {names}.",) if names else ()
    said = load_header(source)
    header = VolumeHeader(display_range=said.display_range, space=said.space)
    save_like(load(source, component="all"), target, source, header)
    return ()
