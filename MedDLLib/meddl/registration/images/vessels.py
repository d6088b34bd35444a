"""Rigid alignment of an angiogram that shows vessels alone with a volume that shows the whole head or body.

Such a volume (a thresholded angiogram: a few percent of its voxels, nothing around them) shares no tissue with the
other, and mutual information has no optimum where they fit. But what is a vessel here is a tube there: brighter than
its surroundings, by inflow, or darker, a flow void, in one volume often both. So the vessels' points are laid where the
other volume has tubes: all shifts at once by correlation in Fourier space, turn by turn, then refined from coarse to
fine. The measure of a tube is the middle eigenvalue of the Hessian matrix, whatever its sign; see A. F. Frangi et al.,
"Multiscale vessel enhancement filtering", MICCAI 1998, doi:10.1007/BFb0056195.
"""

import itertools
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt, find_objects
from scipy.spatial.transform import Rotation

from meddl.core.config import RegisterConfig
from meddl.core.progress import ProgressCallback, preview, report, span
from meddl.registration.images.intensity import foreground_mask
from meddl.registration.images.pyramid import reduce_to
from meddl.registration.images.registration_image import RegistrationImage
from meddl.registration.images.smoothing import smooth
from meddl.registration.linear.align import Alignment
from meddl.registration.linear.bfgs import minimize
from meddl.registration.linear.initialization import InitialAlignment
from meddl.registration.linear.motion import about, generators, motion_matrix, rotation_angle_deg, spread_rotations
from meddl.spatial.grid import Grid, centered_grid

_MOST_FRACTION = 0.03       # of the voxels, that vessels alone take
_LEAST_VOXELS = 200
_MOST_RADIUS_MM = 4.0
_POINTS = 20_000
_SEED = 20240229
_TUBE_MM = 1.2           # sigma at which tubes are looked for, 0.6 voxels at least
_SURROUNDINGS_MM = 6.0   # sigma of what a tube is compared with
_LEVELS_MM = (2.0, 1.2)
_SEARCH_MM = 4.0         # cells of the search over all shifts
_TURN_DEG, _MOST_TURN_DEG = 10.0, 30.0
_REFINED, _KEPT = 8, 3   # candidates of the search, and how many of them are refined further


def shows_vessels_alone(source: RegistrationImage) -> bool:
    """Whether hardly any voxel of a volume differs from its background, and what does is thin; masks do not count."""
    lit = _lit(replace(source, mask=None))
    count = int(np.count_nonzero(lit))
    if not _LEAST_VOXELS <= count <= _MOST_FRACTION * lit.size:
        return False
    depth_mm = distance_transform_edt(np.pad(lit[find_objects(lit.view(np.uint8))[0]], 1), source.volume.spacing_mm)
    return float(np.percentile(depth_mm[depth_mm > 0], 95)) <= _MOST_RADIUS_MM


def align_vessels(fixed: RegistrationImage, moving: RegistrationImage, config: RegisterConfig,
                  given: list[InitialAlignment], device: torch.device,
                  on_progress: ProgressCallback | None = None) -> Alignment:
    """The rigid map from `fixed` to `moving`, one of which `shows_vessels_alone`.

    Args:
        given: initial alignments to refine instead of a search.
    """
    sparse, dense = (fixed, moving) if shows_vessels_alone(fixed) else (moving, fixed)
    points = _vessel_points(sparse)
    center = points.mean(axis=0)
    radius = float(np.sqrt(((points - center) ** 2).sum(axis=1).mean()))
    basis = generators("translation" if config.transform_type == "translation" else "rigid", radius)
    forward = sparse is fixed  # whether the map from the vessels is the one that is asked for
    starts = [start.affine if forward else np.linalg.inv(start.affine) for start in given]
    if config.initialization == "given" and not given:
        starts = [np.eye(4)]
    for level, (spacing_mm, keep) in enumerate(zip(_LEVELS_MM, (_KEPT, 1), strict=True)):
        part = span(on_progress, 0.7 * level, 0.7 if level == 0 else 1.0)
        tube, grid = _tubes(dense, spacing_mm, device, lambda part=part: report(part, 0.0, "Looking for tubes"))
        if level == 0:
            candidates = starts or [np.eye(4), *_search(points, center, tube, grid, _rotations(config),
                                                          span(part, 0.1, 0.6))]
        match = _Match(points, center, tube, grid)
        inner = span(part, 0.6, 1.0)
        refined = [match.refine(one, basis, spacing_mm, config.iterations,
                                span(inner, n / len(candidates), (n + 1) / len(candidates)))
                   for n, one in enumerate(candidates)]
        refined.sort(key=lambda entry: entry[0], reverse=True)
        candidates = [affine for _, affine in refined[:keep]]
        preview(on_progress, {"kind": "affine", "affine": candidates[0] if forward else np.linalg.inv(candidates[0])})
    after, found = refined[0]
    before, overlap = match.value(np.eye(4)), match.inside(found)
    affine = found if forward else np.linalg.inv(found)
    middle = center if forward else found[:3, :3] @ center + found[:3, 3]
    name = given[0].name if given else "the given alignment" if config.initialization == "given" else "the vessels"
    warnings = [f"The {sparse.name} volume shows vessels alone: they were registered to tubular structures of the "
                "other. Look at the result before using it."]
    if config.transform_type in ("affine", "deformable"):
        warnings.append("Vessels alone determine no more than a rigid transform; the linear part is rigid.")
    return Alignment(affine, {
        "metric": {"name": "tubes", "before": before, "after": after},
        "start": name,
        "overlap": overlap,
        "rotation_deg": rotation_angle_deg(affine),
        "translation_mm": (affine[:3, :3] @ middle + affine[:3, 3] - middle).tolist(),
        "levels_mm": list(_LEVELS_MM),
    }, warnings)


def _lit(source: RegistrationImage) -> np.ndarray:
    data = source.volume.data[0]
    lit = np.nan_to_num(data, nan=source.background) > source.background
    return lit if source.mask is None else lit & source.region(source.volume.grid)


def _vessel_points(source: RegistrationImage) -> np.ndarray:
    """Points in the vessels, (N, 3) RAS mm, always the same ones."""
    voxels = np.argwhere(_lit(source))
    if len(voxels) > _POINTS:
        voxels = voxels[np.random.default_rng(_SEED).choice(len(voxels), _POINTS, replace=False)]
    return source.volume.grid.points_mm(voxels)


def _tubes(source: RegistrationImage, spacing_mm: float, device, pause) -> tuple[torch.Tensor, Grid]:
    """How far each voxel lies in a tube, (I, J, K) in standard deviations over the object, 0 outside it; and its grid
    of cubes."""
    finite = np.nan_to_num(source.volume.data[0].astype(np.float32), nan=source.background, posinf=source.background,
                           neginf=source.background)
    grid = centered_grid(source.volume.grid, np.full(3, spacing_mm))
    image = reduce_to(torch.from_numpy(finite).to(device), source.volume.grid, grid)
    pause()
    inside = torch.from_numpy(foreground_mask(image.cpu().numpy())).to(device)
    if source.mask is not None:
        inside &= torch.from_numpy(source.region(grid)).to(device)
    mean = smooth(image, grid.spacing_mm, _SURROUNDINGS_MM)
    pause()
    variation = (smooth(image.square(), grid.spacing_mm, _SURROUNDINGS_MM) - mean.square()).clamp_(min=0).sqrt_()
    pause()
    image = (image - mean) / (variation + 0.05 * image.max())
    image = smooth(image, grid.spacing_mm, max(_TUBE_MM, 0.6 * spacing_mm))
    pause()
    tube = _middle_curvature(image, pause).abs_()
    values = tube[inside]
    return torch.where(inside, (tube - values.mean()) / values.std().clamp(min=1e-12), 0), grid


def _middle_curvature(image: torch.Tensor, pause) -> torch.Tensor:
    """The middle eigenvalue of the Hessian matrix of `image` (I, J, K), by voxel.

    Method: O. K. Smith, "Eigenvalues of a symmetric 3 x 3 matrix", Communications of the ACM 4(4), 1961,
    doi:10.1145/355578.366316.
    """
    slopes = torch.gradient(image)
    second = {}
    for a in range(3):
        for b, slope in enumerate(torch.gradient(slopes[a], dim=tuple(range(a, 3))), start=a):
            second[a, b] = slope
        pause()
    mean = (second[0, 0] + second[1, 1] + second[2, 2]) / 3
    for axis in range(3):
        second[axis, axis] = second[axis, axis] - mean
    pause()
    off = second[0, 1].square() + second[0, 2].square() + second[1, 2].square()
    size = ((second[0, 0].square() + second[1, 1].square() + second[2, 2].square() + 2 * off) / 6).sqrt_()
    pause()
    determinant = (second[0, 0] * (second[1, 1] * second[2, 2] - second[1, 2].square())
                   - second[0, 1] * (second[0, 1] * second[2, 2] - second[1, 2] * second[0, 2])
                   + second[0, 2] * (second[0, 1] * second[1, 2] - second[1, 1] * second[0, 2]))
    pause()
    angle = torch.acos((determinant / (2 * size.pow(3)).clamp(min=1e-30)).clamp_(-1, 1)) / 3
    return mean + 2 * size * torch.cos(angle - 2 * np.pi / 3)


def _rotations(config: RegisterConfig) -> list[np.ndarray]:
    """The rotations (3, 3) to try: within 30 degrees, or all."""
    if config.transform_type == "translation":
        return [np.eye(3)]
    if config.search_rotations:
        return [np.eye(3), *spread_rotations(max(config.search_rotations, 1000))]
    steps = np.arange(-_MOST_TURN_DEG, _MOST_TURN_DEG + 1, _TURN_DEG)
    vectors = [np.array(v) for v in itertools.product(steps, repeat=3) if np.linalg.norm(v) <= _MOST_TURN_DEG + 1e-6]
    return [Rotation.from_rotvec(v, degrees=True).as_matrix() for v in vectors]


def _search(points, center, tube: torch.Tensor, grid: Grid, rotations, on_progress) -> list[np.ndarray]:
    """The best maps (4x4) from the points onto the tubes, over all shifts and these rotations; no two alike."""
    cells = centered_grid(grid, np.full(3, _SEARCH_MM))
    pooled = reduce_to(tube, grid, cells)
    reach = int(np.ceil(np.linalg.norm(points - center, axis=1).max() / _SEARCH_MM))
    size = [n + 2 * reach for n in cells.shape]
    spectrum = torch.fft.rfftn(pooled, s=size)
    found = []
    back = np.linalg.inv(cells.affine)[:3, :3]
    for number, rotation in enumerate(rotations):
        report(on_progress, number / len(rotations), "Trying all shifts")
        coordinates = np.rint((points - center) @ (back @ rotation).T).astype(int) % size
        cloud = torch.zeros(size, dtype=tube.dtype, device=tube.device)
        flat = torch.from_numpy(np.ravel_multi_index(coordinates.T, size)).to(tube.device)
        cloud.view(-1).index_add_(0, flat, torch.full_like(flat, 1, dtype=tube.dtype))
        scores = torch.fft.irfftn(spectrum * torch.fft.rfftn(cloud).conj(), s=size)
        scores = scores[tuple(slice(n) for n in cells.shape)]
        peak = int(scores.argmax())
        affine = np.eye(4)
        affine[:3, :3] = rotation
        affine[:3, 3] = cells.points_mm(np.unravel_index(peak, scores.shape)) - rotation @ center
        found.append((float(scores.reshape(-1)[peak]), affine))
    found.sort(key=lambda entry: entry[0], reverse=True)
    return [affine for _, affine in found[:_REFINED]]


class _Match:
    """How well points lie in tubes under a map: the mean of the tubes at the mapped points."""

    def __init__(self, points: np.ndarray, center: np.ndarray, tube: torch.Tensor, grid: Grid):
        self.center, self.tube = center, tube[None]
        self.points = torch.from_numpy(points - center).to(tube.device)
        self.to_index = np.linalg.inv(grid.affine)
        self.size = torch.tensor(grid.shape, dtype=torch.float64, device=tube.device)

    def _indices(self, affine: np.ndarray, motion: torch.Tensor | None) -> torch.Tensor:
        whole = self.to_index @ affine
        linear = torch.from_numpy(whole[:3, :3])
        offset = torch.from_numpy(whole[:3, :3] @ self.center + whole[:3, 3])
        if motion is not None:
            offset = offset + linear @ motion[:3, 3]
            linear = linear @ motion[:3, :3]
        return self.points @ linear.T.to(self.points) + offset.to(self.points)

    def _mean(self, indices: torch.Tensor) -> torch.Tensor:
        coordinates = ((2 * indices + 1) / self.size - 1).flip(-1).to(self.tube)
        return F.grid_sample(self.tube[None], coordinates[None, :, None, None], mode="bilinear", padding_mode="zeros",
                             align_corners=False).mean()

    def value(self, affine: np.ndarray) -> float:
        return float(self._mean(self._indices(affine, None)))

    def inside(self, affine: np.ndarray) -> float:
        """The fraction of the points in the field of view."""
        indices = self._indices(affine, None)
        return float(((indices >= -0.5) & (indices <= self.size - 0.5)).all(dim=1).double().mean())

    def refine(self, affine: np.ndarray, basis: np.ndarray, spacing_mm: float, iterations: int, on_progress
               ) -> tuple[float, np.ndarray]:
        """(value, map) at the nearest optimum."""
        done = 0

        def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal done
            done += 1
            report(on_progress, 1 - 0.9 ** done, f"Aligning vessels at {spacing_mm:.2g} mm")
            tensor = torch.tensor(parameters, dtype=torch.float64, requires_grad=True)
            with torch.enable_grad():
                value = self._mean(self._indices(affine, motion_matrix(tensor, torch.from_numpy(basis))))
                gradient, = torch.autograd.grad(value, tensor)
            return -float(value.detach()), -gradient.numpy()

        best, value = minimize(cost, len(basis), first_step=spacing_mm / 2, max_step=2 * spacing_mm,
                               tolerance=spacing_mm / 400, iterations=iterations)
        motion = motion_matrix(torch.from_numpy(best), torch.from_numpy(basis)).numpy()
        return -value, affine @ about(self.center, motion)
