"""Loading of Qt Designer files with Slicer's and CTK's widgets in them."""

import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtUiTools

from .pythonqt import ui_loading

# Class name in the .ui file -> Python class. Filled by ctk_widgets and the MRML widgets.
custom_widgets = {}


def custom_widget(cls):
    """Offer a host class to .ui files under its own name."""
    custom_widgets[cls.__name__] = cls
    return cls


class UnknownInUiFile(ValueError):
    """A .ui file names a widget class, a property, a signal or a slot that does not exist."""


class UiLoader(QtUiTools.QUiLoader):
    """QUiLoader that knows the custom widgets and connects signals that carry MRML objects.

    Stricter than Slicer's: what does not exist raises `UnknownInUiFile`.
    """

    def createWidget(self, class_name, parent=None, name=""):
        if class_name in custom_widgets:
            widget = custom_widgets[class_name](parent)
            widget.setObjectName(name)
            return widget
        if class_name not in self.availableWidgets():
            raise UnknownInUiFile(f"Widget class {class_name!r} is not known to the host")
        return super().createWidget(class_name, parent, name)

    def load(self, device, parent=None):
        """The top widget of the file; `device` is an open QFile or a path."""
        if isinstance(device, QtCore.QIODevice):
            content = bytes(device.readAll())
        else:
            file = QtCore.QFile(str(device))
            file.open(QtCore.QFile.ReadOnly)
            content = bytes(file.readAll())
        root = ElementTree.fromstring(content)
        _check_classes(root, self.availableWidgets())
        connections = _take_connections(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root, encoding="utf-8"))
        buffer.open(QtCore.QIODevice.ReadOnly)
        with ui_loading():
            widget = super().load(buffer, parent)
        if widget is None:
            raise UnknownInUiFile(f"The .ui file cannot be read: {self.errorString()}")
        _check_properties(root, widget)
        for sender, signal, receiver, slot in connections:
            _connect(widget, sender, signal, receiver, slot)
        return widget


def _check_classes(root, available):
    for element in root.iter("widget"):
        name = element.get("class")
        if name not in custom_widgets and name not in available:
            raise UnknownInUiFile(f"Widget class {name!r} is not known to the host")


def _take_connections(root):
    """Remove the connections that Qt cannot make itself (they carry vtk types) and return them."""
    taken = []
    for parent in root.iter("connections"):
        for element in list(parent):
            row = [element.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")]
            taken.append(row)
            parent.remove(element)
    return taken


def _named(widget, name):
    if widget.objectName == name:
        return widget
    found = widget.findChild(QtCore.QObject, name)
    if found is None:
        raise UnknownInUiFile(f"A connection names the object {name!r}, which is not in the file")
    return found


def _connect(widget, sender, signal, receiver, slot):
    source, target = _named(widget, sender), _named(widget, receiver)
    slot_name = slot.split("(")[0]
    function = getattr(target, slot_name, None)
    if function is None:
        raise UnknownInUiFile(f"{type(target).__name__} {receiver!r} has no slot {slot!r}")
    try:
        source.connect(signal, function)
    except ValueError as error:
        raise UnknownInUiFile(str(error)) from error


def _check_properties(root, widget):
    for element in root.iter("widget"):
        name = element.get("name")
        child = widget if widget.objectName == name else widget.findChild(QtCore.QObject, name)
        if child is None:
            continue
        meta = child.metaObject()
        for item in element.findall("property"):
            key = item.get("name")
            if item.get("stdset") == "0":
                continue
            if meta.indexOfProperty(key) < 0:
                raise UnknownInUiFile(f"{type(child).__name__} {name!r} has no property {key!r}")
