"""Real files: every voxel lies where SimpleITK says, and 48 axis orders are one head."""

import numpy as np
import pytest
import SimpleITK as sitk

import meddl.io as io
from meddl.core.errors import FileFormatError, InputError
from meddl.spatial.grid import axis_codes

FLIP = np.array([-1.0, -1.0, 1.0])
FILES = ["geometry/datatypes/CT_pitch.nii.gz", "geometry/datatypes/float32.nii.gz",
         "geometry/datatypes/float64.nii.gz", "geometry/datatypes/int16.nii.gz", "geometry/datatypes/uint16.nii.gz",
         "geometry/datatypes/uint8.nii.gz", "geometry/datatypes/mha.mha", "brain/chris_PD.nii.gz",
         "brain/chris_MRA.nii.gz", "brain_multimodal/T2w.nii.gz", "brain_multimodal/fmri.nii.gz",
         "body/chest_ct.nrrd", "body/chest_ct_oblique.nrrd", "body/abdomen_mr.nii.gz", "spine/mt_mt0.nii.gz",
         "spine/t2_t2.nii.gz", "ms/ms07_flair.nii.gz"]
SEVERAL = {"V1.nii.gz": 3, "complex.nii.gz": 2, "ct_perfusion.nii.gz": 3, "mpld_asl.nii.gz": 25, "pcasl.nii.gz": 10}


def check_against_simpleitk(path):
    volume, image = io.load(path), sitk.ReadImage(str(path))
    assert volume.data.shape == (1, *image.GetSize())
    assert np.array_equal(volume.data[0], sitk.GetArrayFromImage(image).transpose(2, 1, 0), equal_nan=True)
    generator = np.random.default_rng(0)
    for index in generator.integers(0, image.GetSize(), size=(12, 3)).tolist():
        expected = FLIP * image.TransformIndexToPhysicalPoint(index)
        assert np.allclose(volume.grid.points_mm(index), expected, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_voxels_lie_where_simpleitk_says(data_folder, name):
    check_against_simpleitk(data_folder / name)


def test_48_axis_orders_are_one_head(data_folder):
    paths = sorted((data_folder / "geometry" / "orientations").glob("*.nii.gz"))
    assert len(paths) == 48
    reference = io.load(paths[0]).reorient("RAS")
    for path in paths:
        check_against_simpleitk(path)
        volume = io.load(path)
        assert axis_codes(volume.affine) == path.name.split(".")[0]
        turned = volume.reorient("RAS")
        assert np.array_equal(turned.data, reference.data), path.name
        assert np.allclose(turned.affine, reference.affine, atol=1e-3), path.name


@pytest.mark.parametrize("name", SEVERAL)
def test_files_with_several_components_are_read_one_at_a_time(data_folder, name):
    path, count = data_folder / "geometry" / "datatypes" / name, SEVERAL[name]
    with pytest.raises(InputError, match=f"holds {count} "):
        io.load(path)
    last = io.load(path, component=count - 1)
    assert last.channels == 1
    assert np.array_equal(io.load(path, component="all").data[count - 1], last.data[0], equal_nan=True)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", ["brain/chris_PD.nii.gz", "geometry/orientations/PSL.nii.gz", "spine/mt_mt0.nii.gz",
                                  "body/chest_ct_oblique.nrrd"])
def test_a_real_volume_survives_every_format(data_folder, tmp_path, name, suffix):
    volume = io.load(data_folder / name)
    io.save(volume, tmp_path / f"a{suffix}")
    back = io.load(tmp_path / f"a{suffix}")
    assert np.array_equal(back.data, volume.data)
    corners = np.array([[0, 0, 0], np.array(volume.shape) - 1])
    assert np.allclose(back.grid.points_mm(corners), volume.grid.points_mm(corners), atol=1e-3)


def test_real_label_maps_are_segmentations(data_folder):
    segmentation = io.load_segmentation(data_folder / "body" / "abdomen_ct_labels.nii.gz")
    assert len(segmentation.segments) == len(np.unique(segmentation.labels)) - 1
    assert len({segment.color for segment in segmentation.segments}) == len(segmentation.segments)


def test_a_real_file_cut_in_half_is_refused(data_folder, tmp_path):
    content = (data_folder / "geometry" / "orientations" / "RAS.nii.gz").read_bytes()
    (tmp_path / "half.nii.gz").write_bytes(content[:len(content) // 2])
    with pytest.raises(FileFormatError, match="damaged or was cut off"):
        io.load(tmp_path / "half.nii.gz")
