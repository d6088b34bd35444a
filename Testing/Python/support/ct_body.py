"""A body in Hounsfield units."""

import numpy as np


def ct_body(size: int = 40) -> np.ndarray:
    """Air, soft tissue and bone, (size, size, size) int16."""
    random = np.random.default_rng(0)
    data = random.normal(-1000, 10, (size,) * 3)
    quarter = size // 4
    inner = slice(quarter, -quarter)
    data[inner, inner, inner] = random.normal(40, 20, data[inner, inner, inner].shape)
    middle = slice(size // 2 - size // 10, size // 2 + size // 10)
    data[middle, middle, inner] = 700
    return data.astype(np.int16)
