"""The GPU run: its schedule, what it keeps, its floors, and the whole of it on the CPU with only the packages there."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from places import BENCHMARKS

SCRIPT = BENCHMARKS / "gpu_run.py"
# torch's own needs, and the wheels that gpu/README.md names with what they need.
PACKAGES = ("torch", "numpy", "scipy", "safetensors", "monai", "jsonschema", "jsonschema_specifications", "referencing",
            "rpds", "attr", "attrs", "typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe",
            "filelock", "fsspec", "packaging")
WITH_THESE_ONLY = """
import importlib.abc, runpy, sys
from pathlib import Path
allowed = {*sys.stdlib_module_names, *sys.argv[2].split(","), "torchgen", "functorch"}
here = Path(sys.argv[1]).parent
own = [here, here.parent / "Python" / "support", here.parents[1] / "MedDLLib"]
allowed |= {place.stem for folder in own for place in folder.iterdir()}

class Only(importlib.abc.MetaPathFinder):
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        return self.finder.find_spec(name, path, target) if top in allowed or top.startswith("_sysconfig") else None

for name in [name for name in sys.modules if name.partition(".")[0] not in allowed]:
    del sys.modules[name]
sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
script, sys.argv = sys.argv[1], [sys.argv[1], *sys.argv[3:]]
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module", autouse=True)
def benchmarks_importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


class Clock:
    """A clock that the steps move."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def content_of(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_step_is_left_out_where_the_time_left_is_less_than_it_needs_and_failures_stop_nothing(tmp_path):
    from gpu.record import Record
    from gpu.steps import Part, Skipped, Step, run_parts

    clock, given = Clock(), []

    def lasting(seconds: float, error: Exception | None = None):
        def run(left: float) -> dict:
            given.append(left)
            clock.now += seconds
            if error is not None:
                raise error
            return {"answer": 42}
        return run

    record = Record(tmp_path / "run.json", {})
    run_parts([Part("first", 30, [Step("short", 5, lasting(10)), Step("wrong", 5, lasting(5, ValueError("no"))),
                                  Step("long", 20, lasting(20)), Step("fits", 10, lasting(5))]),
               Part("second", 50, [Step("next", 60, lasting(50)), Step("not here", 1, lasting(1, Skipped("why not")))]),
               Part("rest", float("inf"), [Step("all that is left", 1, lasting(9))])],
              record, deadline=200.0, clock=clock)
    steps = {step["name"]: step for step in content_of(tmp_path / "run.json")["steps"]}
    assert {name: step["status"] for name, step in steps.items()} == {
        "short": "done", "wrong": "failed", "long": "skipped", "fits": "done", "next": "done",
        "not here": "skipped", "all that is left": "done"}
    assert steps["short"]["answer"] == 42 and steps["short"]["seconds"] == 10
    assert "ValueError: no" in steps["wrong"]["error"] and "lasting" not in steps["wrong"]["why"]
    assert steps["long"]["why"] == "15 s were left, 20 s are needed"
    assert steps["not here"]["why"] == "why not"
    assert given[-3:] == [60.0, 10.0, 29.0]  # what a part leaves goes to the next; the last has all


def test_a_run_that_is_cut_off_has_its_finished_steps_and_says_what_was_going_on(tmp_path):
    from gpu.record import Record
    from gpu.steps import Part, Step, run_parts

    def cut(_left: float) -> dict:
        raise KeyboardInterrupt

    record = Record(tmp_path / "run.json", {"machine": "x"})
    with pytest.raises(KeyboardInterrupt):
        run_parts([Part("one", 9e9, [Step("done", 0, lambda _: {"loss": np.float32(0.5), "bad": float("nan")}),
                                     Step("cut", 0, cut)])], record, deadline=9e9)
    content = content_of(tmp_path / "run.json")
    assert content["machine"] == "x" and content["running"] == "one: cut"
    assert [(step["name"], step["loss"], step["bad"]) for step in content["steps"]] == [("done", 0.5, None)]
    assert [place.name for place in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_work_is_operations_and_bytes_of_convolutions_and_products(context):
    from gpu.floor import WorkCounter

    layer = torch.nn.Conv3d(2, 5, 3, padding=1, bias=False)
    image, matrix = torch.rand(1, 2, 6, 7, 8), torch.rand(4, 4)
    with context(), WorkCounter(torch.device("cpu")) as counter:
        layer(image).relu()
        matrix.double() @ matrix.double()
    voxels = 6 * 7 * 8
    work = counter.work
    assert work.flops == {"float32": 2 * voxels * 5 * 2 * 27, "float64": 2 * 4**3}
    assert work.layer_bytes == 4 * (2 * voxels + 5 * voxels + 5 * 2 * 27) + 8 * 3 * 16
    assert work.all_bytes == work.layer_bytes + 4 * 2 * 5 * voxels + 2 * 16 * (4 + 8)


def test_the_floor_is_the_longer_of_operations_and_bytes():
    from gpu.floor import Work
    from gpu.machine import KNOWN, Ceilings

    ceilings = Ceilings({"float32": 10e9, "tf32": 20e9, "float16": 40e9, "bfloat16": 40e9}, 1e9, "made up")
    work = Work({"float32": 10e9, "bfloat16": 20e9}, layer_bytes=1e9, all_bytes=3e9)
    found = work.floor(ceilings)
    assert (found["operations_s"], found["layer_bytes_s"]) == (1.5, 1.0)
    assert (found["floor_s"], found["as_written_s"]) == (1.5, 3.0)
    assert work.floor(ceilings, "tf32")["floor_s"] == 1.0
    assert all(set(known.flops) == set(ceilings.flops) for known in KNOWN.values())


def test_networks_compute_in_the_precision_that_is_asked_for_and_then_as_before():
    from gpu.precision import computing_in

    from meddl.core import device
    from meddl.models.cost import machine_speed

    before, cpu = device.fast_dtype, torch.device("cpu")
    matmul = torch.backends.cuda.matmul.allow_tf32
    for mode, dtype in (("bfloat16", torch.bfloat16), ("tf32", torch.float32), ("float32", torch.float32)):
        with computing_in(mode):
            assert device.fast_dtype(cpu) == machine_speed.fast_dtype(cpu) == dtype
            with device.in_fast_precision(cpu):
                assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
            assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == (mode == "tf32")
    assert device.fast_dtype is machine_speed.fast_dtype is before
    assert torch.backends.cuda.matmul.allow_tf32 == matmul


def test_agreement_finds_what_is_apart():
    from gpu import agreement

    wanted = np.zeros((10, 10, 10), np.uint8)
    wanted[:5], wanted[9, 9, 9] = 1, 2
    found = wanted.copy()
    found[0, 0] = 0
    figures = agreement.of_labels(found, wanted, few_voxels=20)
    assert figures["dice"] == {1: pytest.approx(2 * 490 / 990)} and figures["equal"] == pytest.approx(0.99)
    ramp = np.arange(101.0)
    assert agreement.psnr_db(ramp + 1, ramp) == pytest.approx(40) and agreement.psnr_db(ramp, ramp) == float("inf")
    gradients = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([0.0, 12.0]), "tiny": torch.tensor([1e-6])}
    other = {"a": torch.tensor([3.0, 4.5]), "b": torch.tensor([0.0, 12.0]), "tiny": torch.tensor([2e-6])}
    figures = agreement.of_gradients(other, gradients)
    assert figures["worst_tensor"] == "a" and figures["worst"] == pytest.approx(0.1)
    assert figures["relative"] == pytest.approx(0.5 / 13)


def test_wheels_are_unpacked_and_come_first(tmp_path, monkeypatch):
    from gpu.wheels import use_wheels

    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "wheels").mkdir()
    with pytest.raises(FileNotFoundError, match="wheels"):
        use_wheels(tmp_path / "wheels", tmp_path / "site")
    name = "brought_along-1.0-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / "wheels" / name, "w") as wheel:
        wheel.writestr("brought_along/__init__.py", "ANSWER = 42\n")
    assert use_wheels(tmp_path / "wheels", tmp_path / "site") == [name]
    import brought_along

    assert brought_along.ANSWER == 42 and sys.path[0] == str(tmp_path / "site")


def test_a_volume_is_cut_or_padded_about_its_middle():
    from gpu.inputs import fitted

    from meddl.spatial.volume import Volume

    volume = Volume(np.arange(4 * 5 * 6.0).reshape(1, 4, 5, 6), np.diag([1.0, 2.0, 3.0, 1.0]))
    made = fitted(volume, (8, 3, 6))
    assert made.shape == (8, 3, 6)
    np.testing.assert_array_equal(made.data[0, 2:6], volume.data[0, :, 1:4])
    np.testing.assert_allclose(made.grid.points_mm(np.array([2, 0, 0])), volume.grid.points_mm(np.array([0, 1, 0])))


def run_script(folder: Path, *options: str) -> dict:
    """The record of a run with the packages of the GPU's machine only."""
    done = subprocess.run([sys.executable, "-c", WITH_THESE_ONLY, str(SCRIPT), ",".join(PACKAGES), "--out",
                           str(folder), "--small", *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return content_of(folder / "gpu_run.json")


def failures(content: dict) -> list[str]:
    return [f"{step['name']}: {step.get('error', step)}" for step in content["steps"]
            if step["status"] == "failed" or step.get("fits") is False]


@pytest.mark.slow
def test_imported_models_super_resolution_and_training_go_their_way_on_the_pretended_gpu(tmp_path):
    content = run_script(tmp_path, "--minutes", "20", "--device", "pretended", "--only", "super_resolve", "nnU-Net",
                         "MONAI", "training step")
    assert not failures(content)
    assert len(content["steps"]) == 5
    for step in content["steps"]:
        assert step.get("report", {}).get("device", "pretended") == "pretended" and not step.get("why")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_brain_goes_its_way_on_the_pretended_gpu(tmp_path):
    content = run_script(tmp_path, "--minutes", "60", "--device", "pretended", "--only", "brain, float32")
    assert not failures(content)
    assert [step["report"]["device"] for step in content["steps"]] == ["pretended"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_run_is_dry_run_on_the_cpu(tmp_path):
    from gpu.inputs import write_label_maps

    maps = write_label_maps(tmp_path / "maps")
    content = run_script(tmp_path / "out", "--minutes", "60", "--device", "cpu", "--data", str(maps), "--train",
                         "--from brain --size small --locator-fraction 0 --batch 1")
    assert not failures(content)
    assert content["running"] is None
    by_part = {part: [step for step in content["steps"] if step["part"] == part]
               for part in ("parity", "times", "training")}
    assert len(by_part["parity"]) == 10 and all(step["fits"] for step in by_part["parity"])
    assert {step["why"] for step in by_part["times"] if step["status"] == "skipped"} == {
        "CUDA graphs need a GPU of CUDA's", "torch.compile is compared on CUDA only"}
    timed = [step for step in by_part["times"] if "median_s" in step]
    assert {step["name"].partition(",")[0] for step in timed} == {
        "brain", "registration", "super-resolution", "nnU-Net 5 classes", "nnU-Net 9 classes"}
    assert all(0 < step["floor_s"] <= step["as_written_s"] and step["median_s"] > 0 for step in timed)
    files = list((tmp_path / "out").iterdir())
    assert {file.name for file in files} == {"gpu_run.json", "log.csv", "segmenter.safetensors", "brain-card.json",
                                             "brain-weights.safetensors"}
    assert all(file.stat().st_size < 16 << 20 for file in files)


def test_packages_of_other_machines_are_not_there(tmp_path):
    script = tmp_path / "Testing" / "Benchmarks" / "probe.py"
    for folder in ("Testing/Benchmarks", "Testing/Python/support", "MedDLLib"):
        (tmp_path / folder).mkdir(parents=True)
    script.write_text("import importlib.util, numpy\n"
                      "print(importlib.util.find_spec('SimpleITK'), importlib.util.find_spec('matplotlib'))\n"
                      "import SimpleITK\n")
    done = subprocess.run([sys.executable, "-c", WITH_THESE_ONLY, str(script), "numpy"], capture_output=True, text=True,
                          check=False)
    assert done.stdout.split() == ["None", "None"] and "No module named 'SimpleITK'" in done.stderr


def test_without_label_maps_nothing_is_trained(tmp_path):
    content = run_script(tmp_path, "--minutes", "5", "--device", "cpu", "--only", "training: ")
    assert [(step["name"], step["why"]) for step in content["steps"]] == [("brain, training", "no label maps given")]
