"""Transform files: SimpleITK and Slicer read what is written as it was meant, and their files are read back."""

import numpy as np
import pytest
import SimpleITK as sitk
from displacements import GRIDS, inside, oblique, smooth, turned

from meddl import io
from meddl.core.errors import FileFormatError, InputError
from meddl.io.transforms import FIELD_SUFFIXES, TRANSFORM_SUFFIXES, transform_of
from meddl.results import Registration
from meddl.spatial.grid import Grid, centered_grid
from meddl.spatial.volume import Volume

FLIP = np.diag([-1.0, -1, 1])
WITHIN_MM = 1e-4


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def grid(request):
    return request.param


def bent(grid, seed=0) -> Registration:
    return Registration(turned(), smooth(centered_grid(grid, grid.spacing_mm * 1.5), 5, 14, seed), grid)


def itk(transform, points) -> np.ndarray:
    """RAS points mapped by a SimpleITK transform."""
    return np.array([FLIP @ transform.TransformPoint((FLIP @ point).tolist()) for point in points])


def read(path) -> sitk.Transform:
    """What a person does with SimpleITK to read the file."""
    if path.name.endswith(FIELD_SUFFIXES):
        return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return sitk.ReadTransform(str(path))


def far(grid) -> np.ndarray:
    """Points around the field of view, in and beyond the margin."""
    points = inside(grid, 3000, margin=-300)
    voxels = grid.indices(points)
    return points[((voxels < -0.5) | (voxels > np.array(grid.shape) - 0.5)).any(axis=1)]


# --- writing ---


@pytest.mark.parametrize("suffix", TRANSFORM_SUFFIXES)
def test_a_linear_registration_is_saved_in_lps(tmp_path, suffix, grid):
    registration = Registration(turned(), None, grid)
    registration.save(tmp_path / f"t{suffix}")
    points = inside(grid, 50, margin=-100)
    assert np.abs(itk(read(tmp_path / f"t{suffix}"), points) - registration.points(points)).max() < 1e-6


@pytest.mark.parametrize("suffix", (".h5", *FIELD_SUFFIXES))
def test_simpleitk_moves_points_as_the_registration_does(tmp_path, suffix, grid):
    registration = bent(grid)
    registration.save(tmp_path / f"t{suffix}", tolerance_mm=0)
    transform, points = read(tmp_path / f"t{suffix}"), inside(grid, 1000)
    assert transform.GetTransformEnum() == sitk.sitkDisplacementField
    assert np.abs(itk(transform, points) - registration.points(points)).max() < WITHIN_MM


@pytest.mark.parametrize("suffix", (".h5", ".nrrd"))
def test_outside_of_the_grid_simpleitk_and_what_is_read_back_agree(tmp_path, suffix, grid):
    bent(grid).save(tmp_path / f"t{suffix}", tolerance_mm=0)
    back, points = io.load_transform(tmp_path / f"t{suffix}"), far(grid)
    assert len(points) > 500
    assert np.abs(itk(read(tmp_path / f"t{suffix}"), points) - back.points(points)).max() < WITHIN_MM
    away = points + 5000.0
    np.testing.assert_array_equal(back.points(away), away)


def test_a_text_file_holds_a_field_too(tmp_path):
    grid = Grid((8, 9, 10), oblique().affine)
    registration = Registration(np.eye(4), smooth(grid, 2), grid)
    registration.save(tmp_path / "t.tfm", tolerance_mm=0)
    points = inside(grid, 200)
    assert np.abs(itk(read(tmp_path / "t.tfm"), points) - registration.points(points)).max() < WITHIN_MM


def test_a_linear_registration_can_be_saved_as_a_field(tmp_path, grid):
    registration, points = Registration(turned(), None, grid), inside(grid, 200)
    registration.save(tmp_path / "t.nrrd", tolerance_mm=0)
    assert np.abs(itk(read(tmp_path / "t.nrrd"), points) - registration.points(points)).max() < WITHIN_MM


def test_a_map_that_turns_too_far_is_a_composite_and_right_everywhere(tmp_path):
    grid = oblique()
    registration = Registration(np.diag([-1.0, -1, 1, 1]), smooth(grid, 3, 14), grid)
    registration.save(tmp_path / "t.h5", tolerance_mm=0)
    transform, back = read(tmp_path / "t.h5"), io.load_transform(tmp_path / "t.h5")
    assert transform.GetTransformEnum() == sitk.sitkComposite
    points = inside(grid, 1000)
    assert np.abs(itk(transform, points) - registration.points(points)).max() < WITHIN_MM
    points = far(grid)
    assert np.abs(itk(transform, points) - back.points(points)).max() < WITHIN_MM


def test_an_image_warped_by_simpleitk_is_the_one_warped_here(tmp_path, grid):
    registration = bent(grid)
    registration.save(tmp_path / "t.h5", tolerance_mm=0)
    moving = Volume(np.random.default_rng(0).normal(size=(1, 30, 30, 30)).astype(np.float32),
                    oblique((5, 5, 5), shape=(30, 30, 30)).affine)
    like = io.to_sitk(Volume.scalar(np.zeros(grid.shape, np.float32), grid.affine))
    theirs = sitk.Resample(io.to_sitk(moving), like, read(tmp_path / "t.h5"), sitk.sitkLinear, 0.0)
    ours = registration.warp(moving)
    found = io.from_sitk(theirs).data
    inner = (ours.data != 0) & (found != 0)  # the two end the moving field of view at other voxels
    assert inner.mean() > 0.2
    assert np.abs(found - ours.data)[inner].max() < 1e-3


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.h5"):
        Registration(np.eye(4), None, oblique()).save(tmp_path / "t.mat")
    with pytest.raises(InputError, match="grid"):
        Registration(np.eye(4), None, None).save(tmp_path / "t.nrrd")


# --- reading ---


@pytest.mark.parametrize("suffix", TRANSFORM_SUFFIXES)
def test_a_linear_registration_reads_back(tmp_path, suffix):
    Registration(turned(), None, oblique()).save(tmp_path / f"t{suffix}")
    back = io.load_transform(tmp_path / f"t{suffix}")
    np.testing.assert_allclose(back.affine, turned(), atol=1e-6)
    assert back.is_linear
    assert back.grid is None


@pytest.mark.parametrize("suffix", (".h5", *FIELD_SUFFIXES))
def test_a_deformable_registration_reads_back(tmp_path, suffix, grid):
    registration, points = bent(grid), inside(grid, 1000)
    registration.save(tmp_path / f"t{suffix}", tolerance_mm=0)
    assert np.abs(io.load_transform(tmp_path / f"t{suffix}").points(points) - registration.points(points)).max() \
        < WITHIN_MM


def _matrix_transforms():
    euler = sitk.Euler3DTransform((10, -20, 5), 0.2, -0.3, 0.5, (3, 4, -6))
    versor = sitk.VersorRigid3DTransform((1, 0, 0), 0.4, (1, 2, 3), (5, 6, 7))
    similarity = sitk.Similarity3DTransform(1.2, (0, 1, 0), 0.3, (1, 2, 3), (5, 6, 7))
    return {"translation": sitk.TranslationTransform(3, (1, 2, 3)), "euler": euler, "versor": versor,
            "similarity": similarity, "scale": sitk.ScaleTransform(3, (1.1, 0.9, 1.2)),
            "affine about a center": sitk.AffineTransform([1, .1, 0, 0, 1.2, 0, .1, 0, .9], [1, 2, 3], [9, 8, 7])}


@pytest.mark.parametrize("transform", _matrix_transforms().values(), ids=_matrix_transforms().keys())
def test_every_kind_of_matrix_is_read(tmp_path, transform):
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    points = np.random.default_rng(0).normal(scale=50, size=(20, 3))
    np.testing.assert_allclose(io.load_transform(tmp_path / "t.tfm").points(points), itk(transform, points), atol=1e-6)


def test_the_matrix_files_of_ants_are_read(tmp_path):
    sitk.WriteTransform(sitk.AffineTransform([1, .1, 0, 0, 1.2, 0, .1, 0, .9], [1, 2, 3], [9, 8, 7]),
                        str(tmp_path / "0GenericAffine.mat"))
    transform = sitk.ReadTransform(str(tmp_path / "0GenericAffine.mat"))
    points = np.random.default_rng(0).normal(scale=50, size=(20, 3))
    found = io.load_transform(tmp_path / "0GenericAffine.mat").points(points)
    np.testing.assert_allclose(found, itk(transform, points), atol=1e-6)


@pytest.mark.parametrize("order", ["field first", "affine first", "two affines", "two fields"])
def test_composites_are_joined_in_itk_s_order(tmp_path, order):
    grid = oblique()
    zero_edged = Registration(np.eye(4), Registration(np.eye(4), smooth(grid, 4, 14), grid).flatten(), grid)
    affine = sitk.AffineTransform([1, .1, 0, 0, 1.1, 0, .1, 0, .9], [1, 2, 3], [9, 8, 7])
    field = transform_of(zero_edged)
    parts = {"field first": [affine, field], "affine first": [field, affine], "two affines": [affine, affine],
             "two fields": [field, field]}[order]
    composite = sitk.CompositeTransform(3)
    for part in parts:
        composite.AddTransform(part)
    sitk.WriteTransform(composite, str(tmp_path / "t.h5"))
    found = io.load_transform(tmp_path / "t.h5")
    points = inside(grid, 1000, margin=-20)
    missed = np.linalg.norm(found.points(points) - itk(sitk.ReadTransform(str(tmp_path / "t.h5")), points), axis=1)
    if order == "two fields":  # joined on the voxels of one of them
        assert missed.mean() < 0.02
    else:
        assert missed.max() < WITHIN_MM


def test_a_foreign_field_with_movement_at_its_edge_moves_nothing_beyond_it(tmp_path):
    grid = oblique()
    vectors = np.full((*grid.shape[::-1], 3), 4.0)
    image = sitk.GetImageFromArray(vectors, isVector=True)
    image.CopyInformation(io.to_sitk(Volume.scalar(np.zeros(grid.shape, np.float32), grid.affine)))
    sitk.WriteTransform(sitk.DisplacementFieldTransform(image), str(tmp_path / "t.h5"))
    found, transform = io.load_transform(tmp_path / "t.h5"), sitk.ReadTransform(str(tmp_path / "t.h5"))
    for points in (inside(grid, 500, margin=0.6), far(grid)):
        voxels = grid.indices(points)
        apart = ((voxels < -1) | (voxels > np.array(grid.shape))).any(axis=1) | \
            ((voxels > 0) & (voxels < np.array(grid.shape) - 1)).all(axis=1)
        assert np.abs(found.points(points) - itk(transform, points))[apart].max() < 0.01
    assert found.grid.same_as(grid)


def test_other_kinds_of_transform_are_refused_with_the_way_out(tmp_path):
    bspline = sitk.BSplineTransformInitializer(sitk.Image(8, 8, 8, sitk.sitkUInt8), (4, 4, 4))
    bspline.SetParameters(np.random.default_rng(0).normal(size=len(bspline.GetParameters())).tolist())
    sitk.WriteTransform(bspline, str(tmp_path / "t.tfm"))
    with pytest.raises(FileFormatError, match="BSpline.*displacement"):
        io.load_transform(tmp_path / "t.tfm")
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "flat.tfm"))
    with pytest.raises(FileFormatError, match="2 dimensions"):
        io.load_transform(tmp_path / "flat.tfm")


def test_what_is_no_transform_is_refused(tmp_path):
    (tmp_path / "t.tfm").write_text("this is no transform")
    (tmp_path / "t.h5").write_bytes(b"nor this")
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16), str(tmp_path / "scalar.nrrd"))
    for name in ("t.tfm", "t.h5", "scalar.nrrd"):
        with pytest.raises(FileFormatError, match=name):
            io.load_transform(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        io.load_transform(tmp_path / "absent.h5")
    (tmp_path / "t.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"\.h5"):
        io.load_transform(tmp_path / "t.png")
