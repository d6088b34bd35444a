"""The 24 ways in which a head may be turned are a group, and said in words."""

import itertools

import torch

from meddl.recognition.orientations import TURNS, UPRIGHT, compose_turns, describe_turn, turn_cubes

CUBE = torch.arange(27).reshape(3, 3, 3)


def test_there_are_24_that_all_look_different_and_none_mirrors():
    assert len({tuple(turn_cubes(CUBE, turn).flatten().tolist()) for turn in range(len(TURNS))}) == 24
    assert torch.equal(turn_cubes(CUBE, UPRIGHT), CUBE)
    mirrored = CUBE.flip(0)
    assert not any(torch.equal(turn_cubes(CUBE, turn), mirrored) for turn in range(len(TURNS)))


def test_two_turns_one_after_the_other_are_one():
    for first, second in itertools.product(range(24), repeat=2):
        assert torch.equal(turn_cubes(turn_cubes(CUBE, first), second), turn_cubes(CUBE, compose_turns(second, first)))


def test_a_turn_leaves_leading_axes_where_they_are():
    channels = torch.stack([CUBE, 2 * CUBE])
    assert torch.equal(turn_cubes(channels, 5)[1], turn_cubes(2 * CUBE, 5))


def test_words_for_them():
    words = {describe_turn(turn) for turn in range(24)}
    assert len(words) >= 20 and describe_turn(UPRIGHT) == "upright"
    upside_down = TURNS.index(((0, 1, 2), (True, False, True)))
    assert describe_turn(upside_down) == "upside down"
    swapped = next(turn for turn in range(24) if TURNS[turn][0] == (0, 2, 1))
    assert "exchanged axes" in describe_turn(swapped) and "anterior is the head's" in describe_turn(swapped)
