"""What distinguishes frames of a DICOM series at the same position: echo time, b-value, time point, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

_SIEMENS_B, _GE_B = 0x0019100C, 0x00431039  # private elements that held b-values before DICOM had one
_TRAITS: tuple[tuple[str, str, tuple[str | int, ...]], ...] = (
    ("image type", "", ("FrameType", "ImageType")),
    ("component", "", ("ComplexImageComponent",)),
    ("echo time", "ms", ("EffectiveEchoTime", "EchoTime")),
    ("echo", "", ("EchoNumbers",)),
    ("b-value", "s/mm2", ("DiffusionBValue", _SIEMENS_B, _GE_B)),
    ("gradient", "", ("DiffusionGradientOrientation",)),
    ("inversion time", "ms", ("InversionTimes", "InversionTime")),
    ("flip angle", "degrees", ("FlipAngle",)),
    ("time point", "", ("TemporalPositionIndex", "TemporalPositionIdentifier")),
    ("cardiac phase", "%", ("NominalPercentageOfCardiacPhase",)),
    ("trigger delay", "ms", ("NominalCardiacTriggerDelayTime", "TriggerTime")),
    ("frame time", "ms", ("FrameReferenceTime",)),
    ("stack", "", ("StackID",)),
    ("acquisition", "", ("FrameAcquisitionNumber", "AcquisitionNumber")),
    ("tube voltage", "kV", ("KVP",)),
    ("segment", "", ("ReferencedSegmentNumber",)),
    ("acquired at", "", ("AcquisitionDateTime", "AcquisitionTime")),
)
TRAIT_TAGS = [name for _, _, names in _TRAITS for name in names]


class Trait(NamedTuple):
    """A trait's name, its value as text with its unit, and what it is ordered by."""

    name: str
    text: str
    order: tuple[float, str]


def traits_of(look: Callable[[Any], Any]) -> tuple[Trait, ...]:
    """The traits that a frame states; `look` finds elements by keyword or tag."""
    found = []
    for name, unit, keywords in _TRAITS:
        for keyword in keywords:
            value = look(keyword)
            if isinstance(keyword, int):
                value = _private_b_value(value)
            if value is not None and value != "":
                found.append(_trait(name, unit, value))
                break
    indices = look("DimensionIndexValues")
    if indices is not None:
        indices = [indices] if isinstance(indices, int) else indices
        found += [_trait(f"dimension {n + 1}", "", index) for n, index in enumerate(indices)]
    return tuple(found)


def gradient_of(look: Callable[[Any], Any]) -> Any:
    """The diffusion gradient's direction, of a frame of an enhanced image."""
    sequence = look("DiffusionGradientDirectionSequence")
    return sequence[0].get("DiffusionGradientOrientation") if sequence else None


def _trait(name: str, unit: str, value: Any) -> Trait:
    values = [value] if isinstance(value, str | int | float) else list(value)
    try:
        numbers = [float(one) for one in values]
        text, order = " ".join(f"{number:g}" for number in numbers), (numbers[0] if numbers else 0.0, "")
    except (TypeError, ValueError, OverflowError):
        text = "/".join(str(one)[:64] for one in values)
        order = (0.0, text)
    return Trait(name, f"{text} {unit}".strip(), order)


def _private_b_value(element: Any) -> float | None:
    """Whole text or, of GE, the first of several numbers, the thousands of which are flags."""
    value: Any = getattr(element, "value", None)
    try:
        if isinstance(value, bytes):
            value = value.decode("ascii").strip("\0 ").split("\\")
        first = value if isinstance(value, str | int | float) else value[0]
        number = float(first)
        return number % 100_000 if number >= 0 else None
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
