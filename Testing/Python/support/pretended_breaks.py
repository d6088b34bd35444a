"""Verbs on a GPU that is none and breaks in the middle of a run: their results beside the CPU's.

    python pretended_breaks.py        prints JSON: for each verb and place {"equal", "device", "warnings"}
"""

import json
import sys
from dataclasses import replace

import numpy as np
from pretended_waits import DEFORMABLE, NEAR, PretendedGpu, imported, registered, sharpened

from meddl.spatial.volume import Volume

MESSAGE = ("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported at some other "
           "API call, so the stacktrace below might be incorrect.")
VERBS = {
    "segment": imported(1, 1),
    "register": registered(replace(DEFORMABLE, deformable_levels_mm=(6.0,), deformable_iterations=(2,)), initial=NEAR),
    "super_resolve": sharpened("network", 1),
}


def content(result) -> np.ndarray:
    """The voxels of a result."""
    found = next(getattr(result, name) for name in ("labels", "displacement", "volume") if hasattr(result, name))
    return found.data if isinstance(found, Volume) else found


def main() -> int:
    """Each verb on the CPU, on a whole GPU, and on one that breaks at its first, its middle and its last operation."""
    with PretendedGpu():
        pass  # torch takes a new device before its first gradient only
    found = {}
    for name, run in VERBS.items():
        wanted = run("cpu")
        for _ in range(2):  # the second one finds its network there
            with PretendedGpu() as gpu:
                run(gpu.name)
        for place in (0, gpu.operations // 2, gpu.operations - 1):
            with PretendedGpu(breaks_after=place, message=MESSAGE) as broken:
                result = run(broken.name)
            found[f"{name} after {place} operations"] = {
                "equal": bool(np.array_equal(content(result), content(wanted))), "device": result.report["device"],
                "warnings": [text for text in result.report["warnings"] if text not in wanted.report["warnings"]]}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
