"""The frames of a series: of a 4D file, of a volume whose channels are time points, or of several volumes."""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike

from meddl.core.errors import InputError
from meddl.io.images import VolumeLike, as_volume
from meddl.spatial.volume import Volume

SeriesLike = VolumeLike | Sequence[VolumeLike]


def frames_of(series: SeriesLike, name: str = "series") -> list[Volume]:
    """The frames of a series, each of its own grid; of a volume or a 4D file as views of its voxels.

    Args:
        series: a volume (T, I, J, K), the path of a file, or volumes or paths, one a frame.
        name: what an error calls it.

    Raises:
        InputError: something else; and all that `meddl.load` raises.
    """
    return list(each_frame(series, name))


def each_frame(series: SeriesLike | Iterable[VolumeLike], name: str = "series") -> Iterator[Volume]:
    """The frames of a series one by one, also of an iterable without an end; arguments and errors as of `frames_of`."""
    if isinstance(series, str | PathLike):
        series = as_volume(series, name, "all")
    if isinstance(series, Volume):
        for number in range(series.channels):
            yield Volume(series.data[number:number + 1], series.affine)
        return
    if not isinstance(series, Iterable):
        raise InputError(f"`{name}` is a meddl.Volume whose channels are the frames, the path of a file, or a list of "
                         f"volumes or paths; got {type(series).__name__}.")
    for number, frame in enumerate(series):
        yield as_volume(frame, f"{name}[{number}]")


def check_frame(frame: Volume, number: int, first: Volume) -> None:
    """Refuse a frame of another grid than the first one's, or of several channels.

    Raises:
        InputError: with the number of the frame, from 0.
    """
    if frame.channels != 1:
        raise InputError(f"Frame {number} has {frame.channels} channels; a frame has one.")
    if not frame.grid.same_as(first.grid):
        raise InputError(
            f"Frame {number} lies on another grid than frame 0: {_words(frame)} against {_words(first)}. "
            "The frames of a series share one grid; register such volumes in pairs.")


def _words(volume: Volume) -> str:
    sizes = " x ".join(map(str, volume.shape))
    spacing = " x ".join(f"{size:.3g}" for size in volume.spacing_mm)
    origin = ", ".join(f"{place:.4g}" for place in volume.affine[:3, 3])
    return f"{sizes} voxels of {spacing} mm at ({origin})"
