"""The way that a GPU goes: the CPU's answers, no tensor in the wrong memory, and no more of it than planned."""

import json
import subprocess
import sys

import pytest
from places import BENCHMARKS, SUPPORT

from meddl.registration.deformable.deform import BYTES_A_VOXEL, MORE_BYTES_BOTH_WAYS

MISTAKES = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, torch
from pretended_gpu import PretendedGpu
with PretendedGpu() as gpu:
    there = torch.from_numpy(np.ones((3, 4), np.float32)).to(gpu.name)
    here = torch.ones(3, 4)
    for wrong in (there.numpy, lambda: there + here, lambda: torch.mm(there, here.T, out=here)):
        try:
            wrong()
        except (RuntimeError, TypeError) as error:
            print(type(error).__name__)
    print(there.device.type, (there + 2 * torch.tensor(1.0)).cpu().numpy()[0].tolist(),
          there.new_tensor([3.0]).tolist(), float(there.sum()), there[there > 0].shape[0], gpu.memory.live)
    wave, its = torch.fft.rfftn(here), torch.fft.rfftn(there)
    turned = there.clone().t_()
    print(torch.arange(5, device=gpu.name).shape[0], turned.shape[0], turned.is_contiguous(),
          (torch.ones(3, device=gpu.name) @ there).tolist(), there[[2, 0]].shape[0],
          torch.as_tensor(2.0, device=gpu.name).device.type)
    with torch.inference_mode():
        random = torch.rand(2, generator=torch.Generator(gpu.name), device=gpu.name)
        print(there.cpu().numpy()[0].tolist(), random.device.type)
    del turned, random
    print(torch.equal((its * its.conj()).cpu(), wave * wave.conj()))
    del its
    part = there[1:]
    del there
    print(gpu.memory.live)
    del part
    print(gpu.memory.live, here.sum().device.type)
"""


@pytest.fixture(scope="module")
def found() -> dict:
    done = subprocess.run([sys.executable, str(SUPPORT / "pretended_registration.py")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_what_a_gpu_refuses_is_refused_and_what_it_does_is_done():
    done = subprocess.run([sys.executable, "-c", MISTAKES, str(BENCHMARKS)], capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines() == ["RuntimeError", "RuntimeError", "RuntimeError",
                                        "pretended [3.0, 3.0, 3.0, 3.0] [3.0] 12.0 12 48",
                                        "5 4 False [3.0, 3.0, 3.0, 3.0] 2 pretended", "[1.0, 1.0, 1.0, 1.0] pretended",
                                        "True", "48", "0 cpu"]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["search", "lncc", "mind", "lncc symmetric", "mind symmetric",
                                  "masks, landmarks", "large motion", "vessels"])
def test_a_registration_goes_its_whole_way_on_the_gpu(found, case):
    assert found[case]["apart_mm"] < 1e-3
    assert found[case]["device"] == "pretended" and not found[case]["warnings"]
    assert found[case]["left"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["lncc", "mind"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_a_level_holds_no_more_than_its_plan_and_hardly_less(found, metric, both_ways):
    case = found[f"{metric} symmetric" if both_ways else metric]
    planned = BYTES_A_VOXEL[metric] + MORE_BYTES_BOTH_WAYS * both_ways
    assert 0.8 * planned < case["bytes"] / case["voxels"] < planned, case["largest"][:25]


def test_two_gigabytes_hold_a_deformation_of_256_voxels_along_each_axis():
    assert 256 ** 3 * BYTES_A_VOXEL["lncc"] < 1.6e9


@pytest.mark.slow
def test_a_gpu_that_breaks_in_mid_run_leaves_the_whole_result_to_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))  # a small model is installed
    done = subprocess.run([sys.executable, str(SUPPORT / "pretended_breaks.py")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) == 9
    for case, result in found.items():
        assert result["equal"] and result["device"].startswith("cpu"), case
        assert result["warnings"] == ["pretended failed: a computation on it broke off; the CPU did the work."], case
