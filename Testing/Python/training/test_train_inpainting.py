"""Training of the network that fills masks: what it is given, and that it learns to add to the smooth fill."""

import torch
from test_train_superres import pool

from meddl.training.superres.inpainting_task import InpaintingTask


def test_only_masked_voxels_differ_from_the_truth_and_all_kinds_of_masks_come():
    task = InpaintingTask(pool(), pool(1), size=32)
    fractions, mirrors = [], []
    for _ in range(10):
        batch = task.sample(0.0)
        smooth, mask, other = batch.given.split(1, dim=1)
        assert batch.given.shape == (2, 3, 32, 32, 32) and set(mask.unique().tolist()) == {0.0, 1.0}
        torch.testing.assert_close(smooth[mask == 0], batch.wanted[mask == 0])
        assert not other[mask == 0].any() and torch.isfinite(batch.given).all()
        fractions += mask.flatten(1).mean(dim=1).tolist()
        mirrors += other.flatten(1).any(dim=1).tolist()
    assert 0 < min(fractions) < 0.01 and 0.03 < max(fractions) < 0.9
    assert {True, False} <= set(mirrors)


def test_it_learns():
    torch.manual_seed(0)
    task = InpaintingTask(pool(), pool(1), size=24)
    before = task.validate(task.network)
    optimizer = torch.optim.Adam(task.network.parameters(), lr=2e-3)
    for _ in range(30):
        loss = task.loss(task.network, task.sample(0.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert task.validate(task.network) > before + 1
