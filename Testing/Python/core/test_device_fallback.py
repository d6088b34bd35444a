"""GPUs that fail: recognized in the messages of torch, numpy and the system; a GPU hands over to the CPU."""

import errno
import warnings as python_warnings

import numpy as np
import pytest
import torch

from meddl.core import device as device_module
from meddl.core.device_fallback import device_failure, is_out_of_memory, with_cpu_fallback
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
LATER = ("\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might "
         "be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to "
         "enable device-side assertions.\n")
TOO_OLD = ("The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by "
           "downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx "
           "Alternatively, go to: https://pytorch.org to install a PyTorch version that has been compiled with your "
           "version of the CUDA driver.")
FAILURES = {  # what torch says, and a part of what is said of it
    "CUDA error: no kernel image is available for execution on the device" + LATER: "not built for that GPU",
    TOO_OLD: "driver is too old",
    "CUDA error: CUDA driver version is insufficient for CUDA runtime version" + LATER: "driver is too old",
    "CUDA error: the provided PTX was compiled with an unsupported toolchain." + LATER: "driver is too old",
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
    "http://www.nvidia.com/Download/index.aspx": "has no driver",
    "Could not load library libcudnn_cnn_infer.so.8. Error: libcudnn_cnn_infer.so.8: cannot open shared object file: "
    "No such file or directory": "cuDNN could not be loaded",
    "libcudnn.so.9: cannot open shared object file: No such file or directory": "cuDNN could not be loaded",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED": "cuDNN could not be loaded",
    "cuDNN error: CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED": "cuDNN could not be loaded",
    "cuDNN version incompatibility: PyTorch was compiled  against (9, 1, 0) but found runtime version (8, 9, 2). "
    "PyTorch already comes bundled with cuDNN.": "another version",
    "GET was unable to find an engine to execute this computation": "no algorithm",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED": "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA error: CUDA-capable device(s) is/are busy or unavailable" + LATER: "another program",
    "CUDA error: all CUDA-capable devices are busy or unavailable" + LATER: "another program",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`": "memory",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`":
        "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUDA error: no CUDA-capable device is detected" + LATER: "no longer there",
    "CUDA error: uncorrectable ECC error encountered" + LATER: "errors",
    "CUDA error: unspecified launch failure" + LATER: "broke off",
    "CUDA error: an illegal memory access was encountered" + LATER: "broke off",
    "CUDA error: the launch timed out and was terminated" + LATER: "took long",
    "CUDA error: unknown error" + LATER: "unknown error",
    "cuFFT error: CUFFT_INTERNAL_ERROR": "CUFFT_INTERNAL_ERROR",
    "The operator 'aten::grid_sampler_3d' is not currently implemented for the MPS device.": "not all operations",
    "HIP error: invalid device function" + LATER.replace("CUDA", "HIP"): "invalid device function",
}
FULL_BY_OTHERS = ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which "
                  "1.12 GiB is free. Process 4242 has 13.40 GiB memory in use. Including non-PyTorch memory, this "
                  "process has 1.25 GiB memory in use.")


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
    assert not is_out_of_memory(error) and device_failure(error) is None


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


def test_other_programs_that_hold_the_memory_are_named():
    run, _ = falls_short_on({"meta"}, torch.OutOfMemoryError(FULL_BY_OTHERS))
    warnings = []
    assert with_cpu_fallback(run, GPU, warnings, "") == (2, CPU)
    assert warnings == ["meta ran out of memory, of which other programs hold a part; the CPU did the work."]


@pytest.mark.parametrize(("message", "word"), FAILURES.items())
def test_a_gpu_that_fails_hands_over_to_the_cpu_and_says_why(message, word):
    run, devices = falls_short_on({"meta"}, RuntimeError(message))
    warnings = ["an older one"]
    assert with_cpu_fallback(run, GPU, warnings, "Crop it.") == (2, CPU)
    assert devices == [GPU, CPU]
    assert len(warnings) == 2 and warnings[1].startswith("meta failed: ")
    assert word in warnings[1] and warnings[1].endswith("; the CPU did the work.") and "\n" not in warnings[1]


@pytest.mark.parametrize("message", FAILURES)
def test_the_cpu_hands_over_to_nobody(message):
    error = RuntimeError(message)
    run, devices = falls_short_on({"cpu"}, error)
    with pytest.raises(RuntimeError) as caught:
        with_cpu_fallback(run, CPU, [], "Crop it.")
    assert caught.value is error and devices == [CPU]


def test_what_a_broken_run_warned_of_is_forgotten():
    warnings = ["an older one"]

    def run(device):
        warnings.append(f"found on {device}")
        if device.type == "meta":
            raise RuntimeError("CUDA error: unspecified launch failure")

    with_cpu_fallback(run, GPU, warnings, "")
    assert warnings == ["an older one", "meta failed: a computation on it broke off; the CPU did the work.",
                        "found on cpu"]


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch has CUDA")
def test_a_torch_without_cuda_says_so_itself():
    run, _ = falls_short_on(set(), None)
    warnings = []

    def allocate(device):
        torch.zeros(1, device="cuda" if device.type == "meta" else device)
        return run(device)

    assert with_cpu_fallback(allocate, GPU, warnings, "") == (1, CPU)
    assert warnings == ["meta failed: this torch was built without CUDA; the CPU did the work."]


def test_auto_says_why_it_passes_over_a_gpu_and_a_chosen_one_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(device_module, "_unusable", None)
    heard = iter([True])

    def is_available():
        if next(heard, False):  # torch warns once a process
            python_warnings.warn(f"CUDA initialization: {TOO_OLD} (Triggered internally at CUDAFunctions.cpp:108.)",
                                 stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    for _ in range(2):
        notes = []
        assert device_module.select_device("auto", notes) == CPU
        assert notes == ["The GPU cannot be used: its driver is too old for this torch; the CPU did the work."]
    with pytest.raises(InputError, match="its driver is too old"):
        device_module.select_device("cuda")


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


@pytest.mark.parametrize("error", [Cancelled("CUDA error: stopped"), RuntimeError("shape mismatch"),
                                   OSError(errno.ENOENT, "no")])
def test_other_errors_come_through_as_they_are(error):
    run, devices = falls_short_on({"meta"}, error)
    with pytest.raises(type(error)) as caught:
        with_cpu_fallback(run, GPU, [], "Crop it.")
    assert caught.value is error and devices == [GPU]
