"""Devices: which precision a CPU convolves fastest in is measured, on an image of the size that networks see."""

import time

import pytest
import torch

from meddl.core import device as device_module
from meddl.core.device import PRECISION, fast_dtype, in_fast_precision, select_device
from meddl.core.emulated_bf16 import EmulatedBfloat16
from meddl.core.errors import InputError

CPU = torch.device("cpu")
_SLOW_LOOP = 20480  # torch takes its slow loop for one float32 image of no more than so many channels x I x J
_CLEARLY = 1.5


@pytest.fixture
def measured_anew(monkeypatch):
    monkeypatch.setenv(PRECISION, "auto")
    monkeypatch.setattr(device_module, "_cpu_dtype", None)
    monkeypatch.setattr(device_module, "_may_have_bf16", lambda: True)


def seconds(dtype: torch.dtype) -> float:
    """A convolution of 64 channels on 40 x 40 x 40 voxels, as networks have many."""
    image = torch.ones(1, 64, 40, 40, 40, dtype=dtype).to(memory_format=torch.channels_last_3d)
    weight = torch.ones(64, 64, 3, 3, 3, dtype=dtype).to(memory_format=torch.channels_last_3d)
    runs = []
    for _ in range(2):
        start = time.process_time()
        torch.nn.functional.conv3d(image, weight, padding=1)
        runs.append(time.process_time() - start)
    return min(runs)


@pytest.mark.skipif(not device_module._may_have_bf16(), reason="this processor has no bf16: nothing is measured")
def test_the_choice_follows_a_larger_convolution_on_this_machine(measured_anew):
    ratio = seconds(torch.float32) / seconds(torch.bfloat16)
    if 1 / _CLEARLY < ratio < _CLEARLY:
        pytest.skip(f"neither precision is clearly faster here: float32 takes {ratio:.2f} times as long as bf16")
    assert fast_dtype(CPU) == (torch.bfloat16 if ratio > 1 else torch.float32)


@pytest.mark.parametrize(("faster", "expected"), [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_the_probe_is_large_enough_for_torchs_fast_path_and_its_times_decide(measured_anew, monkeypatch, faster,
                                                                             expected):
    clock, seen = [0.0], []

    def conv3d(image, weight, **_):
        seen.append(tuple(image.shape))
        clock[0] += 1.0 if image.dtype == faster else 2.0

    monkeypatch.setattr(torch.nn.functional, "conv3d", conv3d)
    monkeypatch.setattr(device_module.time, "perf_counter", lambda: clock[0])
    assert fast_dtype(CPU) == expected
    assert all(n * c * i * j > _SLOW_LOOP for n, c, i, j, _ in seen)


@pytest.mark.slow
def test_the_machine_is_measured_once(measured_anew, monkeypatch):
    first = fast_dtype(CPU)

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(torch.nn.functional, "conv3d", never)
    assert fast_dtype(CPU) == first


@pytest.mark.parametrize(("machine", "features", "expected"), [
    ("x86_64", (), False), ("AMD64", ("_is_amx_tile_supported",), True),
    ("x86_64", ("_is_avx512_bf16_supported",), True), ("arm64", (), True)])
def test_a_processor_without_bf16_is_not_measured(monkeypatch, machine, features, expected):
    monkeypatch.setattr(device_module.platform, "machine", lambda: machine)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in features, raising=False)
    assert device_module._may_have_bf16() == expected
    if not expected:
        monkeypatch.delenv(PRECISION)
        monkeypatch.setattr(device_module, "_cpu_dtype", None)
        monkeypatch.setattr(torch.nn.functional, "conv3d", None)
        assert fast_dtype(CPU) == torch.float32


@pytest.mark.parametrize(("word", "expected"), [
    ("float32", torch.float32), ("bfloat16", torch.bfloat16), (" BFloat16", torch.bfloat16)])
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_a_precision_is_forced_on_every_device_and_nothing_measured(monkeypatch, device, word, expected):
    monkeypatch.setattr(device_module, "_measured_cpu_dtype", None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", None)
    monkeypatch.setenv(PRECISION, word)
    assert fast_dtype(torch.device(device)) == expected


@pytest.mark.parametrize("word", ["auto", ""])
def test_a_precision_that_is_left_open_is_the_devices_choice(monkeypatch, word):
    monkeypatch.setenv(PRECISION, word)
    for measured in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(device_module, "_cpu_dtype", measured)
        assert fast_dtype(CPU) == measured
    assert fast_dtype(torch.device("mps")) == torch.float32


def test_an_unknown_precision_is_refused(monkeypatch):
    monkeypatch.setenv(PRECISION, "half")
    with pytest.raises(InputError, match="MEDDL_PRECISION is float32, bfloat16 or auto; got 'half'"):
        fast_dtype(CPU)


@pytest.mark.parametrize("has_bf16", [False, True])
@pytest.mark.parametrize("chosen", ["forced", "measured"])
def test_bf16_is_emulated_where_the_processor_lacks_it_only(monkeypatch, has_bf16, chosen):
    monkeypatch.setattr(device_module, "_may_have_bf16", lambda: has_bf16)
    monkeypatch.setattr(device_module, "_cpu_dtype", torch.bfloat16)
    monkeypatch.setenv(PRECISION, "bfloat16" if chosen == "forced" else "auto")
    emulated = []
    real = EmulatedBfloat16.__torch_dispatch__
    monkeypatch.setattr(EmulatedBfloat16, "__torch_dispatch__",
                        lambda self, operation, *more: emulated.append(operation) or real(self, operation, *more))
    conv, image = torch.nn.Conv3d(1, 2, 3), torch.ones(1, 1, 4, 4, 4)
    with torch.no_grad():
        with in_fast_precision(CPU, exact=True):
            assert conv(image).dtype == torch.float32
        assert not emulated
        with in_fast_precision(CPU):
            assert conv(image).dtype == torch.bfloat16
        assert bool(emulated) == (not has_bf16)
        assert conv(image).dtype == torch.float32


@pytest.mark.parametrize("name", ["quantum", "cuda:77"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError):
        select_device(name)


def test_memory_that_torch_keeps_for_reuse_is_free(monkeypatch):
    for name, value in (("mem_get_info", (100, 1000)), ("memory_reserved", 70), ("memory_allocated", 20)):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert device_module.free_memory_bytes(torch.device("cuda:0")) == 150
