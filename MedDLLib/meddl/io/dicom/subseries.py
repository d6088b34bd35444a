"""The stacks of slices that a DICOM series holds: echoes, time points, b-values, or the directions of a localizer."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from meddl.io.dicom.geometry import are_even, are_placed, in_order
from meddl.io.dicom.headers import Frame

_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-3
_SAME_PLACE_DIGITS = 2  # of mm
_MOST_TRAITS = 3
_OF_STACKS = ("image type", "stack")  # traits by which stacks beside each other may be distinguished
_SMALLEST_STACK = 3  # slices for each stack, on average, into which frames at different places are divided


@dataclass(frozen=True)
class Subseries:
    """Frames that make up one volume, in order, and what distinguishes them from the others ("" for nothing)."""

    label: str
    frames: tuple[Frame, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        return (*self.frames[0].size, len(self.frames))


def subseries_of(frames: Sequence[Frame]) -> list[Subseries]:
    """The frames of one series divided into stacks: of one size and direction, each slice at a place of its own."""
    groups: list[list[Frame]] = []
    for frame in frames:
        group = next((group for group in groups if _same_plane(group[0], frame)), None)
        if group is None:
            groups.append(group := [])
        group.append(frame)
    found = []
    for group in groups:
        plane = _plane_text(group[0]) if len(groups) > 1 else ""
        found += [Subseries(", ".join(filter(None, (plane, label))), tuple(in_order(part)))
                  for label, part in _stacks(group)]
    return found


def _same_plane(one: Frame, other: Frame) -> bool:
    if (one.size, one.orientation, one.spacing) == (other.size, other.orientation, other.spacing):
        return (one.position is None) == (other.position is None)
    if one.size != other.size or (one.orientation is None) != (other.orientation is None) \
            or (one.position is None) != (other.position is None):
        return False
    directions = np.subtract(one.orientation or (0.0,), other.orientation or (0.0,))
    spacing = np.subtract(one.spacing or (1.0, 1.0), other.spacing or (1.0, 1.0))
    return bool(np.abs(directions).max() < _SAME_DIRECTION and np.abs(spacing).max() < _SAME_SPACING)


def _plane_text(frame: Frame) -> str:
    size = f"{frame.size[0]} x {frame.size[1]}"
    if frame.orientation is None:
        return size
    normal = np.abs(np.cross(frame.orientation[:3], frame.orientation[3:]))
    return f"{('sagittal', 'coronal', 'axial')[int(normal.argmax())]} {size}"


def _stacks(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Frames of one plane as stacks with their labels."""
    if not are_placed(frames):
        return [("", frames)]
    repeated = _repetitions(frames)
    varying = [name for name in dict.fromkeys(trait.name for frame in frames for trait in frame.traits)
               if len({_trait_texts(frame, (name,)) for frame in frames}) > 1]
    if repeated > 1:
        for names in _combinations(varying):
            stacks = _split(frames, partial(_trait_texts, names=names))
            if len(stacks) == repeated and all(_repetitions(stack) == 1 for stack in stacks):
                return _label(stacks, names)
        return _by_order(frames)
    if not are_even(frames):
        for names in _combinations([name for name in varying if name in _OF_STACKS]):
            stacks = _split(frames, partial(_trait_texts, names=names))
            if len(stacks) * _SMALLEST_STACK <= len(frames) and all(map(are_even, stacks)):
                return _label(stacks, names)
    return [("", frames)]


def _combinations(names: list[str]) -> Iterator[tuple[str, ...]]:
    for count in range(1, _MOST_TRAITS + 1):
        yield from itertools.combinations(names, count)


def _repetitions(frames: Sequence[Frame]) -> int:
    """How many frames lie at the same place, at most."""
    return max(Counter(map(_place, frames)).values())


def _place(frame: Frame) -> tuple[float, ...]:
    return tuple(round(x, _SAME_PLACE_DIGITS) + 0.0 for x in frame.position or ())


def _split(frames: Sequence[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.values())


def _trait_texts(frame: Frame, names: Sequence[str]) -> tuple[str, ...]:
    texts = {trait.name: trait.text for trait in frame.traits}
    return tuple(texts.get(name, "") for name in names)


def _label(stacks: list[list[Frame]], names: Sequence[str]) -> list[tuple[str, list[Frame]]]:
    """Stacks in the order of these traits, with labels of them."""
    def order(stack: list[Frame]) -> list[tuple[float, str]]:
        orders = {trait.name: trait.order for trait in stack[0].traits}
        return [orders.get(name, (-np.inf, "")) for name in names]

    return [(", ".join(f"{name} {text or 'not stated'}" for name, text in
                       zip(names, _trait_texts(stack[0], names), strict=True)), stack)
            for stack in sorted(stacks, key=order)]


def _by_order(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """The first frame of each place, the second of each, ..., where no trait distinguishes them."""
    stacks: dict[int, list[Frame]] = defaultdict(list)
    seen: Counter = Counter()
    for frame in sorted(frames, key=lambda frame: (frame.number, frame.file.name, frame.index)):
        stacks[seen[_place(frame)]].append(frame)
        seen[_place(frame)] += 1
    return [(f"repetition {n + 1}", stacks[n]) for n in range(len(stacks))]
