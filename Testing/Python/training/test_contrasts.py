"""Training for any contrast: what is drawn has other intensities, and what is learned finds structures in them."""

import numpy as np
import pytest
from labeled_phantoms import ball_case, write_folders

import meddl
from meddl.measures.overlap import dice
from meddl.training.supervised.data.augmentation import random_contrast


def draws(count: int = 40) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """An image, its classes, and the image in other contrasts."""
    image, labels = ball_case(0)
    classes = labels.data[0].astype(np.int16)
    return image.data, classes, [random_contrast(image.data, classes, np.random.default_rng(n)) for n in range(count)]


def test_mean_and_spread_stay_and_the_seed_decides():
    image, classes, made = draws()
    for one in made:
        assert one.shape == image.shape and np.isfinite(one).all()
        assert one.mean() == pytest.approx(image.mean(), rel=1e-3) and one.std() == pytest.approx(image.std(), rel=1e-3)
    assert np.array_equal(made[3], random_contrast(image, classes, np.random.default_rng(3)))
    assert len({float(one[0, 0, 0, 0]) for one in made}) > 30


def test_structures_are_brighter_and_darker_than_what_is_around_them():
    _, classes, made = draws()
    brighter = [[one[0][classes == value].mean() > one[0][classes == 0].mean() for one in made] for value in (1, 2)]
    assert all(5 < sum(found) < 35 for found in brighter)


def test_a_constant_channel_and_one_without_structures_stay_finite():
    flat = np.full((1, 4, 4, 4), 7.0, dtype=np.float32)
    classes = np.zeros((4, 4, 4), dtype=np.int16)
    assert np.array_equal(random_contrast(flat, classes, np.random.default_rng(0)), flat)
    image = np.random.default_rng(0).normal(size=(2, 4, 4, 4)).astype(np.float32)
    assert np.isfinite(random_contrast(image, classes, np.random.default_rng(1))).all()


@pytest.mark.slow
def test_what_is_trained_for_any_contrast_segments_the_negative(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    images, labels = write_folders(tmp_path)
    overlaps = {}
    for contrast in ("own", "any"):
        config = meddl.TrainConfig(steps=150, network="unet", patch_voxels=(16, 16, 16), batch=2, learning_rate=4e-3,
                                   contrast=contrast)
        card = meddl.train(images, labels, out=tmp_path / contrast, name=contrast, config=config, device="cpu").card
        assert ("--contrast any" in card.training.command) == (contrast == "any")
        found = []
        for seed in range(20, 24):
            volume, truth = ball_case(seed)
            negative = meddl.Volume(500 - volume.data, volume.affine)
            found.append(dice(meddl.segment(negative, contrast, device="cpu").labels, truth.data[0], (1, 2)).mean())
        overlaps[contrast] = np.mean(found)
    assert overlaps["any"] > overlaps["own"] + 0.2
