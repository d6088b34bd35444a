"""Weights: safetensors and nothing else; no file may run code."""

import io
import json
import os
import pickle
import zipfile

import pytest
import torch
from torch import nn

from meddl.core.errors import ModelError
from meddl.models.weights import load_into, load_weights, save_weights


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(1)
    return {"a.weight": torch.randn(3, 4, generator=generator), "a.count": torch.tensor(5),
            "b": torch.randn(2, 3, 4, generator=generator).transpose(0, 2)}


def test_weights_come_back_the_same(tmp_path, tensors):
    figures = save_weights(tensors, tmp_path / "w.safetensors", {"made": "here"})
    back = load_weights(tmp_path / "w.safetensors")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert figures["bytes"] == (tmp_path / "w.safetensors").stat().st_size
    assert len(figures["sha256"]) == 64
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_shipping_types_touch_only_real_numbers(tmp_path, tensors, dtype):
    save_weights(tensors, tmp_path / "w.safetensors", dtype=dtype)
    back = load_weights(tmp_path / "w.safetensors")
    assert back["b"].dtype == dtype
    assert back["a.count"].dtype == torch.int64
    assert torch.allclose(back["b"].float(), tensors["b"], rtol=1e-2)


def test_values_too_large_for_float16_are_refused(tmp_path):
    with pytest.raises(ModelError, match="'a' holds values too large"):
        save_weights({"a": torch.tensor([1e6])}, tmp_path / "w.safetensors", dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_tensors_that_share_memory_are_saved(tmp_path):
    shared = torch.arange(4.0)
    save_weights({"a": shared, "b": shared[:2]}, tmp_path / "w.safetensors")
    assert load_weights(tmp_path / "w.safetensors")["b"].tolist() == [0.0, 1.0]


def test_only_tensors_are_saved(tmp_path):
    with pytest.raises(ModelError, match="'a' is a list"):
        save_weights({"a": [1]}, tmp_path / "w.safetensors")


class Trap:
    """A pickle of it creates a file when it is opened."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def checkpoint(trap):
    stream = io.BytesIO()
    torch.save({"a": trap}, stream)
    return stream.getvalue()


def legacy_checkpoint(trap):
    stream = io.BytesIO()
    torch.save({"a": trap}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


@pytest.mark.parametrize(("make", "looks"), [
    (pickle.dumps, "pickle"), (lambda trap: pickle.dumps(trap, protocol=5), "pickle"),
    (checkpoint, "PyTorch checkpoint"), (legacy_checkpoint, "pickle")])
def test_a_pickle_that_would_run_code_is_not_opened(tmp_path, make, looks):
    path = tmp_path / "w.safetensors"
    path.write_bytes(make(Trap(tmp_path / "caught")))
    with pytest.raises(ModelError, match=looks) as caught:
        load_weights(path)
    assert "does not open them" in str(caught.value)
    assert not (tmp_path / "caught").exists()


def test_the_trap_works(tmp_path):
    """The test above can fail: opened as a pickle, the file does run code."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "caught")))
    assert (tmp_path / "caught").exists()


def test_a_torchscript_file_is_named(tmp_path):
    path = tmp_path / "w.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/code/__torch__.py", "op_version_set = 1")
        archive.writestr("net/constants.pkl", b"\x80\x02).")
    with pytest.raises(ModelError, match="TorchScript archive, which holds code"):
        load_weights(path)


@pytest.mark.parametrize(("content", "looks"), [
    (b"", "empty"), (b"hello, these are not weights", "text"), (b"<!DOCTYPE html><html>", "web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS"), (b"PK\x03\x04 broken", "damaged zip"),
    (b"\x89HDF\r\n\x1a\n....", "HDF5"), (bytes(range(128, 255)), "format is unknown"), (b"\x00" * 100, "safetensors")])
def test_foreign_files_are_named(tmp_path, content, looks):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=looks):
        load_weights(path)


@pytest.mark.parametrize("keep", [4, 8, 20, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, tensors, keep):
    path = tmp_path / "w.safetensors"
    save_weights(tensors, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError):
        load_weights(path)


@pytest.mark.parametrize("header", [
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
    b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}',
    b'{"a":{"dtype":"F32","data_offsets":[0,8]}}',
    b'{"a":3}',
    b'{"a":',
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,80]}}',
    b'{"a":{"dtype":"ODD","shape":[2],"data_offsets":[0,8]}}'])
def test_a_false_header_is_refused(tmp_path, header):
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x00" * 8)
    with pytest.raises(ModelError):
        load_weights(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_weights(tmp_path / "none.safetensors")


def network():
    return nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2))


def test_weights_go_into_the_network_they_fit():
    source, target = network(), network()
    load_into(target, {name: tensor.half() if tensor.is_floating_point() else tensor
                       for name, tensor in source.state_dict().items()})
    assert torch.allclose(target[0].weight, source[0].weight, atol=1e-3)
    assert target[0].weight.dtype == torch.float32


def test_weights_that_do_not_fit_are_listed_and_change_nothing():
    target = network()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    wrong = dict(network().state_dict())
    wrong["2.extra"] = wrong.pop("0.bias")
    wrong["0.weight"] = torch.zeros(2, 1, 5, 5, 5)
    with pytest.raises(ModelError) as caught:
        load_into(target, wrong)
    for part in ("missing: 0.bias", "not in the network: 2.extra",
                 "0.weight (2, 1, 5, 5, 5) instead of (2, 1, 3, 3, 3)"):
        assert part in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


def test_weights_that_are_not_finite_are_refused():
    spoiled = dict(network().state_dict())
    spoiled["0.bias"] = torch.tensor([0.0, float("nan")])
    with pytest.raises(ModelError, match=r"not finite: 0\.bias"):
        load_into(network(), spoiled)


@pytest.mark.parametrize(("header", "words"), [
    ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "gap or overlap"),
    ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
      "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "gap or overlap"),
    ({"a": {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 8]}}, "unknown type 'PICKLE'"),
    ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"a": 3}}, "__metadata__")])
def test_a_header_that_the_library_would_refuse_is_refused_at_once(tmp_path, header, words):
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(ModelError, match=words):
        load_weights(tmp_path / "a.safetensors")
