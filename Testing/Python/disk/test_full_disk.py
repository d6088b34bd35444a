"""A disk that is full: the earlier file stays as it was, no temporary file is left, and the error is MedDL's own."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from full_disks import contents, files_of_at_most, small_disk  # noqa: F401
from places import LIBRARY, SUPPORT

from meddl import io
from meddl.core.errors import InputError, ModelError
from meddl.io.transforms import FIELD_SUFFIXES, TRANSFORM_SUFFIXES
from meddl.results import Registration, Segment, Segmentation
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha")
AFFINE = np.diag([-1.0, 1.2, 2.0, 1.0])
SHAPE = (20, 21, 22)
SHEAR = np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]])


def noise(channels=1, affine=AFFINE, seed=0) -> Volume:
    """A volume that cannot be packed into less."""
    values = np.random.default_rng(seed).integers(0, 255, (channels, *SHAPE))
    return Volume(values.astype(np.uint8), affine)


def labels(seed=0) -> Segmentation:
    data = np.random.default_rng(seed).integers(0, 200, SHAPE).astype(np.uint8)
    return Segmentation(data, AFFINE, (Segment(3, "three", (1, 0, 0)),))


def bent(seed=0) -> Registration:
    field = np.random.default_rng(seed).normal(size=(3, *SHAPE)).astype(np.float32)
    return Registration(np.eye(4), Volume(field, AFFINE), Grid(SHAPE, AFFINE))


WRITERS = {
    **{f"volume{suffix}": (suffix, lambda path, seed: io.save(noise(seed=seed), path)) for suffix in VOLUMES},
    **{f"plain{suffix}": (suffix, lambda path, seed: io.save(noise(seed=seed), path, compress=False))
       for suffix in (".nrrd", ".mha")},
    **{f"sheared{suffix}": (suffix, lambda path, seed: io.save(noise(affine=SHEAR, seed=seed), path))
       for suffix in (".nii.gz", ".nii")},
    **{f"vector{suffix}": (suffix, lambda path, seed: io.save(noise(3, seed=seed), path)) for suffix in VOLUMES},
    **{f"series{suffix}": (suffix, lambda path, seed: io.save_series(noise(3, seed=seed), path)) for suffix in VOLUMES},
    **{f"labels{suffix}": (suffix, lambda path, seed: io.save_segmentation(labels(seed), path))
       for suffix in (".seg.nrrd", *VOLUMES)},
    **{f"transform{suffix}": (suffix, lambda path, seed: io.save_transform(bent(seed), path))
       for suffix in (*TRANSFORM_SUFFIXES[:2], *FIELD_SUFFIXES)},
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_fails_half_way_leaves_the_earlier_file(tmp_path, name):
    suffix, write = WRITERS[name]
    path = tmp_path / f"a{suffix}"
    write(path, 1)
    before = contents(tmp_path)
    assert list(before) == [path.name]
    size = len(before[path.name])
    for limit in (0, 200, size // 2, int(size * 0.9)):
        with files_of_at_most(limit), pytest.raises(InputError, match=r"could not be written"):
            write(path, 2)
        assert contents(tmp_path) == before, limit
    write(path, 2)
    assert contents(tmp_path) != before


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_earlier_file(small_disk, name):
    suffix, write = WRITERS[name]
    path = small_disk / f"a{suffix}"
    (small_disk / "other").touch()
    path.write_bytes(b"earlier")
    before = contents(small_disk)
    with pytest.raises(OSError), (small_disk / "other").open("wb") as other:
        other.write(bytes(256 * 1024))
    os.truncate(small_disk / "other", (small_disk / "other").stat().st_size - 4096)
    with pytest.raises(InputError, match="could not be written"):
        write(path, 2)
    (small_disk / "other").write_bytes(b"")
    assert contents(small_disk) == before


def test_a_process_that_could_not_write_a_transform_ends_well(tmp_path):
    """HDF5 comes back to a file that it could not finish when the process ends."""
    code = ("import sys; sys.path[:0] = sys.argv[1:3]; import pytest; from pathlib import Path\n"
            "import test_full_disk as t\n"
            "for limit in (0, 200, 50_000, 150_000):\n"
            "    with t.files_of_at_most(limit), pytest.raises(t.InputError):\n"
            "        t.io.save_transform(t.bent(), Path(sys.argv[3]) / 'a.h5')\n")
    found = subprocess.run([sys.executable, "-c", code, str(SUPPORT), str(Path(__file__).parent), str(tmp_path)],
                           capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(LIBRARY)})
    assert found.returncode == 0, found.stderr
    assert not contents(tmp_path)


@pytest.mark.parametrize("suffix", VOLUMES)
def test_what_the_disk_lost_is_noticed(tmp_path, monkeypatch, suffix):
    """ITK says nothing of some writes that fail: here of one that loses the end, and of one that loses the middle."""
    import SimpleITK as sitk

    path, written = tmp_path / f"a{suffix}", sitk.WriteImage
    io.save(noise(), path)
    before = contents(tmp_path)
    for spoil in (lambda raw: raw[:-1000], lambda raw: raw[:1500] + bytes(500) + raw[2000:], lambda raw: b""):
        def lossy(image, name, spoil=spoil, **options):
            written(image, name, **options)
            with open(name, "rb+") as file:  # noqa: PTH123
                raw = file.read()
                file.seek(0)
                file.truncate()
                file.write(spoil(raw))

        monkeypatch.setattr(sitk, "WriteImage", lossy)
        with pytest.raises(InputError, match="could not be written whole"):
            io.save(noise(seed=5), path)
        assert contents(tmp_path) == before


def test_a_disk_that_is_full_only_once_all_was_sent_is_noticed(tmp_path, monkeypatch):
    io.save(noise(), tmp_path / "a.nii.gz")
    before = contents(tmp_path)

    def full(_descriptor):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="quota"):
        io.save(noise(seed=3), tmp_path / "a.nii.gz")
    assert contents(tmp_path) == before


def test_weights_that_do_not_fit_leave_the_earlier_ones(tmp_path):
    import torch

    from meddl.models.weights import save_weights

    save_weights({"a": torch.zeros(10_000)}, tmp_path / "w.safetensors")
    before = contents(tmp_path)
    for limit in (0, 100, 20_000):
        with files_of_at_most(limit), pytest.raises(ModelError, match="could not be written"):
            save_weights({"a": torch.ones(10_000)}, tmp_path / "w.safetensors")
        assert contents(tmp_path) == before
