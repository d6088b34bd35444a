"""Small models for tests."""

import csv

import numpy as np
import pytest
from channel_images import blobs
from nnunet_folder import write_nnunet

import meddl
from meddl.core.config import SegmentConfig
from meddl.jobs import local
from meddl.models.store.store import ModelStore
from meddl.worker import Worker

EXACT = SegmentConfig(float32=True)
AFFINE = np.diag([-1.5, 1.5, 2.0, 1.0])


class LastingWorker(Worker):
    """Stays after the job that asks it to close."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Small models of one and of two channels in a store of their own; jobs share one worker, which saves its start."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(folder / "cache"))
        for name, channels in (("one", ("MR",)), ("two", ("T1", "T2"))):
            write_nnunet(folder / name, channels=channels, folds=(4,))
            ModelStore().import_model(folder / name, identifier=name)
            ModelStore().accept_license(name)
        shared = LastingWorker(preload=("torch",))
        patch.setattr(local, "Worker", lambda **_: shared)
        yield ModelStore()
        Worker.close(shared)


def put(path, seed: int = 0, shape=(24, 22, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = blobs(shape, AFFINE, seed)
    meddl.save(volume, path)
    return volume


def rows_of(folder) -> list[dict]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))
