"""The 24 proper rotations that exchange axes: how a head may be turned under a wrong header.

Left and right of a head look alike, so that a mirrored one cannot be told from an unmirrored one: the 48 axis orders
are 24 that look different.
"""

from itertools import permutations, product

import torch

_NAMES = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))


def _parity(order: tuple[int, ...]) -> int:
    return sum(order[a] > order[b] for a in range(3) for b in range(a + 1, 3)) % 2


# (order, flips) each: axis a of the turned array is axis order[a] of the upright one, reversed where flips[a].
TURNS: tuple[tuple[tuple[int, ...], tuple[bool, ...]], ...] = tuple(sorted(
    ((order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)
     if _parity(order) == sum(flips) % 2), key=lambda turn: (turn[0], turn[1])))
UPRIGHT = 0
_ROW = {turn: row for row, turn in enumerate(TURNS)}


def turn_cubes(cubes: torch.Tensor, turn: int) -> torch.Tensor:
    """Cubes (..., N, N, N) with axes R, A, S turned as `TURNS[turn]` says."""
    order, flips = TURNS[turn]
    first = cubes.ndim - 3
    found = cubes.permute(*range(first), *(first + axis for axis in order))
    return found.flip([first + axis for axis in range(3) if flips[axis]])


def compose_turns(second: int, first: int) -> int:
    """The turn that is `first`, then `second`."""
    (order, flips), (before, reversed_before) = TURNS[second], TURNS[first]
    return _ROW[tuple(before[axis] for axis in order),
                tuple(flips[a] != reversed_before[order[a]] for a in range(3))]


def describe_turn(turn: int) -> str:
    """How a head lies under its header, in words: "upright", "upside down", or which axes are exchanged."""
    order, flips = TURNS[turn]
    if order == (0, 1, 2):
        words = [word for word, flip in (("front to back", flips[1]), ("upside down", flips[2])) if flip]
        return " and ".join(words) or "upright"
    shown = [f"{_NAMES[axis][1]} is the head's {_side(order[axis], flips[axis])}" for axis in range(3)]
    return f"with exchanged axes: what the header calls {', '.join(shown)}"


def _side(axis: int, flipped: bool) -> str:
    return "left or right" if axis == 0 else _NAMES[axis][0 if flipped else 1]
