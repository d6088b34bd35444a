"""What the worker process runs for contrast synthesis; see `meddl_slicer.runs.remote`."""

from meddl.core.progress import span
from meddl.spatial.volume import Volume
from meddl_slicer.runs.remote import as_node_layout


def synthesize_contrast(volume: Volume, contrast: str, *, device: str = "auto", on_progress=None
                        ) -> tuple[Volume, dict]:
    """`meddl.synthesize_contrast`: its volume in the layout of nodes, and its report."""
    from meddl.contrast_synthesis.synthesize import synthesize_contrast as run

    found = run(volume, contrast, device=device, on_progress=span(on_progress, 0.0, 0.98))
    return as_node_layout(found.volume), found.report
