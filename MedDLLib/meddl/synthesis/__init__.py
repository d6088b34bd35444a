"""From label maps to random images: training data without images.

The generative model is the one of SynthSeg (Billot et al., Medical Image Analysis 86, 2023,
doi:10.1016/j.media.2023.102789): deform a label map, draw a Gaussian intensity for every tissue, then bias
field, gamma, resolution, noise and crop, all at random, so that a network trained on the result cannot
depend on a contrast or a resolution.
"""

from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.generator import HeadGenerator
from meddl.synthesis.labels import LabelMaps, LabelTable, load_label_maps

__all__ = ["HeadGenerator", "LabelMaps", "LabelTable", "SynthesisConfig", "load_label_maps"]
