"""Names of version 0.1.0 that still work: of modules, and of the fields of configurations."""

import functools
import importlib
import importlib.abc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.machinery import ModuleSpec
from operator import attrgetter
from types import ModuleType
from typing import Any, TypeVar

_Class = TypeVar("_Class")

MOVED = {
    "meddl.config": "meddl.core.config",
    "meddl.errors": "meddl.core.errors",
    "meddl.geometry": "meddl.spatial.grid",
    "meddl.volume": "meddl.spatial.volume",
}


class OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the module of today for its old name: one module, two names."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(MOVED[spec.name])
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put the old name's there


def install() -> None:
    """Let the old names be imported."""
    if not any(type(finder).__name__ == OldNames.__name__ for finder in sys.meta_path):
        sys.meta_path.append(OldNames())


def old_names(config_class: type) -> dict[str, str]:
    """The present name of each old field name of a dataclass, from the `old_names` in its fields' metadata."""
    return {old: field.name for field in fields(config_class)  # type: ignore[arg-type]  # a dataclass
            for old in field.metadata.get("old_names", ())}


def with_new_names(config_class: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field name, those under an old name moved to the present one."""
    names = old_names(config_class)
    present = {name: value for name, value in values.items() if name not in names}
    return present | {names[name]: value for name, value in values.items() if name in names}


def accept_old_names(config_class: type[_Class]) -> type[_Class]:
    """Class decorator: a dataclass takes its fields, and gives them, under their old names too."""
    initialize = config_class.__init__

    @functools.wraps(initialize)
    def renaming(self: _Class, *values: Any, **named: Any) -> None:
        initialize(self, *values, **with_new_names(config_class, named))

    setattr(config_class, "__init__", renaming)  # noqa: B010  # plain assignment to a method is an error to mypy
    for old, new in old_names(config_class).items():
        setattr(config_class, old, property(attrgetter(new)))
    return config_class
