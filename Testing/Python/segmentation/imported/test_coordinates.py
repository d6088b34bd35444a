"""Voxels halfway between two others are rounded as MONAI rounds them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai import transforms
from monai.data import MetaTensor

from meddl.models.recipes import Step
from meddl.segmentation.imported.steps.preprocessing import Image
from meddl.segmentation.imported.steps.run_steps import run_steps


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("spacing, wanted", [((1.0, 0.8, 2.5), (2.0, 1.6, 5.0)), ((0.75, 1.3, 2.3), (1.5, 1.0, 1.0)),
                                             ((0.7, 0.9, 1.1), (2.8, 1.8, 2.2))])
def test_the_way_back_finds_the_same_voxels(spacing, wanted, single):
    shape = (61, 40, 33)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-101.37, 55.22, 13.9)
    transform = transforms.Spacing(wanted, dtype=np.float32 if single else np.float64)
    made = transform(MetaTensor(torch.zeros(3, *shape), affine=torch.from_numpy(affine)))
    numbers = torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in made.shape[1:]], indexing="ij")
    labels = MetaTensor(torch.stack(numbers), meta=made.meta, applied_operations=made.applied_operations)
    labels.applied_operations[-1]["extra_info"]["mode"] = "nearest"
    back = transform.inverse(labels).as_tensor()
    sampling = run_steps(Image(torch.zeros(3, *shape), affine), (
        Step("space", {"spacing_mm": wanted, "single": single}),)).sampling
    halves = 0
    for axis in range(3):
        places = sampling.backward_coordinates(axis).numpy()
        along = back[axis].movedim(axis, 0).flatten(1)[:, 0].numpy()
        assert (np.rint(places) == along).all()
        halves += (np.abs(places % 1 - 0.5) < 1e-4).sum()
    assert halves > 5
