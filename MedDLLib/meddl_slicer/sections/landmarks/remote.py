"""What the worker process runs for a model of landmarks of one's own; see `meddl_slicer.runs.remote`."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from meddl.spatial.points import Boxes, Points
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

IMAGES, POINTS = "images", "points"  # folders of a data set, where it has them


@dataclass(frozen=True, eq=False)
class MarkedVolume:
    """A volume in world RAS mm with its points and boxes, its name and patient ("": by its name)."""

    name: str
    volume: Volume
    points: Points
    boxes: Boxes
    patient: str


def train(source: str | list[MarkedVolume], *, name: str, config, runs: str, cache: str, device: str = "auto",
          on_progress=None) -> dict:
    """`meddl.train_landmarks` on a folder or volumes, into the models of a folder.

    Args:
        source: a folder with the folders images and points, or with both in it; or volumes.
        name: of the model.
        config: LandmarkTrainConfig.
        runs: folder for runs; the same data and configuration go on where they were stopped.
        cache: folder of the installed models.

    Returns:
        {"model": identifier, "curve": rows with step, loss and score, the mean error in mm, "figures": rows with the
        fields of `LandmarkFigures`, "report": of the run}.
    """
    from meddl.training.supervised.landmarks.train import train_landmarks

    begin = time.perf_counter()
    contents = source if isinstance(source, str) else [
        part for one in source for part in (one.volume.data, one.points.positions, one.boxes.centers, one.boxes.sizes, (
            one.name, one.points.labels, one.boxes.labels, one.patient, one.volume.affine.tolist()))]
    place = Path(runs) / folder_name(contents, name, config)
    folders = _folders_of(Path(source)) if isinstance(source, str) else _write(source, place / DATA)
    found = train_landmarks(*folders, out=place, name=name, config=config, device=device, install=False,
                            on_progress=Listener(on_progress))
    card = install_own(found.folder, cache)
    rows = [row | {"score": -row["score"]} for row in curve_rows(place)]
    remove_copies(place)
    figures = [asdict(one) for one in found.validation.figures]
    return {"model": card.id, "curve": rows, "figures": figures, "report": {
        "model": card.id, "seconds": {"total": time.perf_counter() - begin}, "device": card.training.device,
        "cases": len(found.training), "held_out": len(found.validation.cases), "error": figures[0], "warnings": [
            f"{one.case + ': ' if one.case else ''}{one.text}" for one in found.inspection.findings]}}


def _folders_of(folder: Path) -> tuple[Path, Path]:
    """Where a data set has its volumes and its markups."""
    both = folder / IMAGES, folder / POINTS
    return both if all(one.is_dir() for one in both) else (folder, folder)


def _write(volumes: list[MarkedVolume], folder: Path) -> tuple[Path, Path]:
    """The volumes and their markups as files, whose names begin with the patients'."""
    from meddl.io import save
    from meddl.io.points import save_points

    folders = folder / IMAGES, folder / POINTS
    for one in folders:
        one.mkdir(parents=True, exist_ok=True)
    names = file_names(f"{one.patient}_ses-{one.name}" if one.patient else one.name for one in volumes)
    for volume, name in zip(volumes, names, strict=True):
        save(volume.volume, folders[0] / f"{name}.nii.gz")
        save_points(volume.points, folders[1] / f"{name}.mrk.json", boxes=volume.boxes)
    return folders
