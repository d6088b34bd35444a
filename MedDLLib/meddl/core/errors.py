"""What can go wrong, as types. A message says what was expected, what came, and what to do."""


import traceback

_LONGEST_MESSAGE = 4000


class MedDLError(Exception):
    """Base of every error that MedDL raises on purpose.

    What a file calls its parts may stand in a message: control characters, which a terminal would obey, and texts
    without end never do.
    """

    def __init__(self, *arguments: object):
        super().__init__(*(_shorten(printable(part)) if isinstance(part, str) else part for part in arguments))


def printable(text: str) -> str:
    """A text without control characters, directions of writing and halves of characters: "?" stands for each."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in " \n\t\u00a0\u202f" else "?" for letter in text)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."


class Cancelled(MedDLError, RuntimeError):
    """The user asked the run to stop. Raised by a progress callback; nothing half-written is left."""


class InputError(MedDLError, ValueError):
    """A volume, path or parameter cannot be used as given."""


class GeometryError(InputError):
    """An affine, spacing or grid is impossible or unusable."""


class FileFormatError(MedDLError, ValueError):
    """A file cannot be read or is not what its name claims."""


class FileWarning(UserWarning):
    """A file was read, but what it states is in doubt: the text names the file, the cause, and what was taken."""


class ModelError(MedDLError, ValueError):
    """A model card or its weights are not valid."""


class IntegrityError(ModelError):
    """A file's SHA-256 is not the one that its card states."""


class ConfirmationError(ModelError):
    """A model is a program and is not taken before the user has confirmed its SHA-256, with which the message ends."""


class ModelNotFoundError(MedDLError, LookupError):
    """No installed model has this identifier."""


class OutOfMemoryError(MedDLError, MemoryError):
    """The memory of the machine or of its GPU was not enough, also after every fallback."""


class DivergenceError(MedDLError, ArithmeticError):
    """The loss of a training is not a number any more; what it learned before is kept."""


class WorkerError(MedDLError, RuntimeError):
    """The worker process ended or failed unexpectedly. `details` holds its last words, if any."""

    details: str = ""


class DependencyError(MedDLError, ImportError):
    """A package that this step needs is not installed."""


def forget_frames(error: BaseException | None) -> BaseException | None:
    """Let go of the local variables that an error's traceback holds, its causes' too: an error that is kept would keep
    whole volumes. The traceback itself stays. Returns the error."""
    link = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    return error
