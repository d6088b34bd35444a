"""Intensities of one volume in those of another: the curve that maps them, and the bias field between the two."""

from dataclasses import dataclass, field

import numpy as np

from meddl.core.errors import InputError
from meddl.spatial.normalize import check_magnitude, object_threshold
from meddl.spatial.resample import mask_on_grid, resample
from meddl.spatial.volume import Volume

_PERCENTILES = np.linspace(0.5, 99.5, 34)
_END_KNOTS = 4           # at each end, whose slope goes on beyond them
_ROUNDS = 8
_OUTLIER_SDS = 3.0
_BINS = 64               # of the first curve
_LEAST_VOXELS = 100
_MOST_VOXELS = 300_000   # from which curve and bias field are found
_DEGREE = 3              # of the bias field's polynomial
_MOST_BIAS = 0.9


@dataclass(frozen=True, eq=False)
class IntensityMatch:
    """How the intensities of one volume become those of another: T(v) * (1 + b(p)) of the value v at point p.

    Attributes:
        levels, targets: (N,) ascending intensities and what they become; T is linear between them and beyond them.
        bias: (M,) coefficients of the polynomial b of R, A, S, from -1 to 1 over `box_mm`; empty for no bias field.
        box_mm: (2, 3) center and half size in RAS mm of the reference's field of view.
        inside: fraction of the corresponding voxels whose difference is not more than noise; nan where none correspond.
    """

    levels: np.ndarray
    targets: np.ndarray
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0))
    box_mm: np.ndarray = field(default_factory=lambda: np.stack([np.zeros(3), np.ones(3)]))
    inside: float = float("nan")

    def apply(self, volume: Volume) -> Volume:
        """The volume, one channel on any grid, with matched intensities, float32."""
        data = _curve(np.asarray(volume.scalar_data, np.float32), self.levels, self.targets).astype(np.float32)
        if self.bias.size:
            grid = volume.grid
            for plane in range(grid.shape[0]):
                indices = np.stack(np.meshgrid([plane], *map(np.arange, grid.shape[1:]), indexing="ij"), -1)
                points = grid.points_mm(indices.reshape(-1, 3))
                data[plane] *= 1 + self._bias_at(points).reshape(grid.shape[1:]).astype(np.float32)
        return Volume.scalar(data, volume.affine)

    def _bias_at(self, points: np.ndarray) -> np.ndarray:
        return np.clip(_monomials(points, self.box_mm) @ self.bias, -_MOST_BIAS, _MOST_BIAS)


def match_intensities(moving: Volume, reference: Volume, mask: Volume | None = None, *, corresponding: bool = True,
                      bias_field: bool = False) -> Volume:
    """The moving volume in the intensities of the reference; see `fit_intensities`.

    Returns:
        Volume (1, I, J, K) float32 on the moving volume's grid.

    Raises:
        InputError: as of `fit_intensities`.
    """
    return fit_intensities(moving, reference, mask, corresponding=corresponding, bias_field=bias_field).apply(moving)


def fit_intensities(moving: Volume, reference: Volume, mask: Volume | None = None, *, corresponding: bool = True,
                    bias_field: bool = False) -> IntensityMatch:
    """How the intensities of a volume become those of another of the same kind.

    Percentiles of the one are mapped to those of the other, linear between them, as in the standardization of
    L. G. Nyul, J. K. Udupa, X. Zhang, IEEE Transactions on Medical Imaging 19(2), 2000, doi:10.1109/42.836373. Where
    the voxels correspond, those whose difference is more than noise are left out and the percentiles taken again, so
    that tissue that has changed does not bend the curve; the ratio of the two bias fields is a cubic polynomial that is
    fitted to the same voxels (differential bias correction: E. B. Lewis, N. C. Fox, NeuroImage 23(1), 2004,
    doi:10.1016/j.neuroimage.2004.04.030).

    Args:
        moving, reference: one channel each, on any grids, any unit.
        mask: where to look, nonzero voxels, on any grid; default: the objects, above a threshold in both (of histograms
            alone, above each one's mean).
        corresponding: whether the same point is the same tissue in both, as after a registration; else their histograms
            alone are compared.
        bias_field: whether the ratio of their bias fields is found; needs corresponding voxels.

    Raises:
        InputError: several channels, nothing in common, a constant object, an empty mask or one that lies elsewhere,
            or a bias field without correspondence.
    """
    if bias_field and not corresponding:
        raise InputError("The ratio of two bias fields is found where voxels correspond; these do not.")
    for volume, name in ((moving, "moving"), (reference, "reference")):
        if not isinstance(volume, Volume):
            raise InputError(f"`{name}` is a meddl.Volume; got {type(volume).__name__}.")
        check_magnitude(volume.data, f"The {name} volume")
    moving, reference = moving.reorient("RAS"), reference.reorient("RAS")  # the same voxels, however they are stored
    grid = reference.grid
    truth = np.asarray(reference.scalar_data, np.float64)
    values = np.asarray(moving.scalar_data, np.float64)
    if not corresponding:
        return _match_histograms(_object_of(values, moving, mask), _object_of(truth, reference, mask),
                                 (values, truth))
    known = np.isfinite(truth)
    if not moving.grid.same_as(grid):
        covered = Volume.scalar(np.isfinite(values).astype(np.uint8), moving.affine)
        known &= resample(covered, grid, "nearest").scalar_data > 0
        finite = Volume.scalar(np.nan_to_num(values, posinf=0, neginf=0), moving.affine)
        values = resample(finite, grid).scalar_data.astype(np.float64)
    known &= np.isfinite(values)
    chosen = known if mask is None else known & mask_on_grid(mask, grid)
    if np.count_nonzero(chosen) < _LEAST_VOXELS:
        raise InputError("The two volumes have too few voxels in common to match their intensities.")
    lit = [data > object_threshold(data[known]) for data in (values, truth)]
    pairs = chosen & lit[0] & lit[1] if mask is None else chosen
    if np.count_nonzero(pairs) < _LEAST_VOXELS:
        pairs = chosen
    dark = known & ~lit[0] & ~lit[1]
    background = (np.median(values[dark]), np.median(truth[dark])) if dark.any() else None
    found = np.flatnonzero(pairs)
    found = found[::-(-len(found) // _MOST_VOXELS)]
    points = grid.points_mm(np.stack(np.unravel_index(found, grid.shape), axis=-1)) if bias_field else None
    box = np.stack([grid.center_mm, np.abs(grid.affine[:3, :3]) @ np.array(grid.shape) / 2])
    return _fit_pairs(values.ravel()[found], truth.ravel()[found], background, points, box)


def _object_of(values: np.ndarray, volume: Volume, mask: Volume | None) -> np.ndarray:
    """The finite intensities of the object, or within the mask, (N,)."""
    known = np.isfinite(values)
    if mask is not None:
        known &= mask_on_grid(mask, volume.grid)
    found = values[known]
    if mask is None and found.size:  # the threshold of ITK's HistogramMatchingImageFilter
        found = found[found > found.mean()]
    if found.size < _LEAST_VOXELS or not found.max() > found.min():
        raise InputError("A volume is constant, or its mask holds too few voxels: its intensities cannot be matched.")
    return found


def _match_histograms(values: np.ndarray, truth: np.ndarray, whole: tuple[np.ndarray, np.ndarray]) -> IntensityMatch:
    levels, targets = _knots(values, truth)
    dark = [data[data <= part.min()] for data, part in zip(whole, (values, truth), strict=True)]
    background = (float(np.median(dark[0])), float(np.median(dark[1]))) if all(one.size for one in dark) else None
    return IntensityMatch(*_with_background(levels, targets, background))


def _fit_pairs(values: np.ndarray, truth: np.ndarray, background: tuple[float, float] | None,
               points: np.ndarray | None, box_mm: np.ndarray) -> IntensityMatch:
    """The curve and the bias field of corresponding intensities (N,)."""
    if not (values.max() > values.min() and truth.max() > truth.min()):
        raise InputError("A volume is constant where the two are compared: its intensities cannot be matched.")
    terms = None if points is None else _monomials(points, box_mm)
    bias, factor = np.zeros(0 if terms is None else terms.shape[1]), np.ones_like(truth)
    levels, targets = _conditional_medians(values, truth)
    inside = np.ones(len(values), bool)
    for _ in range(_ROUNDS):
        if terms is not None:
            bias = _fit_bias(_curve(values, levels, targets), truth, terms, inside)
            factor = 1 + np.clip(terms @ bias, -_MOST_BIAS, _MOST_BIAS)
        difference = np.abs(truth - _curve(values, levels, targets) * factor)
        inside = difference <= max(_OUTLIER_SDS * 1.4826 * float(np.median(difference)),
                                   1e-6 * float(np.ptp(targets)))
        levels, targets = _knots(values[inside], (truth / factor)[inside])
    return IntensityMatch(*_with_background(levels, targets, background), bias, box_mm, float(inside.mean()))


def _conditional_medians(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The median of `truth` in each of many bins of `values` with as many voxels, made ascending."""
    order = np.argsort(values, kind="stable")
    bins = np.array_split(order, min(_BINS, len(order) // 8))
    levels = np.array([np.median(values[one]) for one in bins])
    targets = np.maximum.accumulate([np.median(truth[one]) for one in bins])
    return _merge_equal(levels, targets)


def _knots(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _merge_equal(np.percentile(values, _PERCENTILES), np.percentile(truth, _PERCENTILES))


def _merge_equal(levels: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending levels, each once, with the mean of their targets."""
    levels, place, counts = np.unique(levels, return_inverse=True, return_counts=True)
    return levels, np.bincount(place, targets) / counts


def _with_background(levels: np.ndarray, targets: np.ndarray, background: tuple[float, float] | None
                     ) -> tuple[np.ndarray, np.ndarray]:
    """The curve with a first knot at the level of the background, where that lies below it."""
    if background is None or not (background[0] < levels[0] and background[1] <= targets[0]):
        return levels, targets
    return np.append(background[0], levels), np.append(background[1], targets)


def _curve(values: np.ndarray, levels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """T of the values: linear between the knots, and beyond them with the slope of the last few."""
    if len(levels) == 1:
        return values + (targets[0] - levels[0])
    near = min(_END_KNOTS, len(levels) - 1)
    found = np.interp(values, levels, targets)
    for end, knots in ((0, (0, near)), (-1, (-1 - near, -1))):
        slope = (targets[knots[1]] - targets[knots[0]]) / (levels[knots[1]] - levels[knots[0]])
        beyond = values < levels[0] if end == 0 else values > levels[-1]
        found = np.where(beyond, targets[end] + slope * (values - levels[end]), found)
    return found


def _fit_bias(mapped: np.ndarray, truth: np.ndarray, terms: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Coefficients of b in truth = mapped * (1 + b), by least squares over the voxels inside."""
    columns = terms[inside] * mapped[inside, None]
    return np.linalg.lstsq(columns.T @ columns, columns.T @ (truth - mapped)[inside], rcond=None)[0]


def _monomials(points: np.ndarray, box_mm: np.ndarray) -> np.ndarray:
    """(N, 20) products of R, A, S, from -1 to 1 over the box, up to the third degree."""
    x = (points - box_mm[0]) / box_mm[1]
    powers = [(a, b, c) for a in range(_DEGREE + 1) for b in range(_DEGREE + 1 - a) for c in range(_DEGREE + 1 - a - b)]
    return np.stack([x[:, 0] ** a * x[:, 1] ** b * x[:, 2] ** c for a, b, c in powers], axis=-1)
