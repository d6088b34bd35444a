"""Work is done where it is wanted: there the answer is that of the whole volume, and elsewhere nothing is run."""

import numpy as np
import pytest
import torch
from nnunet_folder import write_nnunet
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import GeometryError, InputError
from meddl.models.store.store import ModelStore
from meddl.networks.architectures import nnunet
from meddl.segmentation.region_of_interest import OnlyWhereNeeded, body_mask, inside_roi
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume


def turned_affine() -> np.ndarray:
    """Oblique, anisotropic, left-handed."""
    a, b = np.radians((20, -35))
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * [2.0, -2.5, 3.0]
    affine[:3, 3] = (10, -20, 30)
    return affine


def test_a_box_holds_the_voxels_with_their_center_in_it():
    grid = Grid((10, 9, 8), turned_affine())
    points = grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))
    corners = np.array([[-10.0, -40, 10], [25, 5, 50]])
    inside = inside_roi(corners, grid)
    assert (inside == ((points >= corners[0]) & (points <= corners[1])).all(axis=-1)).all()
    assert 0 < inside.mean() < 1
    box = np.array(grid.affine) @ np.array([[4, 0, 0, 4.5], [0, 3, 0, 4], [0, 0, 2, 3.5], [0, 0, 0, 1]])  # its own axes
    inside = inside_roi(box, grid)
    expected = np.zeros(grid.shape, bool)
    expected[3:7, 3:6, 3:5] = True
    assert (inside == expected).all()


def test_a_mask_on_another_grid_counts_where_it_lies():
    grid = Grid((10, 9, 8), np.diag([2.0, 2, 2, 1]))
    mask = np.zeros((1, 40, 36, 32), np.uint8)
    mask[0, 8:20, 4:12, 0:8] = 3
    inside = inside_roi(Volume(mask, np.diag([0.5, 0.5, 0.5, 1])), grid)
    expected = np.zeros(grid.shape, bool)
    expected[2:5, 1:3, 0:2] = True
    assert (inside == expected).all()


@pytest.mark.parametrize("roi, error", [
    (np.zeros((2, 3)), InputError), (np.zeros((4, 4)), InputError), (np.zeros(3), InputError),
    (np.array([[900.0, 0, 0], [910, 10, 10]]), GeometryError)])
def test_no_box_and_a_box_beside_the_volume_are_refused(roi, error):
    with pytest.raises(error, match="region of interest"):
        inside_roi(roi, Grid((10, 9, 8), np.eye(4)))


def test_windows_that_are_not_needed_are_not_run():
    inner = torch.nn.Conv3d(1, 3, 1)
    network = OnlyWhereNeeded(inner, 3)
    image = torch.rand(2, 2, 4, 4, 4)
    image[:, 1] = 0
    image[1, 1, 2, 2, 2] = 1
    scores = network(image)
    assert not scores[0].any()
    assert torch.equal(scores[1], inner(image[1:, :1])[0])


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore()


@pytest.fixture
def model(store, tmp_path) -> str:
    return store.import_model(write_nnunet(tmp_path / "model", mirror=None), identifier="small").id


@pytest.fixture
def windows_run(monkeypatch) -> list:
    """One entry for each window that a network saw."""
    seen, real = [], nnunet.PlainConvUNet.features
    monkeypatch.setattr(nnunet.PlainConvUNet, "features", lambda self, x: seen.extend(x) or real(self, x))
    return seen


def noise(shape, seed: int = 0) -> np.ndarray:
    return 100 * gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (0, 2, 2, 2)) + 5


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("classes", [3, 12])
def test_inside_a_region_the_answer_is_that_of_the_whole_volume(store, tmp_path, windows_run, classes, exact):
    """Also where features are blended instead of scores, as there are fewer of them than classes."""
    labels = {"background": 0} | {f"structure {n}": n for n in range(1, classes)}
    model = store.import_model(write_nnunet(tmp_path / "other", mirror=None, labels=labels), identifier="other").id
    volume = Volume(noise((1, 40, 36, 44)), turned_affine())
    exact = SegmentConfig(float32=exact)
    whole = meddl.segment(volume, model, exact, device="cpu").labels
    every, center = len(windows_run), volume.grid.center_mm
    windows_run.clear()
    box = np.eye(4)
    box[:3, :3] *= (30, 25, 20)
    box[:3, 3] = center + np.array([20, 10, -20])
    part = meddl.segment(volume, model, exact, roi=box, device="cpu")
    inside = inside_roi(box, volume.grid)
    assert (part.labels[inside] == whole[inside]).all() and len(np.unique(whole[inside])) > 1
    assert not part.labels[~inside].any()
    assert 0 < len(windows_run) < every / 2
    assert part.report["changed_by_options"] == []
    assert part.labels.shape == whole.shape


@pytest.mark.parametrize("image, labels", [
    ("abdomen_ct.nii.gz", "abdomen_ct_labels.nii.gz"), ("abdomen_mr.nii.gz", "abdomen_mr_labels.nii.gz"),
    ("chest_ct.nrrd", "chest_ct_lungs.nrrd")])
def test_every_structure_of_a_real_body_is_inside_of_it(data_folder, image, labels):
    """Lungs and dim tissue too; and there is air around it."""
    mask = body_mask(meddl.load(data_folder / "body" / image))
    assert mask[meddl.load(data_folder / "body" / labels).scalar_data > 0].all()
    assert mask.mean() < 0.9


def test_options_about_the_body_save_windows_and_tell_that_they_change_the_answer(model, windows_run):
    data = np.full((1, 60, 60, 60), -1000.0)
    ball = ((np.stack(np.meshgrid(*[np.arange(60)] * 3, indexing="ij")) - 20) ** 2).sum(axis=0) < 110
    data[:, ball] = noise(data.shape)[:, ball] + 40
    volume = Volume(data + np.random.default_rng(1).normal(0, 5, data.shape), np.diag([2.0, 2.0, 2.0, 1]))
    assert body_mask(volume)[ball].all() and body_mask(volume).mean() < 0.1
    counts = {}
    for name, config in (("all", SegmentConfig()), ("crop", SegmentConfig(body_crop=True)),
                         ("skip", SegmentConfig(skip_empty=True))):
        windows_run.clear()
        found = meddl.segment(volume, model, config, device="cpu")
        counts[name] = len(windows_run)
        assert len(found.report["changed_by_options"]) == (name != "all")
        if name != "all":
            assert not found.labels[50:].any()
    assert counts["crop"] < counts["all"] / 3 and counts["skip"] < counts["all"] / 2
