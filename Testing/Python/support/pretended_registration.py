"""Registrations on a GPU that is none, in a process of their own: what they give, beside the CPU's, and what they hold.

    python pretended_registration.py        prints JSON
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Benchmarks"))

from deformable_pairs import NEAR, QUICK, back, other_contrast, picture
from deformations import box
from pretended_gpu import PretendedGpu
from vessel_pairs import moved, pair

from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl.registration import register
from meddl.registration.deformable import diffeomorphic
from meddl.registration.deformable.metrics import feature_difference, mind
from meddl.registration.images import smoothing, warped_image
from meddl.registration.linear import sampled_similarity
from meddl.registration.linear.large_displacement_search import search_displacements
from meddl.spatial.volume import Volume

# Parts of the work that do not grow with the volume are made small, as they are beside a large one.
PARTS = ((warped_image, "SLAB_VOXELS", 1 << 12), (diffeomorphic, "SLAB_VOXELS", 1 << 12),
         (feature_difference, "SLAB_VOXELS", 1 << 16), (mind, "_VOXELS_PER_SLAB", 1 << 12),
         (smoothing, "_GPU_PART_VOXELS", 1 << 13), (sampled_similarity, "_POINTS_AT_ONCE", 1 << 13))
STEPS = replace(QUICK, deformable_levels_mm=(6.0, 3.0), deformable_iterations=(2, 2), levels_mm=(8.0,), iterations=2)
CASES = {
    "lncc": replace(STEPS, metric="lncc"),
    "mind": replace(STEPS, metric="mind"),
    "lncc symmetric": replace(STEPS, metric="lncc", symmetric=True),
    "mind symmetric": replace(STEPS, metric="mind", symmetric=True),
    "masks, landmarks": replace(STEPS, metric="lncc"),
    "search": replace(REGISTER_PRESETS["Rigid"], levels_mm=(8.0,), samples=5000, search_rotations=4, iterations=2),
}


def left_on(gpu: PretendedGpu) -> int:
    """Bytes that are still held, once autograd's threads have let go of theirs."""
    for _ in range(20):
        if not gpu.memory.live:
            break
        time.sleep(0.05)
    return gpu.memory.live


def mask_of(volume: Volume) -> Volume:
    """All but the first planes."""
    counts = np.ones(volume.data.shape, np.uint8)
    counts[:, :6] = 0
    return Volume(counts, volume.affine)


def case(name: str, config: RegisterConfig) -> dict:
    """One registration there and on the CPU."""
    fixed = picture(box())
    moving = picture(box(), back, *((other_contrast,) if "mind" in name else ()), seed=1)
    more = {} if name == "search" else {"initial": NEAR}
    if "masks" in name:
        points = np.array([[0.0, 0.0, 0.0], [15.0, -10.0, 5.0], [-20.0, 5.0, -8.0]])
        more |= {"fixed_mask": mask_of(fixed), "moving_mask": mask_of(moving), "landmarks": (points, points + 1)}
    return both_ways(fixed, moving, config, **more)


def both_ways(fixed: Volume, moving: Volume, config: RegisterConfig, **more) -> dict:
    """How far the answers lie apart, and what the GPU held."""
    on_cpu = register(fixed, moving, config, device="cpu", **more)
    with PretendedGpu() as gpu:
        there = register(fixed, moving, config, device=gpu.name, **more)
    points = fixed.grid.points_mm(np.argwhere(np.ones((4, 4, 4))) * 10)
    return {"apart_mm": float(np.abs(there.points(points) - on_cpu.points(points)).max()),
            "device": there.report["device"], "left": left_on(gpu),
            "warnings": [text for text in there.report["warnings"] if text not in on_cpu.report["warnings"]],
            "voxels": int(np.prod(fixed.shape if there.displacement is None else there.displacement.shape)),
            "bytes": gpu.memory.peak,
            "largest": [f"{held.bytes} {held.shape} {held.place}" for held in gpu.memory.at_peak[:40]]}


def vessels() -> dict:
    """An angiogram registered to the flow voids of a head."""
    head, angiogram = pair()
    return both_ways(head, Volume(angiogram.data, moved() @ angiogram.affine), RegisterConfig(transform_type="rigid"))


def large_motion() -> dict:
    """A search over large distances, there and on the CPU."""
    features = torch.rand(2, 4, 7, 6, 5, generator=torch.Generator().manual_seed(0))
    on_cpu = search_displacements(*features, (16.0, 16.0, 16.0))
    with PretendedGpu() as gpu:
        there = search_displacements(*features.to(gpu.name), (16.0, 16.0, 16.0))
        back = there.cpu()
        result = {"device": there.device.type, "warnings": []}
        del there
    return result | {"apart_mm": 16 * float((back - on_cpu).abs().max()), "left": left_on(gpu)}


def main() -> int:
    """Do everything twice."""
    with PretendedGpu():
        pass  # torch takes a new device before its first gradient only
    for module, name, voxels in PARTS:
        setattr(module, name, voxels)
    found = {"large motion": large_motion(), "vessels": vessels()}
    found |= {name: case(name, config) for name, config in CASES.items()}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
