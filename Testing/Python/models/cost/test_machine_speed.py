"""The speed of this machine is measured once and remembered."""

import json

import pytest
import torch

from meddl.models.cost import machine_speed
from meddl.models.cost.machine_speed import gigamacs_per_second, megavoxels_per_second

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    monkeypatch.setattr(machine_speed, "_known", {})
    return tmp_path


def test_it_is_measured_once_and_remembered_on_disk(folder, monkeypatch):
    speed = gigamacs_per_second(CPU)
    assert 0.1 < speed < 1e5
    monkeypatch.setattr(machine_speed, "_measure", lambda *_: 1 / 0)
    assert gigamacs_per_second(CPU) == speed
    machine_speed._known.clear()
    assert gigamacs_per_second(CPU) == speed
    (stored,) = json.loads((folder / "speed.json").read_text()).items()
    assert stored[0].startswith("cpu") and torch.__version__ in stored[0]


@pytest.mark.parametrize("content", ["{", "[]", '{"cpu": "fast"}'])
def test_a_damaged_memory_is_measured_anew(folder, monkeypatch, content):
    (folder / "speed.json").write_text(content)
    monkeypatch.setattr(machine_speed, "_measure", lambda *_: 7.0)
    assert gigamacs_per_second(CPU) == 7.0


def test_a_folder_that_cannot_be_written_is_no_error(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("MEDDL_CACHE", str(folder / "file" / "below"))
    monkeypatch.setattr(machine_speed, "_measure", lambda *_: 7.0)
    assert gigamacs_per_second(CPU) == 7.0


def test_interpolation_is_measured_apart(folder, monkeypatch):
    speed = megavoxels_per_second(CPU)
    assert 0.1 < speed < 1e5
    monkeypatch.setattr(machine_speed, "_measure", lambda *_: 7.0)
    assert gigamacs_per_second(CPU) == 7.0 and megavoxels_per_second(CPU) == speed
    assert len(json.loads((folder / "speed.json").read_text())) == 2
