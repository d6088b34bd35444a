"""What the worker process runs for classification; see `meddl_slicer.runs.remote`."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path

from meddl.spatial.volume import Volume
from meddl.training.supervised.run_record import install_own
from meddl_slicer.sections.training.run_folder import (
    DATA,
    Listener,
    curve_rows,
    file_names,
    folder_name,
    remove_copies,
)


@dataclass(frozen=True, eq=False)
class ClassifiedVolume:
    """A volume in world RAS mm, its name, class and patient ("": by its name)."""

    name: str
    volume: Volume
    label: str
    patient: str


def classify(volume: Volume, model: str, *, device: str = "auto", on_progress=None):
    """`meddl.classify`."""
    from meddl.classification.classify import classify as run

    return run(volume, model, device=device)


def train(source: str | list[ClassifiedVolume], *, name: str, config, runs: str, cache: str, device: str = "auto",
          on_progress=None) -> dict:
    """`meddl.train_classifier` on a folder, a table or volumes, into the models of a folder.

    Args:
        source: the place on disk, or volumes.
        name: of the model.
        config: ClassifierTrainConfig.
        runs: folder for runs; the same data and configuration go on where they were stopped.
        cache: folder of the installed models.

    Returns:
        {"model": identifier, "curve": rows with step, loss and score, "classes", "confusion" (true class, class
        found), "figures": {class: {figure: (value, interval)}}, "report": of the run}.
    """
    from meddl.measures.classification import ALL
    from meddl.training.supervised.classification.train import train_classifier

    begin = time.perf_counter()
    contents = source if isinstance(source, str) else [
        part for one in source for part in (one.volume.data, (one.name, one.label, one.patient,
                                                              one.volume.affine.tolist()))]
    place = Path(runs) / folder_name(contents, name, config)
    data = Path(source) if isinstance(source, str) else _write(source, place / DATA)
    found = train_classifier(data, out=place, name=name, config=config, device=device, install=False,
                             on_progress=Listener(on_progress))
    card = install_own(found.folder, cache)
    rows = curve_rows(place)
    remove_copies(place)
    measured = found.validation.figures
    figures: dict[str, dict] = {}
    for one in measured.figures:
        figures.setdefault(one.subject, {})[one.name] = one.value, one.interval
    return {"model": card.id, "curve": rows, "classes": measured.classes, "confusion": measured.confusion.tolist(),
            "figures": figures, "report": {
                "model": card.id, "seconds": {"total": time.perf_counter() - begin}, "device": card.training.device,
                "cases": len(found.training), "held_out": len(found.validation.cases),
                "patients": found.validation.patients, "accuracy": figures[ALL]["accuracy"], "warnings": [
                    f"{one.case + ': ' if one.case else ''}{one.text}" for one in found.inspection.findings]}}


def _write(volumes: list[ClassifiedVolume], folder: Path) -> Path:
    """The volumes as files, with a table of their classes and patients."""
    from meddl.io import save

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "classes.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "class", "patient"])
        for one, name in zip(volumes, file_names(one.name for one in volumes), strict=True):
            save(one.volume, folder / f"{name}.nii.gz")
            writer.writerow([f"{name}.nii.gz", one.label, one.patient])
    return folder / "classes.csv"
