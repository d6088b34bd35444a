"""What the worker process runs for a training; see `meddl_slicer.runs.remote`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.results import Segment, Segmentation
from meddl.spatial.volume import Volume
from meddl.training.supervised.run_record import install_own
from meddl_slicer.sections.comparison.remote import Layers
from meddl_slicer.sections.training.run_folder import (
    DATA,
    Listener,
    curve_rows,
    file_names,
    folder_name,
    remove_copies,
)


@dataclass(frozen=True, eq=False)
class Pair:
    """A volume and the segments painted in it.

    Attributes:
        name: of the volume.
        volume: in world RAS mm.
        labels: in world RAS mm, to lie on the volume's grid.
    """

    name: str
    volume: Volume
    labels: Layers


def train(source: str | list[Pair], *, name: str, config, structures: Sequence[str], runs: str, cache: str,
          device: str = "auto", on_progress=None) -> dict:
    """`meddl.train` on a folder or on pairs, into the models of a folder.

    Args:
        source: the folder of a data set, or pairs.
        name: of the model.
        config: TrainConfig.
        structures: names of the segments of pairs to learn; all where there are none.
        runs: folder for runs; the same data and configuration go on where they were stopped.
        cache: folder of the installed models.

    Returns:
        {"model": identifier, "curve": rows with step, loss and score, "report": of the run}.

    Raises:
        InputError: beside those of `meddl.train`, no pair has one of the structures.
    """
    from meddl.models.store.store import ModelStore
    from meddl.training.supervised.train import train as run

    started = None if config.continue_from is None else ModelStore(cache=cache).card(config.continue_from)
    weights = "" if started is None else started.own_weights.sha256  # a further round is another training
    place = Path(runs) / folder_name(source if isinstance(source, str) else _contents(source), name, config,
                                     (tuple(structures), weights))
    if not isinstance(source, str):
        _write(source, structures, place / DATA)
    found = run(source if isinstance(source, str) else place / DATA, out=place, name=name, config=config,
                device=device, install=False, on_progress=Listener(on_progress))
    card = install_own(found.folder, cache)
    rows = curve_rows(place)
    remove_copies(place)
    figures = [entry.value for entry in card.accuracy]
    return {"model": card.id, "curve": rows, "report": {
        "model": card.id, "seconds": {"total": 3600 * (card.training.hours or 0.0)}, "device": card.training.device,
        "mean_dice": float(np.mean(figures)) if figures else None, "cases": len(found.training),
        "held_out": list(found.held_out), "rounds": [
            {"cases": count, "dice": dice} for count, dice in
            zip(card.training.round_cases, card.training.round_dice)], "warnings": [
            f"{one.case + ': ' if one.case else ''}{one.text}" for one in found.inspection.findings]}}


def _contents(pairs: list[Pair]):
    """What distinguishes pairs from others."""
    for pair in pairs:
        yield from (pair.volume.data, *(layer.labels for layer in pair.labels.layers))
        yield pair.name, pair.volume.affine.tolist(), [[(one.value, one.name) for one in layer.segments]
                                                       for layer in pair.labels.layers]


def _write(pairs: list[Pair], structures: Sequence[str], folder: Path) -> None:
    """`images` and `labels` of pairs with these structures; all where there are none."""
    wanted = {one.casefold() for one in structures}
    if not write_pairs(pairs, lambda one: one.value if not wanted or one.name.casefold() in wanted else 0, folder):
        raise InputError(f"No segmentation has a segment named {' or '.join(structures)}. Check the structures.")


def write_pairs(pairs: list[Pair], value_of: Callable[[Segment], int], folder: Path) -> bool:
    """Write `images` and `labels` of pairs, under their names; returns whether any segment is among them.

    Args:
        value_of: of a segment its value there; 0 leaves it out.
    """
    from meddl.io import save, save_segmentation

    any_found = False
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for pair, name in zip(pairs, file_names(pair.name for pair in pairs), strict=True):
        merged = pair.labels.merge()
        kept = [(one.value, replace(one, value=value)) for one in merged.segments if (value := value_of(one))]
        labels = np.zeros_like(merged.labels)
        for before, one in kept:
            labels[merged.labels == before] = one.value
        any_found |= bool(kept)
        save(pair.volume, folder / "images" / f"{name}.nii.gz")
        save_segmentation(Segmentation(labels, merged.affine, tuple(one for _, one in kept)),
                          folder / "labels" / f"{name}.seg.nrrd")
    return any_found
