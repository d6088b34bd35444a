"""A bundle's configuration is read by a small grammar; Python evaluates nothing of it."""

from __future__ import annotations

import json

import pytest
import yaml

from meddl.core.errors import ModelError
from meddl.models.formats.bundle.config import (
    BundleConfig,
    Unexplained,
    component_of,
    is_disabled,
    require_understood,
)
from meddl.models.formats.plain_content import read_object

CONTENT = {
    "a": 2, "list": [1, 2, "@a"], "names": {"x": 1, "y": 2}, "same": "@names", "sum": "$@a + len(@names) * 3.5",
    "chosen": "$[1.5, 1.5] if @flags#high else [3.0, 3.0]", "flags": {"high": False}, "part": "@list#2",
    "path": "$@root + '/models/' + @file", "root": ".", "file": "model.pt", "joined": "$@list + (4, -5)",
    "element": "$@list[1] % 2 == 0 and not @flags::high", "key": "$monai.utils.CommonKeys.IMAGE",
    "kind": "$torch.float32", "through": "@same#y", "text": "a@b is no reference"}


@pytest.mark.parametrize("entry, value", [
    ("list", [1, 2, 2]), ("sum", 9.0), ("chosen", [3.0, 3.0]), ("part", 2), ("path", "./models/model.pt"),
    ("joined", [1, 2, 2, 4, -5]), ("element", True), ("key", "image"), ("kind", "torch.float32"), ("through", 2),
    ("same", {"x": 1, "y": 2}), ("text", "a@b is no reference"), ("names#y", 2), ("list#0", 1)])
def test_references_and_literal_arithmetic_are_understood(entry, value):
    assert BundleConfig(CONTENT).read(entry) == value


@pytest.mark.parametrize("text", [
    "$__import__('os').system('touch /tmp/meddl-evil-config')", "$open('/tmp/meddl-evil-config', 'w')",
    "$(lambda: 1)()", "$[x for x in (1, 2)]", "$@a.__class__", "$getattr(@a, 'real')", "$eval('1')", "$2 ** 99999999",
    "$'x' * 10**9", "$1 << 200", "$f'{1}'", "$@a if", "$1 / 0", "$@list[9]", "$x := 3", "$" + "(" * 500,
    "$" + "9" * 1999,
    "$len(@a)", "$list(@names, 1)", "$@missing + 1", "$torch.load('x')", "$int('9' + 'x')", "%other.json#a"])
def test_anything_else_is_left_alone_and_shown_where_it_is_needed(text, tmp_path):
    from pathlib import Path

    found = BundleConfig(CONTENT | {"entry": {"inner": [text]}}).read("entry")
    assert isinstance(found["inner"][0], Unexplained)
    with pytest.raises(ModelError, match="entry#inner#0"):
        require_understood(found)
    assert not Path("/tmp/meddl-evil-config").exists()


def test_a_reference_to_itself_is_refused():
    with pytest.raises(ModelError, match="refers to itself"):
        BundleConfig({"a": "@b", "b": ["@c"], "c": "$@a"}).read("a")


def test_references_that_multiply_are_refused():
    doubling = {f"n{n}": [f"@n{n + 1}", f"@n{n + 1}"] for n in range(40)} | {"n40": 1}
    with pytest.raises(ModelError, match="too large"):
        BundleConfig(doubling).read("n0")
    growing = {f"n{n}": f"$@n{n + 1} * @n{n + 1}" for n in range(12)} | {"n12": 10}
    assert isinstance(BundleConfig(growing).read("n0"), Unexplained)


def test_components_are_of_monai_alone():
    config = BundleConfig({"net": {"_target_": "monai.networks.nets.UNet", "_desc_": "x", "n": "@a"}, "a": 3,
                           "own": {"_target_": "scripts.networks.Mine"}, "other": {"_target_": "torch.nn.Linear"},
                           "partial": {"_target_": "UNet", "_mode_": "callable"}, "none": {"x": 1}})
    part = config.component("net")
    assert (part.name, part.arguments) == ("UNet", {"n": 3})
    for entry, words in (("own", "scripts.networks.Mine"), ("other", "torch.nn.Linear"), ("partial", "callable"),
                         ("none", "names no component")):
        with pytest.raises(ModelError, match=words):
            config.component(entry)
    with pytest.raises(ModelError, match="no entry 'missing'"):
        config.component("missing")
    assert component_of({"_target_": "VNet"}, "x").take("bias", True) is True


def test_switched_off_components():
    assert is_disabled({"_target_": "X", "_disabled_": True}) and is_disabled({"_disabled_": "true"})
    assert not is_disabled({"_target_": "X"}) and not is_disabled({"_disabled_": Unexplained("x", "$y")})


def test_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(CONTENT))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(CONTENT))
    assert read_object(tmp_path / "a.json") == read_object(tmp_path / "a.yaml") == CONTENT
    for name, text, words in (("b.json", "{", "cannot be read"), ("c.json", "[]", "holds no object"),
                              ("d.yaml", "!!python/object/apply:os.system [id]", "not YAML"),
                              ("e.json", "[" * 100_000, "cannot be read")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ModelError, match=words):
            read_object(tmp_path / name)
    with pytest.raises(ModelError, match="cannot be read"):
        read_object(tmp_path / "missing.json")
