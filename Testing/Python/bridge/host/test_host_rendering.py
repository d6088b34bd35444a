"""Pictures of the stand-in: left is left, colors are those of the segments, and nothing is empty."""

import pytest


class TestRendering:
    """Left is left, colors are those of the segments, and nothing is empty."""

    RED, BRIGHT = (0.9, 0.1, 0.1), 100

    @pytest.fixture
    def phantom(self, host):
        """A gray head with a bright block at the patient's left and front, and a segment on the right."""
        import numpy as np
        import slicer

        if not host.render.supported():
            pytest.skip("VTK cannot draw without libegl1 or libosmesa6")
        # Axes of the array: k, j, i; voxel (0, 0, 0) at RAS (-40, -40, -40), 2 mm.
        array = np.zeros((40, 40, 40), np.int16)
        array[4:36, 4:36, 4:36] = 30
        array[10:30, 26:34, 6:14] = self.BRIGHT
        node = slicer.util.addVolumeFromArray(array, name="phantom")
        node.SetSpacing(2, 2, 2)
        node.SetOrigin(-40, -40, -40)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0, 100)
        labels = np.zeros_like(array)
        labels[8:32, 8:32, 26:34] = 1
        label_node = slicer.util.addVolumeFromArray(labels, nodeClassName="vtkMRMLLabelMapVolumeNode")
        label_node.CopyOrientation(node)
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "block")
        segmentation.CreateDefaultDisplayNodes()
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(label_node, segmentation)
        slicer.mrmlScene.RemoveNode(label_node)
        segmentation.GetSegmentation().GetNthSegment(0).SetColor(*self.RED)
        return node, segmentation

    @staticmethod
    def red(picture):
        import numpy as np

        values = picture.astype(int)
        return np.argwhere((values[..., 0] > 70) & (values[..., 1] < values[..., 0] - 40))

    def test_slices_show_the_volume_with_left_on_the_right(self, host, phantom, tmp_path):
        import numpy as np

        volume, _ = phantom
        path = tmp_path / "axial.png"
        picture = host.render.slice_view(path, background=volume, size=(200, 200), position_ras=(0, 0, 0))
        assert path.stat().st_size > 0
        bright = np.argwhere(picture[10:-20, 20:-20].min(axis=2) > 200)
        row, column = bright.mean(axis=0) + np.array([10, 20])
        assert column > 120
        assert row < 80

    def test_segments_are_drawn_over_the_volume(self, host, phantom):
        volume, segmentation = phantom
        picture = host.render.slice_views(
            None, background=volume, segmentation=segmentation, size=(160, 160), position_ras=(20, 0, 0)
        )
        assert picture.shape == (160, 480, 3)
        for index in range(3):
            spots = self.red(picture[10:, 160 * index : 160 * (index + 1)])
            assert len(spots) > 300
        assert self.red(picture[10:, :160]).mean(axis=0)[1] < 70
        without = host.render.slice_views(None, background=volume, size=(160, 160), position_ras=(-20, 0, 0))
        segmentation.GetDisplayNode().SetVisibility(False)
        hidden = host.render.slice_views(None, background=volume, size=(160, 160), position_ras=(20, 0, 0))
        assert len(self.red(hidden[10:])) == 0
        assert without.shape == hidden.shape

    def test_surfaces_are_drawn_in_3d(self, host, phantom, tmp_path):
        _, segmentation = phantom
        empty = host.render.three_d_view(None, size=(160, 160))
        assert len(self.red(empty)) == 0
        segmentation.CreateClosedSurfaceRepresentation()
        picture = host.render.three_d_view(tmp_path / "view.png", size=(160, 160))
        spots = self.red(picture)
        assert len(spots) > 1000
        assert spots.min() > 5
        assert spots.max() < 155

    def test_views_do_not_stay_behind(self, host, phantom):
        import slicer

        volume, _ = phantom
        host.render.slice_view(None, background=volume, size=(64, 64))
        slicer.mrmlScene.Clear(0)
        with pytest.raises(ValueError, match="nothing to show"):
            host.render.slice_view(None, size=(64, 64))

    def test_unknown_orientation(self, host, phantom):
        with pytest.raises(ValueError, match="Orientations"):
            host.render.slice_views(None, background=phantom[0], orientations=("Axiall",))

    def test_a_real_head(self, host, data_folder):
        import numpy as np
        import slicer

        if not host.render.supported():
            pytest.skip("VTK cannot draw without libegl1 or libosmesa6")
        path = data_folder / "brain" / "vm_t1_stripped.nii.gz"
        if not path.exists():
            pytest.skip(f"{path} is not there")
        volume = slicer.util.loadVolume(str(path))
        picture = host.render.slice_views(None, background=volume, size=(128, 128))
        for index in range(3):
            tile = picture[10:-16, 128 * index + 14 : 128 * (index + 1) - 14]
            assert np.count_nonzero(tile.max(axis=2) > 40) > 0.1 * tile.shape[0] * tile.shape[1]
