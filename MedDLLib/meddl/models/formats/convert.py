"""From a model in the format of others to a folder that the store installs: card.json and weights.safetensors."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from meddl.core.errors import ModelError, printable
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard, parse_card
from meddl.models.formats.auto3dseg import find_auto3dseg, is_auto3dseg, read_auto3dseg
from meddl.models.formats.bundle.reader import find_bundle, read_bundle
from meddl.models.formats.imported import ImportedModel
from meddl.models.formats.network_limits import in_proportion
from meddl.models.formats.nnunet.reader import find_nnunet, read_nnunet, refuse_first_version
from meddl.models.formats.torch_file import CHECKPOINT, TORCHSCRIPT, torch_kind
from meddl.models.formats.torchscript import find_torchscript, read_torchscript
from meddl.models.store.archive import CARD_FILE, unpack_all

if TYPE_CHECKING:
    from typing import Unpack

WEIGHTS_FILE = "weights.safetensors"
_MAXIMUM_NESTING = 5
_NOTHING = ("'{}' holds no model that MedDL can import: a trained nnU-Net v2 has plans.json and dataset.json, a MONAI "
            "bundle configs/inference.json, an Auto3DSeg checkpoint its configuration, a TorchScript file a "
            "description of the same name (.json) beside it.")


class ImportChoices(TypedDict, total=False):
    """What the user may say about a model of another tool; None: as the model itself says.

    Attributes:
        identifier, name: what the model is called.
        orientation: axis codes to which volumes are turned first, such as "RAS"; see `formats.nnunet`.
        configuration: of an nnU-Net with several side by side, such as "3d_fullres".
        checkpoint: file name in each fold's folder of an nnU-Net; checkpoint_final.pth, where it is there.
        license_text: the license of the weights, where the model does not state it.
        confirmed_sha256: of a TorchScript file, which runs code and is not taken without.
    """

    identifier: str | None
    name: str | None
    orientation: str | None
    license_text: str | None
    configuration: str | None
    checkpoint: str | None
    confirmed_sha256: str | None


def convert(source: str | Path, target: str | Path, *, on_progress: ProgressCallback | None = None,
            **choices: Unpack[ImportChoices]) -> ModelCard:
    """Turn a folder, zip archive or PyTorch file of another tool into an installable model folder.

    Args:
        source: a folder, a folder above it, or a zip of one, also of zips: a trained nnU-Net v2 (with plans.json and
            dataset.json), a MONAI bundle (with configs/inference.json or .yaml), an Auto3DSeg checkpoint; or a single
            file: such a checkpoint, one of nnU-Net in its folder, or TorchScript with a description beside it.
        target: an empty folder.
        choices: see `ImportChoices`.

    Raises:
        ModelError: nothing that MedDL knows, or a part that it does not; the message names it. Nothing is executed.
    """
    source, target = Path(source), Path(target)
    if source.is_dir() or torch_kind(source) is not None:
        return _write(source, target, source.name, on_progress, **choices)
    with tempfile.TemporaryDirectory(dir=target, prefix=".unpacked-") as unpacked:
        _unpack_nested(source, Path(unpacked), span(on_progress, 0.0, 0.5))
        return _write(Path(unpacked), target, source.name, span(on_progress, 0.5, 1.0), **choices)


def _unpack_nested(archive: Path, folder: Path, on_progress: ProgressCallback | None) -> None:
    """Unpack an archive, and the archives in it as long as they show no model."""
    left = unpack_all(archive, folder, on_progress)
    for _ in range(_MAXIMUM_NESTING):
        inner = sorted(place for place in folder.rglob("*") if place.suffix.lower() == ".zip" and place.is_file())
        if not inner or _holds_model(folder):
            return
        for place in inner:
            within = place.with_suffix("")
            while within.exists():
                within = within.with_name(within.name + "_")
            within.mkdir()
            left = unpack_all(place, within, on_progress, left)
            place.unlink()


def _holds_model(folder: Path) -> bool:
    places = [folder, *folder.rglob("*")]
    return any((place / name).is_file() for place in places if place.is_dir()
               for name in ("plans.json", "plans.pkl", "configs/inference.json", "configs/inference.yaml",
                            "configs/inference.yml")) or any(map(is_auto3dseg, folder.rglob("*.pt")))


def _write(source: Path, target: Path, shown: str, on_progress: ProgressCallback | None, *,
           identifier: str | None = None, license_text: str | None = None, **choices: str | None) -> ModelCard:
    report(on_progress, 0.0, "Reading the model")
    model = read_foreign(source, shown=shown, **choices)
    card = _printable(dict(model.card))
    if identifier is not None:
        card["id"] = identifier
    if license_text is not None:
        card["license"] = card["license"] | {"weights": license_text}
    report(on_progress, 0.4, "Checking the weights")
    _check_weights(card, model)
    report(on_progress, 0.7, "Writing the weights")
    from meddl.models.weights import save_weights

    card["weights"] = save_weights(model.tensors, target / WEIGHTS_FILE)
    parsed = parse_card(card, f"of '{shown}'", require_schema=True)
    (target / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
    report(on_progress, 1.0, "Imported")
    return parsed


def read_foreign(source: Path, *, name: str | None = None, orientation: str | None = None,
                 confirmed_sha256: str | None = None, configuration: str | None = None, checkpoint: str | None = None,
                 shown: str | None = None) -> ImportedModel:
    """The model in a folder or PyTorch file, by whichever importer knows its content; raises as `convert`."""
    fold, own_checkpoint = _nnunet_fold(source)
    if fold is not None:
        return read_nnunet(fold.parent, name=name, orientation=orientation, folds=(fold.name.removeprefix("fold_"),),
                           checkpoint=checkpoint or own_checkpoint)
    if source.is_dir():
        if (place := find_nnunet(source, configuration)) is not None:
            return read_nnunet(place, name=name, orientation=orientation, checkpoint=checkpoint)
        for find, read in ((find_bundle, read_bundle), (find_auto3dseg, read_auto3dseg)):
            if (place := find(source)) is not None:
                return read(place, name=name, orientation=orientation)
        refuse_first_version(source)
        source = find_torchscript(source) or source
    kind = torch_kind(source) if source.is_file() else None
    if kind == TORCHSCRIPT:
        return read_torchscript(source, confirmed_sha256, name=name, orientation=orientation)
    if kind == CHECKPOINT:
        return read_auto3dseg(source, name=name, orientation=orientation)
    raise ModelError(_NOTHING.format(shown or source.name))


def _nnunet_fold(source: Path) -> tuple[Path | None, str | None]:
    """The fold's folder, and the checkpoint's name or None, where `source` is such a folder or such a checkpoint."""
    source = source.resolve()
    for fold, checkpoint in ((source, None), (source.parent, source.name)):
        if fold.name.startswith("fold_") and (fold.parent / "plans.json").is_file() and (
                source.is_dir() if checkpoint is None else source.suffix == ".pth"):
            return fold, checkpoint
    return None, None


def _printable(content: Any) -> Any:
    """The same with texts that can be shown: what others write may hold control characters."""
    if isinstance(content, dict):
        return {key: _printable(part) for key, part in content.items()}
    if isinstance(content, (list, tuple)):
        return [_printable(part) for part in content]
    return printable(content) if isinstance(content, str) else content


def _check_weights(card: dict, model: ImportedModel) -> None:
    """Build every network once, so that weights that do not fit are found at import, not at the first run."""
    from meddl.models.weights import load_into
    from meddl.networks import build_network

    for name, spec in card["networks"].items():
        own = {key.removeprefix(f"{name}."): tensor for key, tensor in model.tensors.items()
               if key.startswith(f"{name}.")}
        with in_proportion(own):
            network = build_network(spec["architecture"], dict(spec["arguments"]))
        load_into(network, own)
