"""Recipes: inference specifications of imported models, for preprocessing, networks and post-processing.

A recipe is part of a model's card. It names steps that `meddl.segmentation` knows; nothing in it is code.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

_OLD_KEYS = {"sigma_share": "sigma_scale"}  # of cards that version 0.1.0 wrote


@dataclass(frozen=True)
class Step:
    """One change of the image before the networks: its name in `meddl.segmentation.imported.steps`, and arguments."""

    name: str
    arguments: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Windows:
    """How networks see an image larger than their patch.

    Attributes:
        patch_voxels: of one window, in the image's axis order at that point; two numbers for networks of slices;
            0 where a window is as long as the image.
        overlap: fraction of a window that the next one covers again, 0 to below 1.
        placement: "even" (nnU-Net: as few windows as the overlap allows, spread evenly) or "dense" (MONAI: as
            far apart as the overlap says, the last one moved back to the edge).
        weighting: weight of a window's scores: "constant", "gaussian" (nnU-Net: its peak on a voxel) or "centered"
            (MONAI: a Gaussian about the window's very center, at least 0.001).
        padding: what lies around an image smaller than a window: "zeros", or the "edge" repeated.
        sigma_scale: standard deviation of the Gaussian over the patch size, as MONAI's `sigma_scale`.
        mirror_axes: spatial axes to reverse, in all combinations, for averaging; empty: none.
        half: whether sums are held in half precision, as nnU-Net does.
    """

    patch_voxels: tuple[int, ...]
    overlap: float = 0.5
    placement: str = "even"
    weighting: str = "gaussian"
    sigma_scale: float = 0.125
    mirror_axes: tuple[int, ...] = ()
    half: bool = False
    padding: str = "zeros"


@dataclass(frozen=True)
class Output:
    """What the networks' channels mean.

    Attributes:
        kind: "classes" (the largest score wins) or "regions" (each channel by itself, where its logit is positive;
            later channels are written over earlier ones).
        values: label value of each channel.
        interpolation: of the scores on the volume's grid, "linear", or "nearest" for the labels themselves.
        activation: what becomes of the scores before they are interpolated: "none", "softmax" or "sigmoid".
        threshold: from which score on a region is present, after the activation.
        order: channels in the order in which regions are written, and in which `values` name them; empty: as they come.
        nearest_axis: "auto": scores are taken from the nearest slice along the axis with the thickest
            voxels, where these are more than `anisotropy` times the thinnest (nnU-Net's separate z); "none": never.
        anisotropy: that factor.
    """

    kind: str
    values: tuple[int, ...]
    interpolation: str = "linear"
    nearest_axis: str = "none"
    anisotropy: float = 3.0
    activation: str = "none"
    threshold: float = 0.0
    order: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Everything between a volume and its labels.

    Attributes:
        inputs: what each channel of the image is.
        orientation: axis codes to which the volume is turned first, such as "RAS"; None: as it is stored.
        steps: in their order.
        windows, output: see there.
        networks: names of the card's networks whose scores are averaged.
        cleanup: what is done to the labels then; names are those of `meddl.segmentation.imported.steps.label_steps`.
        cleanup_grid: "volume", or "network" where that happens before labels are brought to the volume's grid.
        notes: for the user about the import.
        previous: of a cascade, the stage that runs first; its labels on the volume's grid are what the step
            "append_labels" takes.
    """

    inputs: tuple[str, ...]
    orientation: str | None
    steps: tuple[Step, ...]
    windows: Windows
    output: Output
    networks: tuple[str, ...]
    notes: tuple[str, ...] = ()
    cleanup: tuple[Step, ...] = ()
    cleanup_grid: str = "volume"
    previous: "Recipe | None" = None


def parse_recipe(content: dict) -> Recipe:
    """The recipe of a decoded JSON object.

    Raises:
        KeyError, TypeError, ValueError: a field that is missing, unknown or impossible.
    """
    windows = {_OLD_KEYS.get(key, key): value for key, value in content["windows"].items()}
    output = content["output"]
    recipe = Recipe(
        inputs=tuple(content["inputs"]), orientation=content["orientation"],
        steps=_steps(content["steps"]), cleanup=_steps(content.get("cleanup", ())),
        cleanup_grid=content.get("cleanup_grid", "volume"),
        windows=Windows(**(windows | {"patch_voxels": tuple(windows["patch_voxels"]),
                                      "mirror_axes": tuple(windows.get("mirror_axes", ()))})),
        output=Output(**(output | {"values": tuple(output["values"]), "order": tuple(output.get("order", ()))})),
        networks=tuple(content["networks"]), notes=tuple(content.get("notes", ())),
        previous=parse_recipe(content["previous"]) if content.get("previous") else None)
    _one_of("windows.placement", recipe.windows.placement, ("even", "dense"))
    _one_of("windows.weighting", recipe.windows.weighting, ("gaussian", "centered", "constant"))
    _one_of("windows.padding", recipe.windows.padding, ("zeros", "edge"))
    _one_of("output.kind", recipe.output.kind, ("classes", "regions"))
    _one_of("output.interpolation", recipe.output.interpolation, ("linear", "nearest"))
    _one_of("output.activation", recipe.output.activation, ("none", "softmax", "sigmoid"))
    _one_of("cleanup_grid", recipe.cleanup_grid, ("volume", "network"))
    _one_of("output.nearest_axis", recipe.output.nearest_axis, ("auto", "none"))
    if not 0 <= recipe.windows.overlap < 1:
        raise ValueError(f"windows.overlap is from 0 to below 1; got {recipe.windows.overlap}")
    if recipe.output.order and sorted(recipe.output.order) != list(range(len(recipe.output.values))):
        raise ValueError(f"output.order names each channel once; got {recipe.output.order}")
    if not recipe.networks or not recipe.inputs or not recipe.output.values:
        raise ValueError("inputs, networks and output.values name at least one each")
    return recipe


def _steps(content: Iterable[dict]) -> tuple[Step, ...]:
    return tuple(Step(step["name"], dict(step.get("arguments", {}))) for step in content)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}; got {value!r}")


@dataclass(frozen=True)
class LandmarkOutput:
    """What the channels of a network that finds landmarks and boxes mean: logits of where each point and the center of
    each box lies, then of each box the logarithms of its size along R, A and S over the mean one.

    Attributes:
        points: names of the landmarks.
        boxes: mean size in mm along R, A and S by name of the box.
        sigma_mm: standard deviation of the Gaussian that the network gives a landmark.
        least_confidence: below it nothing is found.
        usual_confidence: below it what is found is less certain than nearly all of the validation.
    """

    points: tuple[str, ...]
    boxes: dict[str, tuple[float, float, float]]
    sigma_mm: float
    least_confidence: float
    usual_confidence: float

    @property
    def names(self) -> tuple[str, ...]:
        """Of the points, then of the boxes."""
        return (*self.points, *self.boxes)


def parse_landmarks(content: dict) -> LandmarkOutput:
    """The output of a decoded JSON object. Raises as `parse_recipe`."""
    boxes = {name: (float(r), float(a), float(s)) for name, (r, a, s) in content["boxes"].items()}
    return LandmarkOutput(**(content | {"points": tuple(content["points"]), "boxes": boxes}))
