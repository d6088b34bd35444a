"""Runs inside Slicer: two sample heads are chosen in the module's panel and Apply is pressed."""

import time
import unittest

import slicer


class MedDLRegisterTest(unittest.TestCase):
    """One click from two loaded volumes to a transform."""

    def setUp(self):
        from meddl_slicer.runs.module_test import skip_where_packages_are_missing

        slicer.mrmlScene.Clear()
        skip_where_packages_are_missing(self)

    def test_apply_carries_one_head_onto_another(self):
        from meddl_slicer.runs import sample_data

        fixed, moving = sample_data.load("T1"), sample_data.load("T2")
        x, y, z = moving.GetOrigin()
        moving.SetOrigin(x, y + 6.0, z)
        slicer.util.selectModule("MedDLRegister")
        widget = slicer.util.getModuleWidget("MedDLRegister")
        widget.ui.fixedSelector.setCurrentNode(fixed)
        widget.ui.movingSelector.setCurrentNode(moving)
        widget.ui.applyButton.click()
        end = time.monotonic() + 300
        while widget.run.running and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)
        node = widget.ui.outputSelector.currentNode()
        self.assertIsNotNone(node)
        self.assertAlmostEqual(slicer.util.arrayFromTransformMatrix(node)[1, 3], -6.0, delta=1.5)
