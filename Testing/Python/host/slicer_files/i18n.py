"""Stand-in for Slicer's `slicer.i18n`: translation of texts by the context of the file that asks."""

import functools
import inspect
import logging
import re
from pathlib import Path

_PLACEHOLDER = re.compile(r"(?<!\{)\{([^\{\}]+)\}(?!\})")


def translate(context, text):
    """The application's translation of a text; the text itself where there is no application."""
    try:
        from slicer import app
    except ImportError:
        return text
    return app.translate(context, text)


@functools.cache
def getContext(sourceFile):
    """Name of the translation context of a file: "package.file" in a package, else "file"."""
    path = Path(sourceFile)
    if not path.is_file():
        return path.name
    stem = path.name.replace(".py", "")
    return f"{path.parent.name}.{stem}" if (path.parent / "__init__.py").is_file() else stem


def tr(text):
    """The translation of a text in the context of the calling file, if it has the same placeholders."""
    caller = inspect.currentframe().f_back
    context = getContext(inspect.getsourcefile(caller) or inspect.getfile(caller))
    translated = translate(context, text)
    if set(_PLACEHOLDER.findall(text)) == set(_PLACEHOLDER.findall(translated)):
        return translated
    logging.warning("The translation of %r to %r in context %r has other placeholders", text, translated, context)
    return text
