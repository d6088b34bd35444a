"""A smaller model: which channels go, what is learned, when it is refused, and what 8 bits keep."""

import numpy as np
import pytest
import torch
from labeled_phantoms import ball_case, put
from shell import run
from trained_models import large_balls, put_model, train_balls

import meddl
from meddl.compression import shrink
from meddl.compression.channels import narrower_arguments, prune
from meddl.compression.figures import as_rows
from meddl.core.errors import InputError, ModelError
from meddl.measures.overlap import dice
from meddl.models.formats.safetensors_header import read_safetensors_header
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_weights, save_weights
from meddl.networks import build_network
from meddl.networks.eight_bit import SCALE, dequantize, quantize
from meddl.training.supervised.plan import Topology, network_of

TOPOLOGY = Topology(((1, 1, 1), (2, 2, 2), (2, 2, 2)), ((3, 3, 3),) * 3, (16, 16, 16))
PLAIN = {"in_channels": 1, "out_channels": 3, "features": [16, 24, 32], "kernel_sizes": [[3, 3, 3]] * 3,
         "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "counts": [2, 2, 2], "decoder_counts": [1, 1]}
BASIC = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "features": [16, 16, 32, 32, 32, 16]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))


def networks():
    """Each architecture that can be pruned, small."""
    for name in ("dynunet", "nnunet", "unet", "segresnet"):
        architecture, arguments = network_of(name, TOPOLOGY, 1, 3)
        arguments |= {key: [16, 24, 32] for key in ("filters", "channels") if key in arguments}
        yield architecture, arguments
    yield "PlainConvUNet", PLAIN
    yield "ResidualEncoderUNet", PLAIN
    yield "monai.BasicUNet", BASIC


@pytest.mark.parametrize(("architecture", "arguments"), [pytest.param(*one, id=one[0] + str(n)) for n, one in
                                                         enumerate(networks())])
def test_a_pruned_network_takes_the_same_image_and_has_the_weights_of_channels(architecture, arguments):
    torch.manual_seed(0)
    large = build_network(architecture, dict(arguments)).eval()
    image = torch.randn(1, 1, 32, 32, 32)
    small = prune(large, architecture, narrower_arguments(architecture, arguments, 0.5), image).eval()
    with torch.no_grad():
        assert small(image).shape == large(image).shape
    assert sum(p.numel() for p in small.parameters()) < 0.75 * sum(p.numel() for p in large.parameters())
    own = large.state_dict()
    for name, tensor in small.state_dict().items():
        if tensor.ndim > 2 and "seg_layers" not in name:  # scores of coarser stages, which inference does not use
            assert set(tensor.flatten().tolist()) <= set(own[name].flatten().tolist()), name


def test_channels_that_nothing_reads_are_the_ones_that_go():
    """With the right channels gone, scores stay what they were: no choice is off by one layer."""
    torch.manual_seed(1)
    arguments = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3, 3], "strides": [1, 2, 2],
                 "upsample_kernel_size": [2, 2], "filters": [16, 16, 32], "norm_name": ["instance", {"affine": True}]}
    large = build_network("monai.DynUNet", dict(arguments)).eval()
    rng = np.random.default_rng(0)
    halves = {}  # of each convolution the outputs that stay
    for name, layer in large.named_modules():
        if isinstance(layer, (torch.nn.Conv3d, torch.nn.ConvTranspose3d)) and "output_block" not in name:
            outputs = layer.out_channels
            halves[name] = rng.permutation(outputs)[:outputs // 2]
    for name, layer in large.named_modules():  # nobody reads the others: their normalization gives 0
        if isinstance(layer, torch.nn.InstanceNorm3d):
            conv = name.replace("norm1", "conv1.conv").replace("norm2", "conv2.conv")
            mask = torch.zeros(layer.num_features)
            mask[torch.from_numpy(halves[conv])] = 1
            with torch.no_grad():
                layer.weight.mul_(mask)
                layer.bias.mul_(mask)
    for name, layer in large.named_modules():
        if isinstance(layer, torch.nn.ConvTranspose3d):
            stay = torch.zeros(layer.out_channels)
            stay[torch.from_numpy(halves[name])] = 1
            with torch.no_grad():
                layer.weight.mul_(stay[None, :, None, None, None])
    for name, layer in large.named_modules():
        if name.endswith("conv_block.conv1.conv"):  # reads what was upsampled first, then the skipped features
            up = name.replace("conv_block.conv1.conv", "transp_conv.conv")
            gone = sorted(set(range(layer.in_channels // 2)) - set(halves[up].tolist()))
            with torch.no_grad():
                layer.weight[:, gone] = 0
    image = torch.randn(1, 1, 16, 16, 16)
    small = prune(large, "monai.DynUNet", narrower_arguments("monai.DynUNet", arguments, 0.5), image).eval()
    with torch.no_grad():
        torch.testing.assert_close(small(image), large(image), rtol=1e-4, atol=1e-4)


def test_networks_without_widths_are_refused():
    with pytest.raises(ModelError, match="cannot be pruned"):
        narrower_arguments("monai.SwinUNETR", {}, 0.5)


def test_8_bits_are_near_and_a_quarter_of_the_file(tmp_path):
    torch.manual_seed(0)
    weights = {"a.weight": torch.randn(16, 8, 3, 3, 3), "a.bias": torch.randn(16), "n": torch.tensor(3),
               "zero": torch.zeros(8, 64)}
    back = dequantize(quantize(weights))
    assert back.keys() == weights.keys() and torch.equal(back["a.bias"], weights["a.bias"])
    step = weights["a.weight"].flatten(1).abs().amax(1) / 127
    assert ((back["a.weight"] - weights["a.weight"]).abs().flatten(1).amax(1) <= 0.5001 * step).all()
    save_weights(weights, tmp_path / "a.safetensors")
    save_weights(quantize(weights), tmp_path / "b.safetensors")
    assert read_safetensors_header(tmp_path / "b.safetensors")["a.weight"]["dtype"] == "I8"
    assert (tmp_path / "b.safetensors").stat().st_size < 0.4 * (tmp_path / "a.safetensors").stat().st_size
    assert torch.equal(load_weights(tmp_path / "b.safetensors")["a.weight"], back["a.weight"])
    assert SCALE not in "".join(load_weights(tmp_path / "b.safetensors"))


@pytest.fixture
def balls(tmp_path):
    """A model of balls, and volumes with labels."""
    train_balls(tmp_path)
    for n in range(6):
        put(tmp_path / "large", f"case_{n}", *large_balls(20 + n))
    return tmp_path / "large"


def test_a_model_is_pruned_distilled_and_stored_in_8_bits(balls, monkeypatch, capsys):
    monkeypatch.setattr(shrink, "_FRACTIONS", (0.5,))
    config = meddl.ShrinkConfig(steps=120, speedup=1.1, dice_loss=0.3, equal_labels=0.99)
    found = meddl.shrink_model("balls", balls / "images", balls / "labels", config=config, device="cpu")
    before, after = found.figures["dice"]
    assert before > 0.4 and after >= before - 0.3 and found.figures["agreement"] > 0.6
    pairs = found.figures["structures"]
    assert set(pairs) == {label.name for label in found.card.labels}
    np.testing.assert_allclose(np.mean(list(pairs.values()), axis=0), (before, after))
    assert as_rows(found.figures)[0] == ("Seconds a volume", *found.figures["seconds"])
    assert found.figures["equal_labels"] >= 0.99
    assert found.figures["parameters"][1] < 0.4 * found.figures["parameters"][0]
    assert found.figures["bytes"][1] < 0.2 * found.figures["bytes"][0]
    card = ModelStore().card("balls-small")
    assert card == found.card and card.accuracy and "distilled on 5 volumes" in card.training.data
    volume, truth = ball_case(50)
    labels = meddl.segment(volume, "balls-small", device="cpu").labels
    assert dice(labels, truth.data[0], (1, 2)).mean() > before - 0.2
    assert meddl.export_model("balls-small", balls / "out", "monai").path.is_dir()
    assert run("models", "shrink", "balls", "--volumes", balls / "images", "--name", "again", "--no-prune",
               "--equal-labels", 0.99, "--device", "cpu") == 0
    assert "8 bits keep" in capsys.readouterr().out and ModelStore().card("again").labels == card.labels


def test_what_is_not_fast_or_accurate_enough_changes_nothing(balls, monkeypatch):
    monkeypatch.setattr(shrink, "_FRACTIONS", (0.5,))
    installed = [card.id for card in ModelStore().list()]
    with pytest.raises(ModelError, match="times as fast; 20 times need.*Nothing has changed"):
        meddl.shrink_model("balls", balls / "images", config=meddl.ShrinkConfig(speedup=20), device="cpu")
    with pytest.raises(shrink.ShrinkRefusal, match="it loses .*Nothing has changed") as refused:
        meddl.shrink_model("balls", balls / "images", device="cpu",
                           config=meddl.ShrinkConfig(steps=1, speedup=1.1, dice_loss=0))
    assert refused.value.figures["agreement"] < 1 and "Mean Dice" in [
        name for name, *_ in as_rows(refused.value.figures)]
    with pytest.raises(InputError, match="name of the large model"):
        meddl.shrink_model("balls", balls / "images", name="Balls")
    assert [card.id for card in ModelStore().list()] == installed


def test_what_cannot_be_shrunk_is_said(tmp_path):
    with pytest.raises(ModelError, match="no segmentation model that was trained"):
        meddl.shrink_model("brain", tmp_path)
    put_model(tmp_path / "source")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="three volumes at least"):
        meddl.shrink_model("own", tmp_path / "empty")
