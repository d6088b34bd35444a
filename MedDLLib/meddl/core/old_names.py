"""Modules that programs imported by other names in version 0.1.0: the old names still work."""

import importlib
import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

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
