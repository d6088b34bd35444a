"""The plan follows nnU-Net's rules: voxel size, patch, depth and batch from the figures of a data set."""

import math

import numpy as np
import pytest
import torch
from labeled_phantoms import ball_case, put, write_folders

from meddl import TrainConfig
from meddl.core.errors import InputError
from meddl.networks import build_network
from meddl.spatial.volume import Volume
from meddl.training.losses import dice_cross_entropy
from meddl.training.start import StartModel
from meddl.training.supervised.fine_tuning import plan_from_model
from meddl.training.supervised.patches import PatchSampler
from meddl.training.supervised.plan import make_plan, plan_patch, target_spacing
from meddl.training.supervised.prepared import classes_on_image, prepare_cases
from meddl.training.supervised.task import SegmentationTask
from meddl.training.supervised.train import check_data

PLENTY = 64 << 30


def test_the_voxel_size_is_the_median_but_across_thick_slices_the_tenth_percentile():
    same = [(1.0, 1.0, 1.2), (1.0, 1.0, 1.0), (2.0, 1.0, 1.1)]
    np.testing.assert_allclose(target_spacing(same, [(50, 50, 50)] * 3), (1.0, 1.0, 1.1))
    thick = [(0.5, 0.5, z) for z in (3.0, 4.0, 5.0, 6.0, 7.0)]
    np.testing.assert_allclose(target_spacing(thick, [(300, 300, 20)] * 5), (0.5, 0.5, 3.4))
    np.testing.assert_allclose(target_spacing(thick, [(300, 300, 250)] * 5), (0.5, 0.5, 5.0))


@pytest.mark.parametrize(("spacing", "median", "most", "stages", "patch", "steps"), [
    ((1, 1, 1), (35, 51, 35), 96_000, 4, (40, 56, 40), (8, 8, 8)),  # hippocampus: nnU-Net plans 40 x 56 x 40 too
    ((0.5, 0.5, 5.0), (320, 320, 20), 2_000_000, 6, None, None),
    ((1.5, 1.5, 1.5), (200, 180, 250), 2_097_152, 6, None, None)])
def test_a_patch_has_few_enough_voxels_and_is_divided_by_its_strides(spacing, median, most, stages, patch, steps):
    topology = plan_patch(np.array(spacing, float), np.array(median), most, stages)
    found = np.prod(topology.strides, axis=0)
    assert math.prod(topology.patch) <= most
    assert all(n % s == 0 for n, s in zip(topology.patch, found, strict=True))
    assert patch is None or topology.patch == patch
    assert steps is None or tuple(found) == steps
    if spacing[2] == 5.0:  # thick slices are halved last, and first stages do not look across them
        assert found[2] < found[0]
        assert topology.kernels[0] == (3, 3, 1)


@pytest.mark.parametrize("network", ["dynunet", "segresnet", "unet"])
@pytest.mark.parametrize("patch", [(16, 16, 16), (24, 16, 6)])
def test_every_planned_network_can_be_built_and_takes_its_patch(tmp_path, network, patch):
    inspection = check_data(*write_folders(tmp_path, 2))
    plan = make_plan(inspection, TrainConfig(network=network, patch_voxels=patch), "cpu", PLENTY)
    built = build_network(plan.architecture, plan.arguments).eval()
    assert all(n >= m for n, m in zip(plan.patch_voxels, patch, strict=True))
    with torch.no_grad():
        assert built(torch.zeros(1, 1, *plan.patch_voxels)).shape == (1, 3, *plan.patch_voxels)


@pytest.mark.parametrize(("kind", "width", "features"), [
    ("cpu", None, [16, 32, 64]), ("gpu", None, [32, 64, 128]), ("gpu", 0.1, [8, 8, 16]), ("cpu", 2.0, [64, 128, 256])])
def test_a_network_has_half_of_the_features_on_a_cpu_unless_it_is_asked_for_others(tmp_path, kind, width, features):
    inspection = check_data(*write_folders(tmp_path, 2))
    plan = make_plan(inspection, TrainConfig(patch_voxels=(16, 16, 16), width=width), kind, PLENTY)
    assert plan.arguments["filters"] == features


def test_impossible_patches_and_batches_are_refused(tmp_path):
    inspection = check_data(*write_folders(tmp_path, 2))
    for options in ({"patch_voxels": (16, 16)}, {"patch_voxels": (0, 16, 16)}, {"batch": 0}):
        with pytest.raises(InputError):
            make_plan(inspection, TrainConfig(**options), "cpu", PLENTY)


def test_hounsfield_units_are_clipped_to_the_structures_range_and_other_images_standardized(tmp_path):
    inspection = check_data(*write_folders(tmp_path, 2))
    plan = make_plan(inspection, TrainConfig(), "cpu", PLENTY)
    assert plan.recipe["steps"][1]["arguments"]["channels"][0]["scheme"] == "z-score"
    from dataclasses import replace

    as_ct = replace(inspection, dataset=replace(inspection.dataset, channels=("CT",)))
    scheme = make_plan(as_ct, TrainConfig(), "cpu", PLENTY).recipe["steps"][1]["arguments"]["channels"][0]
    assert scheme["scheme"] == "ct"
    assert 130 < scheme["lower"] < scheme["mean"] < scheme["upper"] < 250


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAR"])
def test_prepared_classes_lie_on_the_prepared_image_whatever_the_axes(tmp_path, codes):
    for n in range(2):
        image, labels = ball_case(n)
        put(tmp_path, f"c{n}", Volume(image.data, image.affine).reorient(codes), labels.reorient(codes))
    inspection = check_data(tmp_path)
    cases = prepare_cases(inspection, make_plan(inspection, TrainConfig(), "cpu", PLENTY).recipe, tmp_path / "cases")
    truth = ball_case(0)[1].data[0]
    assert np.array_equal(cases["c0"].classes, truth)
    bright = [cases["c0"].image[0][truth == value].mean() for value in range(3)]
    assert bright[0] < bright[1] < bright[2]


def test_classes_on_a_finer_image_keep_their_size_and_nothing_counts_outside():
    from meddl.segmentation.imported.steps.preprocessing import Image

    truth = ball_case(3)[1].data[0].astype(np.int16)
    affine = np.array([[0.5, 0, 0, -2.0], [0, 0.5, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 1]])
    found = classes_on_image(truth, np.eye(4), Image(torch.zeros(1, 35, 31, 31), affine))
    assert (found[:3] == -1).all()
    assert (found[4:] >= 0).all()
    for value in (1, 2):
        assert abs((found == value).sum() / 8 / (truth == value).sum() - 1) < 0.15


def test_a_batch_depends_on_seed_and_number_alone_and_shows_structures(tmp_path):
    inspection = check_data(*write_folders(tmp_path, 3))
    recipe = make_plan(inspection, TrainConfig(), "cpu", PLENTY).recipe
    cases = list(prepare_cases(inspection, recipe, tmp_path / "cases").values())
    first, again, other = (PatchSampler(cases, (12, 12, 12), 3, seed=seed) for seed in (1, 1, 2))
    first.draw(0)
    images, classes = first.draw(5)
    part = PatchSampler(cases, (12, 12, 12), 3, seed=1, part=(1, 2))
    assert (part.draw(5)[0] == images[1::2]).all() and (part.draw(5, whole=True)[0] == images).all()
    assert images.shape == (3, 1, 12, 12, 12)
    assert classes.dtype.is_floating_point is False
    assert all((a == b).all() for a, b in zip(again.draw(5), (images, classes), strict=True))
    assert not (other.draw(5)[0] == images).all()
    assert all((first.draw(n)[1][-1] > 0).any() for n in range(20))
    seen = {int(value) for n in range(20) for value in first.draw(n)[1].unique()}
    assert seen <= {-1, 0, 1, 2}
    assert seen >= {0, 1, 2}


def test_from_brain_a_patch_is_a_whole_head_where_memory_allows(tmp_path):
    inspection = check_data(*write_folders(tmp_path, 3))
    plans = [plan_from_model(StartModel("brain"), inspection, TrainConfig(), "cpu", free) for free in (PLENTY, 1 << 30)]
    assert [np.all(np.array(one.patch_voxels) >= (80, 104, 88)) for one in plans] == [True, False]
    assert [one.batch for one in plans] == [1, 1]


def test_classes_are_balanced_at_the_beginning_of_a_schedule_alone(tmp_path):
    inspection = check_data(*write_folders(tmp_path, 3))
    plan = make_plan(inspection, TrainConfig(network="unet", patch_voxels=(16, 16, 16)), "cpu", PLENTY)
    cases = list(prepare_cases(inspection, plan.recipe, tmp_path / "cases").values())
    task = SegmentationTask(plan, inspection.structures, PatchSampler(cases, (16, 16, 16), 1), cases[:1],
                            torch.device("cpu"))
    scores = torch.randn(1, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    losses = []
    for done in (0.0, 0.25, 0.5, 0.9):
        task.sample(done)
        assert task.balance == max(0.0, 0.5 - done)
        losses.append(float(task.loss_of_scores(scores, task.patches(0)[1])))
    assert losses[0] != losses[1] != losses[2] == losses[3] == float(dice_cross_entropy(scores, task.patches(0)[1]))
