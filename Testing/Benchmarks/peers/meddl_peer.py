"""MedDL itself: `meddl.register` with PRESET, PRESET/TRANSFORM or PRESET/TRANSFORM/LEAST_GAIN_PERCENT, in a process of
its own like the others."""

import dataclasses
import json
import sys
from pathlib import Path

import measure
import numpy as np
import SimpleITK as sitk  # noqa: N813

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "MedDLLib"))

import meddl
from meddl.core.config import REGISTER_PRESETS
from meddl.io.images import set_geometry

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS and LPS


def register(fixed, moving, folder, method, stage):
    preset, transform, least_gain = (*method.split("/"), "", "")[:3]
    config = REGISTER_PRESETS[preset]
    config = dataclasses.replace(config, transform_type=transform) if transform else config
    config = dataclasses.replace(config, least_gain_percent=float(least_gain)) if least_gain else config
    fixed, moving = meddl.load(fixed), meddl.load(moving)
    call = meddl.register  # loads the package with torch, whose threads are OMP_NUM_THREADS, outside the clock
    with stage("all"):
        found = call(fixed, moving, config, device="cpu")
    if found.displacement is not None:
        vectors = np.moveaxis(found.displacement.data, 0, -1) * np.diag(_FLIP)[:3]
        field = sitk.GetImageFromArray(vectors.transpose(2, 1, 0, 3).astype(np.float32), isVector=True)
        set_geometry(field, found.displacement.affine)
        sitk.WriteImage(field, str(folder / measure.FIELD))
    (folder / "report.json").write_text(json.dumps(found.report, default=str), encoding="utf-8")
    return (_FLIP @ found.affine @ _FLIP).tolist()


if __name__ == "__main__":
    measure.run(register, ["meddl", "torch"])
