"""slicer.parameterNodeWrapper: typed access to a parameter node and its connection to widgets.

Behavior after Slicer's Base/Python/slicer/parameterNodeWrapper. Not offered: createGui and own serializers.
"""

import types
import typing

import slicer
import vtk
from PySide6 import QtWidgets

from . import parameter_gui, parameter_validators
from .parameter_storage import Storage, plain

SlicerParameterNamePropertyName = "SlicerParameterName"

_RESERVED = (
    "allParameters", "default", "isCached", "dataType", "getValue", "setValue", "connectGui",
    "connectParametersToGui", "disconnectGui", "StartModify", "EndModify", "AddObserver", "RemoveObserver",
    "Modified",
)  # fmt: skip


class _Wrapper:
    """What the decorator adds to a class."""

    def __init__(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._guis = {}
        self._next_tag = 0
        self._updating = False
        for name, storage in self.allParameters.items():
            if not storage.is_in(parameterNode, self._prefix + name):
                storage.write(parameterNode, self._prefix + name, storage.start())

    def default(self, name):
        return parameter_validators.Default(self._storage(name)[1].start())

    @classmethod
    def dataType(cls, name):
        top, _, rest = name.partition(".")
        if top not in cls.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        kind = cls.allParameters[top].annotated
        return plain(kind).dataType(rest) if rest else kind

    def _storage(self, name):
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; have {list(self.allParameters)}")
        return self._prefix + name, self.allParameters[name]

    def getValue(self, name):
        top, _, rest = name.partition(".")
        key, storage = self._storage(top)
        if not storage.is_in(self.parameterNode, key):
            storage.write(self.parameterNode, key, storage.start())
        value = storage.read(self.parameterNode, key)
        return value.getValue(rest) if rest else value

    def setValue(self, name, value):
        top, _, rest = name.partition(".")
        key, storage = self._storage(top)
        if rest:
            self.getValue(top).setValue(rest, value)
        else:
            storage.write(self.parameterNode, key, value)

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        self.parameterNode.Modified()

    def connectGui(self, gui):
        """Connect every widget that has the property SlicerParameterName; returns a tag for disconnectGui."""
        if getattr(gui, "isWidgetType", lambda: False)():
            widgets = gui.findChildren(QtWidgets.QWidget)
        else:
            widgets = list(vars(gui).values())
        mapping = {}
        for widget in widgets:
            name = widget.property(SlicerParameterNamePropertyName)
            if name:
                mapping[name] = widget
        return self.connectParametersToGui(mapping)

    def connectParametersToGui(self, mapping):
        """Connect widgets by parameter name; the widgets take the node's values first."""
        connectors = {}
        for name, widget in mapping.items():
            kind = self.dataType(name)
            is_connector = isinstance(widget, parameter_gui.Connector)
            connectors[name] = widget if is_connector else parameter_gui.make(widget, kind)
        tag = self._next_tag
        self._next_tag += 1
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda name=name, connector=connector: self._from_gui(name, connector))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._to_gui())
        self._guis[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag):
        connectors, observer = self._guis.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.onChanged(None)
        if observer is not None:
            self.RemoveObserver(observer)

    def _from_gui(self, name, connector):
        if self._updating:
            return
        with slicer.util.NodeModify(self):
            self.setValue(name, connector.read())

    def _to_gui(self):
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connectors, _ in list(self._guis.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False


class _Parameter(Storage):
    """A storage with the type as written and its starting value."""

    def __init__(self, kind, has_value, value):
        super().__init__(kind)
        self.annotated = kind
        self._has_value, self._value = has_value, value

    def start(self):
        return self._value if self._has_value else self.default()


def _members(cls):
    members = {}
    for name, kind in typing.get_type_hints(cls, include_extras=True).items():
        try:
            members[name] = _Parameter(kind, name in vars(cls), vars(cls).get(name))
        except TypeError as error:
            raise TypeError(f"Unable to create serializer for {cls} member {name}") from error
    return members


def parameterNodeWrapper(classtype=None):
    """Class decorator: annotated members become parameters of a vtkMRMLScriptedModuleNode."""
    if classtype is None:
        return parameterNodeWrapper
    for name in _RESERVED:
        if hasattr(classtype, name) or name in getattr(classtype, "__annotations__", {}):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    members = _members(classtype)
    for name, value in vars(_Wrapper).items():
        if name not in ("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__"):
            setattr(classtype, name, value)
    classtype.allParameters = members
    classtype._is_parameter_node_wrapper = True
    for name in members:
        setattr(
            classtype,
            name,
            property(
                lambda self, name=name: self.getValue(name),
                lambda self, value, name=name: self.setValue(name, value),
            ),
        )
    return classtype


def isParameterNodeWrapper(classOrObj):
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)


def parameterPack(classtype=None):
    """Class decorator: a group of typed members that is one parameter."""
    if classtype is None:
        return parameterPack
    members = _members(classtype)
    if not members:
        raise ValueError("Unable to find any members in parameterPack")

    def __init__(self, *args, **kwargs):
        self._values, self._save = {}, None
        given = dict(zip(members, args)) | kwargs
        unknown = set(given) - set(members)
        if unknown or len(args) > len(members):
            raise TypeError(f"{classtype.__name__} got unexpected arguments {sorted(unknown) or args}")
        for name, storage in members.items():
            value = given.get(name, storage.start())
            storage.validate(value)
            self._values[name] = value

    def setMember(self, name, value):
        members[name].validate(value)
        self._values[name] = value
        if self._save is not None:
            self._save(self)

    def getValue(self, name):
        top, _, rest = name.partition(".")
        if top not in members:
            raise ValueError(f"{classtype.__name__} has no member '{top}'")
        value = getattr(self, top)
        return value.getValue(rest) if rest else value

    def setValue(self, name, value):
        top, _, rest = name.partition(".")
        if top not in members:
            raise ValueError(f"{classtype.__name__} has no member '{top}'")
        if rest:
            part = getattr(self, top)
            part.setValue(rest, value)
            setMember(self, top, part)
        else:
            setMember(self, top, value)

    def dataType(name):
        top, _, rest = name.partition(".")
        if top not in members:
            raise ValueError(f"{classtype.__name__} has no member '{top}'")
        kind = members[top].annotated
        return plain(kind).dataType(rest) if rest else kind

    for name in members:
        setattr(
            classtype,
            name,
            property(
                lambda self, name=name: self._values[name],
                lambda self, value, name=name: setMember(self, name, value),
            ),
        )
    classtype.__init__ = __init__
    classtype.__eq__ = lambda self, other: type(self) is type(other) and self._values == other._values
    classtype.__hash__ = None
    classtype.__repr__ = lambda self: f"{classtype.__name__}({self._values})"
    classtype.allParameters, classtype._is_parameterPack = members, True
    classtype.getValue, classtype.setValue, classtype.dataType = getValue, setValue, staticmethod(dataType)
    return classtype


def isParameterPack(obj):
    return getattr(obj, "_is_parameterPack", False)


@parameterPack
class FloatRange:
    """Two numbers, minimum and maximum."""

    minimum: float
    maximum: float


def findChildWidgetForParameter(widget, parameter):
    """The child widget with that SlicerParameterName, or None."""
    for child in widget.findChildren(QtWidgets.QWidget):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None


def build():
    """Make the module ``slicer.parameterNodeWrapper``."""
    module = types.ModuleType("slicer.parameterNodeWrapper", __doc__)
    values = {
        name: getattr(parameter_validators, name)
        for name in (
            "Default",
            "Decimals",
            "SingleStep",
            "Validator",
            "NotNone",
            "IsInstance",
            "WithinRange",
            "Minimum",
            "Maximum",
            "Choice",
            "Exclude",
            "RangeBounds",
        )  # fmt: skip
    }
    own = (
        parameterNodeWrapper, isParameterNodeWrapper, parameterPack, isParameterPack, FloatRange,
        findChildWidgetForParameter,
    )  # fmt: skip
    values |= {item.__name__: item for item in own}
    values["SlicerParameterNamePropertyName"] = SlicerParameterNamePropertyName
    for name, value in values.items():
        setattr(module, name, value)
    module.__all__ = list(values)
    return module
