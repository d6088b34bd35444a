"""Each change of the grid is that of MONAI's transform of the same meaning, and the affine follows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai import transforms
from monai.data import MetaTensor

from meddl.core.errors import InputError, OutOfMemoryError
from meddl.models.recipes import Step
from meddl.segmentation.imported.steps.preprocessing import Image
from meddl.segmentation.imported.steps.run_steps import run_steps

AFFINE = np.array([[0.0, -1.7, 0, 10], [0.9, 0, 0, -4], [0, 0, 2.4, 30], [0, 0, 0, 1]])


@pytest.fixture
def data() -> torch.Tensor:
    data = torch.zeros(2, 17, 14, 11)
    data[0, 4:12, 3:9, 2:10] = torch.from_numpy(np.random.default_rng(0).random((8, 6, 8)).astype(np.float32)) + 0.1
    data[1, 5:9, 4:12, 5:7] = 2
    return data


def both(data: torch.Tensor, name: str, arguments: dict, transform) -> tuple[Image, MetaTensor]:
    found = run_steps(Image(data.clone(), AFFINE), (Step(name, arguments),))
    return found, transform(MetaTensor(data.clone(), affine=torch.from_numpy(AFFINE)))


@pytest.mark.parametrize("name, arguments, transform", [
    ("space", {"spacing_mm": [1.5, 1.5, 2.0]}, transforms.Spacing((1.5, 1.5, 2.0))),
    ("space", {"spacing_mm": [3.0, None, 1.0]}, transforms.Spacing((3.0, -1, 1.0))),
    ("space", {"spacing_mm": [0.4, 1.7, 2.4004]}, transforms.Spacing((0.4, 1.7, 2.4004))),
    ("space", {"spacing_mm": [1.0, 2.0, 2.0], "smallest_mm": [0.75, 1.5, 1.5], "largest_mm": [1.25, 2.5, 2.5]},
     transforms.Spacing((1.0, 2.0, 2.0), min_pixdim=(0.75, 1.5, 1.5), max_pixdim=(1.25, 2.5, 2.5))),
    ("space", {"spacing_mm": [1.8, 3.4, 1.0], "mode": "nearest"},
     transforms.Spacing((1.8, 3.4, 1.0), mode="nearest")),
    ("crop_foreground", {}, transforms.CropForeground(allow_smaller=False)),
    ("crop_foreground", {"margin_voxels": [5, 5, 5]}, transforms.CropForeground(margin=5, allow_smaller=False)),
    ("crop_foreground", {"margin_voxels": [5, 5, 5], "inside": True},
     transforms.CropForeground(margin=5, allow_smaller=True)),
    ("crop_foreground", {"multiple": [8, 8, 8]}, transforms.CropForeground(k_divisible=8)),
    ("crop_foreground", {"channels": [1]}, transforms.CropForeground(channel_indices=(1,))),
    ("pad_to", {"shape": [24, 10, 12]}, transforms.SpatialPad((24, 10, 12))),
    ("pad_to", {"shape": [24, 10, 12], "even": False, "mode": "edge"},
     transforms.SpatialPad((24, 10, 12), method="end", mode="edge")),
    ("pad_to_multiple", {"multiple": [16, 16, 16]}, transforms.DivisiblePad(16)),
])
def test_the_image_and_its_place_are_those_of_monai(data, name, arguments, transform):
    found, expected = both(data, name, arguments, transform)
    assert tuple(found.data.shape) == tuple(expected.shape)
    torch.testing.assert_close(found.data, expected.as_tensor(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.affine, expected.affine.numpy(), atol=1e-6)


def test_resizing_is_that_of_monai_over_the_same_field_of_view(data):
    found, expected = both(data, "resize_to", {"shape": [24, 0, 8]},
                           transforms.Resize((24, 14, 8), mode="trilinear", align_corners=False))
    torch.testing.assert_close(found.data, expected.as_tensor(), rtol=1e-5, atol=1e-5)
    corner = np.array([-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose(found.affine @ corner, AFFINE @ corner, atol=1e-9)


def test_the_foreground_of_the_raw_image_is_remembered(data):
    steps = (Step("mark_foreground", {"channels": [1]}), Step("clip", {"lowest": 5.0}), Step("crop_foreground"))
    found = run_steps(Image(data, AFFINE), steps)
    assert tuple(found.data.shape[1:]) == (4, 8, 2)


def test_cropping_leaves_a_frame(data):
    found = run_steps(Image(data, AFFINE), (Step("crop_foreground"), Step("space", {"spacing_mm": [2.0, 2.0, 2.0]})))
    assert all(shape == (8, 9, 8) for _, shape in found.frames)


def test_an_empty_volume_is_refused():
    with pytest.raises(InputError, match="nothing to segment"):
        run_steps(Image(torch.zeros(1, 5, 5, 5), AFFINE), (Step("crop_foreground"),))


@pytest.mark.parametrize("name", ["space", "resample"])
def test_a_field_of_view_of_a_kilometer_is_refused_before_memory_is_taken(name):
    image = Image(torch.zeros(1, 9, 9, 9), np.diag([1e5, 1e5, 1e5, 1.0]))
    with pytest.raises(OutOfMemoryError, match="Resampling to 1 x .* voxels needs about .* GB"):
        run_steps(image, (Step(name, {"spacing_mm": [0.5] * 3}),))
