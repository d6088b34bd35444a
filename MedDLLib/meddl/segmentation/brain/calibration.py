"""Calibrated probability of the chosen labels.

Temperature scaling after C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks",
ICML 2017, arXiv:1706.04599, of two outcomes: the label is right, or it is not.
"""

import numpy as np
import torch

_EDGE = 1e-6  # probabilities are at least so far from 0 and 1


def label_probability(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Probability of a label at each voxel, (I, J, K), 0 to 1.

    Args:
        scores: (C, I, J, K) log-probabilities, up to a constant at each voxel.
        labels: (I, J, K), index of the class whose probability is wanted.
    """
    # Slice by slice: all classes at once would double the memory of the scores.
    total = torch.stack([scores[:, index].logsumexp(dim=0) for index in range(scores.shape[1])])
    return scores.gather(0, labels[None])[0].sub_(total).exp_()


def scale_probability(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of any shape whose log-odds are divided by a temperature, float64; above 1: less certain."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), _EDGE, 1 - _EDGE)
    return 1 / (1 + ((1 - clipped) / clipped) ** (1 / temperature))
