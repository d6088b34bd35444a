"""The kind of a weights file, from its first bytes, without running or unpickling any of it. Standard library only."""

import json
import zipfile
from math import prod
from pathlib import Path

from meddl.core.errors import ModelError

_ITEM_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "I16": 16, "U16": 16,
              "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64}
_MAXIMUM_HEADER = 8_000_000  # a hundred bytes for each tensor


def read_safetensors_header(path: str | Path) -> dict:
    """The checked header of a safetensors file: `{tensor: {"dtype", "shape", "data_offsets"}, "__metadata__": {}}`.

    Raises:
        ModelError: missing, truncated, damaged, or another format, which the message names.
    """
    place = Path(path)
    try:
        size = place.stat().st_size
        with place.open("rb") as stream:
            start = stream.read(8)
            length = int.from_bytes(start, "little")
            block = stream.read(length) if 2 <= length <= min(size, _MAXIMUM_HEADER) else b""
    except OSError as error:
        raise ModelError(f"The weights '{place}' cannot be read: {error.strerror}.") from error
    if len(start) < 8 or not block.lstrip().startswith(b"{"):
        raise ModelError(f"The weights '{place}' are no safetensors file: {describe_foreign(place)}")
    try:
        header = json.loads(block.decode("utf-8"))
        needed = 8 + length + _checked_end(header)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"The weights '{place}' are damaged: the safetensors header cannot be read ({error}). "
                         "Install the model again.") from error
    if needed != size:
        raise ModelError(f"The weights '{place}' are {'cut off' if size < needed else 'damaged'}: the header promises "
                         f"{needed} bytes, the file has {size}. Install the model again.")
    return header


def describe_foreign(path: str | Path) -> str:
    """A sentence that says what a file which is not safetensors looks like, and what to do."""
    place = Path(path)
    with place.open("rb") as stream:
        start = stream.read(64)
    pickles = ("Pickles can run code when they are opened, so MedDL does not open them; "
               "give the weights in safetensors format.")
    if not start:
        return "it is empty. Install the model again."
    if start[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(place) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError):
            return "it looks like a damaged zip archive. Give the weights in safetensors format."
        if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
            return "it looks like a TorchScript archive, which holds code. Give the weights in safetensors format."
        if any(name.endswith("data.pkl") for name in names):
            return f"it looks like a PyTorch checkpoint (a zip that holds a pickle). {pickles}"
        return "it looks like a zip archive. Give the weights in safetensors format."
    if start[0] == 0x80 and 1 <= start[1] <= 5:
        return f"it looks like a Python pickle. {pickles}"
    if start[:8] == b"\x89HDF\r\n\x1a\n":
        return "it looks like HDF5 (Keras). Give the weights in safetensors format."
    if start.lstrip()[:1] == b"<":
        return "it looks like a web page, as servers send instead of a file they do not have. Download it again."
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself. Fetch it with `git lfs pull`."
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return "it looks like text. Give the weights in safetensors format."
    return "its format is unknown, or it is damaged. Give the weights in safetensors format."


def _checked_end(header: dict) -> int:
    """The end of the tensors' bytes, which have to follow one another without gaps."""
    about = header.get("__metadata__", {})
    if not all(isinstance(text, str) for text in about.values()):
        raise ValueError("__metadata__ holds more than texts")
    end = 0
    for first, last in sorted(_check_entry(name, entry) for name, entry in header.items() if name != "__metadata__"):
        if first != end:
            raise ValueError(f"its tensors leave a gap or overlap at byte {end}")
        end = last
    return end


def _check_entry(name: str, entry: dict) -> tuple[int, int]:
    """Where a tensor's bytes begin and end."""
    first, last = entry["data_offsets"]
    shape = entry["shape"]
    if not all(isinstance(n, int) and n >= 0 for n in (*shape, first, last)):
        raise ValueError(f"tensor '{name}' has an impossible shape or place")
    bits = _ITEM_BITS.get(entry["dtype"])
    if bits is None:
        raise ValueError(f"tensor '{name}' is of an unknown type {str(entry['dtype'])[:20]!r}")
    if last < first or (last - first) * 8 != prod(shape) * bits:
        raise ValueError(f"tensor '{name}' has {last - first} bytes, which is not its shape {shape} "
                         f"of {entry['dtype']}")
    return first, last
