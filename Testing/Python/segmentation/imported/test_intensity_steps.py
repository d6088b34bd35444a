"""Each change of intensities is that of MONAI's transform of the same meaning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai import transforms

from meddl.core.errors import ModelError
from meddl.models.recipes import Step
from meddl.segmentation.imported.steps.preprocessing import Image
from meddl.segmentation.imported.steps.run_steps import run_steps


@pytest.fixture
def data() -> torch.Tensor:
    random = np.random.default_rng(0)
    data = torch.from_numpy(random.normal(80, 60, (3, 7, 8, 9)).astype(np.float32))
    data[data < 20] = 0
    return data


@pytest.mark.parametrize("name, arguments, transform", [
    ("scale_range", {"a_min": -57, "a_max": 164, "b_min": 0.0, "b_max": 1.0, "clip": True},
     transforms.ScaleIntensityRange(-57, 164, 0.0, 1.0, clip=True)),
    ("scale_range", {"a_min": 0, "a_max": 100, "b_min": -1.0, "b_max": 1.0},
     transforms.ScaleIntensityRange(0, 100, -1.0, 1.0)),
    ("scale_range", {"a_min": 0, "a_max": 100}, transforms.ScaleIntensityRange(0, 100)),
    ("scale_extremes", {"lowest": -1.0, "highest": 1.0}, transforms.ScaleIntensity(-1.0, 1.0)),
    ("scale_extremes", {"channel_wise": True}, transforms.ScaleIntensity(channel_wise=True)),
    ("scale_percentiles", {"lower": 2, "upper": 95, "b_min": 0.0, "b_max": 1.0, "clip": True},
     transforms.ScaleIntensityRangePercentiles(2, 95, 0.0, 1.0, clip=True)),
    ("standardize", {}, transforms.NormalizeIntensity()),
    ("standardize", {"nonzero": True}, transforms.NormalizeIntensity(nonzero=True)),
    ("standardize", {"nonzero": True, "channel_wise": True},
     transforms.NormalizeIntensity(nonzero=True, channel_wise=True)),
    ("standardize", {"subtrahend": 50.0, "divisor": 10.0}, transforms.NormalizeIntensity(50.0, 10.0)),
    ("standardize", {"subtrahend": [1.0, 2.0, 3.0], "divisor": [4.0, 5.0, 6.0], "channel_wise": True},
     transforms.NormalizeIntensity([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], channel_wise=True)),
    ("cut_beyond", {"threshold": 90.0, "value": -1.0}, transforms.ThresholdIntensity(90.0, cval=-1.0)),
    ("cut_beyond", {"threshold": 90.0, "above": False}, transforms.ThresholdIntensity(90.0, above=False)),
])
def test_the_image_is_that_of_monai(data, name, arguments, transform):
    expected = transform(data.clone())
    found = run_steps(Image(data.clone(), np.eye(4)), (Step(name, arguments),)).data
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-5, atol=1e-5)
    assert found.dtype == torch.float32


def test_some_channels_are_treated_alone(data):
    found = run_steps(Image(data.clone(), np.eye(4)), (Step("standardize", {"channels": [1]}),)).data
    assert torch.equal(found[[0, 2]], data[[0, 2]])
    assert abs(float(found[1].mean())) < 1e-5 and abs(float(found[1].std(correction=0)) - 1) < 1e-5


def test_a_constant_image_stays_finite():
    image = Image(torch.full((1, 4, 4, 4), 7.0), np.eye(4))
    for name in ("standardize", "scale_extremes"):
        assert torch.isfinite(run_steps(image, (Step(name),)).data).all()
    assert torch.isfinite(run_steps(image, (Step("scale_range", {"a_min": 1.0, "a_max": 1.0}),)).data).all()


def test_soft_limits(data):
    image = Image(data.clone(), np.eye(4))
    soft = run_steps(image, (Step("squash", {"kind": "tanh"}),)).data
    assert float(soft.abs().max()) <= 3
    with pytest.raises(ModelError, match="relu"):
        run_steps(image, (Step("squash", {"kind": "relu"}),))


def test_unknown_steps_and_arguments_are_named(data):
    with pytest.raises(ModelError, match="'sharpen'"):
        run_steps(Image(data, np.eye(4)), (Step("sharpen"),))
    with pytest.raises(ModelError, match="strength"):
        run_steps(Image(data, np.eye(4)), (Step("clip", {"strength": 3}),))
