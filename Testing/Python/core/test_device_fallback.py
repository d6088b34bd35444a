"""Memory that runs out: recognized in the messages of torch, numpy and the system; a GPU hands over to the CPU."""

import errno

import numpy as np
import pytest
import torch

from meddl.core.device_fallback import is_out_of_memory, with_cpu_fallback
from meddl.core.errors import Cancelled, InputError, OutOfMemoryError

CPU, GPU = torch.device("cpu"), torch.device("meta")
TOO_MUCH = 1 << 60
MESSAGES = {  # as torch 2.5 to 2.13 writes them
    "CPU, Linux": "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                  "to allocate 1152921504606846976 bytes. Error code 12 (Cannot allocate memory)",
    "CPU, Windows": "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried to "
                    "allocate 1152921504606846976 bytes.",
    "CUDA driver": "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API "
                   "call, so the stacktrace below might be incorrect.",
    "cuBLAS": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "MPS": "MPS backend out of memory (MPS allocated: 17.90 GB, other allocations: 1.19 GB, max allowed: 18.13 GB). "
           "Tried to allocate 512.00 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper "
           "limit for memory allocations (may cause system failure).",
}
CUDA_MESSAGE = ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which "
                "14.50 GiB is free.")


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_the_messages_of_torch_are_recognized(message):
    assert is_out_of_memory(RuntimeError(message))
    assert not is_out_of_memory(ValueError(message))


def test_the_errors_of_torch_numpy_and_the_system_are_recognized():
    for allocate in (lambda: torch.empty(TOO_MUCH, dtype=torch.uint8), lambda: np.empty(TOO_MUCH, np.uint8)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            allocate()
        assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError(CUDA_MESSAGE))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert is_out_of_memory(OutOfMemoryError("Too large."))


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), InputError("out of memory of whom?"),
                                   OSError(errno.ENOSPC, "No space left on device"), KeyError("memory")], ids=repr)
def test_other_errors_are_not(error):
    assert not is_out_of_memory(error)


def falls_short_on(kinds, error):
    devices = []

    def run(device):
        devices.append(device)
        if device.type in kinds:
            raise error
        return len(devices)

    return run, devices


def test_a_gpu_without_memory_hands_over_to_the_cpu_and_a_warning_says_so():
    run, devices = falls_short_on({"meta"}, torch.OutOfMemoryError(CUDA_MESSAGE))
    warnings = ["an older one"]
    assert with_cpu_fallback(run, GPU, warnings, "Crop it.") == (2, CPU)
    assert devices == [GPU, CPU]
    assert warnings == ["an older one", "meta ran out of memory; the CPU did the work."]


@pytest.mark.parametrize("device", [GPU, CPU])
def test_a_cpu_without_memory_ends_with_the_advice(device):
    run, devices = falls_short_on({"meta", "cpu"}, RuntimeError(MESSAGES["CPU, Linux"]))
    with pytest.raises(OutOfMemoryError, match="^Crop it.$") as caught:
        with_cpu_fallback(run, device, [], "Crop it.")
    assert devices[-1] == CPU and isinstance(caught.value.__cause__, RuntimeError)


def test_an_error_that_says_more_keeps_its_message():
    run, _ = falls_short_on({"cpu"}, OutOfMemoryError("9.3 GB are needed."))
    with pytest.raises(OutOfMemoryError, match="9.3 GB are needed."):
        with_cpu_fallback(run, CPU, [], "Crop it.")


@pytest.mark.parametrize("error", [Cancelled("stopped"), RuntimeError("shape mismatch"), OSError(errno.ENOENT, "no")])
def test_other_errors_come_through_as_they_are(error):
    run, devices = falls_short_on({"meta"}, error)
    with pytest.raises(type(error)) as caught:
        with_cpu_fallback(run, GPU, [], "Crop it.")
    assert caught.value is error and devices == [GPU]
