"""A node selector that is made in Python, and rows of such selectors."""

import slicer
from slicer.i18n import tr as _


def make_selector(name: str, toolTip: str, onChosen, nodeTypes=("vtkMRMLScalarVolumeNode",),
                  none: str = _("Select a volume")):
    """A node combo box of the scene, none chosen.

    Args:
        name: its object name.
        onChosen: called with the node or None.
        none: what it shows while none is chosen.
    """
    selector = slicer.qMRMLNodeComboBox()
    selector.objectName = name
    selector.nodeTypes = list(nodeTypes)
    selector.showChildNodeTypes = False
    selector.noneEnabled, selector.addEnabled, selector.removeEnabled = True, False, False
    selector.noneDisplay, selector.toolTip = none, toolTip
    selector.setMRMLScene(slicer.mrmlScene)
    selector.connect("currentNodeChanged(vtkMRMLNode*)", onChosen)
    # The combo box would take the neighbor of a node that goes: another one, which nobody chose.
    selector.connect("nodeAboutToBeRemoved(vtkMRMLNode*)",
                     lambda node: node.GetID() == selector.currentNodeID and selector.setCurrentNode(None))
    return selector


def remove_rows(layout, selectors) -> None:
    """Take all rows off a QFormLayout, its selectors among them."""
    for selector in selectors:
        selector.setMRMLScene(None)
    while layout.count():
        widget = layout.takeAt(0).widget()
        widget.hide()
        widget.deleteLater()
