"""Volume nodes come into meddl where they are seen, and results go back to the same place."""

import numpy as np
import pytest
import slicer
import vtk
from bridge_scene import AFFINES, OBLIQUE, add_linear_transform, add_volume, add_warp, ramp, turned

from meddl.core.errors import InputError
from meddl.spatial.volume import Volume
from meddl_slicer.mrml import nodes


@pytest.fixture(autouse=True)
def empty_scene():
    slicer.mrmlScene.Clear(0)
    yield
    slicer.mrmlScene.Clear(0)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
def test_a_voxel_of_the_node_is_at_the_same_index_and_place_in_the_volume(affine):
    array = ramp()
    volume = nodes.volume_from_node(add_volume(array, affine))
    assert volume.data.shape == (1, 5, 6, 7)
    assert np.array_equal(volume.data[0], array)
    assert np.allclose(volume.affine, affine)


def test_reading_a_node_copies_no_voxel():
    node = add_volume(ramp())
    volume = nodes.volume_from_node(node)
    assert np.shares_memory(volume.data, slicer.util.arrayFromVolume(node))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_the_number_type_is_kept(dtype):
    assert nodes.volume_from_node(add_volume(ramp((3, 3, 3), dtype))).data.dtype == dtype


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
def test_a_node_made_of_a_volume_reads_back_the_same(affine):
    volume = Volume.scalar(ramp(dtype=np.float32), affine)
    node = nodes.create_volume_node(volume, "made")
    again = nodes.volume_from_node(node)
    assert np.array_equal(again.data, volume.data)
    assert np.allclose(again.affine, affine, atol=1e-9)
    assert node.GetImageData().GetSpacing() == (1, 1, 1)
    assert node.GetImageData().GetOrigin() == (0, 0, 0)


def test_a_node_under_a_linear_transform_is_read_in_the_world():
    node = add_volume(ramp())
    node.SetAndObserveTransformNodeID(add_linear_transform(turned()).GetID())
    volume = nodes.volume_from_node(node)
    assert np.allclose(volume.affine, turned() @ OBLIQUE)
    assert np.shares_memory(volume.data, slicer.util.arrayFromVolume(node))


def test_a_chain_of_linear_transforms_is_composed():
    outer, inner = add_linear_transform(turned(20)), add_linear_transform(turned(-75, (1, 2, 3)))
    inner.SetAndObserveTransformNodeID(outer.GetID())
    node = add_volume(ramp())
    node.SetAndObserveTransformNodeID(inner.GetID())
    assert np.allclose(nodes.volume_from_node(node).affine, turned(20) @ turned(-75, (1, 2, 3)) @ OBLIQUE)


def test_a_node_under_a_nonlinear_transform_is_read_where_it_is_seen():
    array = np.zeros((40, 40, 40), np.int16)
    array[18:23, 8:13, 28:33] = 1000
    node = add_volume(array, np.diag([1.0, 1.0, 1.0, 1.0]))
    warp = add_warp((12.0, 0.0, -6.0), bend_mm=30.0)
    node.SetAndObserveTransformNodeID(warp.GetID())
    volume, placement = nodes.read_node(node)
    seen = [0.0] * 3
    to_world = vtk.vtkGeneralTransform()
    warp.GetTransformToWorld(to_world)
    to_world.TransformPoint((20.0, 10.0, 30.0), seen)
    places = np.argwhere(volume.data[0] > 500)
    assert np.allclose(volume.grid.points_mm(places).mean(axis=0), seen, atol=0.6)
    assert not placement.follows_parent


@pytest.mark.parametrize("linear", [True, False])
def test_reading_changes_neither_the_node_nor_the_scene(linear):
    node = add_volume(ramp())
    transform = add_linear_transform(turned()) if linear else add_warp((5, 0, 0), 10)
    node.SetAndObserveTransformNodeID(transform.GetID())
    before = (node.GetMTime(), node.GetImageData().GetMTime(), slicer.mrmlScene.GetNumberOfNodes())
    nodes.volume_from_node(node)
    assert (node.GetMTime(), node.GetImageData().GetMTime(), slicer.mrmlScene.GetNumberOfNodes()) == before
    assert node.GetTransformNodeID() == transform.GetID()


def test_a_label_map_under_a_nonlinear_transform_gets_no_new_labels():
    array = np.zeros((30, 30, 30), np.int16)
    array[10:20, 10:20, 10:20] = 53
    node = add_volume(array, np.eye(4), kind="vtkMRMLLabelMapVolumeNode")
    node.SetAndObserveTransformNodeID(add_warp((0.3, 0.4, 0), 15).GetID())
    assert set(np.unique(nodes.volume_from_node(node).data)) == {0, 53}


def vector_node(components=3):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "color")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 5, 6)
    image.AllocateScalars(vtk.VTK_SHORT, components)
    node.SetAndObserveImageData(image)
    slicer.util.arrayFromVolume(node)[:] = np.arange(4 * 5 * 6 * components).reshape(6, 5, 4, components)
    return node


def test_a_vector_volume_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="one value per voxel.*has 3.*Extract one component"):
        nodes.volume_from_node(vector_node())


def test_one_component_of_a_vector_volume_can_be_chosen():
    node = vector_node()
    volume = nodes.volume_from_node(node, component=2)
    assert np.array_equal(volume.data[0], slicer.util.arrayFromVolume(node)[..., 2].transpose(2, 1, 0))
    with pytest.raises(InputError, match="components 0 to 2"):
        nodes.volume_from_node(node, component=3)


def test_what_is_no_volume_is_refused():
    with pytest.raises(InputError, match="none is selected"):
        nodes.volume_from_node(None)
    with pytest.raises(InputError, match="A volume was expected"):
        nodes.volume_from_node(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "skull"))
    with pytest.raises(InputError, match="has no image"):
        nodes.volume_from_node(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"))
    with pytest.raises(InputError, match="tensors"):
        nodes.volume_from_node(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLDiffusionTensorVolumeNode", "dti"))


def test_the_reason_for_a_tooltip_is_the_error():
    assert nodes.why_not_usable(add_volume(ramp())) is None
    assert "has 3" in nodes.why_not_usable(vector_node())


def test_a_result_goes_under_the_parent_transform_of_its_source():
    source = add_volume(ramp())
    transform = add_linear_transform(turned())
    source.SetAndObserveTransformNodeID(transform.GetID())
    volume, placement = nodes.read_node(source)
    made = nodes.create_volume_node(volume, "made")
    nodes.update_volume_node(made, volume, source, placement)
    assert made.GetTransformNodeID() == transform.GetID()
    assert np.array_equal(nodes.affine_of_node(made), nodes.affine_of_node(source))


def test_an_updated_node_without_a_source_leaves_its_transform():
    node = add_volume(ramp())
    node.SetAndObserveTransformNodeID(add_linear_transform(turned()).GetID())
    nodes.update_volume_node(node, Volume.scalar(ramp((2, 2, 2)), np.eye(4)))
    assert node.GetTransformNodeID() is None
    assert np.allclose(nodes.volume_from_node(node).affine, np.eye(4))


def test_names_do_not_collide():
    first = nodes.create_volume_node(Volume.scalar(ramp(), OBLIQUE), "sharp")
    second = nodes.create_volume_node(Volume.scalar(ramp(), OBLIQUE), "sharp")
    assert first.GetName() != second.GetName()


def test_a_new_node_is_in_the_folder_of_its_source_and_looks_like_it():
    source = add_volume(ramp())
    source.CreateDefaultDisplayNodes()
    source.GetDisplayNode().SetAutoWindowLevel(False)
    source.GetDisplayNode().SetWindowLevel(123.0, 45.0)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "patient")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(source), folder)
    made = nodes.create_volume_node(nodes.volume_from_node(source), "made", source)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(made)) == folder
    assert made.GetDisplayNode().GetWindow() == 123.0


def test_types_that_slicer_cannot_draw_are_narrowed_without_loss():
    node = nodes.create_volume_node(Volume.scalar(ramp(dtype=np.int64), OBLIQUE), "long")
    assert np.array_equal(slicer.util.arrayFromVolume(node).transpose(2, 1, 0), ramp())
    with pytest.raises(InputError, match="32 bits"):
        nodes.create_volume_node(Volume.scalar(np.full((2, 2, 2), 1 << 40), OBLIQUE), "too long")
    assert slicer.mrmlScene.GetFirstNodeByName("too long") is None
