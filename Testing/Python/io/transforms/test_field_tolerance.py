"""Displacement fields in files: as small as an accuracy that is stated allows, and read alike by other programs."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from displacements import inside, oblique, smooth, turned

from meddl import io
from meddl.core.errors import InputError
from meddl.io.formats import itk_hdf5
from meddl.io.transforms import FIELD_SUFFIXES
from meddl.results import Registration
from meddl.spatial.flatten import coarsen, largest_difference_mm, round_vectors, spanning_grid
from meddl.spatial.grid import Grid
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

PEERS = Path(os.environ.get("MEDDL_PEERS") or Path.home() / ".cache" / "meddl-peers")
FINE = Grid((61, 49, 40), oblique((1, 1, 1)).affine)
SUFFIXES = (".h5", ".nii.gz", ".nrrd", ".mha")


def slow_bend(largest_mm=4.0) -> Registration:
    """A map that bends so slowly that a coarser grid holds it."""
    return Registration(turned(0.1, (1.02, 1, 0.98), (4, -3, 5)), smooth(FINE, largest_mm, 40), FINE)


def turned_far() -> Registration:
    """A map that no single displacement field holds."""
    return Registration(np.diag([-1.0, -1, 1, 1]), smooth(FINE, 3, 25), FINE)


def noisy() -> Registration:
    data = np.random.default_rng(0).normal(size=(3, *FINE.shape)).astype(np.float32)
    return Registration(np.eye(4), Volume(data, FINE.affine), FINE)


def exact(registration: Registration, points: np.ndarray) -> np.ndarray:
    flip = np.array([-1.0, -1, 1])
    return registration.points(points) * flip


def read(path: Path) -> sitk.Transform:
    if path.name.endswith(FIELD_SUFFIXES):
        return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return sitk.ReadTransform(str(path))


def voxels_of(path: Path) -> int:
    return int(np.prod(sitk.DisplacementFieldTransform(read(path)).GetDisplacementField().GetSize()))


def itk(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """LPS results at RAS points."""
    return np.array([transform.TransformPoint((point * (-1, -1, 1)).tolist()) for point in points])


# --- coarsen ---


def test_the_coarsest_grid_that_holds_a_displacement_is_found():
    seen = spanning_grid(FINE, 3)
    data = np.random.default_rng(0).normal(size=(3, *seen.shape)).astype(np.float32)
    fine = resample(Volume(data, seen.affine), FINE, clamp=True)
    found = coarsen(fine, 0.01)
    assert found.grid.same_as(seen)
    assert largest_difference_mm(found, fine) < 0.001
    assert largest_difference_mm(resample(fine, spanning_grid(FINE, 4), clamp=True), fine) > 0.01


def test_a_displacement_keeps_its_grid_where_no_coarser_one_holds_it():
    displacement = noisy().displacement
    assert coarsen(displacement, 0.01) is displacement
    assert coarsen(slow_bend().displacement, 0.0).grid.same_as(FINE)


@pytest.mark.parametrize("tolerance", [0.3, 0.1, 0.03, 0.01])
def test_no_voxel_is_farther_off_than_the_tolerance(tolerance):
    displacement = slow_bend().displacement
    found = coarsen(displacement, tolerance)
    assert found.grid.shape < displacement.grid.shape
    rounded = Volume(round_vectors(found.data, tolerance), found.affine)
    assert largest_difference_mm(rounded, displacement) <= tolerance


def test_one_voxel_that_stands_out_keeps_the_grid_fine():
    displacement = slow_bend().displacement
    data = displacement.data.copy()
    data[0, 31, 17, 23] += 0.5
    bump = Volume(data, displacement.affine)
    assert largest_difference_mm(coarsen(bump, 0.01), bump) <= 0.01


def test_a_flat_grid_is_coarsened_along_its_plane():
    flat = Grid((61, 49, 1), FINE.affine)
    found = coarsen(Volume(np.ones((3, *flat.shape), np.float32), flat.affine), 0.01)
    assert found.grid.shape == (5, 4, 1)


# --- files ---


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [slow_bend, noisy])
def test_a_file_holds_the_map_to_a_hundredth_of_a_millimeter(tmp_path, suffix, make):
    registration = make()
    registration.save(tmp_path / f"t{suffix}")
    points = FINE.points_mm(np.argwhere(np.ones(FINE.shape, bool))[::37])
    apart = itk(read(tmp_path / f"t{suffix}"), points) - exact(registration, points)
    assert np.linalg.norm(apart, axis=1).max() < 0.0105
    back = io.load_transform(tmp_path / f"t{suffix}").points(points)
    assert np.linalg.norm(back - registration.points(points), axis=1).max() < 0.0105


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_slow_bend_has_a_file_that_is_many_times_smaller(tmp_path, suffix):
    slow_bend().save(tmp_path / f"small{suffix}")
    slow_bend().save(tmp_path / f"full{suffix}", tolerance_mm=0)
    assert voxels_of(tmp_path / f"small{suffix}") * 3 < voxels_of(tmp_path / f"full{suffix}")
    assert (tmp_path / f"small{suffix}").stat().st_size * 6 < (tmp_path / f"full{suffix}").stat().st_size


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_a_tolerance_the_file_has_the_full_grid_and_every_digit(tmp_path, suffix):
    registration = slow_bend()
    registration.save(tmp_path / f"t{suffix}", tolerance_mm=0)
    field = sitk.DisplacementFieldTransform(read(tmp_path / f"t{suffix}")).GetDisplacementField()
    flat = registration.flatten()
    found = sitk.GetArrayFromImage(field).transpose(3, 2, 1, 0) * np.array([-1, -1, 1])[:, None, None, None]
    np.testing.assert_array_equal(found.astype(np.float32), flat.data)


def test_a_linear_map_as_a_field_needs_few_voxels(tmp_path):
    registration = Registration(turned(), None, FINE)
    registration.save(tmp_path / "t.nrrd")
    assert (tmp_path / "t.nrrd").stat().st_size < 200_000
    points = inside(FINE)
    assert np.linalg.norm(itk(read(tmp_path / "t.nrrd"), points) - exact(registration, points), axis=1).max() < 0.0105


def test_a_tolerance_below_zero_is_refused(tmp_path):
    for tolerance in (-1.0, float("nan")):
        with pytest.raises(InputError, match="tolerance"):
            slow_bend().save(tmp_path / "t.h5", tolerance_mm=tolerance)


def test_an_hdf5_file_holds_packed_single_precision(tmp_path):
    h5py = pytest.importorskip("h5py")
    slow_bend().save(tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5") as file:
        numbers = file["TransformGroup/0/TransformParameters"]
        assert (numbers.dtype, numbers.compression, numbers.shuffle) == (np.float32, "gzip", True)
        assert file["TransformGroup/0/TransformType"][0] == b"DisplacementFieldTransform_float_3_3"
        assert (tmp_path / "t.h5").stat().st_size < 0.6 * 4 * numbers.size


def test_an_hdf5_file_of_a_map_that_turns_far_is_a_composite(tmp_path):
    pytest.importorskip("h5py")
    registration = turned_far()
    registration.save(tmp_path / "t.h5")
    transform, points = read(tmp_path / "t.h5"), inside(FINE)
    assert transform.GetTransformEnum() == sitk.sitkComposite
    assert np.linalg.norm(itk(transform, points) - exact(registration, points), axis=1).max() < 0.0105
    assert np.linalg.norm(io.load_transform(tmp_path / "t.h5").points(points) - registration.points(points),
                          axis=1).max() < 0.0105


def test_without_h5py_simpleitk_writes_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(itk_hdf5, "is_available", lambda: False)
    registration, points = slow_bend(), inside(FINE)
    registration.save(tmp_path / "t.h5")
    assert np.linalg.norm(itk(read(tmp_path / "t.h5"), points) - exact(registration, points), axis=1).max() < 0.0105


# --- another program ---

_ANTS = """
import json, sys
import ants
points = json.load(open(sys.argv[2]))
if sys.argv[1].endswith(".h5"):
    transform = ants.read_transform(sys.argv[1])
else:
    transform = ants.transform_from_displacement_field(ants.image_read(sys.argv[1]))
print(json.dumps([list(ants.apply_ants_transform_to_point(transform, point)) for point in points]))
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [slow_bend, turned_far])
def test_ants_moves_points_as_simpleitk_does(tmp_path, suffix, make):
    python = PEERS / "ants" / "bin" / "python"
    if not python.exists():
        pytest.skip("no environment of antspyx in MEDDL_PEERS")
    registration, points = make(), inside(FINE, 200, margin=1)
    registration.save(tmp_path / f"t{suffix}")
    (tmp_path / "points.json").write_text(json.dumps((points * (-1, -1, 1)).tolist()))
    said = subprocess.run([str(python), "-c", _ANTS, str(tmp_path / f"t{suffix}"), str(tmp_path / "points.json")],
                          capture_output=True, text=True, check=False,
                          env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
    assert said.returncode == 0, said.stderr
    theirs = np.array(json.loads(said.stdout.splitlines()[-1]))
    assert np.abs(theirs - itk(read(tmp_path / f"t{suffix}"), points)).max() < 1e-3


