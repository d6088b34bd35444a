"""Observers of a widget on one MRML node, which never keep the node alive and end with the widget."""

import weakref

import vtk

from . import connections

connections.declare_stand_in(__name__)


class Observations:
    """Calls a method of a widget at events of a node, until another node takes its place or the widget is deleted; as
    CTK's qvtkReconnect."""

    def __init__(self, method):
        self._method = weakref.WeakMethod(method)
        self._node = vtk.vtkWeakReference()
        self._tags = []
        method.__self__.destroyed.connect(lambda *_: self.replace(None, ()))

    def replace(self, node, events):
        """Observe these events of `node` instead; None observes nothing."""
        earlier = self._node.Get()
        if earlier is not None:
            for tag in self._tags:
                earlier.RemoveObserver(tag)
        self._node.Set(node)
        self._tags = [] if node is None else [node.AddObserver(event, lambda *_: self._call()) for event in events]

    def _call(self):
        method = self._method()
        if method is not None:
            method()
