"""Annotations that refuse values of a parameter."""

import abc


class Validator(abc.ABC):
    """Refuses values by raising."""

    @abc.abstractmethod
    def validate(self, value):
        """Raise ValueError where the value is not allowed."""


def take_validators(annotations):
    """(the validators among the annotations, all others)."""
    chosen = [a for a in annotations if isinstance(a, Validator) or (isinstance(a, type) and issubclass(a, Validator))]
    return chosen, [a for a in annotations if all(a is not taken for taken in chosen)]


class IsNone(Validator):
    """None alone."""

    def validate(self, value):
        if value is not None:
            raise ValueError("Value must be None")


class NotNone(Validator):
    """Anything but None."""

    def validate(self, value):
        if value is None:
            raise ValueError("Value must not be None")


class IsInstance(Validator):
    """None, or an instance of a type or of one of several."""

    def __init__(self, classtype):
        self.classtype = classtype

    def validate(self, value):
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"Value must be of type {self.classtype}, is {type(value).__name__} {value!r}")


class WithinRange(Validator):
    """From minimum to maximum, both included."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], is {value}")


class Minimum(Validator):
    """At least so much."""

    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


class Maximum(Validator):
    """At most so much."""

    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


class Choice(Validator):
    """One of several values."""

    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value!r}")


class Exclude(Validator):
    """None of several values."""

    def __init__(self, excludedValues):
        self.excludedValues = excludedValues

    def validate(self, value):
        if value in self.excludedValues:
            raise ValueError(f"Value must be none of {self.excludedValues}, is {value!r}")
