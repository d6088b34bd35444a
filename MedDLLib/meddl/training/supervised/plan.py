"""From the figures of a data set to voxel size, patch, network and batch, by nnU-Net's rules.

F. Isensee et al., Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z. What differs: a patch is limited in voxels,
fewer on a CPU, and not by the memory of one kind of GPU; on a CPU the stages have half of its features.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from meddl.core.errors import InputError, OutOfMemoryError
from meddl.spatial.grid import three
from meddl.training.config import TrainConfig
from meddl.training.supervised.data.inspection import Inspection

ANISOTROPY = 3.0  # thickest over thinnest voxel from which on slices are treated as such
PATCH_VOXELS = {"cpu": 96_000, "gpu": 128**3}
STEP_VOXELS = {"cpu": 200_000, "gpu": 2 * 128**3}  # patches of a step together
MOST_BATCH = 8
BYTES_PER_PATCH_VOXEL = 2500  # features and gradients of the networks below, float32
_COARSEST_VOXELS = 4  # voxels along an axis at the coarsest stage
_MOST_STAGES = {"cpu": 4, "gpu": 6}
FEATURES = (32, 64, 128, 256, 320, 320)
WIDTH = {"cpu": 0.5, "gpu": 1.0}  # of these features, where none is asked for
_GROUPS = 8  # of normalization: features are multiples of them
_NORMS = {"dynunet": ["GROUP", {"num_groups": _GROUPS}], "nnunet": ["INSTANCE", {"affine": True}]}
_CT_PERCENTILES = (0.5, 99.5)
_MASKED_FRACTION = 0.75  # a box around the image smaller than this: intensities are normalized inside of it alone
NETWORK = "network"


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        recipe: preprocessing, windows and output, as the model's card will state them.
        architecture, arguments: of the network, for inference.
        patch_voxels: along x, y, z after preprocessing.
        batch: patches a step.
        deep_supervision: coarser stages that are trained on their own scores too.
        start: identifier of the model that is fine-tuned, "" from scratch.
        contrast: "own", or "any": see `augmentation.random_contrast`.
    """

    recipe: dict
    architecture: str
    arguments: dict
    patch_voxels: tuple[int, int, int]
    batch: int
    deep_supervision: int = 0
    start: str = ""
    contrast: str = "own"

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size that the network works at; empty where the recipe keeps the volume's."""
        steps = [step for step in self.recipe["steps"] if "spacing_mm" in step.get("arguments", {})]
        return tuple(steps[-1]["arguments"]["spacing_mm"]) if steps else ()

    def describe(self) -> str:
        """The plan in one line."""
        spacing = " x ".join("as it is" if s is None else f"{s:.3g}" for s in self.spacing_mm)
        return (f"{self.architecture.removeprefix('monai.')}{' from ' + self.start if self.start else ''}, voxels "
                f"{spacing} mm, patch {' x '.join(map(str, self.patch_voxels))}, batch {self.batch}")


@dataclass(frozen=True)
class Topology:
    """Strides and kernels of each stage, fine to coarse, and the patch that they divide."""

    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    patch: tuple[int, int, int]


def make_plan(inspection: Inspection, config: TrainConfig, kind: str, free_bytes: int) -> Plan:
    """The plan for a data set.

    Args:
        kind: "cpu" or "gpu".
        free_bytes: memory that the training may take.

    Raises:
        InputError: an impossible patch or batch.
        OutOfMemoryError: not even the smallest patch fits.
    """
    cases = inspection.fingerprints
    spacing = target_spacing([one.spacing_mm for one in cases], [one.shape for one in cases])
    shapes = [np.array(one.shape) * one.spacing_mm / spacing for one in cases]
    median = np.maximum(1, np.median(shapes, axis=0).round().astype(int))
    most = min(PATCH_VOXELS[kind], free_bytes // BYTES_PER_PATCH_VOXEL)
    stages = 4 if config.network == "segresnet" else _MOST_STAGES[kind]
    topology = (_topology(spacing, check_patch(config), stages) if config.patch_voxels
                else plan_patch(spacing, median, most, stages))
    if config.network == "segresnet":
        topology = _isotropic(topology)
    inputs, outputs = len(inspection.dataset.channels), output_channels(inspection)
    architecture, arguments = network_of(config.network, topology, inputs, outputs, config.width or WIDTH[kind])
    recipe = {
        "inputs": list(inspection.dataset.channels), "orientation": "RAS", "steps": preprocessing(inspection, spacing),
        "windows": {"patch_voxels": list(topology.patch), "overlap": 0.5, "placement": "even", "weighting": "gaussian",
                    "sigma_scale": 0.125},
        "output": output_of(inspection), "networks": [NETWORK], "notes": []}
    deep = min(2, len(topology.strides) - 2) if architecture == "monai.DynUNet" else 0
    plan = Plan(recipe, architecture, arguments, topology.patch, 1, deep, contrast=config.contrast)
    return with_batch(plan, config, kind, free_bytes)


def with_batch(plan: Plan, config: TrainConfig, kind: str, free_bytes: int) -> Plan:
    """The plan with as many patches a step as are asked for, or suit time and memory.

    Raises:
        InputError: less than one patch.
        OutOfMemoryError: not even one fits.
    """
    voxels = math.prod(plan.patch_voxels)
    fitting = free_bytes // (voxels * BYTES_PER_PATCH_VOXEL)
    if config.batch is not None and config.batch < 1:
        raise InputError(f"A step takes at least one patch; got {config.batch}.")
    wanted = config.batch or min(MOST_BATCH, max(2, STEP_VOXELS[kind] // voxels))
    if fitting < (config.batch or 1):
        raise OutOfMemoryError(
            f"Training on {config.batch or 1} patches of {' x '.join(map(str, plan.patch_voxels))} voxels needs about "
            f"{(config.batch or 1) * voxels * BYTES_PER_PATCH_VOXEL / 1e9:.1f} GB of memory; {free_bytes / 1e9:.1f} GB "
            "are free. Close other programs, or choose a smaller patch or batch.")
    return replace(plan, batch=min(wanted, fitting))


def check_patch(config: TrainConfig) -> np.ndarray:
    """The patch that was asked for; raises InputError where it is none."""
    patch = np.array(config.patch_voxels, dtype=int)
    if patch.shape != (3,) or patch.min() < 1:
        raise InputError(f"A patch has three numbers of voxels; got {','.join(map(str, config.patch_voxels))}.")
    return patch


def target_spacing(spacings, shapes) -> np.ndarray:
    """The median voxel size; along the axis of thick slices its 10th percentile, never below the others."""
    spacings, shapes = np.array(spacings, dtype=np.float64), np.array(shapes, dtype=np.float64)
    target, size = np.median(spacings, axis=0), np.median(shapes, axis=0)
    thick = int(target.argmax())
    others = [axis for axis in range(3) if axis != thick]
    if target[thick] > ANISOTROPY * target[others].max() and size[thick] * ANISOTROPY < size[others].min():
        target[thick] = max(float(np.percentile(spacings[:, thick], 10)), float(target[others].max()))
    return target


def plan_patch(spacing: np.ndarray, median: np.ndarray, most_voxels: int, stages: int) -> Topology:
    """The largest patch of at most so many voxels, about as long in mm along each axis, never longer than the median
    volume; its longest axis relative to that volume is shortened first.

    Raises:
        OutOfMemoryError: the smallest one has more voxels.
    """
    length = 1 / spacing
    patch = np.minimum(np.round(length * (256**3 / length.prod()) ** (1 / 3)).astype(int), median)
    topology = _topology(spacing, patch, stages)
    while math.prod(topology.patch) > most_voxels:
        steps = np.prod(topology.strides, axis=0)
        order = np.argsort(-np.array(topology.patch) / median)
        axis = next((a for a in order if topology.patch[a] > max(_COARSEST_VOXELS, steps[a])), None)
        if axis is None:
            raise OutOfMemoryError(f"There is memory for patches of {most_voxels} voxels only. Close other programs.")
        patch = np.array(topology.patch)
        patch[axis] -= steps[axis]
        topology = _topology(spacing, patch, stages)
    return topology


def _topology(spacing: np.ndarray, patch: np.ndarray, stages: int) -> Topology:
    """An axis is halved while it has enough voxels, and voxels not twice as large as the smallest of such axes."""
    current, size = np.array(spacing, dtype=np.float64), np.array(patch, dtype=int)
    strides, kernels = [(1, 1, 1)], [_kernel(current, (1, 1, 1))]
    while len(strides) < stages:
        long = size >= 2 * _COARSEST_VOXELS
        if not long.any():
            break
        halved = long & (current < 2 * current[long].min())
        stride = np.where(halved, 2, 1)
        current, size = current * stride, -(-size // stride)
        strides.append(tuple(stride.tolist()))
        kernels.append(_kernel(current, kernels[-1]))
    while len(strides) < 3:  # MONAI's networks have three stages at least
        strides.append((1, 1, 1))
        kernels.append(_kernel(current, kernels[-1]))
    steps = np.prod(strides, axis=0)
    return Topology(tuple(strides), tuple(kernels), three((-(-np.array(patch) // steps) * steps).tolist()))


def _kernel(spacing: np.ndarray, finer: tuple[int, ...]) -> tuple[int, ...]:
    """3 along an axis, 1 across slices more than twice as thick as the other voxels; once 3, it stays so."""
    return tuple(3 if s < 2 * spacing.min() or k == 3 else 1 for s, k in zip(spacing, finer, strict=True))


def _isotropic(topology: Topology) -> Topology:
    """For a network that halves all axes at each stage: the patch is filled up."""
    stages = max(2, min(4, 1 + int(math.log2(max(2, min(topology.patch) // _COARSEST_VOXELS)))))
    step = 2 ** (stages - 1)
    patch = three(-(-n // step) * step for n in topology.patch)
    return Topology(((1, 1, 1), *[(2, 2, 2)] * (stages - 1)), ((3, 3, 3),) * stages, patch)


def network_of(name: str, topology: Topology, inputs: int, outputs: int, width: float = 1.0) -> tuple[str, dict]:
    """Architecture of the registry and its arguments, for inference; `width` as in the configuration."""
    strides, kernels = ([list(row) for row in rows] for rows in (topology.strides, topology.kernels))
    features = [max(1, round(width * n / _GROUPS)) * _GROUPS for n in FEATURES[:len(strides)]]
    common = {"spatial_dims": 3, "in_channels": inputs, "out_channels": outputs}
    if name in _NORMS:  # with nnU-Net's normalization it is nnU-Net's own network, layer by layer
        return "monai.DynUNet", common | {"kernel_size": kernels, "strides": strides, "filters": features,
                                          "upsample_kernel_size": strides[1:], "norm_name": _NORMS[name]}
    if name == "unet":
        return "monai.UNet", common | {"channels": features, "strides": strides[1:], "num_res_units": 2}
    stages = len(strides)
    return "monai.SegResNet", common | {"init_filters": 16, "blocks_down": [1, 2, 2, 4][:stages],
                                        "blocks_up": [1] * (stages - 1)}


def output_channels(inspection: Inspection) -> int:
    """Classes with background, or regions."""
    structures = inspection.structures
    return len(structures.names) if structures.overlapping else 1 + len(structures.label_values)


def output_of(inspection: Inspection) -> dict:
    """What the channels mean, as a recipe says it."""
    structures = inspection.structures
    common = {"interpolation": "linear", "nearest_axis": "auto", "anisotropy": ANISOTROPY}
    if structures.overlapping:
        return {"kind": "regions", "values": list(structures.values)} | common
    return {"kind": "classes", "values": [0, *structures.label_values]} | common


def preprocessing(inspection: Inspection, spacing: np.ndarray) -> list[dict]:
    """The steps from a volume to the network's image, as nnU-Net has them."""
    masked = float(np.median([one.nonzero_fraction for one in inspection.fingerprints])) < _MASKED_FRACTION
    channels = [_normalization(inspection, n, masked) for n in range(len(inspection.dataset.channels))]
    return [{"name": "crop_nonzero"}, {"name": "normalize", "arguments": {"channels": channels}},
            {"name": "resample", "arguments": {"spacing_mm": [float(s) for s in spacing], "order": 3}}]


def _normalization(inspection: Inspection, channel: int, masked: bool) -> dict:
    """CT by the labeled voxels' own range over all cases, all else by each volume's mean and standard deviation."""
    name = inspection.dataset.channels[channel].strip().casefold()
    fingerprints = inspection.fingerprints
    is_ct = name == "ct" or sum(one.ct[channel] for one in fingerprints) > len(fingerprints) / 2
    values = np.concatenate([one.intensities[channel] for one in fingerprints])
    if not is_ct or not values.size:
        return {"scheme": "z-score", "masked": masked}
    low, high = np.percentile(values, _CT_PERCENTILES)
    return {"scheme": "ct", "lower": float(low), "upper": float(high), "mean": float(values.mean()),
            "std": float(max(values.std(), 1e-8))}
