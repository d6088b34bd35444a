"""What a scene of version 0.1.0 holds of the panels' choices is read under its old names."""

from registration_panel import lobes, pair  # noqa: F401
from registration_panel import widget as registerPanel  # noqa: F401
from segmentation_panel import head, thresholding  # noqa: F401
from segmentation_panel import widget as segPanel  # noqa: F401


def test_the_number_of_atlas_label_maps(segPanel):
    node = segPanel.logic.getParameterNode().parameterNode
    node.SetParameter("atlasHeads", "7")
    segPanel.initializeParameterNode()
    assert segPanel.ui.atlasLabelMapsSpinBox.value == 7
    assert not node.GetParameter("atlasHeads")
    segPanel.ui.atlasLabelMapsSpinBox.value = 2
    segPanel.initializeParameterNode()
    assert segPanel.logic.getParameterNode().atlasLabelMaps == 2


def test_the_warped_segmentation(registerPanel):
    node = registerPanel.logic.getParameterNode().parameterNode
    assert not registerPanel.outputs().nodesToTransform
    node.SetParameter("carry", "True")
    registerPanel.initializeParameterNode()
    assert registerPanel.ui.warpSegmentationCheckBox.checked
    assert registerPanel.logic.getParameterNode().warpSegmentation


def test_the_configuration(registerPanel):
    node = registerPanel.logic.getParameterNode().parameterNode
    node.SetParameter("options", '{"transform": "affine", "start": "given"}')
    registerPanel.initializeParameterNode()
    config = registerPanel.config()
    assert (config.transform_type, config.initialization) == ("affine", "given")
    assert registerPanel.ui.presetComboBox.currentText == "Custom"
