"""What the worker process runs to inpaint a volume or the frames of a sequence; see `meddl_slicer.runs.remote`."""

import numpy as np

from meddl.core.progress import span
from meddl.io.series import check_frame
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.registration_results import union
from meddl_slicer.runs.remote import as_node_layout


def inpaint(frames: list[Volume], masks: tuple[Volume, ...], config, *, device: str = "auto", on_progress=None
            ) -> tuple[list[Volume], Volume, dict]:
    """`meddl.inpaint`: its channels in the layout of nodes, the mask of what it filled, and its report.

    Args:
        frames: one volume, or the frames of a sequence.
        masks: which together are the region, as `roi.read_roi` gives them.

    Raises:
        InputError: frames of several grids; and as of the verb.
    """
    from meddl.inpainting.inpaint import inpaint as run

    for number, frame in enumerate(frames):
        check_frame(frame, number, frames[0])
    volume = frames[0] if len(frames) == 1 else Volume(np.concatenate([one.data for one in frames]), frames[0].affine)
    found = run(volume, union(masks, frames[0]), config, device=device, on_progress=span(on_progress, 0.0, 0.98))
    made = [as_node_layout(Volume(channel[None], volume.affine)) for channel in found.volume.data]
    return made, as_node_layout(found.filled), found.report
