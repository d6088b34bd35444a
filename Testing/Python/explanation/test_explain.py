"""Explanations of small models point at what they were taught to depend on, and depend on their weights.

The last is the sanity check of J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, arXiv:1810.03292.
"""

import copy
import sys

import numpy as np
import pytest
import torch
from channel_images import blobs
from marked_phantom import BALL, GRAY, MARKER, SIZE, cube, phantom, trained_network, untrained_network, write_model
from nnunet_folder import write_nnunet
from places import BENCHMARKS
from scipy import ndimage
from scipy.stats import spearmanr

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.explanation.config import ExplainConfig
from meddl.explanation.grad_cam import grad_cam
from meddl.models.recipes import Windows
from meddl.models.store.store import ModelStore
from meddl.samples import head

sys.path.insert(0, str(BENCHMARKS))
from bundle_cases import CASES, write_bundle

EXACT = SegmentConfig(float32=True)
FINE = ExplainConfig(runs=60, smallest_mm=8.0)
CAM = ExplainConfig(method="grad-cam")
pytestmark = pytest.mark.slow  # a network is trained before

LAYER = "encoder.stages.1.0.convs.1.conv"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(folder / "cache"))
        store = ModelStore()
        store.import_model(write_model(folder / "marked"), identifier="marked")
        store.import_model(write_nnunet(folder / "random", mirror=None), identifier="random")
        store.import_model(write_nnunet(folder / "folds", folds=(0, 1), patch=(16, 16, 16)), identifier="folds")
        store.import_model(write_bundle(folder / "bundle", CASES["segresnet"]), identifier="bundle")
        yield store


def test_the_phantom_is_marked_by_its_cube_alone(store):
    for marked in (True, False):
        volume, truth = phantom(marked)
        found = meddl.segment(volume, "marked", EXACT, device="cpu").labels
        assert 2 * ((found == truth) & (truth > 0)).sum() / ((found > 0).sum() + (truth > 0).sum()) > 0.8


def test_occlusion_points_at_the_only_region_that_matters(store):
    """Away from the ball itself: the cube that marks it, not the gray one."""
    volume, truth = phantom()
    found = meddl.explain(volume, "marked", "marked", FINE, EXACT, device="cpu")
    drops = found.map.data[0]
    assert found.map.grid.same_as(volume.grid) and drops.dtype == np.float32
    assert drops[cube(MARKER)].min() > 0.7
    assert drops[cube(GRAY)].max() < 0.3
    assert drops[truth > 0].mean() > drops[cube(GRAY)].max()  # without the ball there is nothing to be marked
    assert found.report["subject"] == "pipeline" and found.report["runs"] <= 60
    assert "whole pipeline of 'marked'" in found.reading and "marked loses" not in found.reading


def test_a_region_keeps_the_occlusion_inside(store):
    volume, _ = phantom()
    corner = volume.grid.points_mm([MARKER])[0]
    found = meddl.explain(volume, "marked", "marked", ExplainConfig(runs=3), EXACT,
                          region=np.array([corner - 5, corner + np.array([5, 24, 5])]), device="cpu")
    drops = found.map.data[0]
    assert drops[cube(MARKER)].max() > 0 and drops[8:].max() == 0


def test_grad_cam_explains_the_network_and_says_so(store):
    volume, _ = phantom()
    found = meddl.explain(volume, "marked", "marked", ExplainConfig(method="grad-cam", layer=LAYER), EXACT,
                          device="cpu")
    map_ = found.map.data[0]
    assert found.map.grid.same_as(volume.grid) and 0.5 < map_.max() <= 1 and map_.min() >= 0
    assert found.report["subject"] == "network" and found.report["layer"] == LAYER
    assert "network of 'marked'" in found.reading and "after the network is not explained" in found.reading


def test_random_weights_change_the_map_of_grad_cam():
    volume, truth = phantom()
    image = torch.from_numpy((volume.data - volume.data.mean()) / volume.data.std())
    windows, mask = Windows((SIZE,) * 3), torch.from_numpy(truth > 0)
    maps = [grad_cam(copy.deepcopy(network), image, mask, 2, LAYER, windows).numpy().ravel()
            for network in (trained_network(), *(untrained_network(seed) for seed in range(1, 6)))]
    assert maps[0].max() > 0
    similar = [spearmanr(maps[0], other).statistic for other in maps[1:] if other.any()]
    assert similar and np.mean(similar) < 0.5
    again = grad_cam(copy.deepcopy(trained_network()), image, mask, 2, LAYER, windows).numpy().ravel()
    np.testing.assert_array_equal(again, maps[0])


def test_random_weights_change_the_map_of_occlusion(store):
    volume, _ = phantom()
    trained = meddl.explain(volume, "marked", "marked", ExplainConfig(runs=28), EXACT, device="cpu").map.data
    labels = meddl.segment(volume, "random", EXACT, device="cpu").labels
    structure = int(np.bincount(labels[labels > 0]).argmax())
    random = meddl.explain(volume, "random", structure, ExplainConfig(runs=28), EXACT, device="cpu").map.data
    # Correlation would be that of the ball, where both find their structure: it is the drop that the marker makes.
    assert trained[0][cube(MARKER)].min() > 0.7 and random[0][cube(MARKER)].max() < 0.1


@pytest.mark.parametrize("model", ["folds", "bundle"])
@pytest.mark.parametrize("explain", [ExplainConfig(runs=9), CAM], ids=["occlusion", "grad-cam"])
def test_models_of_other_tools_are_explained(store, model, explain):
    """An imported nnU-Net of two folds, and a MONAI bundle, larger than their patches."""
    channels = len(store.card(model).channel_names)
    shape = (30, 26, 22)
    volume = meddl.Volume(np.concatenate([blobs(shape, np.diag([-1.5, 1.5, 2.0, 1.0]), n).data
                                          for n in range(channels)]), np.diag([-1.5, 1.5, 2.0, 1.0]))
    labels = meddl.segment(volume, model, EXACT, device="cpu").labels
    structure = int(np.bincount(labels[labels > 0]).argmax())
    seen = []
    found = meddl.explain(volume, model, structure, explain, EXACT, device="cpu",
                          on_progress=lambda fraction, message: seen.append((fraction, message)))
    assert found.map.shape == shape and found.map.data.max() > 0 and found.map.data.max() <= 1
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen) and seen[-1][0] == 1
    if explain.method == "occlusion":
        assert any("Run 2 of 8, about" in message for _, message in seen)


def test_what_is_not_there_cannot_be_explained(store):
    volume, _ = phantom(marked=False)
    with pytest.raises(InputError, match="does not find marked"):
        meddl.explain(volume, "marked", "marked", device="cpu")
    with pytest.raises(InputError, match="no structure 'liver'"):
        meddl.explain(volume, "marked", "liver", device="cpu")
    with pytest.raises(InputError, match="one of occlusion, grad-cam"):
        meddl.explain(volume, "marked", "plain", ExplainConfig(method="lime"), device="cpu")
    assert BALL != MARKER


@pytest.mark.parametrize("explain", [ExplainConfig(runs=12), ExplainConfig(method="grad-cam")],
                         ids=["occlusion", "grad-cam"])
def test_the_brain_model_is_explained(explain):
    """Occlusion of its whole pipeline, Grad-CAM of its network: a structure depends on its own surroundings most."""
    volume, truth = head("T1", 3.0)
    found = meddl.explain(volume, "brain", "left hippocampus", explain, SegmentConfig(atlas_label_maps=0), device="cpu")
    map_ = found.map.data[0]
    assert found.map.grid.same_as(volume.grid) and 0 < map_.max() <= 1
    near = ndimage.binary_dilation(truth.labels == 17, iterations=3)
    assert map_[near].mean() > 2 * map_[volume.data[0] > volume.data.mean()].mean()
    assert found.report["subject"] == ("pipeline" if explain.method == "occlusion" else "network")
    assert "'brain'" in found.reading
