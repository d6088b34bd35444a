"""The contrasts that can be synthesized, and what is said of them. Standard library only."""

from meddl.core.errors import InputError

TARGETS = {"t1": "T1", "t2": "T2", "flair": "FLAIR"}  # by the word of the option


def check_contrast(contrast: str) -> str:
    """The word of a contrast in lower case.

    Raises:
        InputError: none of `TARGETS`.
    """
    word = str(contrast).strip().casefold()
    if word not in TARGETS:
        raise InputError(f"The contrasts that can be synthesized are {', '.join(TARGETS)}; got '{contrast}'.")
    return word


def invented_warning(contrast: str) -> str:
    """What is to be said with every result."""
    return (f"This {TARGETS[contrast]} was not measured: it is painted from labels and another contrast, and what "
            "the two do not share is invented. Diagnose and measure nothing in it.")
