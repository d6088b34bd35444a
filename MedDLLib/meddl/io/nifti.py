"""What ITK's NIfTI reader and writer leave open: damaged files are noticed, sheared grids keep their shape.

The usual file is read here, in the one pass that checks it; ITK would be loaded and unpack it once more. What is not
usual is left to ITK: scaled voxels, other types, times, several or unclear grids.

ITK fills the missing voxels of a truncated file without a word, and refuses or bends a grid whose axes are not at
right angles. The header fields are those of the NIfTI-1 and NIfTI-2 standards (https://nifti.nimh.nih.gov).
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path

import numpy as np

from meddl.core.errors import FileFormatError

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_LARGEST_RATIO = 1032  # of gzip's compression
_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}


@dataclass(frozen=True)
class NiftiHeader:
    """The part of a NIfTI header that is needed here; `sform` is 4x4 in RAS mm or None.

    `grid` is the 4x4 affine in RAS mm where the header states but one, else None.
    """

    order: str
    shape: tuple[int, ...]
    datatype: int
    bits: int
    offset: int
    slope: float
    intercept: float
    sform: np.ndarray | None
    pair: bool
    grid: np.ndarray | None = None

    @property
    def data_bytes(self) -> int:
        """Bytes of all voxels."""
        return prod(self.shape) * self.bits // 8


def parse_header(start: bytes, name: str) -> NiftiHeader:
    """The header in the first bytes of a file.

    Raises:
        FileFormatError: not a NIfTI header, or one with impossible sizes.
    """
    for order in "<>":
        if len(start) >= 348 and struct.unpack(order + "i", start[:4])[0] == 348:
            magic = start[344:347]
            dims = struct.unpack(order + "8h", start[40:56])
            datatype, bits = struct.unpack(order + "2h", start[70:74])
            offset, slope, intercept = struct.unpack(order + "3f", start[108:120])
            units, code = start[123], struct.unpack(order + "h", start[254:256])[0]
            rows = struct.unpack(order + "12f", start[280:328])
            break
        if len(start) >= 540 and struct.unpack(order + "i", start[:4])[0] == 540:
            magic = start[4:7]
            datatype, bits = struct.unpack(order + "2h", start[12:16])
            dims = struct.unpack(order + "8q", start[16:80])
            offset = struct.unpack(order + "q", start[168:176])[0]
            slope, intercept = struct.unpack(order + "2d", start[176:192])
            code = struct.unpack(order + "i", start[348:352])[0]
            rows = struct.unpack(order + "12d", start[400:496])
            units = struct.unpack(order + "i", start[500:504])[0]
            break
    else:
        raise FileFormatError(f"'{name}' is not a NIfTI file: its header is not one. Was it renamed or damaged?")
    grid = _only_grid(start, order) if len(start) >= 348 and magic in (b"n+1", b"ni1") else None
    count = dims[0]
    shape = tuple(dims[1:1 + count]) if 1 <= count <= 7 else ()
    if not shape or min(shape) < 1 or bits < 1 or not 0 <= offset < 2 ** 40:
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: dimensions {list(dims)}, {bits} bits a voxel.")
    sform = None
    if code > 0:
        sform = np.eye(4)
        sform[:3] = np.array(rows, dtype=np.float64).reshape(3, 4) * _MM_PER_UNIT.get(units & 7, 1.0)
    return NiftiHeader(order, shape, datatype, bits, int(offset), slope, intercept, sform, magic[:2] == b"ni", grid)


def _only_grid(start: bytes, order: str) -> np.ndarray | None:
    """The affine of a NIfTI-1 header in mm whose matrix, quaternion and voxel size agree, as far as it has them."""
    pixdim = np.array(struct.unpack(order + "8f", start[76:108]), dtype=np.float64)
    codes = struct.unpack(order + "2h", start[252:256])
    b, c, d, *offset = struct.unpack(order + "6f", start[256:280])
    matrices = []
    if codes[0] > 0:
        a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
        if a * a < 1e-7:  # half a turn: what is left is rounding
            a, (b, c, d) = 0.0, np.array((b, c, d)) / np.sqrt(b * b + c * c + d * d)
        turn = np.array([[a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                         [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                         [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c]])
        steps = pixdim[1:4] * [1, 1, -1 if pixdim[0] < 0 else 1]
        matrices.append(np.column_stack((turn * steps, offset)))
    if codes[1] > 0:
        matrices.append(np.array(struct.unpack(order + "12f", start[280:328]), dtype=np.float64).reshape(3, 4))
    if not matrices or start[123] & 7 not in (0, 2) or not np.isfinite(matrices).all() or not (pixdim[1:4] > 0).all():
        return None
    steps = matrices[-1][:, :3]
    length = np.linalg.norm(steps, axis=0)
    if np.abs(matrices[0] - matrices[-1]).max() > 1e-4 or np.abs(length / pixdim[1:4] - 1).max() > 1e-5:
        return None
    turn = steps / length
    if np.abs(turn.T @ turn - np.eye(3)).max() > 1e-5:
        return None
    left, _, right = np.linalg.svd(turn)
    turn = left @ right  # axes at right angles, as ITK makes them
    return np.vstack((np.column_stack((turn * pixdim[1:4], matrices[-1][:, 3])), [0, 0, 0, 1])) + 0.0


def read(path: Path) -> tuple[NiftiHeader, np.ndarray | None]:
    """Read the file through once: compressed data must be intact (CRC-32), and all voxels must be there.

    Returns:
        The header, and the voxels (I, J, K) as stored where the file is a usual one (`is_usual`), else None.

    Raises:
        FileFormatError: not NIfTI, truncated or damaged.
    """
    zipped = _is_gzip(path)
    try:
        with gzip.open(path) if zipped else path.open("rb") as stream:
            start = stream.read(544)
            header = parse_header(start, path.name)
            needed = header.offset + header.data_bytes
            voxels, room = None, path.stat().st_size * (_LARGEST_RATIO if zipped else 1)
            if is_usual(header) and needed <= room:
                length, voxels = _read_voxels(stream, start, header)
            else:
                length = len(start)
            if zipped:
                while block := stream.read(1 << 20):
                    length += len(block)
            else:
                length = path.stat().st_size
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(
            f"'{path.name}' is damaged or was cut off ({error}). Copy or download it again.") from error
    if not header.pair and length < needed:
        raise FileFormatError(
            f"'{path.name}' is cut off: its header promises {needed} bytes, {length} are there. "
            "Copy or download it again.")
    return header, voxels


def is_usual(header: NiftiHeader) -> bool:
    """Whether the voxels are real numbers as stored, on one grid of three axes that is not in doubt."""
    return (not header.pair and header.grid is not None and len(header.shape) == 3 and header.shape[2] > 1
            and header.datatype in _TYPES and header.offset >= 348
            and (header.slope, header.intercept) in ((0.0, 0.0), (1.0, 0.0)))


def _read_voxels(stream: gzip.GzipFile | BufferedReader, start: bytes, header: NiftiHeader) -> tuple[int, np.ndarray]:
    """Bytes read up to here, `start` included, and the voxels (I, J, K); too few bytes leave zeros."""
    buffer = np.zeros(header.data_bytes, dtype=np.uint8)
    begin = start[header.offset:][:len(buffer)]
    buffer[:len(begin)] = np.frombuffer(begin, dtype=np.uint8)
    length = len(start)
    while length < header.offset and (block := stream.read(min(header.offset - length, 1 << 20))):
        length += len(block)
    view, filled = buffer.data, len(begin)
    while filled < len(buffer) and (count := stream.readinto(view[filled:filled + (1 << 20)])):
        filled, length = filled + count, length + count
    array = buffer.view(header.order + _TYPES[header.datatype])
    array = array if array.dtype.isnative else array.byteswap().view(array.dtype.newbyteorder("="))
    return length, array.reshape(header.shape, order="F")


def is_sheared(matrix: np.ndarray) -> bool:
    """Whether the axes of a 4x4 affine are not at right angles (beyond what single precision explains)."""
    steps = np.asarray(matrix, dtype=np.float64)[:3, :3]
    cosines = steps / np.maximum(np.linalg.norm(steps, axis=0), 1e-30)
    return bool(np.abs(cosines.T @ cosines - np.eye(3)).max() > 1e-4)


def read_sheared(path: Path, header: NiftiHeader) -> tuple[np.ndarray, np.ndarray] | None:
    """Voxels and sform of a file with a sheared grid.

    Returns:
        `(array, affine)` with array of shape (I, J, K) or (I, J, K, T), or None where this is not the trouble:
        the grid is not sheared, or the type is not a real number.
    """
    if header.sform is None or not is_sheared(header.sform) or header.datatype not in _TYPES or header.pair:
        return None
    with gzip.open(path) if _is_gzip(path) else path.open("rb") as stream:
        stream.seek(header.offset)
        raw = stream.read(header.data_bytes)
    array = np.frombuffer(bytearray(raw), dtype=header.order + _TYPES[header.datatype]).reshape(header.shape, order="F")
    scaled = header.slope != 0.0 and (header.slope, header.intercept) != (1.0, 0.0)
    if scaled and np.isfinite(header.slope) and np.isfinite(header.intercept):
        array = array.astype(np.float32) * np.float32(header.slope) + np.float32(header.intercept)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return array, header.sform


def write_sform(path: Path, affine: np.ndarray) -> None:
    """Put a 4x4 RAS affine into the header of an uncompressed NIfTI-1 file and mark the quaternion as unknown."""
    with path.open("r+b") as stream:
        header = parse_header(stream.read(544), path.name)
        stream.seek(252)
        stream.write(struct.pack(header.order + "2h", 0, 1))
        stream.seek(280)
        stream.write(struct.pack(header.order + "12f", *np.asarray(affine, dtype=np.float64)[:3].ravel()))


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"
