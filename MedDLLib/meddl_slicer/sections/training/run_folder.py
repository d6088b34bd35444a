"""The folder of a training in the worker process: by which it is resumed, and what its end leaves in it."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from meddl.core.progress import early_stop_of, listener_of, report
from meddl.training.log import TrainingLog
from meddl.training.supervised.run_record import OF_LENGTH

DATA = "data"      # copies of what a training learns from, while it runs
_COPIES = (DATA, "cases")
_DIGITS = 12       # of a hash, in the name of the folder


class Listener:
    """A callback whose previews are plain numbers, which need no torch to be read."""

    def __init__(self, whole):
        self._whole, self._show = whole, listener_of(whole)
        self.should_stop = early_stop_of(whole)

    def __call__(self, fraction: float, message: str) -> None:
        report(self._whole, fraction, message)

    def preview(self, figures) -> None:
        if self._show is not None:
            self._show(asdict(figures))


def folder_name(source: str | Iterable, name: str, config, more: Sequence = ()) -> str:
    """A folder of its own for each data set and configuration; the length of a training does not count.

    Args:
        source: the folder of a data set; or arrays, and what `repr` tells apart.
        more: what else makes another training.
    """
    digest = hashlib.sha256()
    options = {key: value for key, value in asdict(config).items() if key not in OF_LENGTH}
    digest.update(repr((name, sorted(options.items()), *more)).encode())
    if isinstance(source, str):
        digest.update(repr(sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns)
                                  for path in Path(source).rglob("*") if path.is_file())).encode())
    else:
        for one in source:
            digest.update(np.ascontiguousarray(one).tobytes() if isinstance(one, np.ndarray) else repr(one).encode())
    return digest.hexdigest()[:_DIGITS]


def file_names(names: Iterable[str]) -> list[str]:
    """Names of files for names of nodes, each another one."""
    found: list[str] = []
    for one in names:
        name = base = re.sub(r"[^\w.-]+", "_", one) or "volume"
        number = 1
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found.append(name)
    return found


def curve_rows(folder: Path) -> list[dict]:
    """The validations of the log in a folder: step, loss, score."""
    curves = TrainingLog(folder, ("step", "loss", "score")).curves()
    return [{"step": step, "loss": loss, "score": score} for step, loss, score in
            zip(curves["loss"][0], curves["loss"][1], curves["score"][1], strict=True)]


def remove_copies(folder: Path) -> None:
    """What a model was trained on stays where the user has it, and nowhere else."""
    for copy in _COPIES:
        shutil.rmtree(folder / copy, ignore_errors=True)
