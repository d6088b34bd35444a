"""The engines that bench_register.py compares, each in an environment of its own: see peer_environments.py.

    python Testing/Benchmarks/register_peers.py --make [ENGINE ...]     make the environments (Python 3.11)
    python Testing/Benchmarks/register_peers.py                         say which are there
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peer_environments import Engine, call, installed, main

_SCRIPTS = Path(__file__).resolve().parent / "peers"
_RIGID = "defg"

# torch comes first and alone, so that nothing else chooses which build of it comes; --no-deps keeps out what would
# replace it, or what an engine names but does not need here.
ENGINES = {engine.name: engine for engine in (
    Engine("ants", (("antspyx==0.6.3",),), "ants"),
    Engine("greedy", (("picsl_greedy==1.4.0.3",),), "picsl_greedy*"),
    Engine("convexadam", (("torch==2.13.0",), ("--no-deps", "convexAdam==0.2.0"),
                          ("numpy", "scipy", "nibabel", "SimpleITK", "scikit-learn")), "convexAdam"),
    Engine("elastix", (("SimpleITK-SimpleElastix==3.0.0a1.post183", "numpy"),), "SimpleITK"),
    Engine("fireants", (("torch==2.13.0",), ("--no-deps", "fireants==1.5.0"),
                        ("numpy", "scipy", "nibabel", "simpleitk==2.2.1", "matplotlib", "pandas", "scikit-image",
                         "tqdm", "hydra-core")), "fireants"),
)}


@dataclass(frozen=True)
class Method:
    """One way to run an engine: the argument of its script, and the kinds of pairs (a to g) that it is for."""

    engine: str
    argument: str
    kinds: str


METHODS = {
    "meddl": Method("meddl", "", "abcdefg"),
    "greedy-wncc": Method("greedy", "wncc", "abc"),
    "greedy-nmi": Method("greedy", "nmi", "b"),
    "ants-syn": Method("ants", "syn", "abc"),
    "ants-syn-cc": Method("ants", "syn-cc", "abc"),
    "convexadam": Method("convexadam", "default", "abc"),
    "elastix": Method("elastix", "bspline", "abc"),
    "fireants-200": Method("fireants", "cc-200", "abc"),
    "fireants-100": Method("fireants", "cc-100", "abc"),
    "greedy-rigid": Method("greedy", "rigid", _RIGID),
    "greedy-search": Method("greedy", "rigid-search", "g"),
    "ants-rigid": Method("ants", "rigid", _RIGID),
    "elastix-rigid": Method("elastix", "rigid", _RIGID),
}
PRESETS = {"a": "Deformable", "b": "Deformable multi-modal", "c": "Deformable", "d": "Rigid", "e": "Rigid",
           "f": "Rigid", "g": "Large motion/rigid"}


def interpreter(engine: str) -> Path | None:
    """The Python that runs an engine's script; None where it is not installed."""
    return Path(sys.executable) if engine == "meddl" else installed(ENGINES[engine])


class FoundMap:
    """What an engine found, from fixed to moving points, RAS mm: `matrix @ (p + displacement(p))`.

    Attributes:
        matrix: 4x4.
        displacement: (3, I, J, K) mm along R, A, S, or None.
        to_indices: 4x4 from RAS mm to the displacement's voxel indices.
    """

    def __init__(self, folder: Path, matrix):
        import SimpleITK as sitk  # noqa: N813

        flip = np.diag([-1.0, -1.0, 1.0, 1.0])
        self.matrix = np.eye(4) if matrix is None else flip @ np.array(matrix) @ flip
        self.displacement = self.to_indices = None
        file = folder / "map.nii.gz"
        if file.is_file():
            field = sitk.ReadImage(str(file), sitk.sitkVectorFloat32)
            vectors = sitk.GetArrayFromImage(field).transpose(3, 2, 1, 0)
            self.displacement = vectors * np.array([-1, -1, 1], dtype=np.float32)[:, None, None, None]
            affine = np.eye(4)
            affine[:3, :3] = np.reshape(field.GetDirection(), (3, 3)) * field.GetSpacing()
            affine[:3, 3] = field.GetOrigin()
            self.to_indices = np.linalg.inv(flip @ affine)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Where points (N, 3) go; beyond the grid's edge the displacement stays what it is there."""
        from scipy import ndimage

        if self.displacement is not None:
            indices = points @ self.to_indices[:3, :3].T + self.to_indices[:3, 3]
            points = points + np.stack([ndimage.map_coordinates(channel, indices.T, order=1, mode="nearest")
                                        for channel in self.displacement], axis=-1)
        return points @ self.matrix[:3, :3].T + self.matrix[:3, 3]


def run(method: str, case, threads: int, timeout_s: float = 3600, at_optimum: bool = False) -> tuple[FoundMap, dict]:
    """Run one method on a pair: the map, and `run.json` with the wall time of the whole process.

    Args:
        at_optimum: MedDL is not to keep headers that agree nearly as well as its optimum, so that what it finds for a
            pair can be compared with what it finds for the same pair under a known motion.

    Raises:
        RuntimeError: the engine failed, with the end of what it said.
    """
    from meddl.io import save

    engine = METHODS[method].engine
    argument = METHODS[method].argument or PRESETS[case.name[0]]
    if at_optimum and engine == "meddl":
        argument += "/0" if "/" in argument else "//0"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for volume, role in ((case.fixed, "fixed"), (case.moving, "moving")):
            save(volume, folder / f"{role}.nii.gz")
        started = time.perf_counter()
        command = [str(interpreter(engine)), str(_SCRIPTS / f"{engine}_peer.py"), str(folder / "fixed.nii.gz"),
                   str(folder / "moving.nii.gz"), str(folder), argument]
        said = call(command, threads, timeout_s)
        if not (folder / "run.json").is_file():
            raise RuntimeError(said.strip()[-600:] or "it wrote no run.json")
        figures = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        figures["process_seconds"] = time.perf_counter() - started
        return FoundMap(folder, figures.pop("matrix")), figures


if __name__ == "__main__":
    sys.exit(main(ENGINES, "Environments of the engines that MedDL's registration is compared with."))
