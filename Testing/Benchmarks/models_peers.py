"""The tools whose models bench_models.py runs, each in an environment of its own: see peer_environments.py.

    python Testing/Benchmarks/models_peers.py --make [KIND ...]     make the environments (Python 3.11)
    python Testing/Benchmarks/models_peers.py                       say which are there

A kind's script in peers/ runs there:

    SCRIPT build SPEC.json FOLDER               writes a model as the tool itself does
    SCRIPT predict FOLDER CASE.json OUTPUT      runs it: labels OUTPUT/<n>.npy (I, J, K in the files' axes) and
                                                OUTPUT/run.json: seconds by stage, CPU seconds, peak MB, versions
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from peer_environments import Engine, call, installed, main

_SCRIPTS = Path(__file__).resolve().parent / "peers"

# torch comes first and alone, so that nothing else chooses which build of it comes; --no-deps keeps out what would
# replace it, or what is not needed for prediction.
KINDS = {engine.name: engine for engine in (
    Engine("nnunet", (("torch==2.13.0",),
                      ("--no-deps", "nnunetv2==2.8.1", "dynamic-network-architectures==0.4.4", "acvl-utils==0.2.6",
                       "batchgenerators==0.25.5", "batchgeneratorsv2==0.3.6"),
                      ("numpy", "scipy", "SimpleITK", "nibabel", "tqdm", "scikit-image", "scikit-learn", "pandas",
                       "matplotlib", "seaborn", "tifffile", "requests", "imagecodecs", "yacs", "einops", "graphviz",
                       "connected-components-3d", "blosc2", "threadpoolctl", "future")), "nnunetv2"),
    Engine("monai", (("torch==2.13.0",), ("monai==1.6.1", "numpy", "nibabel", "einops", "PyYAML")), "monai"),
)}
WIDE_SUMS = "-float32-sums"  # the tool itself, with sums of windows in float32 and not in half precision: its spread
IN_BF16 = "-bf16"  # the tool itself, its network in bfloat16: its spread between precisions
METHODS = {"meddl": "fast", "meddl-float32": "float32", "meddl-bf16": "bf16"}  # ours, and what its script takes
DEFAULT_METHODS = ("meddl", "meddl-float32")


def interpreter(kind: str) -> Path | None:
    """The Python of a kind's environment; None where it is not installed."""
    return installed(KINDS[kind])


def build(kind: str, spec: dict, folder: Path, threads: int) -> None:
    """Let the tool write a model."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "spec.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        _call([str(interpreter(kind)), str(_SCRIPTS / f"{kind}_model_peer.py"), "build", str(file), str(folder)],
              threads)


def predict(kind: str, method: str, folder: Path, case: Path, output: Path, threads: int) -> dict:
    """Run a model by its own tool (`method` is the kind, or that and a spread) or by MedDL; what run.json says."""
    output.mkdir(parents=True, exist_ok=True)
    if method in METHODS:
        own = [sys.executable, str(_SCRIPTS / "meddl_model_peer.py")]
        cache = folder.with_name("imported")
        if not cache.exists():
            _call([*own, "import", str(folder), str(cache)], threads)
        command, folder = [*own, METHODS[method]], cache
    else:
        command = [str(interpreter(kind)), str(_SCRIPTS / f"{kind}_model_peer.py"),
                   {kind + WIDE_SUMS: "predict-wide", kind + IN_BF16: "predict-bf16"}.get(method, "predict")]
    _call([*command, str(folder), str(case), str(output)], threads)
    return json.loads((output / "run.json").read_text(encoding="utf-8"))


def _call(command: list[str], threads: int) -> None:
    call(command, threads, more={"nnUNet_def_n_proc": str(threads), "nnUNet_raw": "", "nnUNet_preprocessed": "",
                                 "nnUNet_results": ""})


if __name__ == "__main__":
    sys.exit(main(KINDS, "Environments of the tools whose models MedDL runs."))
