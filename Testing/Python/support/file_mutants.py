"""Damaged copies of files for tests: seeds of each format, and ways to spoil them."""

import gzip
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from dicom_files import dicom_seeds

NUMBERS = ["0", "-1", "1e308", "-1e308", "inf", "nan", "2147483648", "4294967296", "9223372036854775808",
           "99999999999999999999", "1e-320", "", "x", "%s", "65535", "3.7", "-0"]
SHORTS = [0, 1, -1, 127, 128, 255, 32767, -32768]
LONGS = [2 ** 31 - 1, -2 ** 31, -1, 0, 1 << 30]
HEADER = 700  # bytes in which most damage is done


def _image(*shape: int, dtype: str = "i2") -> np.ndarray:
    return (np.arange(np.prod(shape)) % 120).reshape(shape).astype(dtype)


def nifti_seeds(folder: Path) -> list[Path]:
    """Small NIfTI files of several kinds."""
    affine = np.array([[-1.9, 0, 0, 3], [0, 0, 1.4, 5], [0, 2.5, 0, 7], [0, 0, 0, 1.0]])
    made = []
    for name, kind, shape, dtype in (
            ("a.nii", nibabel.Nifti1Image, (6, 7, 8), "i2"), ("b.nii.gz", nibabel.Nifti1Image, (6, 7, 8), "f4"),
            ("c.nii", nibabel.Nifti2Image, (6, 7, 8), "u1"), ("d.nii.gz", nibabel.Nifti1Image, (5, 4, 3, 4), "i4"),
            ("e.img", nibabel.Nifti1Pair, (6, 7, 8), "i2"), ("f.nii", nibabel.Nifti1Image, (4, 4, 4, 1, 3), "f4")):
        image = kind(_image(*shape, dtype=dtype), affine, dtype=dtype)
        image.set_qform(affine, 1)
        image.set_sform(affine, 1)
        nibabel.save(image, folder / name)
        made.append(folder / (name if name != "e.img" else "e.hdr"))
    return made


def itk_seeds(suffixes: tuple[str, ...]) -> Callable[[Path], list[Path]]:
    """Small files that ITK writes under these suffixes: plain, packed, vectors, times."""
    def write(folder: Path) -> list[Path]:
        scalar = sitk.GetImageFromArray(_image(8, 7, 6))
        vector = sitk.GetImageFromArray(_image(5, 4, 3, 3), isVector=True)
        series = sitk.JoinSeries([scalar, scalar + 1])
        made = []
        for suffix in suffixes:
            kinds = (scalar, False), (scalar, True), (vector, True), (series, False)
            for number, (image, packed) in enumerate(kinds):
                place = folder / f"s{number}{suffix}"
                sitk.WriteImage(image, str(place), useCompression=packed)
                made.append(place)
        return made
    return write


def transform_seeds(folder: Path) -> list[Path]:
    """Matrices and displacement fields as ITK writes them."""
    affine = sitk.AffineTransform(3)
    affine.Translate((1.0, 2.0, 3.0))
    field = sitk.DisplacementFieldTransform(sitk.Cast(sitk.GetImageFromArray(_image(5, 4, 3, 3), isVector=True),
                                                      sitk.sitkVectorFloat64))
    made = []
    for name, transform in (("a.tfm", affine), ("b.h5", affine), ("c.mat", affine), ("d.tfm", field), ("e.h5", field)):
        sitk.WriteTransform(transform, str(folder / name))
        made.append(folder / name)
    return made


SEEDS: dict[str, Callable[[Path], list[Path]]] = {
    "nifti": nifti_seeds, "nrrd": itk_seeds((".nrrd", ".nhdr", ".seg.nrrd")), "metaimage": itk_seeds((".mha", ".mhd")),
    "dicom": dicom_seeds, "transform": transform_seeds}


def write_mutant(seed: Path, folder: Path, random: np.random.Generator) -> Path:
    """A damaged copy of a seed, a file or a folder with one damaged file, in an empty folder; what to load."""
    shutil.rmtree(folder, ignore_errors=True)
    if seed.is_dir():
        shutil.copytree(seed, folder / seed.name)
        files = sorted((folder / seed.name).iterdir())
        victim = files[random.integers(len(files))]
        victim.write_bytes(damaged(victim.read_bytes(), victim.name, random))
        return folder / seed.name
    folder.mkdir(parents=True)
    for other in seed.parent.glob(f"{seed.name.split('.')[0]}.*"):  # the other half of a pair too
        shutil.copyfile(other, folder / other.name)
    target = folder / seed.name
    target.write_bytes(damaged(target.read_bytes(), seed.name, random))
    return target


def damaged(content: bytes, name: str, random: np.random.Generator) -> bytes:
    """The bytes with one to four things wrong; of packed files half the time what is inside."""
    if name.endswith(".gz") and random.random() < 0.6:
        return gzip.compress(damaged(gzip.decompress(content), name[:-3], random), 1, mtime=0)
    text = name.endswith((".nrrd", ".nhdr", ".mha", ".mhd", ".tfm"))
    for _ in range(random.integers(1, 5)):
        ways = (_with_odd_number, _with_odd_line) if text and random.random() < 0.75 else (
            _with_odd_bytes, _with_odd_word, _with_odd_float, _cut, _with_moved_part)
        content = ways[random.integers(len(ways))](content, random) or b"\0"
    return content


def _place(content: bytes, random: np.random.Generator) -> int:
    end = len(content) if random.random() < 0.2 else min(len(content), HEADER)
    return int(random.integers(max(end, 1)))


def _with_odd_bytes(content: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(random.integers(1, 6)):
        if changed:
            changed[_place(content, random) % len(changed)] = int(random.integers(256))
    return bytes(changed)


def _with_odd_word(content: bytes, random: np.random.Generator) -> bytes:
    layout = str(random.choice(["<h", ">h", "<i", "<q"]))
    value = int(random.choice(SHORTS if layout[1] == "h" else LONGS))
    word = struct.pack(layout, value)
    place = _place(content, random) & ~1
    return content[:place] + word + content[place + len(word):]


def _with_odd_float(content: bytes, random: np.random.Generator) -> bytes:
    value = float(random.choice([np.inf, -np.inf, np.nan, 0.0, -1.0, 1e38, 1e-40, 3.4e38]))
    place = _place(content, random) & ~3
    return content[:place] + struct.pack("<f", value) + content[place + 4:]


def _cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[:int(random.integers(len(content) + 1))]


def _with_moved_part(content: bytes, random: np.random.Generator) -> bytes:
    begin, length = _place(content, random), int(random.integers(1, 64))
    part = content[begin:begin + length]
    if random.random() < 0.5:
        return content[:begin] + part * int(random.integers(2, 5)) + content[begin:]
    return content[:begin] + content[begin + length:]


def _with_odd_number(content: bytes, random: np.random.Generator) -> bytes:
    """A number of the text header is replaced."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:HEADER]))
    if not found:
        return content
    one = found[random.integers(len(found))]
    return content[:one.start()] + str(random.choice(NUMBERS)).encode() + content[one.end():]


def _with_odd_line(content: bytes, random: np.random.Generator) -> bytes:
    """A line of the text header is doubled, dropped, emptied, or exchanged with another."""
    lines = content[:HEADER].split(b"\n")
    place, other = random.integers(len(lines), size=2)
    way = random.integers(4)
    if way == 0:
        lines.insert(place, lines[other])
    elif way == 1:
        del lines[place]
    elif way == 2:
        lines[place] = re.split(rb"[:=]", lines[place])[0] + b" = " + str(random.choice(NUMBERS)).encode()
    else:
        lines[place], lines[other] = lines[other], lines[place]
    return b"\n".join(lines) + content[HEADER:]


def bomb(path: Path, header: str, zeros: int) -> Path:
    """A MetaImage with a packed part of so many zeros."""
    packer = zlib.compressobj(9)
    with path.open("wb") as stream:
        stream.write(header.encode())
        for _ in range(zeros >> 20):
            stream.write(packer.compress(bytes(1 << 20)))
        stream.write(packer.flush())
    return path
