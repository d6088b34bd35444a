"""The network that finds landmarks and the patch that it sees, planned from the data."""

from dataclasses import dataclass

import numpy as np

from meddl.detection.mirrors import mirrors_of
from meddl.detection.view import CHANNELS
from meddl.models.cards import NetworkSpec
from meddl.models.recipes import LandmarkOutput
from meddl.spatial.grid import three
from meddl.training.config import LandmarkTrainConfig
from meddl.training.supervised.landmarks.inspection import MarkedInspection
from meddl.training.supervised.plan import FEATURES, Topology, network_of

_LARGEST = {"cpu": 40, "gpu": 96}  # voxels of the patch along each axis
_STAGES = 4
_STEP = 2 ** (_STAGES - 1)
_SMALLEST = 2 * _STEP
_SIGMA_VOXELS = 1.5
_WIDTH = {"cpu": 0.25, "gpu": 1.0}  # of nnU-Net's features


@dataclass(frozen=True)
class LandmarkPlan:
    """How a model of landmarks is built.

    Attributes:
        architecture, arguments: of the network, as a card names them.
        spacing_mm: of its voxels.
        patch_voxels: that it sees at once.
        sigma_mm: standard deviation of the Gaussian about a landmark.
        points: names of the landmarks.
        boxes: mean size by name.
        mirrors: for each name the number of the one that it becomes in a left-right mirror image; empty: images are
            not mirrored.
    """

    architecture: str
    arguments: dict
    spacing_mm: float
    patch_voxels: tuple[int, int, int]
    sigma_mm: float
    points: tuple[str, ...]
    boxes: dict[str, tuple[float, float, float]]
    mirrors: tuple[int, ...]

    def describe(self) -> str:
        """In a few words."""
        size = " x ".join(map(str, self.patch_voxels))
        return (f"{self.architecture.removeprefix('monai.')}, patch {size} voxels of {self.spacing_mm:g} mm"
                f"{', mirrored' if self.mirrors else ''}")

    @property
    def spec(self) -> NetworkSpec:
        """As a card states the network."""
        return NetworkSpec(self.architecture, self.arguments, self.spacing_mm, self.patch_voxels)

    def output(self, least_confidence: float = 0.0, usual_confidence: float = 0.0) -> LandmarkOutput:
        """What the network's channels mean, as a card states it."""
        return LandmarkOutput(self.points, self.boxes, self.sigma_mm, least_confidence, usual_confidence)


def plan_landmarks(inspection: MarkedInspection, config: LandmarkTrainConfig, kind: str) -> LandmarkPlan:
    """The plan for a data set: a usual volume fits into the patch, in voxels not finer than its own.

    Args:
        kind: "cpu" or "gpu".
    """
    extent = np.median([one.extent_mm for one in inspection.cases], axis=0)
    finest = float(np.median([one.spacing_mm.min() for one in inspection.cases]))
    spacing = config.spacing_mm or float(f"{max(extent.max() / _LARGEST[kind], finest):.2g}")
    voxels = np.ceil(extent / spacing / _STEP - 1e-6).astype(int) * _STEP
    patch = three(int(n) for n in np.clip(voxels, _SMALLEST, _LARGEST[kind]))
    boxes = {name: three(float(one) for one in np.mean([case.boxes[name][1] for case in inspection.cases
                                                       if name in case.boxes], axis=0).round(4))
             for name in inspection.boxes}
    topology = Topology(((1, 1, 1), *[(2, 2, 2)] * (_STAGES - 1)), ((3, 3, 3),) * _STAGES, patch)
    outputs = len(inspection.points) + 4 * len(boxes)
    width = max(_WIDTH[kind], min(1.0, -(-outputs // 8) * 8 / FEATURES[0]))  # a feature for each output at least
    architecture, arguments = network_of(config.network, topology, CHANNELS, outputs, width)
    return LandmarkPlan(architecture, arguments, spacing, patch, config.sigma_mm or _SIGMA_VOXELS * spacing,
                        inspection.points, boxes, mirrors_of(inspection.points, inspection.boxes))
