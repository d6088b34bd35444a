"""Two processes that share a training's batches give the weights of one with all of them, each time the same."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from labeled_phantoms import write_folders
from places import SUPPORT

from meddl import TrainConfig
from meddl.core.errors import InputError, WorkerError
from meddl.models.weights import load_weights
from meddl.training.losses import dice_cross_entropy
from meddl.training.processes import ProcessGroup, join_processes, sum_over_processes
from meddl.training.supervised import parallel, plan
from meddl.training.supervised.train import train
from meddl.worker import Worker

OPTIONS = {"steps": 6, "network": "dynunet", "patch_voxels": (16, 16, 16), "batch": 4, "learning_rate": 4e-3}


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Models of few channels, one thread, an empty store."""
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "FEATURES", (8, 16, 16, 16, 16, 16))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(folder, out, processes: int, **more):
    return train(folder, out=out, config=TrainConfig(processes=processes, **(OPTIONS | more)), device="cpu",
                 install=False)


def weights_of(model) -> dict[str, torch.Tensor]:
    return load_weights(model.folder / model.card.weights.file)


def loss_of_half(meeting: str, rank: int, scores: torch.Tensor, classes: torch.Tensor, on_progress=None):
    """The loss and its gradient, computed by one of two processes on its half of a batch."""
    own = scores[rank::2].clone().requires_grad_()
    with join_processes(ProcessGroup(meeting, rank, 2)):
        loss = dice_cross_entropy(own, classes[rank::2])
        loss.backward()
    return float(loss), own.grad


def test_a_batch_in_two_processes_has_the_loss_and_the_gradient_of_the_whole(tmp_path):
    torch.manual_seed(0)
    scores, classes = torch.randn(4, 3, 6, 6, 6), torch.randint(-1, 3, (4, 6, 6, 6))
    classes[1:, 2:] = 0  # the halves differ in what is there
    whole = scores.clone().requires_grad_()
    loss = dice_cross_entropy(whole, classes)
    loss.backward()
    with Worker(allowed=(__name__,), paths=[Path(__file__).parent, SUPPORT], preload=("torch",)) as worker:
        job = worker.submit(f"{__name__}:loss_of_half", str(tmp_path / "meeting"), 1, scores, classes)
        while job.poll() == "queued":
            time.sleep(0.01)
        first = loss_of_half(str(tmp_path / "meeting"), 0, scores, classes)
        second = job.result()
    assert first[0] == pytest.approx(float(loss), abs=1e-6) == second[0]
    torch.testing.assert_close(first[1], whole.grad[0::2], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(second[1], whole.grad[1::2], rtol=1e-4, atol=1e-7)


def test_outside_of_a_group_nothing_is_summed():
    tensor = torch.ones(3)
    sum_over_processes(tensor)
    assert tensor.tolist() == [1, 1, 1]


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one_with_the_whole_batch_and_always_the_same(tmp_path):
    write_folders(tmp_path, 4)
    one, two, again = (trained(tmp_path, tmp_path / f"run{n}", processes)
                       for n, processes in enumerate((1, 2, 2)))
    first, second, third = map(weights_of, (one, two, again))
    begin = weights_of(trained(tmp_path, tmp_path / "begin", 1, learning_rate=1e-12))
    for name in first:
        moved = float((first[name] - begin[name]).abs().max())
        assert float((first[name] - second[name]).abs().max()) <= 0.02 * moved + 1e-6, name
        assert torch.equal(second[name], third[name]), name
    assert two.card.training.steps == 6


@pytest.mark.slow
def test_a_shared_training_resumes_with_the_weights_of_one_that_was_not_stopped(tmp_path):
    write_folders(tmp_path, 3)
    whole = trained(tmp_path, tmp_path / "whole", 2)

    class Stopping:
        heard = 0

        def __call__(self, fraction, message):
            if message.startswith(("first steps", "step ")):
                self.heard += 1
                if self.heard == 7:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, out=tmp_path / "broken", config=TrainConfig(processes=2, **OPTIONS), device="cpu",
              install=False, on_progress=Stopping())
    resumed = trained(tmp_path, tmp_path / "broken", 2)
    first, second = weights_of(whole), weights_of(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_training_with_a_message(tmp_path, monkeypatch):
    write_folders(tmp_path, 3)
    made = []

    class Watched(Worker):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            made.append(self)

    monkeypatch.setattr(parallel, "Worker", Watched)

    def kill(fraction, message):
        if message.startswith("step "):
            os.kill(made[0].pid, signal.SIGKILL)

    with pytest.raises(WorkerError):
        train(tmp_path, out=tmp_path / "run", config=TrainConfig(processes=2, **(OPTIONS | {"steps": 50})),
              device="cpu", install=False, on_progress=kill)
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    assert torch.get_num_threads() == 1


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    write_folders(tmp_path, 3)
    with pytest.raises(InputError, match="batch of 3 patches cannot be shared evenly by 2"):
        trained(tmp_path, tmp_path / "run", 2, batch=3)
