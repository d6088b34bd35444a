"""What the worker process runs for a de-identification of files; see `meddl_slicer.runs.remote`."""

import os
import time
from pathlib import Path


def deidentify(source: str, target: str, keep_names: bool = False, on_progress=None) -> tuple[list[tuple], float]:
    """`meddl.deidentify`; of each file its path in `source`, that in `target` or "", why it was left out, and what to
    look at; and the seconds that it took."""
    from meddl.deidentification import deidentify as run

    begin = time.perf_counter()
    rows = run(source, target, keep_names=keep_names, on_progress=on_progress)
    found = [(_inside(row.source, source), "" if row.target is None else _inside(row.target, target), row.reason,
              " ".join(row.notes)) for row in rows]
    return found, time.perf_counter() - begin


def _inside(path: Path, folder: str) -> str:
    return os.path.relpath(path, Path(folder).expanduser())
