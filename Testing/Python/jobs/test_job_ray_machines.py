"""Three machines of a Ray cluster, simulated on this one: one goes away in mid-run, and no case is lost."""

import time

import pytest
from places import SUPPORT

from meddl.jobs import ray_cluster
from meddl.jobs.cases import Case
from meddl.jobs.ray_cluster import RaySlot
from meddl.jobs.schedule import run_cases


@pytest.mark.slow
def test_a_machine_that_leaves_the_cluster_loses_no_case(tmp_path):
    ray = pytest.importorskip("ray", reason="the package ray is not installed: pip install meddl[ray]")
    from ray.cluster_utils import Cluster

    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        workers = [machines.add_node(num_cpus=1) for _ in range(2)]
        machines.wait_for_nodes()
        ray.init(address=machines.address, log_to_driver=False, logging_level="ERROR")
        connection = ray_cluster._Cluster(None)
        slots = [RaySlot(connection, {"num_cpus": 1, "num_gpus": 0},
                         lambda case: ((case, str(tmp_path / case.name), "m", None), {}), "job_targets:label",
                         [str(SUPPORT)])
                 for _ in range(2)]
        ended, gone = {}, []

        def take_one_away(fraction, message):
            if not gone and all(slot._actor is not None and slot.progress()[1] == "Working" for slot in slots):
                gone.append(time.monotonic())
                machines.remove_node(workers[1], allow_graceful=False)

        names = [f"slow{number}" for number in range(6)]
        run_cases([Case(name, ()) for name in names], slots, lambda case: None,
                  lambda case, outcome, seconds: ended.update({case.name: outcome}), take_one_away)
        assert gone and sorted(ended) == names
        assert all(outcome.error is None for outcome in ended.values())
    finally:
        ray.shutdown()
        machines.shutdown()
