"""What the worker process runs for a sequence of volumes to denoise; see `meddl_slicer.runs.remote`."""

from meddl.core.progress import span
from meddl.spatial.volume import Volume
from meddl_slicer.runs.remote import as_node_layout


def denoise_series(frames: list[Volume], config, *, device: str = "auto", on_progress=None) -> tuple[list, dict]:
    """`meddl.denoise_series`: its frames in the layout of nodes, and its report."""
    from meddl.series.denoise import denoise_series as run

    found = run(frames, config, device=device, on_progress=span(on_progress, 0.0, 0.98))
    volume = found.volume
    return [as_node_layout(Volume(frame[None], volume.affine)) for frame in volume.data], found.report
