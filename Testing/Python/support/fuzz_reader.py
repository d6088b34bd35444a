"""Reads damaged files one after the other, in a process of its own: python fuzz_reader.py KIND SEED FIRST LAST FOLDER.

A line for each: "N" before, "N outcome" after it; the last line is "peak" and MB of memory.
"""

import resource
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
from file_mutants import SEEDS, write_mutant

MOST_BYTES = 4 << 30  # of addresses; peaks of memory are measured too


def outcome(path: Path) -> str:
    """"read", the name of MedDL's own error, or the traceback of any other."""
    from meddl.core.errors import MedDLError
    from meddl.io import load, load_segmentation, load_transform

    try:
        if path.name.endswith(".seg.nrrd"):
            load_segmentation(path)
        elif path.suffix in (".tfm", ".h5", ".mat"):
            load_transform(path)
        else:
            load(path, "all")
    except MedDLError as error:
        return f"refused {type(error).__name__}"
    except BaseException:  # noqa: BLE001  what else there is, is what is looked for
        return "RAW " + traceback.format_exc().replace("\n", " | ")
    return "read"


def main() -> None:
    """Read mutants FIRST to LAST - 1 of the given seed."""
    kind, seed, first, last, folder = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    place = Path(folder)
    (place / "seeds").mkdir(parents=True, exist_ok=True)
    seeds = SEEDS[kind](place / "seeds")
    for number in range(int(first), int(last)):
        random = np.random.default_rng([int(seed), number])
        mutant = write_mutant(seeds[random.integers(len(seeds))], place / "mutant", random)
        print(number, flush=True)
        print(number, outcome(mutant), flush=True)
    from meddl.core.memory import peak_mb

    print("peak", round(peak_mb()), flush=True)


if __name__ == "__main__":
    main()
