"""Thousands of damaged files: each is read or refused by MedDL's own error; none crashes, hangs or fills the memory."""

import collections
import datetime
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from file_mutants import SEEDS, bomb
from places import LIBRARY, SUPPORT

from meddl.core.errors import MedDLError
from meddl.io import load

MUTANTS = 3000
A_FEW = {"nifti": 150, "nrrd": 150, "metaimage": 150, "dicom": 30, "transform": 60}
BATCH = 500
LONGEST_S = 20.0
START_S = 120.0  # of the process, which loads its libraries and writes the files to damage
MOST_MB = 2000


def seed_of_today() -> int:
    """Another one each day; MEDDL_FUZZ_SEED takes its place, so that a failure can be repeated."""
    return int(os.environ.get("MEDDL_FUZZ_SEED") or datetime.date.today().strftime("%Y%m%d"))


def read_mutants(kind: str, count: int, folder: Path) -> tuple[collections.Counter, list[str]]:
    """How many were read and refused, and each that failed, by its number."""
    outcomes: collections.Counter = collections.Counter()
    failures: list[str] = []
    first, seed = 0, seed_of_today()
    while first < count:
        last = min(first + BATCH, count)
        done, failed = _batch(kind, seed, first, last, folder, outcomes)
        failures += failed
        first = done
    print(f"{kind}, seed {seed}: {dict(outcomes)}, {len(failures)} failures")
    return outcomes, [f"{kind}, seed {seed}: {text}" for text in failures]


def _batch(kind: str, seed: int, first: int, last: int, folder: Path, outcomes: collections.Counter):
    """Read mutants in one process; after a crash or a hang the next one goes on behind it."""
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "fuzz_reader.py"), kind, str(seed), str(first), str(last), str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(LIBRARY), str(SUPPORT)))})
    lines: queue.Queue = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in [*process.stdout, ""]], daemon=True).start()
    number, failed, started = first, [], False
    try:
        while True:
            line = lines.get(timeout=LONGEST_S if started else START_S)
            started = True
            number_text, _, said = line.strip().partition(" ")
            if not number_text:
                code = process.wait(10)
                return number + 1, [*failed, f"mutant {number} ended the process with status {code}"]
            if number_text == "peak":
                return last, [*failed, *([f"{said} MB in mutants {first} to {last}"] if int(said) > MOST_MB else [])]
            number = int(number_text)
            if said:
                outcomes[said.split(" | ")[0]] += 1
                failed += [f"mutant {number}: {said}"] if said.startswith("RAW") else []
    except queue.Empty:
        return number + 1, [*failed, f"mutant {number} hung"]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", SEEDS)
def test_some_damaged_files_are_read_or_refused(tmp_path, kind):
    outcomes, failures = read_mutants(kind, A_FEW[kind], tmp_path)
    assert not failures, "\n".join(failures)
    assert outcomes.total() == A_FEW[kind]
    assert outcomes["read"] < A_FEW[kind]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", SEEDS)
def test_thousands_of_damaged_files_are_read_or_refused(tmp_path, kind):
    outcomes, failures = read_mutants(kind, MUTANTS, tmp_path)
    assert not failures, "\n".join(failures)
    assert outcomes.total() == MUTANTS


def test_the_reader_of_damaged_files_tells_of_what_it_looks_for(tmp_path, monkeypatch):
    """A harness that finds nothing has to be one that could."""
    monkeypatch.setenv("MEDDL_FUZZ_SEED", "1")
    sound = read_mutants("nifti", 5, tmp_path)
    assert sound[0].total() == 5
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, time, meddl.io\nkept = {}\ndef load(path, component=None):\n"
        "    kept['n'] = kept.get('n', -1) + 1\n"
        "    if kept['n'] == 0: raise KeyError('raw')\n    if kept['n'] == 1: os.abort()\n"
        "meddl.io.load = load\n")
    monkeypatch.setattr(sys.modules[__name__], "SUPPORT", SUPPORT)
    monkeypatch.setattr(sys.modules[__name__], "LIBRARY", f"{broken}{os.pathsep}{LIBRARY}")
    failures = read_mutants("nifti", 4, tmp_path)[1]
    assert sum("KeyError" in text for text in failures) >= 1
    assert sum("ended the process" in text for text in failures) >= 1


HEADER = ("ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = True\nDimSize = {}\n"
          "ElementType = MET_UCHAR\n")


@pytest.mark.parametrize("sizes", ["4 4 4", "4000000 4000 4000"])
def test_a_bomb_is_refused(tmp_path, sizes):
    path = bomb(tmp_path / "a.mha", HEADER.format(sizes) + "ElementDataFile = LOCAL\n", 200 << 20)
    with pytest.raises(MedDLError):
        load(path)
