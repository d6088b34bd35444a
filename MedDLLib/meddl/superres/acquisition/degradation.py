"""Forward model of the acquisition along one axis: slice profile, subsampling, and noise.

A slice is the integral of the object, weighted by the slice profile about the slice's center. The object is the
cubic B-spline through the fine voxels, so that this integral is exact for any real factor, is one matrix, and its
adjoint is the transposed matrix. Beyond the field of view the object goes on by reflection.

The model is that of M. Irani & S. Peleg, "Improving resolution by image registration", CVGIP 53(3), 1991,
doi:10.1016/1049-9652(91)90045-L, restricted to one axis; what a slice profile is: R. Brown et al., "Magnetic Resonance
Imaging: Physical Principles and Sequence Design", 2nd ed. 2014, doi:10.1002/9781118633953, chapter 10.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from scipy.special import erf, ndtr

from meddl.core.errors import InputError
from meddl.spatial.bspline import apply_along, cubic_weights

PROFILES = ("gaussian", "rect")
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
_STEPS = 16  # places of the integral in a fine voxel
_REACH = 4.5  # of a Gaussian, in standard deviations


@dataclass(frozen=True)
class Acquisition:
    """Thick slices of a volume of fine voxels. All lengths are in fine voxels unless said otherwise.

    Attributes:
        factor: distance between slices over the fine voxel size, any real number of at least 1.
        axis: the tensor axis along which slices are thick; negative axes count from the last.
        profile: "gaussian" (full width at half maximum = thickness), "rect" (a box as wide as the thickness, its
            edges softened by a Gaussian), or the profile itself: weights at even steps about the slice's center.
        thickness: slice thickness over slice distance; below 1 there are gaps, above 1 slices overlap.
        edge: full width at half maximum of the Gaussian that softens a rect, over the thickness.
        profile_step: distance between the weights of a given profile.
        in_plane_fwhm: full width at half maximum of a Gaussian blur along `in_plane_axes`; 0 for none.
        in_plane_axes: tensor axes of the blur.
        phase: shift of all slices along the axis; 0 where both grids share their center.
        noise_sigma: standard deviation of the Gaussian noise that `acquire` adds to the slices.

    Raises:
        InputError: a number that is not possible, or an unknown profile.
    """

    factor: float
    axis: int = -1
    profile: str | tuple[float, ...] = "gaussian"
    thickness: float = 1.0
    edge: float = 0.2
    profile_step: float = 1.0
    in_plane_fwhm: float = 0.0
    in_plane_axes: tuple[int, ...] = ()
    phase: float = 0.0
    noise_sigma: float = 0.0

    def __post_init__(self):
        if not isinstance(self.profile, str):
            object.__setattr__(self, "profile", tuple(float(weight) for weight in self.profile))
        object.__setattr__(self, "in_plane_axes", tuple(self.in_plane_axes))
        _check(self)

    def fine_count(self, count: int) -> int:
        """Fine voxels over the field of view of `count` slices: round(n d / d'), at least 1."""
        return max(1, round(count * self.factor))

    def thick_count(self, count: int) -> int:
        """Slices over the field of view of `count` fine voxels."""
        return max(1, round(count / self.factor))

    def matrix(self, fine: int, thick: int) -> np.ndarray:
        """D along the axis, (thick, fine) float64, read-only; each row sums to 1."""
        return _slice_matrix(self._along(), fine, thick)

    def forward(self, fine: torch.Tensor, count: int | None = None) -> torch.Tensor:
        """D x: the slices of `fine`, without noise.

        Args:
            fine: floating point, any number of axes.
            count: slices to make; the nearest number to the field of view where None.
        """
        size = fine.shape[self.axis]
        matrix = self.matrix(size, self.thick_count(size) if count is None else count)
        return _product(matrix, self._blur(fine, transposed=False), self.axis)

    def adjoint(self, thick: torch.Tensor, count: int | None = None) -> torch.Tensor:
        """D^T y, with <D x, y> = <x, D^T y> for every x and y.

        Args:
            thick: slices, floating point.
            count: fine voxels along the axis; the nearest number to the field of view where None.
        """
        size = thick.shape[self.axis]
        matrix = self.matrix(self.fine_count(size) if count is None else count, size)
        return self._blur(_product(matrix.T, thick, self.axis), transposed=True)

    def acquire(self, fine: torch.Tensor, count: int | None = None,
                rng: torch.Generator | None = None) -> torch.Tensor:
        """The slices with noise."""
        slices = self.forward(fine, count)
        if self.noise_sigma == 0:
            return slices
        noise = torch.randn(slices.shape, generator=rng, device=slices.device, dtype=slices.dtype)
        return slices + self.noise_sigma * noise

    def interpolate(self, thick: torch.Tensor, count: int | None = None) -> torch.Tensor:
        """Cubic B-spline interpolation of the slices at the fine voxels, the phase respected."""
        size = thick.shape[self.axis]
        fine = self.fine_count(size) if count is None else count
        return _product(self.interpolation(fine, size), thick, self.axis)

    def interpolation(self, fine: int, thick: int) -> np.ndarray:
        """The matrix of `interpolate`, (fine, thick) float64, read-only; each row sums to 1."""
        return _interpolation_matrix(self.factor, self.phase, fine, thick)

    def _along(self) -> "Acquisition":
        """What the matrix depends on; the rest at its defaults, so that equal matrices are made once."""
        return replace(self, axis=-1, in_plane_fwhm=0.0, in_plane_axes=(), noise_sigma=0.0)

    def _blur(self, image: torch.Tensor, transposed: bool) -> torch.Tensor:
        if self.in_plane_fwhm == 0:
            return image
        blur = Acquisition(1.0, thickness=self.in_plane_fwhm)
        for axis in self.in_plane_axes:
            matrix = blur.matrix(image.shape[axis], image.shape[axis])
            image = _product(matrix.T if transposed else matrix, image, axis)
        return image


def _product(matrix: np.ndarray, image: torch.Tensor, axis: int) -> torch.Tensor:
    # through the CPU in the image's type: MPS has no float64
    return apply_along(torch.tensor(matrix, dtype=image.dtype).to(image.device), image, axis)


def slice_centers(factor: float, fine: int, thick: int, phase: float = 0.0) -> np.ndarray:
    """Continuous fine indices (thick,) of the slices' centers; both fields of view share their center at phase 0."""
    return (np.arange(thick) - (thick - 1) / 2) * factor + (fine - 1) / 2 + phase


@lru_cache(maxsize=256)
def _slice_matrix(acquisition: Acquisition, fine: int, thick: int) -> np.ndarray:
    offsets, weights = _profile(acquisition)
    centers = slice_centers(acquisition.factor, fine, thick, acquisition.phase)
    return _freeze(cubic_weights(fine, centers[:, None] + offsets, weights))


@lru_cache(maxsize=256)
def _interpolation_matrix(factor: float, phase: float, fine: int, thick: int) -> np.ndarray:
    first = slice_centers(factor, fine, thick, phase)[0]
    return _freeze(cubic_weights(thick, (np.arange(fine) - first) / factor))


def _freeze(matrix: np.ndarray) -> np.ndarray:
    matrix.flags.writeable = False
    return matrix


def _profile(acquisition: Acquisition) -> tuple[np.ndarray, np.ndarray]:
    """Offsets from the slice's center and the profile's share at each, which sum to 1."""
    width = acquisition.thickness * acquisition.factor
    if not isinstance(acquisition.profile, str):
        weights = np.array(acquisition.profile)
        offsets = (np.arange(len(weights)) - (len(weights) - 1) / 2) * acquisition.profile_step
        return offsets, weights / weights.sum()
    sigma = width / FWHM_PER_SIGMA
    half = 0.0
    if acquisition.profile == "rect":
        sigma, half = acquisition.edge * sigma, width / 2
    reach = half + _REACH * sigma
    cells = 2 * max(1, math.ceil(reach * _STEPS))
    edges = np.linspace(-reach, reach, cells + 1)
    weights = np.diff(_box_below(edges, half, sigma) if half else ndtr(edges / sigma))
    return (edges[1:] + edges[:-1]) / 2, weights / weights.sum()


def _box_below(coordinates: np.ndarray, half: float, sigma: float) -> np.ndarray:
    """Integral of a box (-half, half), smoothed by a Gaussian of standard deviation `sigma`, up to each coordinate."""
    if sigma == 0:
        return np.clip(coordinates / (2 * half) + 0.5, 0, 1)
    return (_ramp(coordinates + half, sigma) - _ramp(coordinates - half, sigma)) / (2 * half)


def _ramp(coordinates: np.ndarray, sigma: float) -> np.ndarray:
    """The integral of the Gaussian's distribution function."""
    scaled = coordinates / sigma
    return (0.5 * coordinates * (1 + erf(scaled / math.sqrt(2)))
            + sigma / math.sqrt(2 * math.pi) * np.exp(-scaled ** 2 / 2))


def _check(acquisition: Acquisition) -> None:
    def number(name: str, low: float, low_allowed: bool = True) -> None:
        value = getattr(acquisition, name)
        if not (math.isfinite(value) and (value > low or (low_allowed and value == low))):
            bound = f"{'of at least' if low_allowed else 'above'} {low:g}"
            raise InputError(f"The acquisition's {name} is a number {bound}; got {value!r}.")

    number("factor", 1)
    number("thickness", 0, low_allowed=False)
    number("profile_step", 0, low_allowed=False)
    for name in ("edge", "in_plane_fwhm", "noise_sigma"):
        number(name, 0)
    if not math.isfinite(acquisition.phase):
        raise InputError(f"The acquisition's phase is a number; got {acquisition.phase!r}.")
    if isinstance(acquisition.profile, str):
        if acquisition.profile not in PROFILES:
            raise InputError(f"A slice profile is {', '.join(PROFILES)} or a list of weights; "
                             f"got '{acquisition.profile}'.")
    elif not acquisition.profile or not np.isfinite(acquisition.profile).all() or sum(acquisition.profile) <= 0:
        raise InputError("A given slice profile is a list of finite weights whose sum is above zero; "
                         f"got {acquisition.profile}.")
    if acquisition.in_plane_fwhm and not acquisition.in_plane_axes:
        raise InputError("An in-plane blur needs the axes to blur: give in_plane_axes.")


def profile_sigma(acquisition: Acquisition) -> float:
    """Standard deviation of the slice profile, in fine voxels."""
    offsets, weights = _profile(acquisition)
    return float(np.sqrt(np.sum(weights * (offsets - np.sum(weights * offsets)) ** 2)))
