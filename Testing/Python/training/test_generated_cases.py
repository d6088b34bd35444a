"""Images generated for training: rendered from the user's own label maps, read again, and trained on."""

import numpy as np
import pytest
import torch
from labeled_phantoms import ball_case, write_folders

import meddl
from meddl.training.supervised.data.generation import Generation, generate_cases
from meddl.training.supervised.patches import PatchSampler
from meddl.training.supervised.prepared import PreparedCase

PATCH = (16, 16, 16)
CPU = torch.device("cpu")


def cases(count: int = 3) -> list[PreparedCase]:
    """Balls, with intensities of mean 0 and standard deviation 1."""
    found = []
    for seed in range(count):
        image, labels = ball_case(seed)
        data = (image.data - image.data.mean()) / image.data.std()
        classes = labels.data[0].astype(np.int16)
        positions = {value: np.argwhere(classes == value) for value in (1, 2)}
        found.append(PreparedCase(f"case {seed}", data.astype(np.float32), classes, positions))
    return found


def test_generated_images_have_the_look_of_the_images_and_are_read_again(tmp_path):
    real, asked = cases(), Generation(4, 60, 0)
    made = generate_cases(real, PATCH, (1.0, 1.0, 1.0), asked, tmp_path, CPU)
    assert [one.name for one in made] == [f"generated {n}" for n in range(4)]
    for one in made:
        assert one.image.shape == (1, *PATCH) and one.classes.shape == PATCH and np.isfinite(one.image).all()
        assert set(np.unique(one.classes)) <= {-1, 0, 1, 2}
    means = [np.mean([one.image[0][one.classes == value].mean() for one in made]) for value in (0, 1, 2)]
    assert means[0] < means[1] < means[2]  # as in the balls
    assert not np.array_equal(made[0].image, made[1].image)
    before = (tmp_path / "0_image.npy").stat().st_mtime_ns
    generate_cases(real, PATCH, (1.0, 1.0, 1.0), asked, tmp_path, CPU)
    assert (tmp_path / "0_image.npy").stat().st_mtime_ns == before
    generate_cases(real, PATCH, (1.0, 1.0, 1.0), Generation(4, 2, 0), tmp_path, CPU)
    assert (tmp_path / "0_image.npy").stat().st_mtime_ns != before


def test_small_patches_are_generated_in_bf16(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_PRECISION", "bfloat16")
    for one in generate_cases(cases(), PATCH, (1.0, 1.0, 1.0), Generation(2, 3, 0), tmp_path, CPU):
        assert np.isfinite(one.image).all() and one.image.std() > 0


def test_a_cancelled_generation_leaves_nothing_that_is_taken_for_whole(tmp_path):
    def stop(fraction, message):
        if message == "Generating images" and fraction > 0.92:
            raise meddl.Cancelled

    with pytest.raises(meddl.Cancelled):
        generate_cases(cases(), PATCH, (1.0, 1.0, 1.0), Generation(4, 2, 0), tmp_path, CPU, stop)
    made = generate_cases(cases(), PATCH, (1.0, 1.0, 1.0), Generation(4, 2, 0), tmp_path, CPU)
    assert len(made) == 4


def test_patches_that_are_turned_alone_keep_their_intensities():
    drawn = [PatchSampler(cases(1), PATCH, 1, seed=1, augment=how).draw(n)[0]
             for how in ("none", "spatial", "all") for n in range(12)]
    plain, turned, changed = (torch.stack(drawn[n:n + 12]) for n in (0, 12, 24))
    assert not torch.equal(plain, turned) and not torch.equal(turned, changed)
    assert turned.max() <= plain.max() + 1e-4 < changed.max()


def test_a_model_is_trained_on_generated_images_too(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    images, labels = write_folders(tmp_path)
    config = meddl.TrainConfig(steps=3, network="unet", patch_voxels=PATCH, batch=2, generate=2, generate_steps=2)
    model = meddl.train(images, labels, out=tmp_path / "run", config=config, device="cpu")
    assert "--generate 2 --generate-steps 2" in model.card.training.command
    assert (tmp_path / "run" / "generated" / "1_image.npy").is_file()
    assert not (tmp_path / "run" / "generated" / "2_image.npy").is_file()
