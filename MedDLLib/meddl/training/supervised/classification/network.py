"""The network of a classifier and the cube that it sees: planned from the data, or taken from a model to start from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from meddl.classification.view import NETWORK
from meddl.core.errors import ModelError
from meddl.networks import build_network
from meddl.training.config import ClassifierTrainConfig
from meddl.training.recognition.task import ARCHITECTURE as RESNET
from meddl.training.recognition.task import ARGUMENTS as RESNET_ARGUMENTS
from meddl.training.start import StartModel
from meddl.training.supervised.classification.inspection import ClassInspection

_SMALLEST, _LARGEST, _STEP = 24, 48, 8  # voxels of the cube along each axis, of a new network: multiples of the last
_DENSENET = "monai.DenseNet"
_DENSENET_ARGUMENTS: dict[str, Any] = {"spatial_dims": 3, "in_channels": 2, "init_features": 16, "growth_rate": 8,
                                       "block_config": [2, 4, 8]}
# Of each architecture the argument with the number of outputs, and how the names of the last layer begin.
_OUTPUTS = {RESNET: ("num_classes", "fc."), _DENSENET: ("out_channels", "class_layers.out.")}
_LEAST_FITTING = 0.5   # of the weights of a model to start from


@dataclass(frozen=True)
class ClassifierPlan:
    """How a classifier is built.

    Attributes:
        architecture, arguments: of the network, as a card names them.
        spacing_mm, size: of the cube that it sees.
        start: identifier of the model that its weights come from, None for random ones.
    """

    architecture: str
    arguments: dict
    spacing_mm: float
    size: int
    start: str | None = None

    def describe(self) -> str:
        """In a few words."""
        begin = "" if self.start is None else f", from {self.start}"
        return (f"{self.architecture.removeprefix('monai.')}, {self.size} x {self.size} x {self.size} voxels of "
                f"{self.spacing_mm:g} mm{begin}")


def plan_classifier(inspection: ClassInspection, config: ClassifierTrainConfig,
                    start: StartModel | None) -> ClassifierPlan:
    """The plan for a data set.

    Raises:
        ModelError: the model to start from is no classifier.
    """
    count = len(inspection.dataset.classes)
    if start is not None:
        spec = start.card.networks.get(NETWORK)
        if start.card.task not in ("classification", "recognition") or spec is None or (
                spec.architecture not in _OUTPUTS):
            raise ModelError(f"'{start.name}' is for {start.card.task}: a classifier cannot start from it. Start from "
                             "recognition, or from a classifier of yours.")
        arguments = spec.arguments | {_OUTPUTS[spec.architecture][0]: count}
        return ClassifierPlan(spec.architecture, arguments, config.spacing_mm or spec.spacing_mm, spec.patch_voxels[0],
                              start.name)
    spacing, size = _fitting_cube(inspection, config.spacing_mm)
    if config.network == "densenet":
        return ClassifierPlan(_DENSENET, _DENSENET_ARGUMENTS | {"out_channels": count}, spacing, size)
    return ClassifierPlan(RESNET, RESNET_ARGUMENTS | {"num_classes": count}, spacing, size)


def network_of_plan(plan: ClassifierPlan, start: StartModel | None, classes: tuple[str, ...]) -> nn.Module:
    """The network of a plan, with the weights of the model to start from; the last layer is new, unless the model has
    the same classes.

    Raises:
        ModelError: too few of the model's weights fit.
    """
    network = build_network(plan.architecture, plan.arguments)
    if start is None:
        return network
    own, head = network.state_dict(), _OUTPUTS[plan.architecture][1]
    same = start.card.classes == classes
    fitting = {name: tensor for name, tensor in start.weights_of(NETWORK).items()
               if name in own and own[name].shape == tensor.shape and (same or not name.startswith(head))}
    if len(fitting) < _LEAST_FITTING * len(own):
        raise ModelError(f"The weights of '{start.name}' fit {len(fitting)} of {len(own)} parts of the network: too "
                         "few to start from.")
    network.load_state_dict(own | fitting)
    return network


def _fitting_cube(inspection: ClassInspection, spacing_mm: float | None) -> tuple[float, int]:
    """Voxel size and voxels of the cube into which the longest edge of a usual volume fits; if no voxel size is given,
    not a smaller one than the volume's own."""
    longest = float(np.median([one.extent_mm.max() for one in inspection.cases]))
    finest = float(np.median([one.spacing_mm.min() for one in inspection.cases]))
    spacing = spacing_mm or float(f"{max(longest / _LARGEST, finest):.2g}")
    return spacing, int(np.clip(round(longest / spacing / _STEP) * _STEP, _SMALLEST, _LARGEST))
