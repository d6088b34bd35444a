"""What the worker process runs for a training; see `meddl_slicer.runs.remote`."""

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import early_stop_of, listener_of, report
from meddl.results import Segmentation
from meddl.spatial.volume import Volume
from meddl_slicer.sections.comparison.remote import Layers

_DIGITS = 12  # of a hash, in the name of the folder of a run


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
    from meddl.training.log import TrainingLog
    from meddl.training.supervised.train import train as run

    started = None if config.continue_from is None else ModelStore(cache=cache).card(config.continue_from)
    place = Path(runs) / _folder_name(source, name, config, structures, started)
    if not isinstance(source, str):
        _write(source, structures, place / "data")
    found = run(source if isinstance(source, str) else place / "data", out=place, name=name, config=config,
                device=device, install=False, on_progress=_Listener(on_progress))
    store = ModelStore(cache=cache)
    card = store.install(found.folder)
    store.accept_license(card.id)  # it is the user's own
    curves = TrainingLog(place, ("step", "loss", "score")).curves()
    rows = [{"step": step, "loss": loss, "score": score} for step, loss, score in
            zip(curves["loss"][0], curves["loss"][1], curves["score"][1], strict=True)]
    for copy in ("cases", "data"):  # what the model was trained on stays where the user has it, and nowhere else
        shutil.rmtree(place / copy, ignore_errors=True)
    figures = [entry.value for entry in card.accuracy]
    return {"model": card.id, "curve": rows, "report": {
        "model": card.id, "seconds": {"total": 3600 * (card.training.hours or 0.0)}, "device": card.training.device,
        "mean_dice": float(np.mean(figures)) if figures else None, "cases": len(found.training),
        "held_out": list(found.held_out), "rounds": [
            {"cases": count, "dice": dice} for count, dice in
            zip(card.training.round_cases, card.training.round_dice)], "warnings": [
            f"{one.case + ': ' if one.case else ''}{one.text}" for one in found.inspection.findings]}}


class _Listener:
    """A callback whose previews are plain numbers, which need no torch to be read."""

    def __init__(self, whole):
        self._whole, self._show = whole, listener_of(whole)
        self.should_stop = early_stop_of(whole)

    def __call__(self, fraction: float, message: str) -> None:
        report(self._whole, fraction, message)

    def preview(self, figures) -> None:
        if self._show is not None:
            self._show(asdict(figures))


def _folder_name(source, name: str, config, structures: Sequence[str], started) -> str:
    """A folder of its own for each data set and configuration, and of a further round for the model that it goes on
    from; the length of a training does not count."""
    digest = hashlib.sha256()
    options = {key: value for key, value in asdict(config).items() if key not in ("minutes", "steps", "patience",
                                                                                  "license", "leave_out")}
    weights = "" if started is None else started.own_weights.sha256
    digest.update(repr((name, sorted(options.items()), tuple(structures), weights)).encode())
    if isinstance(source, str):
        digest.update(repr(sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns)
                                  for path in Path(source).rglob("*") if path.is_file())).encode())
    else:
        for pair in source:
            for array in (pair.volume.data, *(layer.labels for layer in pair.labels.layers)):
                digest.update(np.ascontiguousarray(array).tobytes())
            digest.update(repr((pair.name, pair.volume.affine.tolist(), [
                [(one.value, one.name) for one in layer.segments] for layer in pair.labels.layers])).encode())
    return digest.hexdigest()[:_DIGITS]


def _write(pairs: list[Pair], structures: Sequence[str], folder: Path) -> None:
    """`images` and `labels` of pairs, under their names."""
    from meddl.io import save, save_segmentation

    wanted = {one.casefold() for one in structures}
    used, any_found = set(), False
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        merged = pair.labels.merge()
        kept = tuple(one for one in merged.segments if not wanted or one.name.casefold() in wanted)
        any_found |= bool(kept)
        labels = np.where(np.isin(merged.labels, [one.value for one in kept]), merged.labels, 0)
        name = base = re.sub(r"[^\w.-]+", "_", pair.name) or "volume"
        number = 1
        while name in used:
            number += 1
            name = f"{base}_{number}"
        used.add(name)
        save(pair.volume, folder / "images" / f"{name}.nii.gz")
        save_segmentation(Segmentation(labels, merged.affine, kept), folder / "labels" / f"{name}.seg.nrrd")
    if not any_found:
        raise InputError(f"No segmentation has a segment named {' or '.join(structures)}. Check the structures.")
