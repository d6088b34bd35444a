"""What the worker process runs for uncertainty and explanation: regions of interest are made one mask before."""

from dataclasses import replace

from meddl.results import Explanation, Segmentation, Uncertainty
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.registration_results import union
from meddl_slicer.runs.remote import as_node_layout, ready_segmentation


def explain(volume: Volume, model: str, structures, config, segmentConfig, *, region=None,
            on_progress=None, **choices) -> Explanation:
    """`meddl.explain`, its map in the layout of a node; `region` is as `roi.read_roi` gives it."""
    from meddl.explanation.explain import explain as run

    region = union(region, volume) if isinstance(region, tuple) else region
    found = run(volume, model, structures, config, segmentConfig, region=region, on_progress=on_progress, **choices)
    return replace(found, map=as_node_layout(found.map))


def segment(volume: Volume, model: str, config, uncertainty, *, roi=None, on_progress=None,
            **choices) -> tuple[Segmentation, Uncertainty]:
    """`meddl.segment_with_uncertainty`, its results in the layout of nodes; `roi` as of `explain`."""
    from meddl.uncertainty.segmentation import segment_with_uncertainty as run

    roi = union(roi, volume) if isinstance(roi, tuple) else roi
    found, spread = run(volume, model, config, uncertainty, roi=roi, on_progress=on_progress, **choices)
    return ready_segmentation(found, None)[0], replace(spread, map=as_node_layout(spread.map))
