"""Post-processing: the largest connected component of each structure."""

import numpy as np
import torch
from scipy import ndimage

from meddl.spatial.label_maps import largest_components

_NEVER = -1e4  # log-probability of a class where it was ruled out


def keep_largest(scores: torch.Tensor, whole_classes: tuple[int, ...]) -> torch.Tensor:
    """Rule classes out (in place) wherever they lie apart from the largest connected part of themselves.

    The voxel then goes to its next best class, at this resolution and after interpolation.

    Args:
        scores: (C, I, J, K) log-probabilities.
        whole_classes: the classes that are one piece in a body, background not among them.
    """
    best = scores.argmax(dim=0).to(torch.int16).cpu().numpy()
    boxes = ndimage.find_objects(best)
    strays = np.zeros_like(best)  # the class of each voxel that lies apart
    for index in whole_classes:
        box = boxes[index - 1] if index <= len(boxes) else None
        if box is None:
            continue
        mask = best[box] == index
        strays[box][mask & ~largest_components(mask)] = index
    there = torch.from_numpy(strays).to(scores.device)  # all at once: each upload has a GPU's program wait
    for index in np.unique(strays[strays > 0]).tolist():
        box = boxes[index - 1]
        scores[index][box].masked_fill_(there[box] == index, _NEVER)
    return scores
