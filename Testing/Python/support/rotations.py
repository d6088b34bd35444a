"""Rotations for tests."""

import numpy as np


def rotation(degrees, axis):
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[a, a] = turn[b, b] = cos
    turn[a, b], turn[b, a] = -sin, sin
    return turn
