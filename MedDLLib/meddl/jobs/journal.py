"""What a job has begun and done, line by line in a file beside its results: a stopped job goes on from there."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from meddl.core.config import SegmentConfig, with_new_names
from meddl.core.errors import InputError, MedDLError
from meddl.io import is_whole, load_transform
from meddl.io.files import replacing

FILE = ".meddl-job.jsonl"


class Journal:
    """The journal of the job whose results are in a folder.

    Each line is a JSON object: {"job": what is done to each case}, {"started": name}, or {"ended": name,
    "input": state, "output": [size, time of change], "rows": [...]}, with "outputs", a list of such, where a case has
    several. Lines are only added; one that a crash cut off is passed by.

    Args:
        folder: of the results.
        job: what is done to each case: model, its weights, choices.
        anew: forget what was done before.

    Raises:
        InputError: the folder holds results of another job, or cannot be written to.
    """

    def __init__(self, folder: Path, job: dict, anew: bool = False):
        self._path = folder / FILE
        job = json.loads(json.dumps(job))
        self._ended: dict[str, dict] = {}
        self._begun: set[str] = set()
        if anew or not self._path.exists():
            self._write([json.dumps({"job": job})])
            return
        lines, whole = self._lines()
        earlier = next((line["job"] for line in lines if "job" in line), None)
        if earlier is not None and "choices" in earlier:  # the names of version 0.1.0 stand for the present ones
            earlier["choices"] = with_new_names(SegmentConfig, earlier["choices"])
        if earlier is not None and earlier != job:
            differing = sorted(key for key in {*earlier, *job} if earlier.get(key) != job.get(key))
            raise InputError(f"'{folder}' holds the results of another job: its {', '.join(differing)} differed. "
                             "Choose another folder for the results, or overwrite.")
        for line in lines:
            if "started" in line:
                self._begun.add(line["started"])
                self._ended.pop(line["started"], None)
            elif "ended" in line:
                self._ended[line["ended"]] = line
        if earlier is None or not whole or len(lines) != 1 + len(self._begun) + len(self._ended):
            self._write([json.dumps({"job": job}), *(json.dumps({"started": name}) for name in sorted(self._begun)),
                         *(json.dumps(line) for line in self._ended.values())])

    def rows_of(self, name: str, state, outputs: Sequence[Path]) -> list[dict] | None:
        """The rows of a case that was done with this input and whose outputs are there and whole; None where it is to
        be done."""
        line = self._ended.get(name)
        if line is None or line["input"] != json.loads(json.dumps(state)):
            return None
        noted = line.get("outputs") or [line.get("output")]
        if len(noted) != len(outputs):
            return None
        for output, then in zip(outputs, noted, strict=True):
            if not (then and then == _size_and_time(output)) and not (output.is_file() and _is_intact(output)):
                return None
        return line["rows"]

    def has_begun(self, name: str) -> bool:
        """Whether this job has ever begun the case, so that a file of that name is its own."""
        return name in self._begun

    def note_start(self, name: str) -> None:
        """Note that a case begins."""
        self._begun.add(name)
        self._add({"started": name})

    def note_end(self, name: str, state, rows: list[dict], outputs: Sequence[Path]) -> None:
        """Note that a case is done."""
        noted = [_size_and_time(output) for output in outputs]
        self._add({"ended": name, "input": state, **({"output": noted[0]} if len(noted) == 1 else {"outputs": noted}),
                   "rows": rows})

    def _add(self, line: dict) -> None:
        """Add a line; a line that an earlier failure cut off stays apart from it."""
        text = json.dumps(line, default=float) + "\n"
        try:
            with self._path.open("ab+") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(end - 1, 0))
                torn = end > 0 and file.read(1) != b"\n"
                file.write(("\n" if torn else "").encode() + text.encode())
        except OSError as error:
            raise InputError(f"'{self._path}' could not be written: {error.strerror}. Make room and start the job "
                             "again; it goes on from there.") from error

    def _write(self, lines: list[str]) -> None:
        with replacing(self._path, ".jsonl") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _lines(self) -> tuple[list[dict], bool]:
        """The lines, and whether each of the file's is one."""
        lines = []
        texts = self._path.read_text(encoding="utf-8").splitlines()
        for text in texts:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.append(line)
        return lines, len(lines) == len(texts)


def _is_intact(output: Path) -> bool:
    """Whether a volume or a transform is whole; reads it through."""
    if output.suffix.lower() not in (".h5", ".tfm"):
        return is_whole(output)
    try:
        load_transform(output)
    except MedDLError:
        return False
    return True


def _size_and_time(output: Path) -> list[int]:
    """Size and time of change of a file; empty where it is not there."""
    try:
        status = output.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
