"""What the worker process runs for a training of super-resolution; see `meddl_slicer.runs.remote`."""

import time
from dataclasses import dataclass
from pathlib import Path

from meddl.io import save
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

LOW, HIGH = "low", "high"  # folders of pairs; sharp volumes alone are high ones


@dataclass(frozen=True, eq=False)
class NamedVolume:
    """A volume in world RAS mm, and its name."""

    name: str
    volume: Volume


def train(source: str | dict[str, list[NamedVolume]], *, name: str, config, runs: str, cache: str,
          device: str = "auto", on_progress=None) -> dict:
    """`meddl.train_superres` on a folder or on volumes, into the models of a folder.

    Args:
        source: a folder; or the volumes of LOW and HIGH, of pairs in the same order, or of HIGH alone.
        name: of the model.
        config: SuperResTrainConfig.
        runs: folder for runs; the same data and configuration go on where they were stopped.
        cache: folder of the installed models.

    Returns:
        {"model": identifier, "curve": rows with step, loss and score, "report": of the run}.
    """
    from meddl.training.superres.train import train_superres

    begin = time.perf_counter()
    contents = source if isinstance(source, str) else [
        part for kind, found in sorted(source.items()) for one in found
        for part in (one.volume.data, (kind, one.name, one.volume.affine.tolist()))]
    place = Path(runs) / folder_name(contents, name, config)
    folder = Path(source) if isinstance(source, str) else _write(source, place / DATA)
    paired = all((folder / kind).is_dir() for kind in (LOW, HIGH))
    made = train_superres(None if paired else folder, folder if paired else None, out=place, name=name, config=config,
                          device=device, install=False, on_progress=Listener(on_progress))
    card = install_own(made, cache)
    rows = curve_rows(place / config.network)
    remove_copies(place)
    return {"model": card.id, "curve": rows, "report": {
        "model": card.id, "network": config.network, "seconds": {"total": time.perf_counter() - begin},
        "device": card.training.device, "gain_db": card.accuracy[0].value,
        "before_db": rows[0]["score"] if rows[0]["step"] == 0 else None, "paired": paired, "warnings": []}}


def _write(volumes: dict[str, list[NamedVolume]], folder: Path) -> Path:
    """The volumes as files: of pairs in the folders of their kinds, else in the folder itself."""
    for kind, found in volumes.items():
        place = folder / kind if len(volumes) > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        for one, name in zip(found, file_names(one.name for one in found), strict=True):
            save(one.volume, place / f"{name}.nii.gz")
    return folder
