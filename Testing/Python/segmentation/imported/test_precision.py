"""bf16 is taken where it is clearly faster and finds float32's labels; measured once for a network and a machine."""

import json

import numpy as np
import pytest
import torch
from channel_images import blobs
from nnunet_folder import write_nnunet

import meddl
from meddl.core import device as device_module
from meddl.core import paths
from meddl.core.config import SegmentConfig
from meddl.core.device import PRECISION
from meddl.models.recipes import Output, Windows
from meddl.models.store.store import ModelStore
from meddl.segmentation.imported import precision
from meddl.segmentation.imported.precision import PrecisionChoice, measure
from meddl.segmentation.imported.sliding_window import window_of_most

CLASSES = Output("classes", (0, 1))
SURE = (1.0, 0.5)  # scores of the two classes, as factors of the image
UNSURE = (1.0, 1.0 + 1e-4)  # apart by less than bf16 tells


@pytest.fixture(autouse=True)
def fast_in_bf16(monkeypatch, tmp_path):
    """A processor that is said to be fast in bf16, which is emulated with its rounding."""
    monkeypatch.setenv(PRECISION, "auto")
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(device_module, "_cpu_dtype", torch.bfloat16)
    monkeypatch.setattr(device_module, "_may_have_bf16", lambda: False)


@pytest.fixture
def times(monkeypatch):
    """Seconds that a pass takes, float32 and bf16; what the clock says."""
    seconds = {torch.float32: 4.0, torch.bfloat16: 2.0}
    now = [0.0]

    def ticking():
        return now[0]

    def passes(network):
        def run(image):
            now[0] += seconds[torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32]
            return network(image)
        return run

    monkeypatch.setattr(precision, "_clock", ticking)
    return seconds, passes


def scorer(factors):
    layer = torch.nn.Conv3d(1, 2, 1, bias=False).requires_grad_(False)
    layer.weight.copy_(torch.tensor(factors).view(2, 1, 1, 1, 1))
    return layer


def window() -> torch.Tensor:
    return torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("factors", "bf16_s", "expected"), [
    (SURE, 3.0, torch.bfloat16), (SURE, 3.2, torch.float32), (SURE, 5.0, torch.float32), (UNSURE, 1.0, torch.float32)])
def test_bf16_has_to_be_faster_and_to_find_the_labels(times, factors, bf16_s, expected):
    seconds, passes = times
    seconds[torch.bfloat16] = bf16_s
    choice = measure(passes(scorer(factors)), window(), CLASSES)
    assert choice.speedup == pytest.approx(4 / bf16_s) and choice.dtype == expected
    assert (choice.agreement == choice.smallest_dice == 1) == (factors == SURE)


@pytest.mark.parametrize(("choice", "expected"), [
    (PrecisionChoice(1.3, 0.999, 0.995), torch.bfloat16), (PrecisionChoice(1.29, 1, 1), torch.float32),
    (PrecisionChoice(9, 0.9989, 1), torch.float32), (PrecisionChoice(9, 1, 0.9949), torch.float32)])
def test_the_limits(choice, expected):
    assert choice.dtype == expected


def test_a_class_of_few_voxels_does_not_count_and_one_of_many_does():
    wanted = torch.zeros(1, 20, 20, 20, dtype=torch.long)
    wanted[0, :5, :10, :10], wanted[0, -3:] = 1, 2  # 500 and 1200 voxels
    few, many = wanted.clone(), wanted.clone()
    few[few == 1], many[0, -1:] = 0, 0
    assert precision._smallest_dice(wanted, few) > 0.95 > precision._smallest_dice(wanted, many)
    assert precision._smallest_dice(wanted, many) == pytest.approx(2 * 800 / 2000)


def test_regions_are_compared_each_by_itself(times):
    choice = measure(times[1](scorer((1.0, 1.0))), window(), Output("regions", (1, 2)))
    assert choice.agreement == 1 and choice.dtype == torch.bfloat16


def test_the_window_is_that_with_most_of_the_foreground():
    image = torch.zeros(1, 40, 24, 10)
    image[0, 30:, 12:] = 1
    found = window_of_most(image, image[0] > 0, Windows((16, 16, 16), 0.5))
    assert found.shape == (1, 1, 16, 16, 16)
    assert found[0, 0, :, :, 3:13].sum() == image.sum()


@pytest.fixture
def model(times, monkeypatch, tmp_path):
    """A small model, and the seconds that a pass of it is said to take."""
    ModelStore().import_model(write_nnunet(tmp_path / "one"), identifier="one")
    seconds, passes = times
    monkeypatch.setattr(precision, "measure", lambda network, *rest: measure(passes(network), *rest))
    return seconds


def run(**config) -> meddl.Segmentation:
    return meddl.segment(blobs((24, 22, 20), np.diag([-1.5, 1.5, 2.0, 1.0]), 0), "one", SegmentConfig(**config),
                         device="cpu")


def test_the_choice_stands_in_the_report_and_is_kept_with_the_machine(model, monkeypatch):
    first = run().report["precision_choice"]
    assert first["speedup"] == 2.0 and not first["earlier"] and 0 < first["agreement"] <= 1
    model[torch.bfloat16] = 8.0  # not measured again
    second = run().report["precision_choice"]
    assert second == first | {"earlier": True}
    assert "precision_choice" not in run(float32=True).report
    monkeypatch.setenv(PRECISION, "float32")
    assert "precision_choice" not in run().report


@pytest.mark.parametrize("agrees", [True, False])
def test_labels_are_those_of_the_precision_that_was_chosen(model, monkeypatch, agrees):
    choice = PrecisionChoice(2.0, 1.0 if agrees else 0.9, 1.0)
    monkeypatch.setattr(precision, "measure", lambda *_: choice)
    found = run()
    name = "bfloat16" if agrees else "float32"
    assert found.report["precision_choice"]["precision"] == name
    monkeypatch.setenv(PRECISION, name)
    np.testing.assert_array_equal(found.labels, run().labels)


def test_a_damaged_record_is_measured_anew_and_a_full_disk_does_no_harm(model, monkeypatch):
    run()
    file = paths.cache_folder() / "precision.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({key: {"speedup": "fast"} for key in content}))
    assert not run().report["precision_choice"]["earlier"]
    assert json.loads(file.read_text()) == content
    file.unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(precision, "write_record", full)
    assert not run().report["precision_choice"]["earlier"] and not file.exists()
