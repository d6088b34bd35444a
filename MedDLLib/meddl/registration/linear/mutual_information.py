"""Mutual information of two sets of samples, differentiable in the second.

Method: the joint histogram of P. Thevenaz and M. Unser, "Optimization of mutual information for
multiresolution image registration", IEEE Transactions on Image Processing 9(12), 2000, doi:10.1109/83.887976:
a box window for the fixed intensity, a cubic B-spline for the moving one. Each sample adds to four bins; nothing
of the size samples x bins is ever made. The normalized form is that of C. Studholme, D. Hill, D. Hawkes, "An overlap
invariant entropy measure of 3D medical image alignment", Pattern Recognition 32(1), 1999,
doi:10.1016/S0031-3203(98)00091-0.
"""

import torch


def fixed_rows(values: torch.Tensor, bins: int) -> torch.Tensor:
    """The histogram row (N,) int64 of each fixed intensity, 0 to 1."""
    return (values * bins).long().clamp(0, bins - 1)


def joint_histogram(rows: torch.Tensor, values: torch.Tensor, weights: torch.Tensor, bins: int,
                    row_count: int | None = None) -> torch.Tensor:
    """Weighted counts (row_count or bins, bins) float64 of fixed rows (N,) and moving intensities (N,), 0 to 1.

    Differentiable in `values` and `weights`. Sums are made in float64: on a CPU in an order that does not vary,
    on a GPU in one that changes the last of their sixteen digits at most.
    """
    coordinates = 1 + values.clamp(0, 1) * (bins - 3.001)
    return _JointHistogram.apply(rows, coordinates, weights, bins, row_count or bins)


def similarity(histogram: torch.Tensor, metric: str) -> torch.Tensor:
    """What a joint histogram says about alignment, larger is better.

    Args:
        metric: "nmi": (H(f) + H(m)) / H(f, m), 1 where the volumes share nothing, 2 where one tells all of
            the other; "mi": H(f) + H(m) - H(f, m) in nats.
    """
    joint = histogram / histogram.sum().clamp_min(1e-12)
    alone = _entropy(joint.sum(dim=0)) + _entropy(joint.sum(dim=1))
    together = _entropy(joint)
    if metric == "mi":
        return alone - together
    # nothing to compare: nothing shared
    return torch.where(together > 1e-9, alone / together.clamp_min(1e-9), 1 + 0 * alone)


def _entropy(probabilities: torch.Tensor) -> torch.Tensor:
    return -(probabilities * probabilities.clamp_min(1e-12).log()).sum()


class _JointHistogram(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, coordinates, weights, bins, row_count):
        first = coordinates.floor()
        t = coordinates - first
        cells = rows * bins + first.long() - 1
        rise, fall = 1 + 3 * t + 3 * t ** 2 - 3 * t ** 3, 4 - 6 * t ** 2 + 3 * t ** 3
        windows = torch.stack([(1 - t) ** 3, fall, rise, t ** 3]) / 6
        ctx.save_for_backward(cells, t, weights, windows)
        at = torch.cat([cells + k for k in range(4)])
        added = (windows * weights).reshape(-1).double()
        if at.device.type == "cpu":
            counts = torch.bincount(at, added, minlength=row_count * bins)
        else:  # without a wait for the largest index
            counts = added.new_zeros(row_count * bins).index_add_(0, at, added)
        return counts.reshape(row_count, bins)

    @staticmethod
    def backward(ctx, gradient):
        cells, t, weights, windows = ctx.saved_tensors
        slopes = (-(1 - t) ** 2, 3 * t ** 2 - 4 * t, 1 + 2 * t - 3 * t ** 2, t ** 2)
        flat = gradient.reshape(-1).to(t.dtype)
        by_place = torch.zeros_like(t)
        by_weight = torch.zeros_like(t)
        for k in range(4):
            at_bin = flat[cells + k]
            by_place += at_bin * slopes[k]
            by_weight += at_bin * windows[k]
        return None, by_place * weights / 2, by_weight, None, None
