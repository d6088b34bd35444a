"""Runs mypy as pyproject.toml says, and holds its errors to the numbers there.

    python Testing/check_types.py [OPTION OF MYPY ...]

The rooms that `[[tool.mypy.overrides]]` lists with `disallow_untyped_defs` pass in full. Of all the rest,
`[tool.meddl.types]` says how many errors there are, and how many comments `type: ignore` everywhere: numbers that only
fall. Exits with 1 where a room does not pass, or where a number is not the one that is stated.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "MedDLLib"
_ERROR = re.compile(r"^(?P<file>[^:]+\.py):\d+: error: ", re.MULTILINE)
_IGNORE = re.compile(r"#\s*type:\s*ignore")


class Limits(NamedTuple):
    """What the configuration says: patterns of the modules that pass in full, and the numbers for the rest."""

    strict: tuple[str, ...]
    errors: int
    ignores: int


def limits(root: Path = ROOT) -> Limits:
    """The limits of pyproject.toml."""
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    strict = [name for part in tools["mypy"]["overrides"] if part.get("disallow_untyped_defs")
              for name in part["module"]]
    return Limits(tuple(strict), tools["meddl"]["types"]["errors"], tools["meddl"]["types"]["ignores"])


def module_of(file: str) -> str:
    """The module in a file whose path, as mypy writes it, goes through MedDLLib."""
    parts = Path(file.replace("\\", "/")).with_suffix("").parts
    parts = parts[parts.index(LIBRARY.name) + 1:] if LIBRARY.name in parts else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_strict(module: str, strict: tuple[str, ...]) -> bool:
    """Whether a module is one of those that pass in full; "a.*" stands for a and all in it, as for mypy."""
    return any(module == name.removesuffix(".*") or fnmatchcase(module, name) for name in strict)


def judge(output: str, ignores: int, allowed: Limits) -> list[str]:
    """What is wrong, in sentences: of mypy's output, and of the number of comments `type: ignore`."""
    lines = [line for line in output.splitlines() if _ERROR.match(line)]
    strict = [line for line in lines if is_strict(module_of(line.split(":")[0]), allowed.strict)]
    wrong = [f"In a room that passes in full: {line}" for line in strict]
    for name, found, stated in (("errors", len(lines) - len(strict), allowed.errors),
                                ("ignores", ignores, allowed.ignores)):
        if found > stated:
            wrong.append(f"{name} = {found}; [tool.meddl.types] in pyproject.toml allows {stated}. Mend the new ones.")
        if found < stated:
            wrong.append(f"{name} = {found}; good. Lower the number in [tool.meddl.types] of pyproject.toml from "
                         f"{stated} to {found}.")
    return wrong


def count_ignores(folder: Path = LIBRARY) -> int:
    """How many comments `type: ignore` there are."""
    return sum(len(_IGNORE.findall(path.read_text(encoding="utf-8"))) for path in folder.rglob("*.py"))


def run_mypy(*options: str) -> str:
    """What mypy prints about the backend.

    Raises:
        RuntimeError: it could not do its work: it is not installed, or fails with a message of its own.
    """
    command = [sys.executable, "-m", "mypy", "--no-pretty", "--no-error-summary", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or done.stderr.strip():
        raise RuntimeError(f"mypy failed: {done.stderr or done.stdout}")
    return done.stdout


def main() -> int:
    """The script."""
    output = run_mypy(*sys.argv[1:])
    wrong = judge(output, count_ignores(), limits())
    if any("Mend the new ones" in sentence for sentence in wrong):
        print(output)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
