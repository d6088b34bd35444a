"""The decorator that makes a class of annotations the typed view of a parameter node."""

import logging
import typing
import weakref

import qt
import slicer
import vtk

from .default import Default, take_default
from .guiConnectors import GuiConnector, createGuiConnector
from .serializers import create_serializer
from .types import split_annotations

SlicerParameterNamePropertyName = "SlicerParameterName"


class _Parameter:
    """What a class says of one parameter."""

    def __init__(self, name, serializer, default, annotated):
        self.name, self.serializer, self.default, self.annotated = name, serializer, default, annotated


class _Value:
    """The value of a parameter in one node, read once and again whenever the node is modified."""

    def __init__(self, parameter, node, name):
        self.parameter, self._node, self._name, self._tag = parameter, node, name, None
        if not parameter.serializer.isIn(node, name):
            parameter.serializer.write(node, name, parameter.default.value)
        self._writing = False
        self._value = self._stored()
        me = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: me()._on_modified())

    def __del__(self):
        if self._tag is not None:
            self._node.RemoveObserver(self._tag)

    def _stored(self):
        if not self.parameter.serializer.isIn(self._node, self._name):
            self.parameter.serializer.write(self._node, self._name, self.parameter.default.value)
        return self.parameter.serializer.read(self._node, self._name)

    def _on_modified(self):
        if not self._writing:
            self._value = self._stored()

    def read(self):
        return self._value

    def write(self, value):
        self._writing = True
        try:
            with slicer.util.NodeModify(self._node):
                self.parameter.serializer.write(self._node, self._name, value)
                self._value = self._stored()
        finally:
            self._writing = False


class _Wrapper:
    """What the decorator adds to a class."""

    def __init__(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        self._guis = {}
        self._next_tag = 0
        self._updating_gui = False
        self._values = {name: _Value(parameter, parameterNode, f"{prefix or ''}{name}")
                        for name, parameter in self.allParameters.items()}

    @classmethod
    def _check(cls, name):
        if name not in cls.allParameters:
            raise ValueError(f"There is no parameter {name!r}, only {', '.join(cls.allParameters)}")

    def default(self, name):
        self._check(name)
        return self.allParameters[name].default

    def isCached(self, name):
        self._check(name)
        return True

    @classmethod
    def dataType(cls, name):
        cls._check(name)
        return cls.allParameters[name].annotated

    def getValue(self, name):
        self._check(name)
        return self._values[name].read()

    def setValue(self, name, value):
        self._check(name)
        self._values[name].write(value)

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        return self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        return self.parameterNode.Modified()

    def connectGui(self, gui):
        """Connect every widget that has the property SlicerParameterName; returns a tag for disconnectGui."""
        if getattr(gui, "isWidgetType", lambda: False)():
            widgets = gui.findChildren(qt.QWidget)
        else:
            widgets = gui.__dict__.values()
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping):
        """Connect widgets (or connectors) by parameter name; the widgets take the node's values first."""
        for name in mapping:
            self._check(name)
        connectors = {
            name: widget if isinstance(widget, GuiConnector) else createGuiConnector(widget, self.dataType(name))
            for name, widget in mapping.items()
        }
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda name=name, connector=connector: self._from_gui(name, connector))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._to_gui())
        self._guis[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag):
        connectors, observer = self._guis.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.onChanged(None)
        if observer is not None:
            self.RemoveObserver(observer)

    def _from_gui(self, name, connector):
        with slicer.util.NodeModify(self):
            if not self._updating_gui:
                self.setValue(name, connector.read())

    def _to_gui(self):
        if self._updating_gui:
            return
        self._updating_gui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors, _ in list(self._guis.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating_gui = False


def _parameters_of(classtype):
    parameters = {}
    for name, annotated in typing.get_type_hints(classtype, include_extras=True).items():
        kind, annotations = split_annotations(annotated)
        try:
            serializer, annotations = create_serializer(kind, annotations)
        except Exception as error:
            message = f"Unable to create serializer for {classtype} member {name}"
            raise Exception(message) from error
        if hasattr(classtype, name):
            default = Default(getattr(classtype, name))
        else:
            given, annotations = take_default(annotations)
            default = Default(serializer.default()) if given is None else given
        if annotations:
            logging.warning("Unused annotations: %s", annotations)
        parameters[name] = _Parameter(name, serializer, default, annotated)
    return parameters


def parameterNodeWrapper(classtype=None):
    """Class decorator: annotated members become parameters of a vtkMRMLScriptedModuleNode."""
    if classtype is None:
        return parameterNodeWrapper
    parameters = _parameters_of(classtype)
    added = {name: value for name, value in vars(_Wrapper).items() if not name.startswith("__")}
    added |= {"allParameters": parameters, "_is_parameter_node_wrapper": True}
    for name, value in added.items():
        if name in parameters or hasattr(classtype, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(classtype, name, value)
    classtype.__init__ = _Wrapper.__init__
    for name in parameters:
        setattr(classtype, name, property(lambda self, name=name: self.getValue(name),
                                          lambda self, value, name=name: self.setValue(name, value)))
    return classtype


def isParameterNodeWrapper(classOrObj):
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget, parameter):
    """The child widget with that SlicerParameterName, or None."""
    return next((child for child in widget.findChildren(qt.QWidget)
                 if child.property(SlicerParameterNamePropertyName) == parameter), None)
