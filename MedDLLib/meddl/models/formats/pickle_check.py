"""What the pickle in a PyTorch file names, read instruction by instruction before anything is built.

`torch.load(weights_only=True)` runs no code, yet builds whatever it is told of its own kinds: arrays of zeros of any
length, tensors without memory, sparse ones. Of these a trained model needs few.
"""

import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO

from meddl.core.errors import ModelError

MAXIMUM_PICKLE = 64 << 20
_MAXIMUM_INSTRUCTIONS = 8_000_000
_MAXIMUM_BITS = 64
_MOST_UNPACKED = 4  # times the file: PyTorch stores records as they are
_SLACK = 64 << 20
_LEGACY_PICKLES = 4  # magic number, protocol, machine, content; the storages follow
_NAMES = re.compile(
    r"collections (OrderedDict|Counter)|torch\._utils (_rebuild_tensor|_rebuild_tensor_v2|_rebuild_tensor_v3|"
    r"_rebuild_parameter)|torch(\.cuda)? (Float|Half|Double|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage|"
    r"torch\.storage UntypedStorage|torch (Size|device|float16|float32|float64|bfloat16|u?int(8|16|32|64)|bool)|"
    r"numpy\.(_?core)\.multiarray scalar|numpy dtype|_codecs encode|(builtins|__builtin__) set")


def check_torch_file(place: Path) -> None:
    """See that a checkpoint names nothing beyond tensors and numbers, and that its records unpack to about its size.

    Raises:
        ModelError: it does, or is damaged.
        OSError: it cannot be read.
    """
    if not zipfile.is_zipfile(place):
        with place.open("rb") as stream:
            for _ in range(_LEGACY_PICKLES):
                if stream.peek(1):
                    _check(stream, place)
        return
    with zipfile.ZipFile(place) as opened:
        records = opened.infolist()
        total = sum(record.file_size for record in records)
        if total > _MOST_UNPACKED * place.stat().st_size + _SLACK:
            raise ModelError(f"The records in '{place.name}' would unpack to {total / 1e6:.0f} MB, far more than the "
                             "file holds; PyTorch writes no such files.")
        for record in records:
            if record.filename.endswith("/data.pkl"):
                if record.file_size > MAXIMUM_PICKLE:
                    raise ModelError(f"The table of contents of '{place.name}' has {record.file_size / 1e6:.0f} MB.")
                with opened.open(record) as stream:
                    _check(stream, place)


def _check(stream: IO[bytes], place: Path) -> None:
    begun = stream.tell()
    for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
        if count > _MAXIMUM_INSTRUCTIONS or (not count % 4096 and stream.tell() - begun > MAXIMUM_PICKLE):
            raise ModelError(f"The table of contents of '{place.name}' has no end in sight; it is no checkpoint.")
        if instruction.name == "GLOBAL" and not _NAMES.fullmatch(str(argument)):
            raise ModelError(f"The checkpoint '{place.name}' holds more than tensors and numbers and was not opened: "
                             f"it names {str(argument).replace(' ', '.')[:100]}. Ask its maker for the weights alone.")
        if instruction.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            raise ModelError(f"The checkpoint '{place.name}' holds more than tensors and numbers, or is a pickle that "
                             f"PyTorch does not write ({instruction.name}), and was not opened. Ask its maker for the "
                             "weights alone.")
        bits = argument.bit_length() if isinstance(argument, int) else 0
        if bits > _MAXIMUM_BITS and count > 1:  # a file of before PyTorch 1.6 begins with a large number
            raise ModelError(f"The checkpoint '{place.name}' holds a number of {bits} bits.")
