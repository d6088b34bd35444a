"""SimpleITK, loaded when something of it is first used: it takes 90 MB, and usual files are read without it."""

import importlib


class _Late:
    def __getattr__(self, name: str):
        return getattr(importlib.import_module("SimpleITK"), name)


sitk = _Late()
