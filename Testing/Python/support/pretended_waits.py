"""How often each verb waits for a GPU that is none, for little and for more of what its loops go through.

    python pretended_waits.py [CASE ...]        prints JSON: for each case {"waits": [...], "uploads": [...]}, by line,
                                                for little and for more
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Benchmarks"))

from deformable_pairs import NEAR, QUICK, back, picture
from deformations import box
from nnunet_folder import write_nnunet
from pretended_gpu import PretendedGpu
from superres_phantoms import textured, thick_slices

from meddl.core.config import REGISTER_PRESETS, RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.models.store.store import ModelStore
from meddl.registration import register
from meddl.samples import head_image
from meddl.segmentation import segment
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve
from meddl.superres.methods import slabs, through_plane, volumetric


def imported(more_windows: int, more_rows: int, classes: int = 4) -> Callable[[str], object]:
    """A small nnU-Net; its volume is so many times as long across and along the windows' rows."""
    labels = {"background": 0, **{f"structure {n}": n for n in range(1, classes)}}
    identifier = f"small-{classes}"
    store = ModelStore()
    if all(card.id != identifier for card in store.list()):
        with tempfile.TemporaryDirectory() as folder:
            store.import_model(write_nnunet(Path(folder), labels=labels), identifier=identifier)
    shape = (24, 24 * more_windows, 24 * more_rows)  # nnU-Net's first axis is the last one
    volume = Volume.scalar(100 * textured(shape).astype(np.float32), np.diag([1.5, 1.5, 1.5, 1.0]))
    return lambda device: segment(volume, identifier, SegmentConfig(float32=True), device=device)


def head(label_maps: int, spacing_mm: float) -> Callable[[str], object]:
    """A head by the model that ships, with so many label maps for its fusion, in voxels of this size."""
    volume = head_image("T1", spacing_mm)
    config = SegmentConfig(atlas_label_maps=label_maps, float32=True)
    return lambda device: segment(volume, "brain", config, device=device)


def registered(config: RegisterConfig, **more) -> Callable[[str], object]:
    fixed, moving = picture(box()), picture(box(), back, seed=1)
    return lambda device: register(fixed, moving, config, device=device, **more)


def sharpened(method: str, more: int) -> Callable[[str], object]:
    """Thick slices, so many times as many images of them; voxels of one size for the networks that halve them."""
    volume = (Volume.scalar(textured((20 * more, 20, 20)).astype(np.float32), np.eye(4)) if method == "edsr3d"
              else thick_slices(textured((24 * more, 28, 24)), 2))
    return lambda device: super_resolve(volume, SuperResolveConfig(method=method), device=device)


LINEAR = replace(REGISTER_PRESETS["Rigid"], levels_mm=(8.0,), samples=5000, search_rotations=4, iterations=2)
DEFORMABLE = replace(QUICK, levels_mm=(8.0,), iterations=2, deformable_levels_mm=(6.0, 3.0))
CASES = {
    "segment, windows": [lambda n=n: imported(n, 1) for n in (1, 3)],
    "segment, rows": [lambda n=n: imported(1, n) for n in (1, 3)],
    "segment, head": [lambda n=n, mm=mm: head(n, mm) for n, mm in ((1, 4.0), (3, 3.0))],
    "register, deformable steps": [
        lambda n=n: registered(replace(DEFORMABLE, deformable_iterations=(n, n)), initial=NEAR) for n in (2, 8)],
    "register, symmetric steps": [
        lambda n=n: registered(replace(DEFORMABLE, symmetric=True, deformable_iterations=(n, n)), initial=NEAR)
        for n in (2, 8)],
    "register, rotations": [lambda n=n: registered(replace(LINEAR, search_rotations=n)) for n in (4, 16)],
    "register, linear steps": [lambda n=n: registered(replace(LINEAR, iterations=n)) for n in (1, 3)],
    **{f"super_resolve, {method}": [lambda n=n, method=method: sharpened(method, n) for n in (1, 3)]
       for method in ("network", "back-projection", "edsr3d")},
}


def counted(run: Callable[[str], object]) -> dict:
    with PretendedGpu() as gpu:
        run(gpu.name)
    return {"waits": dict(gpu.waits.most_common()), "uploads": dict(gpu.uploads.most_common())}


def main() -> int:
    """Run the cases that are named, or all."""
    slabs.SLAB_VOXELS = 1 << 12
    through_plane._BATCH_PIXELS = 1 << 10
    volumetric.BLOCKS = {name: (reach, 12) for name, (reach, _) in volumetric.BLOCKS.items()}
    with PretendedGpu():
        pass  # torch takes a new device before its first gradient only
    found = {}
    for name in sys.argv[1:] or CASES:
        little, much = (counted(make()) for make in CASES[name])
        found[name] = {kind: [little[kind], much[kind]] for kind in little}
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
