"""Models that are broken or made to do harm: pickles, archives, cards, safetensors, bundles and nnU-Net folders.

    python Testing/Python/support/hostile_models.py 350 [--seed NUMBER]

Each is imported as a user would; the script prints what ran code, took more than it may, raised something else than
MedDL's own errors or left something behind, and ends with 1 where there is such.
"""

import argparse
import json
import os
import pickle
import random
import shutil
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).resolve().parent
REPOSITORY = SUPPORT.parents[2]
sys.path[:0] = [str(REPOSITORY / "MedDLLib"), str(SUPPORT), str(REPOSITORY / "Testing" / "Benchmarks")]
_SECONDS, _BYTES = 12.0, (1 << 30) + (256 << 20)  # of processor time; 6 s are held by the import itself
NASTY: tuple[Any, ...] = (
    None, -1, 0, 1, 2**31, 10**18, 10**400, 1e308, -0.5, float("nan"), float("inf"), True, "", " ", "x" * 100_000,
    "\x1b[2J\x07", "\ud800", "\u202ename", "../../x", "C:\\x", "$int('9' * 4000)", "$__import__('os').system('x')",
    "@network_def", "%other.json", [], {}, [[]], [None] * 1000, [10**9] * 3, {"": ""}, {"_target_": "os.system"})


def _executes(statement: str) -> bytes:
    class Evil:
        def __reduce__(self):
            return exec, (statement,)

    return pickle.dumps({"config": {}, "state_dict": Evil()}, protocol=2)


def _calls(name: str, *arguments: Any) -> bytes:
    """A pickle that calls what it names."""
    module, _, function = name.rpartition(".")
    inner = pickle.dumps(arguments, protocol=2)[2:-1]
    return b"\x80\x02" + pickle.dumps({"config": 1, "state_dict": 2}, 2)[2:-1] + (
        b"U\x01xc" + f"{module}\n{function}\n".encode() + inner + b"Rs.")


def _shared(depth: int) -> bytes:
    value: Any = [1]
    for _ in range(depth):
        value = [value, value]
    return pickle.dumps({"config": {"network": value}, "state_dict": {}}, 2)


def _scalar(kind: str, data: bytes = b"12345678") -> bytes:
    return _calls("numpy.core.multiarray.scalar") if kind == "" else (
        b"\x80\x02}U\x06configcnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n"
        + pickle.dumps((kind, False, True), 2)[2:-1] + b"R" + pickle.dumps(data, 2)[2:-1] + b"\x86RsU\x0astate_dict}s.")


def _pickles(canary: Path, chance: random.Random) -> list[bytes]:
    itself: list = []
    itself.append(itself)
    wrote = f"open({str(canary)!r}, 'w').write('ran')"
    return [
        _executes(wrote), _calls("builtins.eval", wrote), _calls("os.system", f"touch {canary}"),
        _calls("subprocess.call", ["touch", str(canary)]), _calls("builtins.bytearray", 10**11),
        _calls("collections.Counter", "x" * 1_000_000), _calls("torch._utils._rebuild_sparse_tensor", 1, ()),
        _calls("torch._utils._rebuild_meta_tensor_no_storage", None, (10**6, 10**6), (1, 1), False),
        _calls("_codecs.encode", "\u0130" * 30_000 + ".x", "idna"), _calls("torch.Size", [10**12] * 4),
        _calls("torch.device", "cuda:99"), _calls("builtins.getattr", "x", "y"), _calls("builtins.set", 3),
        _scalar("V2000000000"), _scalar("S2147483647"), _scalar("O8"), _scalar("f8", b"1"), _scalar("f8"), _scalar(""),
        _shared(25), _shared(60), _shared(400), pickle.dumps({"config": itself, "state_dict": {}}, 2),
        pickle.dumps({"config": 10**5000, "state_dict": {}}, 2), pickle.dumps(list(range(10)), 2),
        b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".", b"\x80\x02" + b"(" * 10**6 + b".",
        b"\x80\x02}X\xff\xff\xff\xffx.", b"\x80\x02\x8a\xffx.", b"\x80\x02.", b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x02h\x05.", b"\x80\x02R.", b"\x80\x02" + chance.randbytes(200)]


class Maker:
    """Writes hostile models; the same seed gives the same ones.

    Args:
        folder: for what all are made from.
        seed: of the random numbers.
    """

    def __init__(self, folder: Path, seed: int):
        from bundle_cases import CASES, write_bundle
        from nnunet_folder import write_nnunet

        self.canary, self._seed = folder / "canary", seed
        self._nnunet = write_nnunet(folder / "base" / "nnunet", features=(2, 4))
        self._bundle = write_bundle(folder / "base" / "bundle", next(iter(CASES.values())))
        self._kinds: tuple[Callable[[Path, random.Random, int], Path], ...] = (
            self.pickled, self.archive, self.card, self.safetensors, self.bundle, self.plans)

    def make(self, number: int, folder: Path) -> Path:
        """The model of this number, in an empty folder; a file or folder to import."""
        return self._kinds[number % len(self._kinds)](
            folder, random.Random(f"{self._seed} {number}"), number // len(self._kinds))

    def pickled(self, folder: Path, chance: random.Random, n: int) -> Path:
        """A checkpoint: bare, in PyTorch's zip, in a bundle or in an nnU-Net folder, whole or damaged."""
        pickles = _pickles(self.canary, chance)
        content, place = pickles[n % len(pickles)], folder / "model.pt"
        if chance.random() < 0.2:
            content = _damaged(content, chance)
        if chance.random() < 0.5:
            place.write_bytes(content)
        else:
            with zipfile.ZipFile(place, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as opened:
                opened.writestr("archive/data.pkl", content)
                opened.writestr("archive/version", "3\n")
                if chance.random() < 0.3:
                    opened.writestr("archive/data/0", bytes(200 << 20), zipfile.ZIP_DEFLATED)
        where = chance.choice(["alone", "nnunet", "bundle"])
        if where == "alone":
            return place
        base = self._nnunet if where == "nnunet" else self._bundle
        model = shutil.copytree(base, folder / where)
        shutil.move(place, model / ("fold_0/checkpoint_final.pth" if where == "nnunet" else "models/model.pt"))
        return model

    def archive(self, folder: Path, chance: random.Random, n: int) -> Path:
        """A zip of a good model in which one thing is wrong."""
        place, inside = folder / "model.zip", self._nnunet
        names = ("../../out", "/out", "a\\..\\..\\out", "C:/out", "x" * 300, "\x1b[2J", "nul\0x", "a/" * 400 + "x",
                 "CON", "link", "twice", "dir", "huge", "many", "encrypted", "nested", "damaged", "short", "empty",
                 "text")
        kind = names[n % len(names)]
        with zipfile.ZipFile(place, "w") as opened:
            for file in sorted(inside.rglob("*")):
                if file.is_file() and kind != "empty":
                    opened.write(file, file.relative_to(inside))
            info = zipfile.ZipInfo(kind if kind in names[:9] else "more")
            if kind == "link":
                info.external_attr = 0o120777 << 16
            if kind in ("twice", "dir"):
                info.filename = "plans.json" if kind == "twice" else "plans.json/inner"
            if kind == "huge":
                info.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(info, bytes(300 << 20) if kind == "huge" else b"/etc/passwd")
            for number in range(20_000 if kind == "many" else 0):
                opened.writestr(f"{number}.txt", b"")
            if kind == "nested":
                opened.writestr("inner.zip", _nested_zip(chance.choice([3, 30])))
        content = place.read_bytes()
        if kind == "encrypted":
            content = content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
        if kind in ("damaged", "short") or chance.random() < 0.2:
            content = _damaged(content, chance)
        place.write_bytes(b"no zip" if kind == "text" else content)
        return place

    def card(self, folder: Path, chance: random.Random, n: int) -> Path:
        """A model of MedDL's own whose card is changed, or too large or too deep, with large texts beside it."""
        content = json.loads(json.dumps(_CARD))
        (folder / "weights.safetensors").write_bytes(_tensors({}))
        content["weights"]["bytes"] = len(_tensors({}))
        for _ in range(chance.choice([1, 1, 2])):
            _change(content, chance, NASTY[n % len(NASTY)] if chance.random() < 0.7 else chance.choice(NASTY))
        text = json.dumps(content, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
        special = {3: b"[" * 100_000, 9: b'{"labels": ' + b"[" * 500 + b"]" * 500 + b"}", 15: _damaged(text, chance),
                   21: b" " * (3 << 20), 27: b'{"a": ' + b"9" * 900_000 + b"}", 33: b"\xff\xfe", 39: b"null",
                   45: json.dumps(_CARD | {"labels": [_CARD["labels"][0] | {"name": "x\ny"}] * 5000}).encode()}
        (folder / "card.json").write_bytes(special.get(n, text))
        if chance.random() < 0.2:
            with (folder / "README.md").open("wb") as stream:
                stream.truncate(1 << 32)
        return folder

    def safetensors(self, folder: Path, chance: random.Random, n: int) -> Path:
        """A model of MedDL's own whose weights lie."""
        good = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
        headers: list[Any] = [
            good, {"a": good["a"] | {"data_offsets": [0, 2**62]}}, {"a": good["a"] | {"data_offsets": [16, 0]}},
            {"a": good["a"] | {"shape": [2**40, 2**40]}}, {"a": good["a"] | {"shape": [-2, -2]}},
            {"a": good["a"] | {"shape": [10**400, 0], "data_offsets": [0, 0]}}, {"a": good["a"] | {"dtype": "PICKLE"}},
            {f"{n}": good["a"] for n in range(3)}, {"x" * 10**6: good["a"]}, {"\x1b[2J": good["a"]}, {"a": None}, [],
            {"a": good["a"] | {"dtype": ["F32"]}}, {"__metadata__": 3, "a": good["a"]},
            {"a": good["a"] | {"shape": "22"}}]
        content = _tensors(headers[n % len(headers)], bytes(16))
        lengths = {5: 2**63, 11: 2**40, 17: 0, 23: 10**7, 29: 1}
        if n in lengths:
            content = struct.pack("<Q", lengths[n]) + content[8:]
        if n % 3 == 2:
            content = _damaged(content, chance)
        (folder / "weights.safetensors").write_bytes(content)
        import hashlib

        card = _CARD | {"weights": {"file": "weights.safetensors", "bytes": max(len(content), 1),
                                    "sha256": hashlib.sha256(content).hexdigest()}}
        (folder / "card.json").write_text(json.dumps(card))
        return folder

    def bundle(self, folder: Path, chance: random.Random, n: int) -> Path:
        """A MONAI bundle whose configuration is changed, as JSON or YAML."""
        model = shutil.copytree(self._bundle, folder / "bundle")
        place = model / "configs" / "inference.json"
        content = json.loads(place.read_text())
        for _ in range(chance.choice([1, 2, 4])):
            _change(content, chance, NASTY[n % len(NASTY)] if chance.random() < 0.7 else chance.choice(NASTY))
        place.write_bytes(json.dumps(content, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass"))
        bombs = ("a: &a [1]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghijklmnopqrst",
                                                                                       "bcdefghijklmnopqrstu")),
                 "a: &a {x: 1}\n" + "".join(f"{b}: &{b}\n  <<: [*{a}, *{a}, *{a}]\n  {b}: 1\n" for a, b in zip(
                     "abcdefghijklmnopqrs", "bcdefghijklmnopqrst")),
                 "a: &a [*a]\n", "? [1, 2]\n: 3\n", "a: !!python/object/apply:os.system ['touch x']\n",
                 "a: 1:2:3:99999e9\n", "[" * 5000, "a: 2001-99-99\n", "<<: 3\n")
        if n % 3 == 0:
            place.unlink()
            place.with_suffix(".yaml").write_text(bombs[(n // 3) % len(bombs)])
        return model

    def plans(self, folder: Path, chance: random.Random, n: int) -> Path:
        """An nnU-Net whose plans or dataset.json are changed."""
        model = shutil.copytree(self._nnunet, folder / "nnunet")
        for _ in range(chance.choice([1, 2, 4])):
            place = model / chance.choice(["plans.json", "plans.json", "dataset.json"])
            content = json.loads(place.read_text(encoding="utf-8", errors="surrogatepass"))
            _change(content, chance, NASTY[n % len(NASTY)] if chance.random() < 0.7 else chance.choice(NASTY))
            place.write_text(json.dumps(content), encoding="utf-8")
        return model


_CARD: dict = {
    "id": "hostile", "version": "1.0.0", "name": "Hostile", "task": "segmentation", "description": "A model.",
    "modality": ["MR"], "labels": [{"value": 1, "name": "liver", "color": [1, 2, 3], "mirror": 1}],
    "networks": {"main": {"architecture": "PlainConvUNet", "arguments": {"features": [2, 4]}, "spacing_mm": 1.0,
                          "patch_voxels": [8, 8, 8]}},
    "weights": {"file": "weights.safetensors", "bytes": 10, "sha256": "0" * 64},
    "license": {"code": "MIT", "weights": "MIT"}, "source": {"name": "x", "url": "https://example.org"},
    "training": {"data": "x", "data_license": "x"}, "accuracy": [], "intended_use": "x", "limits": "x", "citation": ""}


def _tensors(header: Any, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _nested_zip(depth: int) -> bytes:
    import io

    content = b"end"
    for number in range(depth):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as opened:
            opened.writestr(f"{number}.zip", content)
        content = stream.getvalue()
    return content


def _damaged(content: bytes, chance: random.Random) -> bytes:
    """The same with a few bytes changed, or cut off."""
    if chance.random() < 0.3:
        return content[:chance.randrange(len(content) + 1)]
    changed = bytearray(content or b"x")
    for _ in range(chance.choice([1, 3, 30])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _change(content: Any, chance: random.Random, value: Any) -> None:
    """Put a value somewhere into nested data, instead of what is there."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(content[key], (dict, list)) and content[key] and chance.random() < 0.8:
            content = content[key]
            continue
        content[key] = value
        return


def import_one(model: Path, store, canary: Path) -> list[str]:
    """Import one model; what is wrong with how that went, in words."""
    from meddl.core import memory
    from meddl.core.errors import MedDLError, printable
    from meddl.models.store.import_process import worker_pid
    from meddl.models.store.installation import import_from_disk
    from meddl.models.weights import load_weights

    begun, held, problems = time.process_time(), memory.used_bytes(), []
    before = _processor_time(worker_pid())
    try:
        card = import_from_disk(model, store)
        load_weights(store.weights_path(card.id))  # what is installed can be used
        store.remove(card.id)
    except MedDLError as error:
        text = str(error)
        if printable(text) != text or len(text) > 5000 or "safe_globals" in text or "allowlist" in text:
            problems.append(f"an error that is not to be shown: {text[:300]!r}")
    except Exception as error:  # noqa: BLE001  it is what is looked for
        problems.append(f"{type(error).__name__} came through: {str(error)[:200]!r}")
    pid, after = before[0], _processor_time(worker_pid())
    spent = time.process_time() - begun + (after[1] - before[1] if pid is not None and after[0] == pid else 0.0)
    if spent > _SECONDS:
        problems.append(f"it took {spent:.0f} s of processor time")
    if memory.used_bytes() - held > _BYTES:
        problems.append(f"{(memory.used_bytes() - held) / 1e6:.0f} MB are still held")
    if canary.exists():
        canary.unlink()
        problems.append("code was run")
    if store.cache.is_dir():
        problems += [f"{place.name} is left" for place in store.cache.iterdir()]
    return problems


def _processor_time(pid: int | None) -> tuple[int | None, float]:
    """The process, and the seconds that it has computed; (None, 0) where it is not known."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return pid, (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None, 0.0


def run(numbers: range, seed: int, folder: Path) -> list[str]:
    """Import the models of these numbers; what is wrong."""
    from meddl.models.store.import_process import warm_imports
    from meddl.models.store.store import ModelStore

    maker, problems = Maker(folder, seed), []
    with warm_imports():
        for number in numbers:
            place = folder / "model"
            place.mkdir()
            found = import_one(maker.make(number, place), ModelStore(cache=folder / "cache"), maker.canary)
            problems += [f"seed {seed}, model {number}: {problem}" for problem in found]
            shutil.rmtree(place)
    return problems


def main() -> int:
    """Import as many as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=350)
    parser.add_argument("--seed", type=int, default=int(time.strftime("%Y%m%d")))
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = run(range(arguments.first, arguments.first + arguments.count), arguments.seed, Path(folder))
    print(f"seed {arguments.seed}: {arguments.count} models, {len(problems)} problems")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
