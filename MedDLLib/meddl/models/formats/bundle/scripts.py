"""What a MONAI bundle that MedDL has written does around its network, beyond MONAI's own transforms: the preprocessing
of nnU-Net, windows spread evenly, and labels brought back to the volume. It stands in the bundle's folder `scripts`
and needs numpy, scipy, torch and monai alone.

F. Isensee et al., Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.inferers.inferer import Inferer
from monai.transforms.spatial.array import Orientation
from monai.transforms.transform import MapTransform
from scipy import ndimage

_PLACE = "place_of_crop"  # names in the metadata of an image


def find_cases(folder: str, channels: int) -> list[dict[str, str]]:
    """Cases of a folder as dictionaries: `image`, or `image_0`, `image_1` of files NAME_0000, NAME_0001."""
    files = sorted(str(path) for path in Path(folder).iterdir() if path.name.endswith((".nii", ".nii.gz", ".nrrd")))
    if channels == 1:
        return [{"image": file} for file in files]
    cases: dict[str, list[str]] = {}
    for file in files:
        cases.setdefault(re.sub(r"_\d{4}(\.nii(\.gz)?|\.nrrd)$", "", file), []).append(file)
    return [{f"image_{n}": file for n, file in enumerate(found)} for found in cases.values() if len(found) == channels]


class PrepareImaged(MapTransform):
    """Crop to what is not zero, normalize each channel, resample.

    Args:
        normalize: of each channel {"scheme": "ct" | "z-score" | "unit" | "none", ...}: ct has lower, upper, mean, std;
            z-score may be masked: over what is not zero, holes filled.
        spacing_mm: voxel size; None where an axis keeps its own.
        order: of the spline.
        anisotropy: where voxels are more than so many times as thick along one axis, the nearest slice is taken along
            it; `separate` forces or forbids that.
    """

    def __init__(self, keys: Any, normalize: list[dict], spacing_mm: list[float | None], order: int = 3,
                 anisotropy: float = 3.0, separate: bool | None = None):
        super().__init__(keys)
        self.normalize, self.spacing_mm, self.order = normalize, spacing_mm, order
        self.anisotropy, self.separate = anisotropy, separate

    def __call__(self, data: Any) -> dict:
        data = dict(data)
        for key in self.key_iterator(data):
            data[key] = self._prepare(data[key])
        return data

    def _prepare(self, image: Any) -> MetaTensor:
        values, affine = _array(image).astype(np.float32), _array(image.affine).astype(np.float64)
        mask = ndimage.binary_fill_holes((values != 0).any(axis=0))
        if not mask.any():
            raise ValueError("Every voxel of the volume is zero.")
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        values = np.stack([_normalize(channel, settings, mask[box]) for channel, settings in
                           zip(values[(slice(None), *box)], self.normalize, strict=True)])
        old = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        new = np.array([o if s is None else s for o, s in zip(old, self.spacing_mm, strict=True)])
        shape = [int(round(o / s * n)) for o, s, n in zip(old, new, values.shape[1:], strict=True)]
        thick = _thick_axis(old, new, self.anisotropy, self.separate)
        back = _thick_axis(new, old, self.anisotropy, self.separate)
        result = np.stack([resize(channel, shape, self.order, thick) for channel in values])
        place = [[part.start, part.stop] for part in box]
        meta = dict(image.meta) | {_PLACE: torch.tensor([*place, list(mask.shape)[:2], [mask.shape[2],
                                                                                      -1 if back is None else back]])}
        return MetaTensor(torch.from_numpy(result.astype(np.float32)), affine=torch.from_numpy(affine), meta=meta)


class RestoreLabelsd(MapTransform):
    """From scores (C, x, y, z) to labels (1, I, J, K) on the voxels of the file that was read.

    Args:
        image_key: of what `PrepareImaged` has made.
        values: label value of each channel.
        regions: whether each channel is present by itself, where its score is positive; later ones are written over
            earlier ones. Else the largest score wins.
    """

    def __init__(self, keys: Any, image_key: str, values: Sequence[int], regions: bool = False):
        super().__init__(keys)
        self.image_key, self.values, self.regions = image_key, list(values), regions

    def __call__(self, data: Any) -> dict:
        data = dict(data)
        for key in self.key_iterator(data):
            data[key] = self._restore(_array(data[key]).astype(np.float32), data[self.image_key].meta)
        return data

    def _restore(self, scores: Any, meta: dict) -> Any:
        rows = _array(meta[_PLACE]).tolist()
        box, (first, second), (third, thick) = rows[:3], rows[3], rows[4]
        shape = [stop - start for start, stop in box]
        scores = [resize(channel, shape, 1, None if thick < 0 else thick) for channel in scores]
        if self.regions:
            found = np.zeros(shape, dtype=np.int32)
            for value, channel in zip(self.values, scores, strict=True):
                found[channel > 0] = value
        else:
            found = np.array(self.values, dtype=np.int32)[np.argmax(scores, axis=0)]
        labels = np.zeros((first, second, third), dtype=np.int32)
        labels[tuple(slice(*ends) for ends in box)] = found
        whole = MetaTensor(torch.from_numpy(labels)[None], affine=torch.as_tensor(meta["affine"]), meta=dict(meta))
        return _turn(whole, _array(meta["original_affine"]))


class EvenWindowsInferer(Inferer):
    """Sliding windows, as few as the overlap allows and spread evenly, weighted by a Gaussian.

    Args:
        roi_size: voxels of a window.
        overlap: fraction of a window that the next one covers again.
        sigma_scale: standard deviation of the Gaussian over the window's size.
        mirror_axes: spatial axes to reverse, in all combinations, for averaging.
    """

    def __init__(self, roi_size: Sequence[int], overlap: float = 0.5, sigma_scale: float = 0.125,
                 mirror_axes: Sequence[int] = ()):
        super().__init__()
        self.roi_size, self.overlap, self.sigma_scale = list(roi_size), overlap, sigma_scale
        self.flips = [[axis + 2 for axis in flip] for count in range(len(mirror_axes) + 1)
                      for flip in itertools.combinations(mirror_axes, count)]

    def __call__(self, inputs: torch.Tensor, network: Callable, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Scores (B, C, x, y, z) of images (B, channels, x, y, z)."""
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        size = image.shape[2:]
        short = [max(0, p - n) for p, n in zip(self.roi_size, size, strict=True)]
        around = [(n // 2, n - n // 2) for n in short]
        image = torch.nn.functional.pad(image, [n for pair in around[::-1] for n in pair])
        weights = self._weights().to(image)
        total: Any = None
        weight = torch.zeros(image.shape[2:]).to(image)
        starts = [self._starts(n, p) for n, p in zip(image.shape[2:], self.roi_size, strict=True)]
        for first in itertools.product(*starts):
            box = tuple(slice(start, start + n) for start, n in zip(first, self.roi_size, strict=True))
            found = self._scores(network, image[:, :, box[0], box[1], box[2]], *args, **kwargs)
            if total is None:
                total = found.new_zeros((*found.shape[:2], *image.shape[2:]))
            total[:, :, box[0], box[1], box[2]] += found * weights
            weight[box] += weights
        inside = tuple(slice(before, before + n) for (before, _), n in zip(around, size, strict=True))
        return (total / weight)[:, :, inside[0], inside[1], inside[2]]

    def _scores(self, network: Callable, window: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        found = [torch.flip(network(torch.flip(window, flip), *args, **kwargs), flip) for flip in self.flips]
        return torch.stack(found).mean(dim=0).float()

    def _starts(self, size: int, window: int) -> list[int]:
        count = int(np.ceil((size - window) / (window * (1 - self.overlap)))) + 1
        return [int(np.round((size - window) / max(1, count - 1) * n)) for n in range(count)]

    def _weights(self) -> torch.Tensor:
        whole = np.ones(())
        for n in self.roi_size:
            line = np.zeros(n)
            line[n // 2] = 1
            whole = np.multiply.outer(whole, ndimage.gaussian_filter1d(line, n * self.sigma_scale, mode="constant"))
        weights = torch.from_numpy(10 * whole / whole.max()).float()
        return torch.where(weights == 0, weights[weights > 0].min(), weights)


def resize(image: np.ndarray, shape: Sequence[int], order: int, nearest_axis: int | None = None) -> np.ndarray:
    """An array (x, y, z) with `shape` voxels over the same field of view, within its smallest and largest value; along
    `nearest_axis` the nearest slice is taken, and the limits hold slice by slice."""
    if list(image.shape) == list(shape):
        return image
    others = tuple(axis for axis in range(3) if axis != nearest_axis)
    zooms = [1.0 if axis == nearest_axis else new / old
             for axis, (old, new) in enumerate(zip(image.shape, shape, strict=True))]
    wide = image.astype(np.float64)
    limits = [limit(axis=others, keepdims=True) for limit in (wide.min, wide.max)]
    if nearest_axis is None:
        found = ndimage.zoom(wide, zooms, order=order, mode="nearest", grid_mode=True)
    else:  # slice by slice: a spline does not reach across them
        slices = np.moveaxis(wide, nearest_axis, 0)
        flat = [zooms[axis] for axis in others]
        found = np.stack([ndimage.zoom(part, flat, order=order, mode="nearest", grid_mode=True) for part in slices])
        found = np.moveaxis(found, 0, nearest_axis)
    found = np.clip(found, *limits)
    if nearest_axis is not None:
        old, new = image.shape[nearest_axis], shape[nearest_axis]
        places = np.floor((np.arange(new) + 0.5) * (old / new)).astype(int)
        found = found.take(np.clip(places, 0, old - 1), axis=nearest_axis)
    return found.astype(np.float32)


def _normalize(values: np.ndarray, settings: dict, mask: np.ndarray) -> np.ndarray:
    scheme, values = settings["scheme"], values.astype(np.float32)
    if scheme == "ct":
        return (values.clip(settings["lower"], settings["upper"]) - settings["mean"]) / max(settings["std"], 1e-8)
    if scheme == "z-score":
        inside = mask if settings.get("masked") else np.ones_like(mask)
        counted = values[inside].astype(np.float64)
        return np.where(inside, (values - counted.mean()) / max(counted.std(), 1e-8), values)
    if scheme == "unit":
        values = values - values.min()
        return values / max(values.max(), 1e-8)
    return values


def _thick_axis(first_mm: np.ndarray, second_mm: np.ndarray, anisotropy: float, separate: bool | None) -> int | None:
    """The one axis with the thickest voxels, of the first or else the second spacing, where they are thick enough."""
    for spacing in (np.round(first_mm, 6), np.round(second_mm, 6)):
        if separate or (separate is None and spacing.max() / spacing.min() > anisotropy):
            thickest = np.flatnonzero(spacing.max() / spacing == 1)
            return int(thickest[0]) if len(thickest) == 1 else None
    return None


def _turn(labels: MetaTensor, affine: np.ndarray) -> Any:
    """Labels in the order of axes of this affine."""
    import nibabel

    return Orientation(axcodes="".join(nibabel.aff2axcodes(affine)))(labels)


def _array(values: Any) -> np.ndarray:
    """As NumPy's, without metadata."""
    values = values.as_tensor() if isinstance(values, MetaTensor) else values
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
