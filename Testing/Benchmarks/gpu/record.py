"""The file of results, complete after every step."""

from __future__ import annotations

import json
import math
from pathlib import Path


class Record:
    """Facts and steps, written to `path` anew at each change, so that a run that is cut off loses no finished step.

    Attributes:
        content: what the file holds.
    """

    def __init__(self, path: Path, figures: dict):
        self.path = path
        self.content = {**figures, "running": None, "steps": []}
        self.save()

    def begin(self, name: str) -> None:
        """Say what is going on."""
        self.content["running"] = name
        self.save()

    def add(self, step: dict) -> None:
        """Keep what a step gave."""
        self.content["steps"].append(step)
        self.content["running"] = None
        self.save()

    def save(self) -> None:
        """Write the file under a temporary name and move it into place."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(plain(self.content), indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path)


def plain(value):
    """The value as JSON has it: numbers of numpy and torch as Python's, no NaN or infinity, paths as text."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
