"""What the modules' own tests have in common: they begin with an empty scene, and skip where packages are missing."""

import logging
import unittest

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from meddl_slicer.runs.packages import dependencies


class ModuleTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer, from the Reload and Test button or by unittest."""

    def setUp(self):
        slicer.mrmlScene.Clear()
        skip_where_packages_are_missing(self)

    def runTest(self):
        """All tests; where packages are missing, the reason is shown instead. Slicer itself knows no skipped test."""
        try:
            ScriptedLoadableModuleTest.runTest(self)
        except unittest.SkipTest as skipped:
            logging.warning("%s is skipped: %s", type(self).__name__, skipped)
            self.delayDisplay(f"Skipped: {skipped}")


def skip_where_packages_are_missing(test: unittest.TestCase) -> None:
    """Skip the test where a package that the runs need is not installed: tests install nothing.

    Raises:
        unittest.SkipTest: with the packages that are missing.
    """
    lacking = dependencies.missing()
    if lacking:
        test.skipTest(f"Python packages are not installed: {', '.join(lacking)}.")
