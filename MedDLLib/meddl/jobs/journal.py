"""What a job has begun and done, line by line in a file beside its results: a stopped job goes on from there."""

import json
from pathlib import Path

from meddl.core.config import SegmentConfig, with_new_names
from meddl.core.errors import InputError

FILE = ".meddl-job.jsonl"


class Journal:
    """The journal of the job whose results are in a folder.

    Each line is a JSON object: {"job": what is done to each case}, {"started": name, "input": state}, or
    {"ended": name, "input": state, "rows": [...]}. Lines are only added; a last line cut off by a crash is passed by.

    Args:
        folder: of the results.
        job: what is done to each case: model, its weights, choices.
        anew: forget what was done before.

    Raises:
        InputError: the folder holds results of another job.
    """

    def __init__(self, folder: Path, job: dict, anew: bool = False):
        self._path = folder / FILE
        job = json.loads(json.dumps(job))
        self._ended: dict[str, dict] = {}
        self._begun: set[str] = set()
        if anew or not self._path.exists():
            self._path.write_text(json.dumps({"job": job}) + "\n", encoding="utf-8")
            return
        lines = self._lines()
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
        whole = [json.dumps({"job": job}), *(json.dumps({"started": name}) for name in sorted(self._begun)),
                 *(json.dumps(line) for line in self._ended.values())]
        temporary = self._path.with_name(f"{FILE}.new")
        temporary.write_text("\n".join(whole) + "\n", encoding="utf-8")
        temporary.replace(self._path)

    def rows_of(self, name: str, state) -> list[dict] | None:
        """The rows of a case that was done with this input; None where it is to be done."""
        line = self._ended.get(name)
        return line["rows"] if line is not None and line["input"] == json.loads(json.dumps(state)) else None

    def begun(self, name: str) -> bool:
        """Whether this job has ever begun the case, so that a file of that name is its own."""
        return name in self._begun

    def started(self, name: str) -> None:
        """Note that a case begins."""
        self._begun.add(name)
        self._add({"started": name})

    def ended(self, name: str, state, rows: list[dict]) -> None:
        """Note that a case is done."""
        self._add({"ended": name, "input": state, "rows": rows})

    def _add(self, line: dict) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=float) + "\n")

    def _lines(self) -> list[dict]:
        lines = []
        for text in self._path.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.append(line)
        return lines
