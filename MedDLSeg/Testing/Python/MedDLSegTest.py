"""Runs inside Slicer: the module's panel is opened, the sample head is chosen and Apply is pressed."""

import time
import unittest

import slicer


class MedDLSegTest(unittest.TestCase):
    """One click from a loaded volume to a segmentation."""

    def setUp(self):
        from meddl_slicer.runs.module_test import skip_where_packages_are_missing

        slicer.mrmlScene.Clear()
        skip_where_packages_are_missing(self)

    def test_apply_segments_the_sample_head(self):
        from meddl_slicer.runs import sample_data

        head = sample_data.load("T1")
        slicer.util.selectModule("MedDLSeg")
        widget = slicer.util.getModuleWidget("MedDLSeg")
        widget.ui.inputSelector.setCurrentNode(head)
        widget.ui.applyButton.click()
        end = time.monotonic() + 300
        while widget.run.running and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)
        node = widget.ui.outputSelector.currentNode()
        self.assertIsNotNone(node)
        self.assertGreater(node.GetSegmentation().GetNumberOfSegments(), 20)
