"""Selectors for the further volumes of a model that takes several, under the panel's volume selector."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.channels import nodes_named_for
from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.panels.inputs.selectors import make_selector, remove_rows
from meddl_slicer.panels.widgets import show_name_in_tooltip

ROLE = "MedDL.Channel."  # node references of the parameter node: this and the channel's name


class ChannelSelectors:
    """One node selector for each channel of a model after the first, with the channel's name; none for most models.

    What is chosen is kept as node references of the module's parameter node, by the channel's name. A channel for which
    nothing was ever chosen gets the volume that bears its name, where there is only one.

    Args:
        layout: QFormLayout of the panel in which the volume's selector has the first row.
        label: QLabel of that row: shows the first channel's name instead of "Volume".
        onChanged: called when the user has chosen.
    """

    def __init__(self, layout, label, onChanged):
        self._label, self._usual, self._onChanged = label, label.text, onChanged
        self._box = qt.QWidget()
        self._box.objectName = "channelsWidget"
        self._form = qt.QFormLayout(self._box)
        self._form.setContentsMargins(0, 0, 0, 0)
        layout.insertRow(1, self._box)
        self._box.visible = False
        self._names = ()
        self._selectors = {}
        self._parameterNode = None
        self._updating = False

    def update(self, names, parameterNode) -> None:
        """Show selectors for these channels of a model, all of them, and what the parameter node holds for them."""
        self._parameterNode = None if parameterNode is None else parameterNode.parameterNode
        self._updating = True
        try:
            if tuple(names) != self._names:
                self._build(tuple(names))
            if self._parameterNode is None:
                return
            for name, selector in self._selectors.items():
                if self._parameterNode.GetAttribute(ROLE + name) is None:
                    self._suggest(name)
                selector.setCurrentNode(self._parameterNode.GetNodeReference(ROLE + name))
        finally:
            self._updating = False

    def letGoOfNodes(self) -> None:
        """The scene closes."""
        self._parameterNode = None

    def nodes(self) -> tuple:
        """The chosen nodes in the model's order, None for what is not chosen; () for a model of one channel."""
        return tuple(selector.currentNode() for selector in self._selectors.values())

    def whyNotReady(self, volumeNode) -> str | None:
        """Why these cannot be the channels beside that first volume; None where they can."""
        seen = {volumeNode}
        for name, selector in self._selectors.items():
            node = selector.currentNode()
            if node is None:
                return _("Choose the volume for {channel}.").format(channel=name)
            if node in seen:
                return _("'{volume}' is chosen for two channels.").format(volume=node.GetName())
            seen.add(node)
            reason = why_not_usable(node)
            if reason is not None:
                return reason
        return None

    def _build(self, names: tuple) -> None:
        self._names = names
        remove_rows(self._form, self._selectors.values())
        self._selectors = {name: self._row(name) for name in names[1:]}
        self._label.text = f"{names[0]}:" if len(names) > 1 else self._usual
        self._box.visible = bool(self._selectors)

    def _row(self, name: str):
        selector = make_selector(
            f"channelSelector_{name}",
            _("The volume for {channel}, resampled to the grid of the first one").format(channel=name),
            lambda node: self._onChosen(name, node))
        show_name_in_tooltip(selector)
        self._form.addRow(f"{name}:", selector)
        return selector

    def _onChosen(self, name: str, node) -> None:
        if self._updating or self._parameterNode is None or slicer.mrmlScene.IsClosing():
            return
        self._keep(name, node)
        self._onChanged()

    def _suggest(self, name: str) -> None:
        volumes = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
                   if node.GetClassName() == "vtkMRMLScalarVolumeNode"]
        found = nodes_named_for(volumes, name)
        if len(found) == 1:
            self._keep(name, found[0])

    def _keep(self, name: str, node) -> None:
        self._parameterNode.SetAttribute(ROLE + name, "chosen")
        self._parameterNode.SetNodeReferenceID(ROLE + name, None if node is None else node.GetID())
