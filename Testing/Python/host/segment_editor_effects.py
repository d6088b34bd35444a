"""Effects of the Segment Editor: written in Python, known to a factory, copied into each editor.

Behavior after Modules/Loadable/Segmentations/EditorEffects of Slicer. What Slicer writes to the error log raises here.
"""

import importlib.util
import sys
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from . import slicer_python
from .pythonqt import declare_host_class

Property, Signal = QtCore.Property, QtCore.Signal


class AbstractScriptedSegmentEditorEffect:
    """The base class of Slicer's package SegmentEditorEffects, where Slicer's source is not at hand."""

    def __init__(self, scriptedEffect):
        self.scriptedEffect = scriptedEffect

    def register(self):
        slicer.qSlicerSegmentEditorEffectFactory.instance().registerEffect(self.scriptedEffect)

    def cleanup(self):
        """Nothing to let go of."""


def _kept(key):
    return Property("QVariant", lambda self: self._values[key], lambda self, value: self._values.update({key: value}))


@declare_host_class
class qSlicerSegmentEditorAbstractEffect(QtCore.QObject):
    """What an effect asks of its editor: parameters, masks, undo, and a place for its options."""

    ModificationModeSet, ModificationModeAdd, ModificationModeRemove, ModificationModeRemoveAll = range(4)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._values = {"name": "", "title": "", "perSegment": True, "requireSegments": True}
        self._logic = self._python = None
        self._frame = QtWidgets.QFrame()
        self._form = QtWidgets.QFormLayout(self._frame)

    name, title, perSegment, requireSegments = map(_kept, ("name", "title", "perSegment", "requireSegments"))

    def setEditor(self, logic):
        self._logic = logic

    def optionsFrame(self):
        return self._frame

    def addOptionsWidget(self, content):
        self._form.addRow(content)

    def addLabeledOptionsWidget(self, label, content):
        self._form.addRow(label, content)

    def parameterSetNode(self):
        return None if self._logic is None else self._logic.GetSegmentEditorNode()

    def parameterDefined(self, name):
        node = self.parameterSetNode()
        return node is not None and node.GetAttribute(f"{self.name}.{name}") is not None

    def parameter(self, name):
        if not self.parameterDefined(name):
            raise RuntimeError(f"Parameter named {name} cannot be found for effect {self.name}")
        return self.parameterSetNode().GetAttribute(f"{self.name}.{name}")

    def integerParameter(self, name):
        return int(self.parameter(name))

    def setParameter(self, name, value):
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise ValueError(f"Could not find matching overload for given arguments: {value!r}")
        node = self.parameterSetNode()
        state = node.GetDisableModifiedEvent()
        node.SetDisableModifiedEvent(1)
        node.SetAttribute(f"{self.name}.{name}", str(value))
        node.SetDisableModifiedEvent(state)
        node.InvokeCustomModifiedEvent(slicer.vtkMRMLSegmentEditorNode.EffectParameterModified)

    def setParameterDefault(self, name, value):
        if not self.parameterDefined(name):
            self.setParameter(name, value)

    def referenceGeometryImage(self):
        return self._logic.GetReferenceGeometryImage() if self._logic.UpdateReferenceGeometryImage() else None

    def saveStateForUndo(self):
        self._logic.SaveStateForUndo()

    def modifySegmentByLabelmap(self, segmentationNode, segmentID, labelmap, mode, bypassMasking=False):
        logic = self._logic
        chosen = (logic.ModificationModeSet, logic.ModificationModeAdd, logic.ModificationModeRemove,
                  logic.ModificationModeRemoveAll)[mode]
        logic.ModifySegmentByLabelmap(segmentationNode, segmentID, labelmap, chosen, self.perSegment, bypassMasking)


@declare_host_class
class qSlicerSegmentEditorScriptedEffect(qSlicerSegmentEditorAbstractEffect):
    """An effect whose answers come from a Python class."""

    def self(self):
        return self._python

    def setPythonSource(self, path):
        """Make the class that the file is named after, from the module that is named after the file's folder."""
        if not isinstance(path, str):
            raise ValueError(f"Could not find matching overload for given arguments: {path!r} is no text")
        if not path.endswith((".py", ".pyc")):
            return False
        module, class_name = Path(path).parent.name, Path(path).name.partition(".")[0]
        if not class_name.endswith("Effect"):
            class_name += "Effect"
        cls = getattr(sys.modules.get(module), class_name, None)
        if cls is None:
            spec = importlib.util.spec_from_file_location(module, path)
            sys.modules[module] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[module])
            cls = getattr(sys.modules[module], class_name)
        self._python = cls(self)
        setattr(slicer, module, self._python)
        return True

    def clone(self):
        return self._python.clone()


@declare_host_class
class qSlicerSegmentEditorEffectFactory(QtCore.QObject):
    """Where the effects of the Segment Editor are known."""

    effectRegistered = Signal(str)

    _instance = None

    def __init__(self, parent=None):
        super().__init__(parent)
        self._effects = []

    @classmethod
    def instance(cls):
        if cls._instance is None:
            cls._instance = cls(QtWidgets.QApplication.instance())
        return cls._instance

    def registerEffect(self, effect):
        """False where an effect of that name is there already."""
        if not isinstance(effect, qSlicerSegmentEditorAbstractEffect):
            raise ValueError(f"Could not find matching overload for given arguments: {effect!r} is no effect")
        if not effect.name:
            raise RuntimeError("Segment editor effect cannot be registered with empty name!")
        if any(effect.name == known.name for known in self._effects):
            return False
        self._effects.append(effect)
        self.effectRegistered.emit(effect.name)
        return True

    def registeredEffects(self):
        return list(self._effects)


class EffectsOfEditor:
    """What qMRMLSegmentEditorWidget does with effects; it has `_logic`."""

    def updateEffectList(self):
        """Copy the effects that have come, and let them make their options."""
        known = {effect.name for effect in self._effects}
        for registered in qSlicerSegmentEditorEffectFactory.instance().registeredEffects():
            if registered.name in known:
                continue
            effect = registered.clone()
            effect.setEditor(self._logic)
            if self._logic.GetSegmentEditorNode() is not None:
                effect.self().setMRMLDefaults()
            effect.self().setupOptionsFrame()
            self.layout().addRow(effect.optionsFrame())
            effect.optionsFrame().setVisible(False)
            self._effects.append(effect)

    def showParametersInEffects(self):
        """The editor has another parameter node: the effects take it."""
        for effect in self._effects:
            if self._logic.GetSegmentEditorNode() is not None:
                effect.self().setMRMLDefaults()
                effect.self().updateGUIFromMRML()

    def effectByName(self, name):
        return next((effect for effect in self._effects if effect.name == name), None)

    def setActiveEffectByName(self, name):
        self.setActiveEffect(self.effectByName(name))

    def setActiveEffect(self, effect):
        if effect is not None and effect not in self._effects:
            raise ValueError(f"Could not find matching overload for given arguments: {effect!r} is no effect of it")
        for one in self._effects:
            one.optionsFrame().setVisible(one is effect)
        self._active = effect
        if effect is not None:
            effect.self().activate()
            effect.self().updateGUIFromMRML()

    def activeEffect(self):
        return self._active

    def undo(self):
        self._logic.Undo()

    def redo(self):
        self._logic.Redo()


def install():
    """The packages that effects import: Slicer's own SegmentEditorEffects where its source is at hand."""
    bindings = types.ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    bindings.qSlicerSegmentEditorScriptedEffect = qSlicerSegmentEditorScriptedEffect
    sys.modules[bindings.__name__] = bindings
    source = slicer_python.source()
    if source is None:
        package = types.ModuleType("SegmentEditorEffects")
        package.AbstractScriptedSegmentEditorEffect = AbstractScriptedSegmentEditorEffect
        sys.modules[package.__name__] = package
        return
    # Slicer's file of the base class alone: those of its effects need widgets that are not imitated.
    path = (source / "Modules/Loadable/Segmentations/EditorEffects/Python/SegmentEditorEffects"
            / "AbstractScriptedSegmentEditorEffect.py")
    spec = importlib.util.spec_from_file_location("SegmentEditorEffects", path)
    sys.modules["SegmentEditorEffects"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["SegmentEditorEffects"])
