"""The value that a parameter starts with."""


class Default:
    """Annotation of a parameter's starting value, given or made by a function at each use."""

    def __init__(self, value=None, *, generator=None):
        self._value, self._generator = value, generator

    @property
    def value(self):
        return self._generator() if self._generator else self._value

    def __eq__(self, other):
        return isinstance(other, Default) and (self._value, self._generator) == (other._value, other._generator)

    __hash__ = None


def take_default(annotations):
    """(the Default among the annotations or None, all others)."""
    found = [annotation for annotation in annotations if isinstance(annotation, Default)]
    if len(found) > 1:
        raise Exception("A parameter has several Default annotations")
    return (found[0] if found else None), [annotation for annotation in annotations if annotation not in found]
