"""MedDL on a GPU, in one run that a time limit may cut: parity with the CPU, times beside the floor, then training.

    python Testing/Benchmarks/gpu_run.py --out FOLDER --minutes N [--wheels FOLDER] [--data LABELMAPS]
        [--train "OPTIONS"] [--only TEXT ...] [--device cuda] [--small]

Needs torch, numpy, scipy, safetensors, and, installed or in --wheels, monai and jsonschema with what they need;
nothing else, no network, and no further input: heads and networks are made here. gpu/README.md says how to bring the
wheels. FOLDER gets gpu_run.json, written anew after every step, and with --data the averaged weights of the brain's
training, every minute, its log, and the model at the end: at most eight files.

    parity    the three verbs, imported models and a training step on the CPU and on the GPU
    times     the same at the sizes of the goals, with peak memory and the floor by operations and bytes, then other
              precisions, layouts, CUDA graphs and torch.compile
    training  `meddl train segmentation` for the rest of the time

`--device cpu --small` is the dry run; `--device pretended` runs the parity on a GPU that is none.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in (ROOT / "MedDLLib", ROOT / "Testing" / "Python" / "support", ROOT / "Testing" / "Benchmarks"):
    sys.path.insert(0, str(place))

PARITY_S, TIMES_S = 75.0, 135.0


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 also where steps failed, which the record says."""
    given = _parser().parse_args(arguments)
    deadline = time.monotonic() + 60 * given.minutes
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        os.environ["MEDDL_CACHE"] = str(scratch / "cache")
        if given.wheels is not None:
            from gpu.wheels import use_wheels

            use_wheels(given.wheels, scratch / "wheels")
        from meddl.core.thread_waiting import wait_briefly

        wait_briefly(os.environ)
        with _device(given.device) as device:
            _run(given, device, scratch, deadline)
    return 0


def _run(given: argparse.Namespace, device, scratch: Path, deadline: float) -> None:
    from gpu import machine
    from gpu.parity import Parity
    from gpu.record import Record
    from gpu.sizes import FULL, SMALL
    from gpu.steps import Part, Step, run_parts
    from gpu.timings import Timings
    from gpu.training import ARGUMENTS, BrainTraining
    from gpu.variants import Variants

    sizes = SMALL if given.small else FULL
    record = Record(given.out / "gpu_run.json", {"sizes": vars(sizes), "minutes": given.minutes,
                                                 "machine": machine.figures(device)})
    parts = [Part("parity", PARITY_S, Parity(device, sizes, scratch).steps())]
    if device.type in ("cpu", "cuda"):
        ceilings = machine.ceilings(device, sizes.matrix)
        more = (device, sizes, ceilings, scratch)
        first = Step("ceilings", 2, lambda _: machine.known_and_measured(device, sizes.matrix))
        seconds = TIMES_S if given.data is not None else float("inf")
        times = {"reserve_s": 0.0, "most_s": 10.0} if given.small else {}
        training = BrainTraining(device, given.data, given.out, scratch, given.train or ARGUMENTS, **times)
        parts += [Part("times", seconds, [first, *Timings(*more).steps(), *Variants(*more).steps()]),
                  Part("training", float("inf"), training.steps())]
    parts = [Part(part.name, float("inf") if given.small else part.seconds,
                  [Step(step.name, 0 if given.small else step.seconds, step.run) for step in part.steps
                   if not given.only or any(text in f"{part.name}: {step.name}" for text in given.only)])
             for part in parts]
    run_parts(parts, record, deadline, say=lambda text: print(text, flush=True))


@contextlib.contextmanager
def _device(name: str):
    import torch

    if name != "pretended":
        yield torch.device(name)
        return
    from pretended_gpu import PretendedGpu

    with PretendedGpu():
        yield torch.device(name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, required=True, help="how long all may take")
    parser.add_argument("--wheels", type=Path, help="folder with the wheels of packages that are not installed")
    parser.add_argument("--data", type=Path, help="folder of label maps, as for `meddl train segmentation`")
    parser.add_argument("--train", help="options of `meddl train segmentation` instead of the usual ones")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="only steps with one of these in their names")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, cpu or pretended")
    parser.add_argument("--small", action="store_true", help="small inputs, each step whatever it takes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
