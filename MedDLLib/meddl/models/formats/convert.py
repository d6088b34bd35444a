"""From a model in the format of others to a folder that the store installs: card.json and weights.safetensors."""

import json
import tempfile
from pathlib import Path

from meddl.errors import ModelError
from meddl.models.archive import CARD_FILE, unpack_all
from meddl.models.cards import ModelCard, parse_card
from meddl.models.formats.bundle import find_bundle, read_bundle
from meddl.models.formats.imported import ImportedModel
from meddl.models.formats.nnunet import find_nnunet, read_nnunet
from meddl.progress import ProgressCallback, report, span

WEIGHTS_FILE = "weights.safetensors"


def convert(source: str | Path, target: str | Path, *, identifier: str | None = None, name: str | None = None,
            orientation: str | None = None, license_text: str | None = None,
            on_progress: ProgressCallback | None = None) -> ModelCard:
    """Turn a folder or zip archive of another tool into an installable model folder.

    Args:
        source: a trained nnU-Net v2 folder (with plans.json and dataset.json), a folder above it, or a zip of one.
        target: an empty folder.
        identifier, name: what the model is called; from the model itself where None.
        orientation: axis codes to which volumes are turned first, such as "RAS"; see `formats.nnunet`.
        license_text: the license of the weights, where the model does not state it.

    Raises:
        ModelError: nothing that MedDL knows, or a part that it does not; the message names it. Nothing is executed.
    """
    source, target = Path(source), Path(target)
    if source.is_dir():
        return _convert_folder(source, target, identifier, name, orientation, license_text, on_progress)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacked-") as unpacked:
        unpack_all(source, Path(unpacked), span(on_progress, 0.0, 0.5))
        return _convert_folder(Path(unpacked), target, identifier, name, orientation, license_text,
                               span(on_progress, 0.5, 1.0), shown=source.name)


def _convert_folder(folder, target, identifier, name, orientation, license_text, on_progress, shown=None) -> ModelCard:
    report(on_progress, 0.0, "Reading the model")
    model = read_foreign(folder, name=name, orientation=orientation, shown=shown)
    card = dict(model.card)
    if identifier is not None:
        card["id"] = identifier
    if license_text is not None:
        card["license"] = card["license"] | {"weights": license_text}
    report(on_progress, 0.4, "Checking the weights")
    _check_weights(card, model)
    report(on_progress, 0.7, "Writing the weights")
    from meddl.models.weights import save_weights

    card["weights"] = save_weights(model.tensors, target / WEIGHTS_FILE)
    parsed = parse_card(card, f"of '{shown or folder.name}'", require_schema=True)
    (target / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
    report(on_progress, 1.0, "Imported")
    return parsed


def read_foreign(folder: Path, *, name: str | None = None, orientation: str | None = None,
                 shown: str | None = None) -> ImportedModel:
    """The model in a folder, by whichever importer knows it; raises as `convert`."""
    for find, read in ((find_nnunet, read_nnunet), (find_bundle, read_bundle)):
        if (place := find(folder)) is not None:
            return read(place, name=name, orientation=orientation)
    raise ModelError(f"'{shown or folder}' holds no model that MedDL can import: a trained nnU-Net v2 has plans.json "
                     "and dataset.json, a MONAI bundle configs/inference.json.")


def _check_weights(card: dict, model: ImportedModel) -> None:
    """Build every network once, so that weights that do not fit are found at import, not at the first run."""
    from meddl.models.weights import load_into
    from meddl.networks import build_network

    for name, spec in card["networks"].items():
        network = build_network(spec["architecture"], dict(spec["arguments"]))
        load_into(network, {key.removeprefix(f"{name}."): tensor for key, tensor in model.tensors.items()
                            if key.startswith(f"{name}.")})
