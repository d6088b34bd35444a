"""`meddl.register` beside other engines: the same pairs, the same threads, one after the other in one run.

    python Testing/Benchmarks/bench_register.py --cases memory [--threads 2]
    python Testing/Benchmarks/bench_register.py [--cases abcdefg] [--seeds 0 1 2] [--spacing 2] [--threads 2]
        [--methods meddl greedy-wncc ...] [--both-ways] [--starts 40] [--everything] [--again] [-o FILE]

The pairs are described in register_cases.py, the engines in register_peers.py; those that are not installed are listed
as such, and the rest runs without them. Results are merged into results/register.json by pair and method, with the
machine and the versions of each, so that a run can be split: `--cases a`, then `--cases b`. `--again` measures anew
what that file already holds of this machine. Run it on an idle machine; without the data folder (MEDDL_DATA) nothing
is measured.

`--cases memory` measures two volumes of 256 x 256 x 256 alone: see register_memory.py.

By default the slow combinations are left out; `--everything` runs all methods that fit a pair:
    ants-syn-cc, fireants-200    on a's first seed, and ants-syn-cc on c; never at 1 mm
    1 mm                         (--spacing 1) meddl and greedy-wncc alone, first seed
    g                            the peers on the first ten starts

Each method runs in a process of its own, which reads both volumes from NIfTI files. Measured:
    seconds     registration alone, its affine included; not the start of the interpreter, reading or writing
    peak_mb     the most memory that the process has held, interpreter, libraries and volumes included
    the figures of register_figures.py, from the exported map, in the same way for all
In d and e every method also registers the pair as it is; what it answers there, followed by the known map, is its
truth, provided that it lies within 15 mm of the headers (50 mm for the angiogram, whose headers are wrong).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import register_cases
import register_memory
from register_figures import figures
from register_peers import ENGINES, METHODS, interpreter, run

RESULTS = Path(__file__).resolve().parent / "results" / "register.json"
_PEER_STARTS = 10  # of g
_GPU_TENSORS_MB = 1500  # the rest of 2 GB is for the context and the libraries' workspaces
_COLUMNS = (  # key, heading, digits
    ("dice", "Dice", 3), ("tre_mm", "TRE mm", 2), ("rigid_deg", "deg", 2), ("folding_percent", "folding %", 3),
    ("sd_log_jacobian", "SDlogJ", 3), ("seconds", "s", 1), ("peak_mb", "MB", 0))


def wanted(method: str, name: str, seeds) -> bool:
    """Whether a method runs on a pair by default: see the module's docstring."""
    kind, *parts = name.split("/")
    first_seed = kind == "c" or parts[0] == str(seeds[0])
    if kind in "abc" and float(parts[1]) < 1.5:
        return method in ("meddl", "greedy-wncc") and first_seed
    if method == "ants-syn-cc":
        return kind in "ac" and first_seed
    if method == "fireants-200":
        return kind == "a" and first_seed
    if kind == "g" and method != "meddl":
        return int(parts[0]) < _PEER_STARTS
    return True


def plan(names, methods, seeds, everything: bool) -> list[tuple[str, str]]:
    """The `(pair, method)` to measure, pair by pair, so that every method meets a pair at about the same time."""
    return [(name, method) for name in names for method in methods
            if name[0] in METHODS[method].kinds and (everything or wanted(method, name, seeds))]


def machine(threads: int) -> dict:
    """What it runs on."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        cpu = next((line.split(":", 1)[1].strip() for line in info.read_text(encoding="utf-8").splitlines()
                    if line.startswith("model name")), cpu)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "threads": threads, "system": platform.platform(),
            "python": platform.python_version()}


def measure(case, method: str, threads: int) -> dict:
    """One entry of the results: what was found, or `error`."""
    entry = {"case": case.name, "method": method, "machine": machine(threads),
             "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}
    try:
        if case.unmoved is not None:
            answer, _ = run(method, replace(case, moving=case.unmoved), threads, at_optimum=True)
            from_headers = np.linalg.norm(answer(case.points) - case.points, axis=1).mean()
            entry["from_headers_mm"] = float(from_headers)
            case = case.relative_to(answer)
        found, measured = run(method, case, threads)
    except RuntimeError as error:
        return entry | {"error": str(error)}
    entry |= measured | figures(case, found)
    if entry.get("from_headers_mm", 0) > case.headers_mm:
        entry["recovered"] = False
    return entry


def merged(old: list[dict], new: list[dict]) -> list[dict]:
    """Entries in order of pair and method; a newer one of the same pair and method replaces the older."""
    entries = {(entry["case"], entry["method"]): entry for entry in [*old, *new]}
    order = list(METHODS)
    return sorted(entries.values(), key=lambda entry: (entry["case"], order.index(entry["method"])))


def group(name: str) -> str:
    """The pairs that share rows of the table: the name without seed or persons."""
    kind, *parts = name.split("/")
    return f"{kind}, {float(parts[1]):g} mm" if kind in "abc" else \
        f"d, {parts[0].rpartition('-')[2]}" if kind == "d" else kind


def table(entries: list[dict]) -> str:
    """The means over each group's pairs as a Markdown table. For rigid truths, how many were recovered."""
    lines = ["| pairs | method | n | " + " | ".join(title for _, title, _ in _COLUMNS) + " | recovered |",
             "|" + "---|" * (len(_COLUMNS) + 4)]
    for name in sorted({group(entry["case"]) for entry in entries}):
        for method in METHODS:
            rows = [entry for entry in entries if group(entry["case"]) == name and entry["method"] == method]
            if not rows:
                continue
            good = [row for row in rows if "error" not in row]
            cells = []
            for key, _, digits in _COLUMNS:
                values = [row[key] for row in good if key in row]
                cells.append(f"{statistics.mean(values):.{digits}f}" if values else "")
            judged = [row["recovered"] for row in good if "recovered" in row]
            count = f"{len(good)}" if len(good) == len(rows) else f"{len(good)}, {len(rows) - len(good)} failed"
            recovered = f"{sum(judged)}/{len(rows)}" if judged else ""
            lines.append(" | ".join([f"| {name}", method, count, *cells, f"{recovered} |"]))
    return "\n".join(lines)


def goals(entries: list[dict]) -> dict[str, bool]:
    """Each goal for which the run holds the figures, and whether it is met. Compared over the pairs that both methods
    have."""

    def mean(key, method, name, with_method=None):
        other = {row["case"] for row in entries if row["method"] == with_method and key in row}
        values = [row[key] for row in entries if row["method"] == method and group(row["case"]) == name and key in row
                  and (with_method is None or row["case"] in other)]
        return statistics.mean(values) if values else None

    def compared(goal, key, name, peer, holds):
        ours, theirs = mean(key, "meddl", name, peer), mean(key, peer, name, "meddl")
        if ours is not None and theirs is not None:
            found[f"{name}: {goal}"] = bool(holds(ours, theirs))

    found = {}
    for name in ("a, 2 mm", "a, 1 mm"):
        compared("Dice at least greedy's", "dice", name, "greedy-wncc", lambda ours, theirs: ours >= theirs)
        for peer in ("fireants-200", "fireants-100"):
            compared(f"Dice at least {peer}'s - 0.005", "dice", name, peer, lambda ours, theirs: ours >= theirs - 0.005)
        compared("time at most 1.2 greedy's", "seconds", name, "greedy-wncc", lambda ours, theirs: ours <= 1.2 * theirs)
        compared("time at most 1/10 of ants-syn-cc's", "seconds", name, "ants-syn-cc",
                 lambda ours, theirs: ours <= theirs / 10)
        if (distance := mean("tre_mm", "meddl", name)) is not None:
            found[f"{name}: TRE at most 0.40 mm"] = distance <= 0.40
            found[f"{name}: no folding"] = mean("folding_percent", "meddl", name) == 0
    compared("Dice at least convexadam's + 0.03", "dice", "b, 2 mm", "convexadam",
             lambda ours, theirs: ours >= theirs + 0.03)
    compared("mean Dice at least ants-syn-cc's", "dice", "c, 2 mm", "ants-syn-cc", lambda ours, theirs: ours >= theirs)
    for name in ("d, mr", "d, pet", "e", "f", "g"):
        rows = [row for row in entries if row["method"] == "meddl" and group(row["case"]) == name]
        if rows:
            fraction = sum(row.get("recovered", False) for row in rows) / len(rows)
            needed = 0.95 if name == "g" else 1.0
            found[f"{name}: {needed:.0%} recovered"] = fraction >= needed
    return found


def main() -> int:
    """Measure, print the table, merge the JSON; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compare meddl.register with other engines.")
    parser.add_argument("--cases", default="abcdefg", help="kinds of pairs (%(default)s), or memory")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of a and b; d and e take the first")
    parser.add_argument("--spacing", type=float, nargs="+", default=[2.0], help="mm, of a, b and c")
    parser.add_argument("--methods", "--peers", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD",
                        help=f"of {', '.join(METHODS)}")
    parser.add_argument("--threads", type=int, default=2, help="of every engine (%(default)s)")
    parser.add_argument("--starts", type=int, default=register_cases.STARTS, help="of g (%(default)s)")
    parser.add_argument("--both-ways", action="store_true", help="c and f in both directions")
    parser.add_argument("--everything", action="store_true", help="also the slow combinations")
    parser.add_argument("--again", action="store_true", help="also what the results already hold")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="JSON file to merge into")
    arguments = parser.parse_args()
    if register_cases.data_folder() is None:
        print("No real volumes: set MEDDL_DATA to the folder that holds them. Nothing was measured.")
        return 0
    if arguments.cases == "memory":
        return _memory(arguments.threads, arguments.output)
    installed = {name: interpreter(name) is not None for name in ENGINES}
    methods = [name for name in arguments.methods if installed.get(METHODS[name].engine, True)]
    old = json.loads(arguments.output.read_text(encoding="utf-8"))["entries"] if arguments.output.is_file() else []
    held = {(entry["case"], entry["method"]) for entry in old if "error" not in entry
            and entry["machine"] == machine(arguments.threads)}
    names = [name for name in register_cases.names(arguments.cases, arguments.seeds, arguments.spacing,
                                                   arguments.both_ways)
             if not name.startswith("g/") or int(name[2:]) < arguments.starts]
    todo = [pair for pair in plan(names, methods, arguments.seeds, arguments.everything)
            if arguments.again or pair not in held]
    case, started = None, time.perf_counter()
    for number, (name, method) in enumerate(todo, 1):
        print(f"{number}/{len(todo)} {name} {method} ...", end=" ", file=sys.stderr, flush=True)
        if case is None or case.name != name:
            case = register_cases.case(name)
        entry = measure(case, method, arguments.threads)
        old = merged(old, [entry])
        _write(arguments.output, old, installed)
        print(entry["error"].splitlines()[-1] if "error" in entry else f"{entry['seconds']:.1f} s", file=sys.stderr)
    chosen = [entry for entry in old if entry["case"] in names and entry["method"] in arguments.methods]
    print(table(chosen))
    for name, present in installed.items():
        if not present:
            print(f"{name}: not installed (python Testing/Benchmarks/register_peers.py --make {name})")
    for goal, met in goals(chosen).items():
        print(f"{'met    ' if met else 'NOT met'} {goal}")
    print(f"{len(todo)} runs in {time.perf_counter() - started:.0f} s; written to {arguments.output}")
    return 0


def _memory(threads: int, output: Path) -> int:
    found = register_memory.measure(threads) | {"machine": machine(threads)}
    print(json.dumps(found, indent=1))
    gaps = [gap["seconds"] for part in found["parts"].values() for gap in part.get("longest_gaps", ())]
    print(f"{'met    ' if found['peak_mb'] < 3000 else 'NOT met'} 256^3 in 3 GB: {found['peak_mb']:.0f} MB")
    print(f"{'met    ' if found['tensors_peak_mb'] < _GPU_TENSORS_MB else 'NOT met'} 256^3 in 2 GB of a GPU, of which "
          f"tensors may take {_GPU_TENSORS_MB}: {found['tensors_peak_mb']:.0f} MB")
    print(f"{'met    ' if max(gaps) < 1 else 'NOT met'} cancel within 1 s: {max(gaps):.2f} s")
    measured = json.loads(output.read_text(encoding="utf-8")) if output.is_file() else {"entries": []}
    _write_json(output, measured | {"memory": found})
    return 0


def _write(path: Path, entries: list[dict], installed: dict) -> None:
    measured = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    peers = {name: "installed" if present else "not installed" for name, present in installed.items()}
    _write_json(path, measured | {"peers": peers, "entries": entries, "goals": goals(entries)})


def _write_json(path: Path, measured: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
