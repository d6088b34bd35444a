"""Structures found by what a user writes: the one matcher of panel, shell, Python and jobs, and of the catalog."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from meddl.core.errors import InputError

_SHOWN = 12  # names that an error lists where none is similar
_SIMILAR = 5


class Named(Protocol):
    """Anything with a name and a label value: labels of a card, structures of the catalog."""

    @property
    def name(self) -> str:
        """Display name."""

    @property
    def value(self) -> int | None:
        """Label value, None where it is not published."""


N = TypeVar("N", bound=Named)


def words(text: str) -> list[str]:
    """The words of a text, in small letters, without the plural's s."""
    parts = re.findall(r"[a-z0-9]+", text.lower())
    return [part[:-1] if len(part) > 3 and part.endswith("s") and not part.endswith(("ss", "us", "is")) else part
            for part in parts]


def structures_named(structures: Iterable[N], text: str) -> list[N]:
    """The structures whose names hold every word of the text, or begin with it."""
    wanted = words(text)
    return [structure for structure in structures
            if all(any(part.startswith(word) for part in words(structure.name)) for word in wanted)]


def split_names(text: str) -> tuple[str, ...]:
    """The parts of a line such as "liver, left kidney"; commas or semicolons between them."""
    return tuple(part.strip() for part in text.replace(";", ",").split(",") if part.strip())


def match_structures(structures: Iterable[N], wanted: Iterable[str | int]) -> tuple[N, ...]:
    """The selected structures, each once, in their order; all where none is selected.

    Args:
        structures: of a model.
        wanted: each a label value, a name in any case and order of words, or words that occur in names: "hippocampus"
            is the left and the right one, "kidney" both kidneys. What matches most closely is taken: the value or the
            whole name, else whole words, else the beginnings of words. A text is split as by `split_names`.

    Raises:
        InputError: the model has no such structure; the message names similar ones.
    """
    structures = tuple(structures)
    chosen: set[str] = set()
    for one in split_names(wanted) if isinstance(wanted, str) else wanted:
        found = _matching(structures, str(one))
        if not found:
            raise InputError(f"The model has no structure '{str(one).strip()}'. {similar_structures(structures, one)}")
        chosen.update(structure.name for structure in found)
    return tuple(structure for structure in structures if not chosen or structure.name in chosen)


def chosen_values(structures: Iterable[N], wanted: Iterable[str | int]) -> tuple[int, ...]:
    """Label values of `match_structures`."""
    return tuple(structure.value for structure in match_structures(structures, wanted) if structure.value is not None)


def similar_structures(structures: Iterable[Named], name: str | int) -> str:
    """A sentence with the names like this one; else with some of all."""
    names = {" ".join(words(structure.name)): structure.name for structure in structures}
    text = " ".join(words(str(name)))
    known = {word for plain in names for word in plain.split()}
    meant = [difflib.get_close_matches(word, known, n=2, cutoff=0.7) for word in text.split() if len(word) > 2]
    close = [plain for plain in names if meant and all(set(near) & set(plain.split()) for near in meant)]
    close += difflib.get_close_matches(text, names, n=_SIMILAR, cutoff=0.6)
    if close:
        return f"Similar: {', '.join(names[plain] for plain in list(dict.fromkeys(close))[:_SIMILAR])}."
    more = len(names) - _SHOWN
    return f"It has: {', '.join(list(names.values())[:_SHOWN])}{f' and {more} more' if more > 0 else ''}."


def _matching(structures: Sequence[N], text: str) -> list[N]:
    wanted = words(text)
    if not wanted:
        return []
    by_value = [structure for structure in structures if str(structure.value) == text.strip()]
    whole = [structure for structure in structures if sorted(words(structure.name)) == sorted(wanted)]
    in_words = [structure for structure in structures if set(wanted) <= set(words(structure.name))]
    return by_value or whole or in_words or structures_named(structures, text)
