"""Widgets that show and change the fields of a config, each made from what the config says of the field."""

import contextlib
import json
import textwrap
from dataclasses import fields, replace
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import ctk
import qt
from slicer.i18n import tr as _

from meddl.core.config import applies, with_new_names
from meddl.core.errors import InputError
from meddl_slicer.panels.options import LABELS, in_words

_LARGEST = 1_000_000
_UNITS = {"mm": "mm", "voxels": "voxels", "ml": "ml", "percent": "%"}  # the last word of a name
_LABEL_WIDTH = 20  # characters; a longer label stands in two lines, so that a narrow panel has room for the values


def config_to_text(config) -> str:
    """The fields that differ from their defaults, as JSON, for a parameter node."""
    default = type(config)()
    return json.dumps({field.name: getattr(config, field.name) for field in fields(config)
                       if getattr(config, field.name) != getattr(default, field.name)})


def config_from_text(configClass: type, text: str):
    """The config that `config_to_text` wrote; what it does not know any more, cannot read or refuses is left out."""
    try:
        stored = json.loads(text or "{}")
    except ValueError:
        stored = {}
    known = {field.name for field in fields(configClass)}
    values = {name: tuple(value) if isinstance(value, list) else value
              for name, value in with_new_names(configClass, stored).items() if name in known}
    config = configClass()
    for name, value in values.items():
        with contextlib.suppress(InputError):
            config = replace(config, **{name: value})
    return config


def preset_of(config, presets: dict) -> str | None:
    """The name of the preset that is equal to the config; None for a custom one."""
    return next((name for name, preset in presets.items() if preset == config), None)


class ConfigForm:
    """One config, shown in widgets of a .ui file (`bind`) and in rows made for it (`addRows`). Rows of fields that have
    no effect with the other values are hidden.

    Args:
        configClass: a dataclass of `meddl.core.config`.
        onChanged: called without arguments after the user has changed a field.
        labels: of fields whose names say too little in this form alone.
    """

    def __init__(self, configClass: type, onChanged, labels: dict[str, str] | None = None):
        self._class, self._labels = configClass, labels or {}
        self._fields = {field.name: field for field in fields(configClass)}
        self._types = get_type_hints(configClass)
        self._editors = {}
        self._rows = {}
        self._onChanged = onChanged
        self._config = configClass()
        self._writing = False
        self._shown = None

    @property
    def config(self):
        """What the widgets show."""
        return self._config

    def setConfig(self, config) -> None:
        """Show a config, without telling `onChanged`."""
        self._config = config
        self._writing = True
        try:
            for name, editor in self._editors.items():
                editor.write(getattr(config, name))
        finally:
            self._writing = False
        self._showRows()

    def showOnly(self, names) -> None:
        """Hide the rows of all other fields, whatever their values."""
        self._shown = set(names)
        self._showRows()

    def has(self, name: str) -> bool:
        """Whether the config has such a field."""
        return name in self._fields

    def bind(self, name: str, widget, labels: dict | None = None, label=None) -> None:
        """Let a combo, check, spin or line box show a field; its tooltip becomes the field's help.

        Args:
            labels: what a combo box offers: text by value. Default: the field's own choices in words.
            label: the QLabel beside the widget, hidden with it.
        """
        editor = _editor(widget, self._values_of(name) if labels is None else labels, self._optional(name),
                         self._kind(name))
        widget.toolTip = self._fields[name].metadata.get("help", "")
        self._writing = True
        try:
            editor.write(getattr(self._config, name))
        finally:
            self._writing = False
        editor.connect(lambda *_: self._read(name, editor))
        self._editors[name] = editor
        self._rows[name] = (widget,) if label is None else (widget, label)
        self._showRows()

    def offer(self, name: str, labels: dict) -> None:
        """What the combo box of a field offers from now on: text by value; the field's own value stays."""
        editor = self._editors[name]
        self._writing = True
        try:
            editor.offer(labels)
            editor.write(getattr(self._config, name))
        finally:
            self._writing = False

    def addRows(self, layout, names=None) -> dict[str, Any]:
        """Rows in a QFormLayout for these fields; default: all that are shown nowhere yet.

        Returns:
            The widgets by field.
        """
        made = {}
        for name in self._fields if names is None else names:
            if name not in self._editors:
                text = f"{self._labels[name]}:" if name in self._labels else label_of(name, self._kind(name) is tuple)
                widget, label = self._make(name), qt.QLabel(textwrap.fill(text, _LABEL_WIDTH))
                made[name] = widget
                layout.addRow(label, widget)
                self.bind(name, widget, label=label)
        return made

    def _values_of(self, name: str) -> dict:
        return {value: in_words(value) for value in self._fields[name].metadata.get("choices", ())}

    def _optional(self, name: str) -> bool:
        return get_origin(self._types[name]) in (Union, UnionType) and type(None) in get_args(self._types[name])

    def _kind(self, name: str):
        kind = self._types[name]
        if self._optional(name):
            kind = next(part for part in get_args(kind) if part is not type(None))
        return get_origin(kind) or kind

    def _make(self, name: str):
        kind, default = self._kind(name), self._fields[name].default
        if self._values_of(name):
            widget = qt.QComboBox()
        elif kind is bool:
            widget = qt.QCheckBox()
        elif kind in (int, float):
            widget = qt.QSpinBox() if kind is int else qt.QDoubleSpinBox()
            low, high = self._fields[name].metadata.get("bounds", (0, None))
            widget.minimum = -1 if self._optional(name) and kind is int else 0 if self._optional(name) else low
            widget.maximum = _LARGEST if high is None else high
            if kind is float:
                widget.decimals = 2 if not default or default >= 0.01 else 5
                widget.singleStep = 0.1 if not default or default >= 0.1 else default
            if self._optional(name):
                widget.specialValueText = _("Automatic")
            widget.suffix = " s" if name == "seconds" else f" {_UNITS.get(name.rpartition('_')[2], '')}".rstrip()
        else:
            widget = qt.QLineEdit()
            widget.placeholderText = _("Automatic") if default in ((), None) else _("None")
        widget.objectName = f"{name}Widget"
        return widget

    def _read(self, name: str, editor) -> None:
        if self._writing:
            return
        before = self._config
        try:
            value = editor.read()
            if value != getattr(before, name):
                self._config = replace(before, **{name: value})
        except ValueError:  # a line of text that is no list of numbers, or a value that the field refuses
            editor.write(getattr(before, name))
            return
        if self._config is not before:
            self._showRows()
            self._onChanged()

    def _showRows(self) -> None:
        for name, widgets in self._rows.items():
            for widget in widgets:
                widget.visible = applies(self._config, name) and (self._shown is None or name in self._shown)


def label_of(name: str, with_unit: bool = True) -> str:
    """The label of a field: "search_rotations" becomes "Search rotations:", a unit goes in brackets.

    Args:
        with_unit: False where the widget shows the unit.
    """
    words = name.split("_")
    unit = f" ({_UNITS[words.pop()]})" if words[-1] in _UNITS and len(words) > 1 else ""
    text = LABELS.get(name) or " ".join([words[0].capitalize(), *words[1:]])
    return text + (unit if with_unit else "") + ":"


def _editor(widget, labels: dict, optional: bool, kind: type):
    if isinstance(widget, qt.QComboBox):
        return _Combo(widget, labels)
    if isinstance(widget, qt.QCheckBox):
        return _Check(widget)
    if isinstance(widget, (qt.QSpinBox, qt.QDoubleSpinBox, ctk.ctkSliderWidget)):
        return _Spin(widget, optional)
    return _Numbers(widget) if kind is tuple else _Text(widget)


class _Combo:
    def __init__(self, widget, labels: dict):
        self._widget, self._values = widget, []
        self.offer(labels)

    def offer(self, labels: dict) -> None:
        self._values = list(labels)
        self._widget.clear()
        for text in labels.values():
            self._widget.addItem(text)

    def connect(self, slot) -> None:
        self._widget.connect("currentIndexChanged(int)", slot)

    def read(self):
        return self._values[self._widget.currentIndex]

    def write(self, value) -> None:
        self._widget.currentIndex = self._values.index(value) if value in self._values else -1


class _Check:
    def __init__(self, widget):
        self._widget = widget

    def connect(self, slot) -> None:
        self._widget.connect("toggled(bool)", slot)

    def read(self) -> bool:
        return self._widget.checked

    def write(self, value) -> None:
        self._widget.checked = bool(value)


class _Spin:
    """A spin box; where the field may be None, its lowest value stands for that."""

    def __init__(self, widget, optional: bool):
        self._widget, self._optional = widget, optional

    def connect(self, slot) -> None:
        kind = "int" if isinstance(self._widget, qt.QSpinBox) else "double"
        self._widget.connect(f"valueChanged({kind})", slot)

    def read(self):
        value = self._widget.value
        return None if self._optional and value == self._widget.minimum else value

    def write(self, value) -> None:
        self._widget.value = self._widget.minimum if value is None else value


class _Text:
    """A line of text."""

    def __init__(self, widget):
        self._widget = widget

    def connect(self, slot) -> None:
        self._widget.connect("editingFinished()", slot)

    def read(self) -> str:
        return self._widget.text

    def write(self, value) -> None:
        self._widget.text = value


class _Numbers:
    """A line of numbers with commas between them."""

    def __init__(self, widget):
        self._widget, self._whole = widget, False

    def connect(self, slot) -> None:
        self._widget.connect("editingFinished()", slot)

    def read(self) -> tuple:
        kind = int if self._whole else float
        return tuple(kind(part) for part in self._widget.text.replace(";", ",").split(",") if part.strip())

    def write(self, value) -> None:
        self._whole = bool(value) and all(isinstance(number, int) for number in value)
        self._widget.text = ", ".join(f"{number:g}" for number in value or ())
