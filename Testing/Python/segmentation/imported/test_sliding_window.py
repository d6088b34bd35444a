"""Scores of large images, window by window: blended features make the scores that blended scores are."""

import sys

import numpy as np
import pytest
import torch
from nnunet_folder import network

from meddl.core.memory import peak_mb, reset_peak
from meddl.models.recipes import Output, Windows
from meddl.networks.architectures.nnunet import PlainConvUNet
from meddl.networks.inference import ready_for_inference
from meddl.segmentation.imported import sliding_window as windows_module
from meddl.segmentation.imported.score_labels import labels_of_rows
from meddl.segmentation.imported.sliding_window import mean_score_rows, score_rows, window_weights

WINDOWS = Windows((16, 16, 16), mirror_axes=(0, 2))
TOLERANCES = {"float32": {"atol": 1e-5, "rtol": 1e-4}, "bfloat16": {"atol": 0.03, "rtol": 0.03}}  # scores are about 1


def scores_of(networks, image, channels, windows=WINDOWS, **options) -> torch.Tensor:
    return torch.cat(list(mean_score_rows(networks, image, windows, channels, **options)), dim=1)


@pytest.mark.parametrize("shape", [(37, 20, 30), (10, 16, 40)])
@pytest.mark.parametrize("folds", [1, 2])
def test_blended_features_give_the_scores_that_blended_scores_give(precision, shape, folds):
    networks = [ready_for_inference(network(20, 1, False, seed), torch.device("cpu")) for seed in range(folds)]
    image = torch.randn(1, *shape)
    asked = []
    networks[0].head.register_forward_hook(lambda *_: asked.append(True))
    found = scores_of(networks, image, 20)
    assert not asked  # four features a network, 20 classes: no window's scores are made
    expected = scores_of(networks, image, 20, exact=True)
    assert asked
    assert found.shape == (20, *shape)
    torch.testing.assert_close(found, expected, **TOLERANCES[precision])


def test_features_are_summed_in_float32_where_that_takes_little_memory(precision, monkeypatch):
    net = ready_for_inference(network(20, 1, False, 0), torch.device("cpu"))
    image, half = torch.randn(1, 37, 20, 30), Windows((16, 16, 16), half=True)
    exact = scores_of([net], image, 20, windows=Windows((16, 16, 16)))  # the sums are
    wide = scores_of([net], image, 20, windows=half)
    monkeypatch.setattr(windows_module, "_WIDE_BYTES", 0)
    narrow = scores_of([net], image, 20, windows=half)
    assert float((wide - exact).abs().max()) < 1e-5 < float((narrow - exact).abs().max())


def test_few_classes_are_blended_as_scores(precision):
    networks = [ready_for_inference(network(3, 1, True, seed), torch.device("cpu")) for seed in range(2)]
    image = torch.randn(1, 20, 24, 18)
    found, expected = scores_of(networks, image, 3), scores_of(networks, image, 3, exact=True)
    torch.testing.assert_close(found, expected, **TOLERANCES[precision])


@pytest.mark.parametrize("channels", [2, 20])
def test_windows_are_weighted_means_of_what_the_network_says(channels):
    def place(window):
        """Scores that are a network's own for each window: the mean of what it sees."""
        mean = window.mean(dim=(1, 2, 3, 4), keepdim=True)
        return mean * torch.arange(1.0, channels + 1).reshape(1, -1, 1, 1, 1) * torch.ones_like(window)

    image = torch.rand(1, 40, 16, 16)
    windows = Windows((16, 16, 16))
    found = torch.cat(list(score_rows(place, image, windows, channels)), dim=1)
    weights = window_weights((16, 16, 16), windows)
    sums, shares = torch.zeros(40, 16, 16), torch.zeros(40, 16, 16)
    for start in windows_module.window_starts(40, 16, windows):
        sums[start:start + 16] += image[0, start:start + 16].mean() * weights
        shares[start:start + 16] += weights
    for n in range(channels):
        torch.testing.assert_close(found[n], (n + 1) * sums / shares)


@pytest.mark.parametrize(("shape", "windows"), [
    ((20, 41, 50), Windows((16, 16, 16), mirror_axes=(1,))), ((5, 40, 33), Windows((16, 16), mirror_axes=(0,)))])
def test_small_windows_go_together_with_the_same_scores(precision, monkeypatch, shape, windows):
    flat = len(windows.patch_voxels) == 2
    layers = torch.nn.Conv2d(1, 3, 3, padding=1) if flat else torch.nn.Conv3d(1, 3, 3, padding=1)
    norm = torch.nn.InstanceNorm2d(3) if flat else torch.nn.InstanceNorm3d(3)
    net = ready_for_inference(torch.nn.Sequential(layers, norm), torch.device("cpu"))
    asked = []
    net[0].register_forward_hook(lambda _, images, __: asked.append(len(images[0])))
    image = torch.randn(1, *shape)
    together = torch.cat(list(score_rows(net, image, windows, 3)), dim=1)
    assert max(asked) > 2
    monkeypatch.setattr(windows_module, "_VOXELS_AT_ONCE", 1)
    alone = torch.cat(list(score_rows(net, image, windows, 3)), dim=1)
    torch.testing.assert_close(alone, together, **TOLERANCES[precision])
    assert asked[-1] == 1


def test_a_network_of_one_image_is_asked_for_one(monkeypatch):
    net = ready_for_inference(network(20, 1, False, 0), torch.device("cpu"))
    net.one_image = True
    asked = []
    net.decoder.register_forward_hook(lambda _, __, found: asked.append(len(found)))
    scores_of([net], torch.randn(1, 20, 40, 40), 20)
    assert set(asked) == {1}


def test_rows_come_in_order_and_few_at_once(monkeypatch):
    monkeypatch.setattr(windows_module, "_LARGEST_PIECE", 3 * 20 * 16 * 18)
    net = ready_for_inference(network(20, 1, False, 0), torch.device("cpu"))
    pieces = list(mean_score_rows([net], torch.randn(1, 50, 16, 18), WINDOWS, 20))
    assert sum(piece.shape[1] for piece in pieces) == 50
    assert max(piece.shape[1] for piece in pieces) <= 3
    assert np.isfinite(torch.cat(pieces, dim=1).numpy()).all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak can only be measured anew on Linux")
def test_the_memory_of_many_classes_is_that_of_few_rows(monkeypatch):
    """118 classes: neither the scores of the image (230 MB) nor those of one depth of windows (92 MB) are ever held."""
    monkeypatch.setattr(windows_module, "_LARGEST_PIECE", 1 << 20)
    shape, windows = (80, 80, 76), Windows((32, 32, 32), half=True)
    net = ready_for_inference(network(118, 1, False, 0), torch.device("cpu"))
    image = torch.randn(1, *shape)
    output, places = Output("classes", tuple(range(118))), [np.arange(n) for n in shape]
    labels_of_rows(mean_score_rows([net], image[:, :32, :32, :32], windows, 118), places, (32, 32, 32), output)
    reset_peak()
    before = peak_mb()
    labels = labels_of_rows(mean_score_rows([net], image, windows, 118), places, shape, output)
    assert peak_mb() - before < 60
    assert len(np.unique(labels)) > 10


@pytest.mark.parametrize("flat", [False, True])
def test_scores_made_few_rows_at_once_are_those_of_whole_windows(monkeypatch, flat):
    """In float32 throughout, too: every voxel gets the same label, and no window's scores are ever held."""
    monkeypatch.setattr(windows_module, "_LARGEST_ROWS", 3)
    patch, size = ((12, 16), (5, 30, 41)) if flat else ((16, 16, 16), (37, 20, 30))
    windows = Windows(patch, mirror_axes=(0, 1), half=True)
    arguments = ([4, 8], [[3] * len(patch)] * 2, [[1] * len(patch), [2] * len(patch)], [1, 1], [1])
    torch.manual_seed(0)
    net = ready_for_inference(PlainConvUNet(1, 30, *arguments, dimensions=len(patch)), torch.device("cpu"))
    image, held = torch.randn(1, *size), []
    net.head.register_forward_hook(lambda _, __, found: held.append(found.shape[-3] if not flat else len(found)))
    found = scores_of([net], image, 30, windows=windows, exact=True)
    assert held
    assert max(held) <= 3
    with torch.no_grad():
        expected = torch.cat(list(score_rows(net, image, windows, 30, exact=True)), dim=1)
    assert found.dtype == expected.dtype == torch.half
    assert float((found.argmax(dim=0) == expected.argmax(dim=0)).float().mean()) > 0.9999
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)


def test_few_classes_of_several_networks_are_rounded_as_their_makers_do(float32):
    networks = [ready_for_inference(network(3, 1, True, seed), torch.device("cpu")) for seed in range(2)]
    image, half = torch.randn(1, 20, 24, 18), Windows((16, 16, 16), half=True)
    expected = scores_of(networks, image, 3, windows=half, exact=True)
    assert expected.dtype == torch.half
    assert torch.equal(scores_of(networks, image, 3, windows=half), expected)
