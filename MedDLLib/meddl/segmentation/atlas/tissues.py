"""Tissues: classes of a model with left and right structures merged."""

import torch


class Tissues:
    """Merges the classes of left and right structures.

    Args:
        mirror: for each class the one on the other side, itself for one in the middle; class 0 is background. Of a
            pair the lower class is the left one, as FreeSurfer numbers them.
        csf_classes: of cerebrospinal fluid, the one around the brain first, then those of ventricles.

    Attributes:
        of_class: (C,) tissue of each class, 0 for background.
        count: number of tissues T.
        classes: the lower class of each tissue, (T,).
        lateral: which tissues have two sides, ascending: by a mask, a program would wait for a GPU.
        sign: (C,) 1 for a left class, -1 for a right one, 0 in the middle.
        csf: tissues of cerebrospinal fluid, the one around the brain first; see `mixture.histograms`.
    """

    def __init__(self, mirror: tuple[int, ...], device: torch.device | str = "cpu",
                 csf_classes: tuple[int, ...] = ()):
        lower = [min(n, other) for n, other in enumerate(mirror)]
        self.classes = tuple(sorted(set(lower)))
        self.count = len(self.classes)
        self.of_class = torch.tensor([self.classes.index(n) for n in lower], device=device)
        lateral = [tissue for tissue, n in enumerate(self.classes) if mirror[n] != n]
        self.lateral = torch.tensor(lateral, dtype=torch.long, device=device)
        self.sign = torch.tensor([(n < other) - (n > other) for n, other in enumerate(mirror)], device=device).float()
        self.csf = tuple(dict.fromkeys(self.classes.index(lower[n]) for n in csf_classes))

    def merge(self, probabilities: torch.Tensor) -> torch.Tensor:
        """(C, ...) by class to (T, ...) by tissue."""
        merged = probabilities.new_zeros((self.count, *probabilities.shape[1:]))
        return merged.index_add_(0, self.of_class, probabilities)

    def left_minus_right(self, probabilities: torch.Tensor) -> torch.Tensor:
        """(C, ...) by class to the fraction of left minus that of right, (...), -1 to 1."""
        return torch.tensordot(self.sign, probabilities, dims=1)
