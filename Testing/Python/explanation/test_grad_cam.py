"""Grad-CAM: the layer that is taken, windows, memory, and features that speak for a class."""

import importlib

import numpy as np
import pytest
import torch
from nnunet_folder import write_nnunet
from torch import nn

from meddl.core.errors import InputError, OutOfMemoryError
from meddl.explanation.grad_cam import grad_cam, window_slices
from meddl.explanation.layers import choose_features, choose_layer, convolutions, features
from meddl.explanation.network_view import NetworkView
from meddl.explanation.subject import Networks
from meddl.models.cards import NetworkSpec
from meddl.models.recipes import Windows
from meddl.models.store.store import ModelStore
from meddl.spatial.grid import Grid
from meddl.training.recognition.task import ARCHITECTURE as RESNET
from meddl.training.recognition.task import ARGUMENTS as RESNET_ARGUMENTS

verb = importlib.import_module("meddl.explanation.explain")  # the package has the function under this name


class BrightAndDark(nn.Module):
    """Two features, bright and dark; class 1 counts the bright everywhere, class 2 the dark."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv3d(1, 2, 1)
        self.act = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.features.weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1)
            self.features.bias[:] = 0

    def forward(self, image):
        found = self.features(image)
        found *= 1.0  # in place, as many networks add their skips
        found = self.act(found)
        bright, dark = found.mean(dim=(2, 3, 4), keepdim=True).unbind(1)
        return torch.stack((0 * bright, bright, dark), 1).expand(-1, -1, *image.shape[2:])


def image() -> torch.Tensor:
    given = torch.zeros(1, 12, 10, 8)
    given[0, 1:4, 1:4, 1:4], given[0, 8:11, 6:9, 4:7] = 1, -1
    return given


@pytest.mark.parametrize(("channel", "bright"), [(1, True), (2, False)])
def test_the_features_that_a_class_is_made_of_are_shown_and_no_others(channel, bright):
    mask = torch.ones(12, 10, 8, dtype=torch.bool)
    found = grad_cam(BrightAndDark(), image(), mask, channel, "features", Windows((12, 10, 8)))
    assert found.shape == (12, 10, 8)
    wanted = image()[0] > 0 if bright else image()[0] < 0
    assert (found[wanted] > 0).all() and (found[~wanted] == 0).all()


class BrightOrDark(BrightAndDark):
    """A classifier of the same features: what each class counts, of the whole image."""

    def forward(self, image):
        return super().forward(image).mean(dim=(2, 3, 4))


@pytest.mark.parametrize(("channel", "bright"), [(1, True), (2, False)])
@pytest.mark.parametrize("layer", ["features", "act"])
def test_the_features_of_a_classifiers_class_are_shown(channel, bright, layer):
    mask = torch.ones(12, 10, 8, dtype=torch.bool)
    found = grad_cam(BrightOrDark(), image(), mask, channel, layer, Windows((0, 0, 0)))
    wanted = image()[0] > 0 if bright else image()[0] < 0
    assert (found[wanted] > 0).all() and (found[~wanted] == 0).all()


@pytest.mark.parametrize(("architecture", "arguments", "size", "name"), [
    (RESNET, RESNET_ARGUMENTS, 40, "layer3"), (RESNET, RESNET_ARGUMENTS, 24, "layer2"),
    ("monai.DenseNet", {"spatial_dims": 3, "in_channels": 2, "out_channels": 2, "init_features": 8, "growth_rate": 4,
                        "block_config": [2, 2, 2]}, 48, "features.transition2.conv")])
def test_of_a_classifier_the_last_features_that_show_a_place_are_taken(architecture, arguments, size, name):
    layers = features(NetworkSpec(architecture, arguments, 2.0, (size,) * 3), 2, (size,) * 3)
    chosen = choose_features(layers)
    assert chosen.name == name and min(chosen.shape) >= 5
    assert choose_features(layers, layers[-1].name).shape == layers[-1].shape
    with pytest.raises(InputError, match="no layer 'nothing'"):
        choose_features(layers, "nothing")


def test_windows_cover_the_image_and_those_without_the_structure_are_left_out():
    windows = Windows((8, 8, 8), overlap=0.5)
    covered = np.zeros((12, 10, 5), dtype=int)
    for place in window_slices(covered.shape, windows):
        covered[place] += 1
    assert (covered > 0).all()
    mask = torch.zeros(12, 10, 8, dtype=torch.bool)
    mask[2, 2, 2] = True
    found = grad_cam(BrightAndDark(), image(), mask, 1, "features", Windows((6, 5, 8), overlap=0))
    assert (found[1:4, 1:4, 1:4] > 0).all() and (found[6:] == 0).all()


def test_an_image_smaller_than_the_patch_is_padded_as_for_inference():
    mask = torch.ones(12, 10, 8, dtype=torch.bool)
    found = grad_cam(BrightAndDark(), image(), mask, 1, "features", Windows((16, 16, 16)))
    assert found.shape == (12, 10, 8) and (found[1:4, 1:4, 1:4] > 0).all() and (found[8:11, 6:9, 4:7] == 0).all()


@pytest.mark.parametrize(("spec", "patch", "name"), [
    (NetworkSpec("PlainConvUNet", {"in_channels": 1, "out_channels": 3, "features": [4, 8, 8],
                                   "kernel_sizes": [[3] * 3] * 3, "strides": [[1] * 3, [2] * 3, [2] * 3],
                                   "counts": [1, 2, 1], "decoder_counts": [1, 1]}, 2.0, (16, 16, 16)),
     (16, 16, 16), "encoder.stages.2.0.convs.0.conv"),
    (NetworkSpec("SidedUNet", {"in_channels": 1, "tissue_of_class": [0, 1, 1], "side_of_class": [2, 0, 1],
                               "widths": [8, 8, 8]}, 2.0, (16, 16, 16)), (16, 16, 16), "body.bottom.1.conv"),
    (NetworkSpec("monai.SegResNet", {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "init_filters": 8}, 2.0,
                 (16, 16, 16)), (16, 16, 16), "up_samples.0.0.conv")])
def test_the_coarsest_features_of_any_network_are_taken(spec, patch, name):
    layers = convolutions(spec, 1, patch)
    chosen = choose_layer(layers)
    assert chosen.name == name
    assert choose_layer(layers, layers[0].name) is layers[0] and layers[0].bytes_after > chosen.bytes_after
    with pytest.raises(InputError, match="no convolution 'nothing'"):
        choose_layer(layers, "nothing")


def test_a_program_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="Choose occlusion"):
        convolutions(NetworkSpec("TorchScriptNetwork", {}, 1.0, (8, 8, 8)), 1, (8, 8, 8))


def test_windows_shrink_until_their_gradients_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    card = ModelStore().import_model(write_nnunet(tmp_path / "model", patch=(32, 32, 32)), identifier="one")
    view = NetworkView(torch.zeros(1, 32, 32, 32), Grid((32, 32, 32), np.eye(4)), card.recipe.windows,
                       card.recipe.networks, {0: 0, 1: 1, 2: 2})
    networks = Networks(card, view, (), lambda *asked: choose_layer(convolutions(*asked[:3]), asked[3]), in_parts=True)
    needed = choose_layer(convolutions(card.networks["fold_0"], 1, (32, 32, 32))).bytes_after
    warnings: list[str] = []
    for free, patch in ((needed, (32, 32, 32)), (needed * 0.6, (16, 32, 32)), (needed * 0.3, (16, 16, 32))):
        monkeypatch.setattr(verb, "free_memory_bytes", lambda device, free=free: free)
        planned = verb._plan(networks, "", torch.device("cpu"), warnings)[1]
        assert planned.windows.patch_voxels == patch
    assert len(warnings) == 2 and "16 x 16 x 32" in warnings[1]
    monkeypatch.setattr(verb, "free_memory_bytes", lambda device: 1000)
    with pytest.raises(OutOfMemoryError, match="Choose occlusion"):
        verb._plan(networks, "", torch.device("cpu"), [])
