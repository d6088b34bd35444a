"""From label maps to random images: training data without images.

The generative model is the one of SynthSeg (Billot et al., Medical Image Analysis 86, 2023,
doi:10.1016/j.media.2023.102789): deform a label map, draw a Gaussian intensity for every tissue, then bias
field, gamma, resolution, noise and crop, all at random, so that a network trained on the result cannot
depend on a contrast or a resolution.

Importing this package does not load torch: the embedded samples take tables of it where torch is not installed.
"""

import importlib

_HOMES = {
    "HeadGenerator": "meddl.synthesis.generator",
    "LabelMaps": "meddl.synthesis.labels",
    "LabelTable": "meddl.synthesis.label_table",
    "SynthesisConfig": "meddl.synthesis.config",
    "load_label_maps": "meddl.synthesis.labels",
}

__all__ = ["HeadGenerator", "LabelMaps", "LabelTable", "SynthesisConfig", "load_label_maps"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'meddl.synthesis' has no attribute '{name}'")
