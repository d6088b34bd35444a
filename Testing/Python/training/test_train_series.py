"""Training of the recurrent denoiser of series: it learns not to average what moves."""

import torch
from test_train_superres import pool

from meddl.training.superres import series_task
from meddl.training.superres.series_task import SeriesTask


def test_series_move_change_and_are_noisy():
    task = SeriesTask(pool(), pool(1), batch=2, size=8)
    kinds = set()
    for _ in range(12):
        batch = task.sample(0.0)
        assert batch.given.shape == batch.clean.shape == (series_task.FRAMES, 2, 1, 8, 8, 8)
        assert batch.noise.min() > 0 and batch.start.max() <= 1 and batch.start.min() >= 1 / 16
        kinds |= set((batch.clean.std(dim=0).amax(dim=(1, 2, 3, 4)) > 1e-4).tolist())
        noise = ((batch.given - batch.clean) / batch.noise).std()
        assert 0.6 < noise < 1.6
    assert kinds == {True, False}


def test_it_learns_and_the_same_seed_gives_the_same_weights():
    torch.manual_seed(0)
    task = SeriesTask(pool(), pool(1), batch=2, size=8)
    before = task.validate(task.network)
    optimizer = torch.optim.Adam(task.network.parameters(), lr=5e-3)
    for _ in range(40):
        loss = task.loss(task.network, task.sample(0.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert task.validate(task.network) > before + 0.5
