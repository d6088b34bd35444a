"""SimpleITK, loaded when something of it is first used: it takes 90 MB, and usual files are read without it."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

__all__ = ["quiet_itk", "sitk"]

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813  SimpleITK's own documentation calls it so
else:
    class _Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("SimpleITK"), name)

    sitk = _Late()


@contextlib.contextmanager
def quiet_itk() -> Iterator[None]:
    """ITK writes no warnings to the terminal: what matters of them is said in MedDL's own words, once."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
