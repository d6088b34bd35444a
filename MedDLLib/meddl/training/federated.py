"""Federated averaging: several sites train one model, and exchange files of weights alone.

B. McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017,
arXiv:1602.05629. One site starts with a common model; each site trains it on its own cases and gives its weights with
the number of these cases; their weighted mean is the common model of the next round. There is no server: files go by
any way that the sites like.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from meddl.core.config import check_config
from meddl.core.device import free_memory_bytes, select_device
from meddl.core.errors import InputError, ModelError
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, load_card, parse_card
from meddl.models.formats.imported import identifier
from meddl.models.formats.safetensors_header import read_safetensors_header
from meddl.models.store.archive import CARD_FILE
from meddl.models.weights import load_into, load_weights, save_weights
from meddl.networks import build_network
from meddl.training.config import TrainConfig
from meddl.training.start import StartModel
from meddl.training.supervised.data.case_card import WEIGHTS
from meddl.training.supervised.data.inspection import Inspection
from meddl.training.supervised.export import TrainingRecord, card_content
from meddl.training.supervised.plan import NETWORK, make_plan
from meddl.training.supervised.train import TrainedModel, check_data, train_inspected

_KIND = "MedDL contribution 1"
_MOST_CASES = 10**9
_KEPT = ("id", "version", "name", "task", "modality", "labels", "recipe", "networks", "license", "source",
         "intended_use", "limits", "citation")


@dataclass(frozen=True)
class Contribution:
    """What a site gives: nothing else is in its file.

    Attributes:
        path: the safetensors file with the weights.
        cases: how many they were trained on.
        base: SHA-256 of the weights of the common model that they were trained from.
        agreement: SHA-256 of network, structures and preprocessing.
    """

    path: Path
    cases: int
    base: str
    agreement: str


def start_federation(out: str | Path, images: str | Path | None = None, labels: str | Path | None = None, *,
                     model: str | Path | None = None, name: str = "common model", config: TrainConfig | None = None,
                     on_progress: ProgressCallback | None = None) -> ModelCard:
    """Write the common model of the first round: a model's network and weights, or a plan for a data set and random
    weights.

    Args:
        out: a new folder, for all sites.
        images, labels: the data set, as of `meddl.train`.
        model: instead of a data set: identifier of an installed model, or its folder.

    What the folder states of a site's data: structures, voxel size, patch, and the range of intensities of CT.

    Raises:
        InputError: neither or both are given, the folder is not empty, or the data set has errors.
        ModelNotFoundError, ModelError: the model cannot be used.
    """
    if (images is None) == (model is None):
        raise InputError("A federation starts with a data set (--images and --labels, or --data) or with a model "
                         "(--from).")
    config = check_config(config, TrainConfig)
    folder = _new_folder(out)
    if model is not None:
        start = StartModel(model)
        if start.card.recipe is None or len(start.card.networks) != 1:
            raise ModelError(f"'{start.card.id}' cannot be shared so: it is no model of one network with a recipe.")
        content = json.loads((start.folder / CARD_FILE).read_text(encoding="utf-8"))
        tensors = load_weights(start.folder / start.card.own_weights.file)
        return _write_common(folder, content, tensors, "as of the model that the federation began with")
    assert images is not None
    inspection = check_data(images, labels, config, on_progress)
    if inspection.errors:
        raise InputError(f"The data set has errors: {' '.join(one.text for one in inspection.errors[:5])}")
    where = select_device("cpu")
    plan = make_plan(inspection, config, "cpu", free_memory_bytes(where))
    torch.manual_seed(config.seed)
    weights = build_network(plan.architecture, dict(plan.arguments)).state_dict()
    record = TrainingRecord(identifier(name), name, config.license, (), (), 0, 0.0, "", "")
    return _write_common(folder, card_content(plan, inspection, record),
                         {f"{NETWORK}.{key}": tensor for key, tensor in weights.items()}, "none yet: random weights")


def contribute(common: str | Path, images: str | Path, labels: str | Path | None = None, *, work: str | Path,
               out: str | Path, config: TrainConfig | None = None, device: str = "auto",
               on_progress: ProgressCallback | None = None) -> tuple[Contribution, TrainedModel]:
    """Train the common model on this site's cases and write the file that the site gives.

    Args:
        common: folder of the common model.
        images, labels: the site's data set, as of `meddl.train`.
        work: folder of the training, which stays at the site; an unfinished one there is resumed.
        out: the file to give, `.safetensors`.

    Raises:
        InputError: errors in the data set, or other structures than the common model's.
        ModelError: the common model cannot be trained.
        Cancelled: from `on_progress`; the next call resumes.
    """
    folder, target = Path(common).expanduser(), Path(out).expanduser()
    if target.suffix != ".safetensors":
        raise InputError(f"A contribution is a .safetensors file; got '{target.name}'.")
    config = replace(check_config(config, TrainConfig), start=str(folder))
    card = load_card(folder / CARD_FILE)
    inspection = check_data(images, labels, config, span(on_progress, 0.0, 0.05))
    _check_structures(card, inspection)
    trained = train_inspected(inspection, out=work, name=card.name, config=config, device=device, install=False,
                              on_progress=span(on_progress, 0.05, 1.0))
    (common_part,), (own_part,) = card.networks, trained.card.networks
    weights = load_weights(trained.folder / trained.card.own_weights.file)
    tensors = {f"{common_part}.{name.removeprefix(f'{own_part}.')}": tensor for name, tensor in weights.items()}
    contribution = Contribution(target, len(trained.training), card.own_weights.sha256, _agreement(card))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights(tensors, target, {"kind": _KIND, "cases": str(contribution.cases), "base": contribution.base,
                                   "agreement": contribution.agreement})
    return contribution, trained


def read_contribution(path: str | Path) -> Contribution:
    """What a contribution states of itself.

    Raises:
        ModelError: it is none.
    """
    place = Path(path).expanduser()
    stated = read_safetensors_header(place).get("__metadata__", {})
    try:
        cases = int(stated["cases"])
        if stated["kind"] != _KIND or not 1 <= cases <= _MOST_CASES:
            raise ValueError
        return Contribution(place, cases, stated["base"], stated["agreement"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"'{place.name}' is no contribution to a federation, as `meddl federate contribute` writes "
                         "it.") from error


def merge_contributions(common: str | Path, contributions: Sequence[str | Path], out: str | Path,
                        on_progress: ProgressCallback | None = None) -> ModelCard:
    """Write the common model of the next round: the mean of the contributions' weights, weighted by their cases.

    Args:
        common: folder of the model that they were trained from.
        out: a new folder.

    Raises:
        InputError: no contribution, one of them twice, or the folder is not empty.
        ModelError: one is damaged, or of another model, round, network or set of structures; nothing is written.
    """
    folder = Path(common).expanduser()
    card = load_card(folder / CARD_FILE)
    if not contributions:
        raise InputError("Give at least one contribution.")
    found = [read_contribution(path) for path in contributions]
    total = sum(one.cases for one in found)
    base = load_weights(folder / card.own_weights.file)
    sums = {name: torch.zeros(tensor.shape, dtype=torch.float64) for name, tensor in base.items()
            if tensor.is_floating_point()}
    network = _network(card, base)
    read: dict[str, str] = {}
    for number, one in enumerate(found):
        report(on_progress, number / len(found), f"Merging {one.path.name}")
        _check_fits(one, card)
        tensors = load_weights(one.path)
        digest = hashlib.sha256(one.path.read_bytes()).hexdigest()
        if digest in read:
            raise InputError(f"'{one.path.name}' and '{read[digest]}' are the same contribution.")
        read[digest] = one.path.name
        try:
            load_into(network, _of_network(card, tensors))
        except ModelError as error:
            raise ModelError(f"'{one.path.name}' does not fit the common model. {error}") from error
        for name, total_of in sums.items():
            total_of += tensors[name].double() * (one.cases / total)
    merged = {name: sums[name].to(tensor.dtype) if name in sums else tensor for name, tensor in base.items()}
    content = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    sites = "1 site" if len(found) == 1 else f"{len(found)} sites"
    return _write_common(_new_folder(out), content, merged, f"{total} cases of {sites}, federated averaging")


def _check_structures(card: ModelCard, inspection: Inspection) -> None:
    structures = inspection.structures
    ours = list(zip(structures.values, structures.names, strict=True))
    theirs = [(label.value, label.name) for label in card.labels]
    if ours != theirs:
        texts = [", ".join(f"{value} {name}" for value, name in one) or "none" for one in (ours, theirs)]
        raise InputError(f"The structures of this data set are {texts[0]}; those of the common model are {texts[1]}. "
                         "All sites of a federation have the same, in names and values.")


def _check_fits(one: Contribution, card: ModelCard) -> None:
    """Raise ModelError where a contribution is of another federation or round."""
    if one.agreement != _agreement(card):
        raise ModelError(f"'{one.path.name}' is of another network, or of other structures or preprocessing, than the "
                         "common model.")
    if one.base != card.own_weights.sha256:
        raise ModelError(f"'{one.path.name}' was not trained from this common model: it is of another round.")


def _agreement(card: ModelCard) -> str:
    """SHA-256 of what all sites have in common."""
    networks = {name: [spec.architecture, spec.arguments] for name, spec in card.networks.items()}
    labels = [[label.value, label.name] for label in card.labels]
    text = json.dumps([networks, labels, repr(card.recipe)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _network(card: ModelCard, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    (spec,) = card.networks.values()
    network = build_network(spec.architecture, dict(spec.arguments))
    load_into(network, _of_network(card, tensors))
    return network


def _of_network(card: ModelCard, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights by their names in the network; what is not of it keeps its name, and is found to be too much."""
    (part,) = card.networks
    return {name.removeprefix(f"{part}."): tensor for name, tensor in tensors.items()}


def _new_folder(out: str | Path) -> Path:
    folder = Path(out).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"'{folder}' is there already. Give a new or an empty folder.")
    return folder


def _write_common(folder: Path, content: dict, tensors: dict[str, torch.Tensor], data: str) -> ModelCard:
    """Card and weights of a common model; of the card of a site only what all need to train."""
    folder.mkdir(parents=True, exist_ok=True)
    stated = save_weights(tensors, folder / WEIGHTS)
    names = ", ".join(label["name"] for label in content["labels"])
    card = {key: content[key] for key in _KEPT if key in content} | {
        "weights": stated, "accuracy": [], "training": {"data": data, "data_license": "as of the sites' data sets"},
        "description": f"{names}, trained by several sites.",
        "limits": "It was not measured: measure it on cases of your own (meddl evaluate segmentation)."}
    parsed = parse_card(card, f"of '{content['id']}'")
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return parsed
