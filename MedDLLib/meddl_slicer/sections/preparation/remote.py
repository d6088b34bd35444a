"""What the worker process runs for a preparation of nodes; see `meddl_slicer.runs.remote`."""

from dataclasses import replace

from meddl.core.progress import span
from meddl_slicer.mrml.registration_results import union
from meddl_slicer.runs.remote import as_node_layout


def prepare(volume, steps, *, reference=None, roi=None, device: str = "auto", on_progress=None):
    """`meddl.prepare`, its volume in the layout of a node; `roi` is as `roi.read_roi` gives it."""
    from meddl.preparation.prepare import prepare as run

    roi = union(roi, volume) if isinstance(roi, tuple) else roi
    found = run(volume, steps, reference=reference, roi=roi, device=device, on_progress=span(on_progress, 0.0, 0.98))
    return replace(found, volume=as_node_layout(found.volume))
