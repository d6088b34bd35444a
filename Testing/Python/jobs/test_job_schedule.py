"""Cases on workers: all are done, whoever fails or dies."""

import time
from pathlib import Path

import pytest
from places import SUPPORT

from meddl.core.errors import Cancelled, WorkerError
from meddl.jobs.cases import Case
from meddl.jobs.local import LocalSlot
from meddl.jobs.schedule import Outcome, run_cases, time_left

HERE = str(SUPPORT)


def slots_for(folder: Path, count: int) -> list[LocalSlot]:
    return [LocalSlot(lambda case: ((case, str(folder / case.name), "m", None), {"device": "cpu"}),
                      "job_targets:label", ("meddl.", "job_targets"), [HERE], ()) for _ in range(count)]


def run(folder: Path, names, count: int = 1, on_progress=None):
    ended = {}
    begun = []
    cases = [Case(name, ()) for name in names]
    slots = slots_for(folder, count)
    run_cases(cases, slots, lambda case: begun.append(case.name),
              lambda case, outcome, seconds: ended.update({case.name: outcome}), on_progress)
    return ended, begun, slots


def test_a_case_that_fails_or_kills_its_worker_does_not_stop_the_rest(tmp_path):
    told = []
    ended, begun, slots = run(tmp_path, ["a", "bad", "killer", "odd", "fragile", "b"],
                              on_progress=lambda fraction, message: told.append((fraction, message)))
    assert sorted(ended) == ["a", "b", "bad", "fragile", "killer", "odd"]
    assert [name for name in ended if ended[name].error is None] == ["a", "b", "fragile"]
    assert str(ended["bad"].error) == "It is bad."
    assert "ZeroDivisionError" in str(ended["odd"].error)
    assert isinstance(ended["killer"].error, WorkerError) and "tried 2 times" in str(ended["killer"].error)
    assert begun.count("killer") == begun.count("fragile") == 2 and begun.count("odd") == 1
    pids = {name: (tmp_path / name).read_text().split()[1] for name in ("a", "b", "fragile")}
    assert pids["b"] != pids["a"]
    fractions = [fraction for fraction, _ in told]
    assert max(fractions) == 1.0 or fractions[-1] > 0.9
    assert any(message.startswith("3 of 6 cases") for _, message in told)
    assert slots[0].pid is None


def test_two_workers_share_the_cases_and_a_dead_one_s_case_goes_to_another(tmp_path):
    import os
    import signal

    names = [f"slow{n}" for n in range(4)]
    cases = [Case(name, ()) for name in names]
    slots = slots_for(tmp_path, 2)
    ended, killed = {}, []

    def kill_one(fraction, message):
        if not killed and slots[0].pid is not None and slots[0].progress()[0] > 0:
            killed.append(slots[0].pid)
            os.kill(slots[0].pid, signal.SIGKILL)

    run_cases(cases, slots, lambda case: None, lambda case, outcome, seconds: ended.update({case.name: outcome}),
              kill_one)
    assert killed
    assert sorted(ended) == names and all(outcome.error is None for outcome in ended.values())
    pids = {(tmp_path / name).read_text().split()[1] for name in names}
    assert len(pids) >= 2 and str(killed[0]) not in pids


def test_cancel_is_answered_within_a_second_and_workers_end(tmp_path):
    seen = []

    def stop(fraction, message):
        if "Working" in message:
            seen.append(time.monotonic())
            raise Cancelled("stop")

    ended = {}
    slots = slots_for(tmp_path, 1)
    with pytest.raises(Cancelled):
        run_cases([Case("slow", ()), Case("b", ())], slots, lambda case: None,
                  lambda case, outcome, seconds: ended.update({case.name: outcome}), stop)
    assert time.monotonic() - seen[0] < 1.5
    assert not ended and slots[0].pid is None
    assert not (tmp_path / "slow").exists()


class _Slot:
    """A worker that answers at once; `places` says when it may begin."""

    def __init__(self, places):
        self.places, self.done, self.closed = places, [], False

    def ready(self):
        return next(self.places, False)

    def start(self, case):
        self.done.append(case)

    def poll(self):
        return Outcome("well")

    def progress(self):
        return 0.0, ""

    def cancel(self):
        pass

    def close(self):
        self.closed = True


def test_a_worker_that_finds_no_place_gets_no_case():
    never, later = _Slot(iter(())), _Slot(iter([False, False, True, True, True]))
    ended, told = [], []
    run_cases(["a", "b", "c"], [never, later], lambda case: None, lambda case, *_: ended.append(case),
              lambda fraction, message: told.append(message))
    assert ended == later.done == ["a", "b", "c"] and never.done == []
    assert told[0] == "0 of 3 cases · waiting for workers"
    assert never.closed and later.closed


def test_the_time_that_is_left_is_told_once_it_can_be_known():
    assert time_left(0.5, 2) == time_left(0.001, 100) == time_left(1.0, 100) == ""
    assert time_left(0.5, 40) == "about 40 s left"
    assert time_left(0.25, 600) == "about 30 min left"
    assert time_left(0.1, 1200) == "about 3.0 h left"
