"""What the worker process runs for a smaller model; see `meddl_slicer.runs.remote`."""

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from meddl.core.errors import InputError
from meddl_slicer.sections.training.remote import Pair, write_pairs
from meddl_slicer.sections.training.run_folder import Listener

IMAGES, LABELS = "images", "labels"  # folders of a data set, where it has them


def shrink(source: str | list[Pair], *, model: str, name: str, config, cache: str, device: str = "auto",
           on_progress=None) -> dict:
    """`meddl.shrink_model` on a folder or on pairs, within the models of a folder.

    Args:
        source: a folder of volumes, or with the folders images and labels; or pairs, whose segments are those
            structures of the model that have their names.
        model: identifier of the large model.
        name: of the small one.
        config: ShrinkConfig.
        cache: folder of the installed models.

    Returns:
        {"rows": (name, before, after) of each figure, "curve": rows with step, loss and score, "report": of the run}.
        Its "model" is None where the small model was not fast or accurate enough; "reading" says why.

    Raises:
        InputError: beside those of `meddl.shrink_model`, no segment has the name of a structure.
    """
    from meddl.compression.figures import as_rows, in_words
    from meddl.compression.shrink import ShrinkRefusal, shrink_model
    from meddl.core.device import describe, select_device
    from meddl.models.store.store import ModelStore

    begin, store, listener = time.perf_counter(), ModelStore(cache=cache), _Recorder(on_progress)
    with tempfile.TemporaryDirectory(prefix="meddl-") as place:
        volumes, labels = _folders_of(Path(source)) if isinstance(source, str) else _write(
            source, {one.name.casefold(): one.value for one in store.card(model).labels}, Path(place))
        try:
            found = shrink_model(model, volumes, labels, name=name, config=config, device=device, store=store,
                                 on_progress=listener)
            made, figures, notes, reading = found.card.id, found.figures, found.notes, in_words(found.figures)
        except ShrinkRefusal as refusal:
            made, figures, notes, reading = None, refusal.figures, (), [str(refusal)]
    return {"rows": as_rows(figures), "curve": listener.rows, "report": {
        "model": made, "large_model": model, "reading": " ".join(reading), "warnings": list(notes), "figures": figures,
        "seconds": {"total": time.perf_counter() - begin}, "device": describe(select_device(device))}}


class _Recorder(Listener):
    """A callback that keeps the validations of the distillation, too."""

    def __init__(self, whole):
        super().__init__(whole)
        self.rows: list[dict] = []

    def preview(self, figures) -> None:
        self.rows.append({key: value for key, value in asdict(figures).items() if key in ("step", "loss", "score")})
        super().preview(figures)


def _folders_of(folder: Path) -> tuple[Path, Path | None]:
    """Where a data set has its volumes, and its label maps if there are any."""
    if (folder / IMAGES).is_dir():
        return folder / IMAGES, folder / LABELS if (folder / LABELS).is_dir() else None
    return folder, None


def _write(pairs: list[Pair], values: dict[str, int], folder: Path) -> tuple[Path, Path]:
    """The volumes and label maps of pairs, with the model's values."""
    if not write_pairs(pairs, lambda segment: values.get(segment.name.casefold(), 0), folder):
        raise InputError(f"No segment has the name of a structure of the model: {', '.join(values)}.")
    return folder / IMAGES, folder / LABELS
