"""Observers of a widget on one MRML node, which never keep the node alive."""

import vtk


class Observations:
    """Calls a function at events of a node, until another node takes its place; as CTK's qvtkReconnect."""

    def __init__(self, function):
        self._function = function
        self._node = vtk.vtkWeakReference()
        self._tags = []

    def replace(self, node, events):
        """Observe these events of `node` instead; None observes nothing."""
        earlier = self._node.Get()
        if earlier is not None:
            for tag in self._tags:
                earlier.RemoveObserver(tag)
        self._node.Set(node)
        self._tags = [] if node is None else [node.AddObserver(event, lambda *_: self._function()) for event in events]
