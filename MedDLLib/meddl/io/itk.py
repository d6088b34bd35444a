"""SimpleITK, loaded when something of it is first used: it takes 90 MB, and usual files are read without it."""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["sitk"]

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813  SimpleITK's own documentation calls it so
else:
    class _Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("SimpleITK"), name)

    sitk = _Late()
