"""Runs inside Slicer: the sample head is chosen in the module's panel and Apply is pressed."""

import time
import unittest

import slicer


class MedDLSuperResTest(unittest.TestCase):
    """One click from a loaded volume to smaller voxels."""

    def setUp(self):
        from meddl_slicer.runs.module_test import skip_where_packages_are_missing

        slicer.mrmlScene.Clear()
        skip_where_packages_are_missing(self)

    def test_apply_reaches_the_chosen_voxel_size(self):
        from meddl_slicer.runs import sample_data

        head = sample_data.load("T1")
        slicer.util.selectModule("MedDLSuperRes")
        widget = slicer.util.getModuleWidget("MedDLSuperRes")
        widget.ui.inputSelector.setCurrentNode(head)
        widget.ui.methodComboBox.currentText = "Cubic"  # the network takes minutes for a whole head on one core
        widget.ui.targetSpacingSpinBox.value = 1.0
        widget.ui.applyButton.click()
        end = time.monotonic() + 300
        while widget.run.running and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)
        node = widget.ui.outputSelector.currentNode()
        self.assertIsNotNone(node, f"No result after 300 s or an error: {widget.ui.stageLabel.text}")
        self.assertTrue(all(abs(size - 1.0) < 0.05 for size in node.GetSpacing()))
