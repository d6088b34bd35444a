"""Selectors for further stacks of the subject, under the panel's volume selector."""

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.nodes import affine_of_node, is_plain_volume, linear_parent_matrix, why_not_usable
from meddl_slicer.panels.inputs.selectors import make_selector, remove_rows
from meddl_slicer.panels.widgets import show_name_in_tooltip

ROLE = "MedDL.Stack"  # node references of the parameter node, in the order of the rows
METHODS = ("network", "cubic", "back-projection", "self-training")  # which can sharpen one of several stacks
_THICK = 1.5  # from here on slice distance over voxel size makes a volume a stack of thick slices
_PARALLEL = 0.8  # cosine of the largest angle between thick axes that are one direction


class StackSelectors:
    """One node selector for each further stack, and an empty one for the next; no row where there is nothing to choose.

    Rows are shown where a stack is chosen, or where the scene has another volume whose slices are thick along another
    direction than the chosen volume's. What is chosen is kept as node references of the module's parameter node.

    Args:
        layout: QFormLayout of the panel in which the volume's selector has the first row.
        onChanged: called when the user has chosen.
    """

    def __init__(self, layout, onChanged):
        self._onChanged = onChanged
        self._box = qt.QWidget()
        self._box.objectName = "stacksWidget"
        self._form = qt.QFormLayout(self._box)
        self._form.setContentsMargins(0, 0, 0, 0)
        layout.insertRow(1, self._box)
        self._box.visible = False
        self._selectors = []
        self._parameterNode = self._volumeNode = None
        self._updating = self._possible = False

    def update(self, volumeNode, parameterNode, possible: bool = True) -> None:
        """Show what the parameter node holds.

        Args:
            possible: whether the run is about the chosen volume alone.
        """
        self._volumeNode, self._possible = volumeNode, possible
        self._parameterNode = None if parameterNode is None else parameterNode.parameterNode
        chosen = self._references()
        shown = possible and bool(chosen or _has_another_direction(volumeNode))
        self._updating = True
        try:
            if len(self._selectors) != (len(chosen) + 1) * shown:
                self._build((len(chosen) + 1) * shown)
            for selector, node in zip(self._selectors, (*chosen, None)):
                selector.setCurrentNode(node)
        finally:
            self._updating = False
        self._box.visible = shown

    def letGoOfNodes(self) -> None:
        """The scene closes."""
        self._parameterNode = self._volumeNode = None

    def nodes(self) -> tuple:
        """The chosen further stacks; () where none is, or the run is about several volumes one by one."""
        return self._references() if self._possible else ()

    def whyNotReady(self, config) -> str | None:
        """Why these cannot be combined with the chosen volume; None where they can, or none is chosen."""
        nodes = self.nodes()
        if not nodes:
            return None
        seen = {self._volumeNode}
        for node in nodes:
            if node in seen:
                return _("'{volume}' is chosen twice. Several stacks are different volumes.").format(
                    volume=node.GetName())
            seen.add(node)
            reason = why_not_usable(node)
            if reason is not None:
                return reason
        if config.method not in METHODS:
            return _("This method is for one volume. Choose Network, Cubic, Back-projection or Self-training, or no "
                     "further stack.")
        if config.factor is not None or config.axis is not None:
            return _("Several stacks become one volume with equal voxel sizes: choose a voxel size, no factor and no "
                     "axis.")
        return None

    def _references(self) -> tuple:
        if self._parameterNode is None:
            return ()
        count = self._parameterNode.GetNumberOfNodeReferences(ROLE)
        nodes = [self._parameterNode.GetNthNodeReference(ROLE, number) for number in range(count)]
        return tuple(node for node in nodes if node is not None)

    def _build(self, count: int) -> None:
        remove_rows(self._form, self._selectors)
        self._selectors = []
        for number in range(count):
            selector = make_selector(
                f"stackSelector_{number + 2}",
                _("Another stack of the same subject and contrast, thick along another direction: all stacks become "
                  "one volume with equal voxel sizes"), lambda node, number=number: self._onChosen(number, node),
                none=_("None"))
            show_name_in_tooltip(selector)
            self._selectors.append(selector)
            self._form.addRow(_("Further stack:") if number == 0 else _("Further stack {number}:").format(
                number=number + 1), selector)

    def _onChosen(self, number: int, node) -> None:
        if self._updating or self._parameterNode is None or slicer.mrmlScene.IsClosing():
            return
        kept = [*self._references(), None]
        kept[number] = node
        wasModified = self._parameterNode.StartModify()
        self._parameterNode.RemoveNodeReferenceIDs(ROLE)
        for one in kept:
            if one is not None:
                self._parameterNode.AddNodeReferenceID(ROLE, one.GetID())
        self._parameterNode.EndModify(wasModified)
        qt.QTimer.singleShot(0, self._onChanged)  # the selector that has called may go: not while it is calling


def _has_another_direction(volumeNode) -> bool:
    """Whether the scene has a volume whose slices are thick along another direction than those of this one."""
    own = _thick_direction(volumeNode)
    if own is None:
        return False
    others = (_thick_direction(node) for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
              if node is not volumeNode and is_plain_volume(node))
    return any(other is not None and abs(own @ other) < _PARALLEL for other in others)


def _thick_direction(volumeNode) -> np.ndarray | None:
    """The direction in world space along which slices are thick, by the header, (3,) unit; None without such."""
    if volumeNode is None or why_not_usable(volumeNode) is not None:
        return None
    spacing = volumeNode.GetSpacing()
    parent = volumeNode.GetParentTransformNode()
    if max(spacing) < _THICK * min(spacing) or (parent is not None and not parent.IsTransformToWorldLinear()):
        return None
    direction = (linear_parent_matrix(volumeNode) @ affine_of_node(volumeNode))[:3, int(np.argmax(spacing))]
    return direction / np.linalg.norm(direction)
