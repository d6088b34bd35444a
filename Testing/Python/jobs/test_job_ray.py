"""Jobs on a local Ray cluster: two workers, one of them killed, no case lost. Needs the package ray."""

import os
import signal
import socket
import time

import numpy as np
import pytest
from places import SUPPORT
from small_models import EXACT, models, put  # noqa: F401

import meddl
from meddl.core.errors import Cancelled, DependencyError, InputError
from meddl.jobs import ray_cluster
from meddl.jobs.cases import Case
from meddl.jobs.ray_cluster import RaySlot, _cpus_each
from meddl.jobs.schedule import run_cases

HERE = str(SUPPORT)


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this machine with room for two workers; it outlives the jobs."""
    ray = pytest.importorskip("ray", reason="the package ray is not installed: pip install meddl[ray]")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def test_one_worker_of_two_is_killed_and_no_case_is_lost(cluster, tmp_path):
    cases = [Case(name, ()) for name in ("slow0", "slow1", "bad", "slow2", "slow3", "fragile")]
    connection = ray_cluster._Cluster(None)
    slots = [RaySlot(connection, {"num_cpus": 1, "num_gpus": 0},
                     lambda case: ((case, str(tmp_path / case.name), "m", None), {}), "job_targets:label", [HERE])
             for _ in range(2)]
    begun, ended, killed = [], {}, []

    def kill_one(fraction, message):
        working = [slot for slot in slots if slot._actor is not None and slot.progress()[1] == "Working"]
        if working and not killed:
            killed.append(working[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    run_cases(cases, slots, lambda case: begun.append(case.name),
              lambda case, outcome, seconds: ended.update({case.name: outcome}), kill_one)
    again = {case.name for case in cases if begun.count(case.name) == 2}
    assert killed and "fragile" in again and len(again) == 2  # the other one is the case of the killed worker
    assert sorted(ended) == sorted(case.name for case in cases)
    assert [name for name, outcome in ended.items() if outcome.error is not None] == ["bad"]
    assert isinstance(ended["bad"].error, InputError)
    pids = {(tmp_path / name).read_text().split()[1] for name in ended if name != "bad"}
    assert len(pids) >= 2 and str(killed[0]) not in pids


def test_a_cancel_stops_the_workers(cluster, tmp_path):
    seen = []

    def stop(fraction, message):
        if "Working" in message:
            seen.append(time.monotonic())
            raise Cancelled("stop")

    connection = ray_cluster._Cluster(None)
    slot = RaySlot(connection, {"num_cpus": 1, "num_gpus": 0},
                   lambda case: ((case, str(tmp_path / case.name), "m", None), {}), "job_targets:label", [HERE])
    ended = []
    with pytest.raises(Cancelled):
        run_cases([Case("slow", ()), Case("b", ())], [slot], lambda case: None, lambda *words: ended.append(words),
                  stop)
    assert time.monotonic() - seen[0] < 2.0
    assert not ended and not (tmp_path / "slow").exists()


def test_labels_of_the_cluster_are_those_of_one_worker(cluster, tmp_path, models):
    for number in range(3):
        put(tmp_path / "in" / f"{number}.nii.gz", number)
    summary = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, engine="ray", device="cpu", workers=2)
    assert summary.counts["done"] == 3
    assert (summary.report["engine"], summary.report["workers"]) == ("ray", 2)
    for number in range(3):
        alone = meddl.segment(meddl.load(tmp_path / "in" / f"{number}.nii.gz"), "one", EXACT, device="cpu")
        np.testing.assert_array_equal(meddl.load(tmp_path / "out" / f"{number}.nii.gz").scalar_data, alone.labels)
    with pytest.raises(InputError, match="3 workers were asked for; the Ray cluster has 2 CPUs"):
        meddl.segment_many(tmp_path / "in", tmp_path / "more", "one", EXACT, engine="ray", device="cpu", workers=3)


def test_without_ray_the_engine_says_what_to_install(tmp_path, models, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    put(tmp_path / "in" / "a.nii.gz")
    with pytest.raises(DependencyError, match="pip install"):
        meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, engine="ray", device="cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["{}:{}", "ray://{}:{}"])
def test_where_no_cluster_answers_it_is_told_within_seconds(address, monkeypatch):
    class NoRay:
        @staticmethod
        def is_initialized():
            return False

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    monkeypatch.setattr(ray_cluster, "installed_ray", lambda: NoRay)
    with pytest.raises(InputError, match="cannot be reached.*refused.*ray start --head"):
        ray_cluster._Cluster(address.format(*place))


def test_cpus_are_shared_out_so_that_all_workers_find_a_place():
    def nodes(*cpus):
        return [{"Resources": {"CPU": float(count)}} for count in cpus]

    assert _cpus_each(nodes(8), 1) == 8
    assert _cpus_each(nodes(8, 8), 2) == 8
    assert _cpus_each(nodes(8, 4), 2) == 4
    assert _cpus_each(nodes(8, 4), 3) == 4
    assert _cpus_each(nodes(2), 2) == 1
    with pytest.raises(InputError, match="3 workers were asked for; the Ray cluster has 2 CPUs"):
        _cpus_each(nodes(2), 3)
