"""nnU-Net v2: a folder with dataset.json, plans.json and fold_*/checkpoint_*.pth becomes a card and safetensors.

F. Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
Methods 18, 2021, doi:10.1038/s41592-020-01008-z.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meddl.core.errors import ModelError
from meddl.models.formats.checkpoint import load_checkpoint, own_names, tensors_of
from meddl.models.formats.imported import ImportedModel, identifier, label_entries
from meddl.models.formats.nnunet.plans import (
    configuration_named,
    foreground_values,
    network_of,
    output_of,
    steps_of,
    with_batch_normalization,
)
from meddl.models.formats.plain_content import read_object

_READERS = {  # how nnU-Net's readers place a file's axes, and whether they turn it first
    "SimpleITKIO": None, "SimpleITKIOWithReorient": "RAS", "NibabelIO": None, "NibabelIOWithReorient": "RAS"}
_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")  # the first that is there
_MAXIMUM_DEPTH, _MAXIMUM_FOLDERS = 12, 10_000
# What nnU-Net's own trainers are called that train the network of their plans in another way.
_TRAINING = re.compile(
    r"nnUNetTrainer(_?(\d+epochs?|no_?mirroring|onlymirror01|da5|da5ord0|da5segord0|daord0|dasegord0|noda|fasterda|"
    r"nodummy2dda|adam|adamw|vanillaadam|adan|\den?\d|cosanneal|warmup|celoss|diceloss|diceceloss|nosmooth|"
    r"(dice)?topk?\d*(celoss|loss)?|ls01|focalloss|flandceloss|rmiloss|distdiceloss|cldice|loss|dicece|dp|dicefocalce|"
    r"nodeepsupervision|probabilisticoversampling|0\d+|betterignoresampling|fixceaggr|ignorelabel_lossbalancing|"
    r"switchtodice|diceuseclip|memeffcedice|benchmark|nodataloading|noio))*", re.IGNORECASE)
_RUNNING_MEAN = ".running_mean"


def find_nnunet(folder: Path, configuration: str | None = None) -> Path | None:
    """The trained model below `folder` (itself, or some levels down), None where there is none.

    Where a cascade lies beside its first stage, the cascade is meant.

    Args:
        configuration: such as "3d_fullres", of several that lie side by side.

    Raises:
        ModelError: several models; the message names them.
    """
    found_paths = find_nnunets(folder)
    if configuration is not None:
        named = [place for place in found_paths if place.name.endswith(f"__{configuration}")]
        if not named and len(found_paths) > 1:
            raise ModelError(f"'{folder.name}' holds no configuration '{configuration}'; it holds "
                             f"{', '.join(place.name for place in found_paths)}.")
        found_paths = named or found_paths
    if len(found_paths) > 1 and len({place.parent for place in found_paths}) == 1:
        stages = {_configuration_of(place): place for place in found_paths}
        if set(stages) == {"3d_lowres", "3d_cascade_fullres"}:
            return stages["3d_cascade_fullres"]
    if len(found_paths) > 1:
        raise ModelError(f"'{folder.name}' holds several trained models: "
                         f"{', '.join(str(place.relative_to(folder)) for place in found_paths)}. Give the folder of "
                         "one, or its configuration (--configuration 3d_fullres).")
    return found_paths[0] if found_paths else None


def find_nnunets(folder: Path) -> list[Path]:
    """All trained models below `folder` (itself, or some levels down), in the order of their names."""
    found = [place for place in _folders(folder)
             if (place / "plans.json").is_file() and (place / "dataset.json").is_file()]
    return [place for place in found if any(place.glob("fold_*"))] or found


def refuse_first_version(folder: Path) -> None:
    """Raise ModelError where `folder` holds a model of nnU-Net v1."""
    if any((place / "plans.pkl").is_file() or any(place.glob("*.model.pkl")) for place in _folders(folder)):
        raise ModelError(f"'{folder.name}' holds a model of nnU-Net v1 (plans.pkl), which keeps its networks in other "
                         "ways. MedDL imports nnU-Net v2 (plans.json and dataset.json); train it anew with v2.")


def _folders(folder: Path) -> list[Path]:
    """The folders in which a model may lie, in the order of depth and names."""
    found = []
    for place, inner, _ in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        wanted = [name for name in inner if not name.startswith((".", "fold_"))]
        inner[:] = sorted(wanted) if depth < _MAXIMUM_DEPTH else []
        found.append((depth, Path(place)))
        if len(found) >= _MAXIMUM_FOLDERS:
            break
    return [place for _, place in sorted(found)]


def read_nnunet(folder: str | Path, *, name: str | None = None, folds: tuple[str, ...] | None = None,
                checkpoint: str | None = None, orientation: str | None = None) -> ImportedModel:
    """Read a trained nnU-Net; of a cascade both stages, the first one from the folder beside.

    Args:
        folder: of the trained model.
        name: what the model is called; the dataset's name where None.
        folds: such as ("0", "1") or ("all",); every fold that is there where None.
        checkpoint: file name in each fold's folder; the final one, or else the best one, where None.
        orientation: axis codes to which volumes are turned first. nnU-Net ignores a volume's directions, so this must
            be how the training data lay, such as "RAS" for TotalSegmentator; None: volumes as they are stored.

    Raises:
        ModelError: a file is missing or damaged, or the model needs what MedDL does not have; the message names it.
    """
    folder = Path(folder)
    stage = _read_stage(folder, folds, checkpoint, orientation)
    return ImportedModel(_card(stage, folder, name), stage.tensors, tuple(stage.recipe["notes"]))


@dataclass(frozen=True, eq=False)
class _Stage:
    """One trained configuration, with the one before it where it is the second of a cascade.

    Attributes:
        configuration: its name, such as "3d_fullres".
        dataset: content of dataset.json.
        names: of the labels by value.
        recipe, networks: as a card has them.
        tensors: weights by name.
    """

    configuration: str
    dataset: dict
    names: dict[int, str]
    recipe: dict
    networks: dict
    tensors: dict


def _read_stage(folder: Path, folds: Sequence[int | str] | None, checkpoint: str | None, orientation: str | None,
                prefix: str = "") -> _Stage:
    """The trained configuration in `folder`; `prefix` begins the names of its networks."""
    plans, dataset = read_object(folder / "plans.json"), read_object(folder / "dataset.json")
    places = _fold_checkpoints(folder, folds, checkpoint)
    checkpoints = [load_checkpoint(place) for place in places]
    try:
        previous = None
        configuration = configuration_named(plans, checkpoints[0]["init_args"]["configuration"])
        if configuration.get("previous_stage") and prefix:
            raise ModelError(f"'{folder.name}' is to be the first stage of a cascade, but has one before it itself.")
        if configuration.get("previous_stage"):
            place = _previous_place(folder, str(configuration["previous_stage"]))
            previous = _read_stage(place, folds, checkpoint, orientation, "previous_")
        return _assemble(folder, plans, dataset, places, checkpoints, orientation, prefix, previous)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The nnU-Net model '{folder.name}' cannot be read: its plans, dataset.json or checkpoint "
                         f"lack or garble something ({type(error).__name__} {error}).") from error


def _previous_place(folder: Path, previous: str) -> Path:
    """The folder of a cascade's first stage, beside that of the second."""
    beside = [place for place in sorted(folder.parent.glob(f"*__{previous}")) if (place / "plans.json").is_file()]
    same = [place for place in beside if place.name.rsplit("__", 1)[0] == folder.name.rsplit("__", 1)[0]]
    if len(same or beside) != 1:
        raise ModelError(f"'{folder.name}' is the second stage of a cascade; {'several folders' if beside else 'none'} "
                         f"of its first stage, {previous}, lie{'' if beside else 's'} beside it. Import the folder "
                         "that holds both.")
    return (same or beside)[0]


def _configuration_of(place: Path) -> str:
    """What the name of a trained model's folder ends in: trainer__plans__configuration."""
    return place.name.rsplit("__", 1)[-1]


def _assemble(folder: Path, plans: dict, dataset: dict, found_paths: list[Path], checkpoints: list[dict],
              orientation: str | None, prefix: str, previous: _Stage | None) -> _Stage:
    trainer, name = checkpoints[0]["trainer_name"], checkpoints[0]["init_args"]["configuration"]
    configuration = configuration_named(plans, name)
    output, names, output_notes = output_of(dataset)
    inputs = _channels(dataset)
    found = foreground_values(dataset) if previous else []
    if any(str(key).endswith(_RUNNING_MEAN) for key in checkpoints[0]["network_weights"]):  # as nnUNetTrainerBN trains
        configuration = with_batch_normalization(configuration)
    architecture, arguments = network_of(configuration, len(inputs) + len(found), len(output["values"]))
    patch = [int(n) for n in configuration["patch_size"]]
    steps, step_notes = steps_of(plans, configuration, len(patch))
    if previous:
        if set(previous.recipe["inputs"]) != set(inputs) or previous.names != names:
            raise ModelError(f"'{folder.name}' and its first stage have different channels or labels.")
        steps.append({"name": "append_labels", "arguments": {"values": found}})
        step_notes.append(f"A cascade: {previous.configuration} runs first, and its labels are channels of {name}.")
    mirror = checkpoints[0].get("inference_allowed_mirroring_axes") or ()
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader not in _READERS:
        raise ModelError(f"'{folder.name}' reads images with nnU-Net's {reader}; MedDL knows {', '.join(_READERS)}.")
    orientation = orientation or _READERS[reader]
    networks, tensors = {}, {}
    spacing = [float(s) for s in configuration["spacing"]]
    for place, content in zip(found_paths, checkpoints, strict=True):
        fold = prefix + place.parent.name.lower()
        networks[fold] = {"architecture": architecture, "arguments": arguments, "spacing_mm": min(spacing),
                          "patch_voxels": ([1] * (3 - len(patch))) + patch}
        weights = tensors_of(content["network_weights"], f"network_weights in '{place.parent.name}/{place.name}'")
        tensors.update({f"{fold}.{key}": tensor for key, tensor in _own_names(weights).items()})
    notes = [
        f"nnU-Net v2, {trainer}, {name}, {architecture}, "
        f"{len(found_paths)} fold{'s' if len(found_paths) > 1 else ''}, patch {' x '.join(map(str, patch))}, "
        f"{' x '.join(f'{s:g}' for s in spacing)} mm.",
        f"nnU-Net ignores directions: volumes are {'turned to ' + orientation if orientation else 'taken as stored'}.",
        *output_notes, *step_notes]
    if checkpoint_name := {place.name for place in found_paths} - {_CHECKPOINTS[0]}:
        notes.append(f"Weights of {', '.join(sorted(checkpoint_name))}.")
    if not _TRAINING.fullmatch(trainer.removesuffix("BN")):
        notes.append(f"The trainer {trainer} may change more than its plans say.")
    recipe = {"inputs": inputs, "orientation": orientation, "steps": steps,
              "windows": {"patch_voxels": patch, "overlap": 0.5, "placement": "even", "weighting": "gaussian",
                          "sigma_scale": 0.125, "mirror_axes": [int(axis) for axis in mirror], "half": True},
              "output": output, "networks": list(networks), "notes": notes}
    if previous:
        recipe["previous"] = previous.recipe
        networks, tensors = previous.networks | networks, previous.tensors | tensors
    return _Stage(name, dataset | {"name": dataset.get("name") or plans.get("dataset_name")}, names, recipe, networks,
                  tensors)


def _card(stage: _Stage, folder: Path, name: str | None) -> dict:
    """The content of card.json."""
    dataset, inputs = stage.dataset, stage.recipe["inputs"]
    dataset_name = str(dataset["name"] or folder.parent.name)
    description = str(dataset.get("description") or f"nnU-Net model for {', '.join(stage.names.values())}.")[:2000]
    terms = _line(dataset.get("licence") or dataset.get("license"))
    return {
        "id": identifier(name or f"{dataset_name}-{stage.configuration}"), "version": "1.0.0",
        "name": name or dataset_name, "task": "segmentation", "description": description, "modality": inputs,
        "labels": label_entries(stage.names), "networks": stage.networks, "recipe": stage.recipe,
        "license": {"code": "Apache-2.0 (nnU-Net)", "weights": terms},
        "source": {"name": _line(dataset.get("reference"), dataset_name), "url": "https://github.com/MIC-DKFZ/nnUNet"},
        "training": {"data": dataset_name, "data_license": terms},
        "accuracy": [], "intended_use": "What its maker states; imported from an nnU-Net folder. Research only.",
        "limits": "Unknown to MedDL: it was not measured here.",
        "citation": "F. Isensee et al., nnU-Net, Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z"}


def _channels(dataset: dict) -> list[str]:
    """What each input volume is, in the network's order: an object by number, or a list."""
    channels = dataset.get("channel_names") or dataset["modality"]
    if isinstance(channels, list):
        return [_line(name) for name in channels]
    return [_line(channels[key]) for key in sorted(channels, key=int)]


def _fold_checkpoints(folder: Path, folds: Sequence[int | str] | None, checkpoint: str | None) -> list[Path]:
    """The checkpoints of the folds that have one of that name, `folds` alone where they are given."""
    if checkpoint is not None and Path(checkpoint).name != checkpoint:
        raise ModelError(f"A checkpoint is a file name such as checkpoint_final.pth; got '{checkpoint}'.")
    wanted = sorted(folder.glob("fold_*")) if folds is None else [folder / f"fold_{fold}" for fold in folds]
    for name in _CHECKPOINTS if checkpoint is None else (checkpoint,):
        places = [place / name for place in wanted if (place / name).is_file()]
        if places and (folds is None or len(places) == len(wanted)):
            numbered = [place for place in places if place.parent.name != "fold_all"]
            return numbered or places if folds is None else places
    names = " or ".join(_CHECKPOINTS if checkpoint is None else (checkpoint,))
    there = sorted({place.name for place in folder.glob("fold_*/*.pth")})
    raise ModelError(f"'{folder.name}' lacks {', '.join(place.name for place in wanted) or 'fold_*'}/{names}"
                     + (f"; its folds hold {', '.join(there[:5])} (--checkpoint)." if there else "."))


def _own_names(weights: dict) -> dict:
    """Each parameter once: checkpoints name most of them twice, and hold scores of coarser stages for training."""
    weights = own_names(weights)
    heads = {int(key.split(".")[2]) for key in weights if key.startswith("decoder.seg_layers.")}
    kept = {}
    for key, tensor in weights.items():
        if ".all_modules." in key or key.startswith("decoder.encoder."):
            continue
        if key.startswith("decoder.seg_layers."):
            number, rest = key.removeprefix("decoder.seg_layers.").split(".", 1)
            if int(number) != max(heads):
                continue
            key = f"decoder.seg_layers.0.{rest}"
        kept[key] = tensor
    return kept


def _line(text: object, default: str = "not stated") -> str:
    return " ".join(str(text or default).split())[:200] or default
