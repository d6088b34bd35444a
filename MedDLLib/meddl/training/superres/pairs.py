"""Pairs of the user's own volumes to learn from: the same anatomy acquired twice, coarse or noisy, and sharp."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.io import load
from meddl.networks.cubic import cubic_twice
from meddl.spatial.grid import centered_grid
from meddl.spatial.resample import resample
from meddl.superres.acquisition.value_range import ValueRange
from meddl.training.superres.tasks import PoolTask
from meddl.training.superres.volume_pool import LARGEST_ANISOTROPY
from meddl.training.superres.volume_tasks import Example
from meddl.training.supervised.data.dataset import volumes_in

LOW, HIGH = "low", "high"  # folders
_BORDER = 2       # voxels of the coarse volume at its borders, where the sharp one may end
_VALIDATED = 48   # voxels of the coarse volume along an axis


@dataclass(frozen=True, eq=False)
class OwnPair:
    """A coarse or noisy volume (I, J, K), and the sharp one over its field of view with `factor` times as many voxels
    along each axis; both in units of the coarse one's range."""

    low: torch.Tensor
    high: torch.Tensor


class PairPool:
    """Patches of pairs.

    Args:
        pairs: volumes, on the device.
        factor: voxels of the sharp volume in one of the other, along an axis: 2, or 1 for denoising.
        rng: the source of all that is random.
    """

    def __init__(self, pairs: list[OwnPair], factor: int, rng: torch.Generator):
        self.pairs, self.factor, self.rng = pairs, factor, rng

    def state(self) -> dict:
        return {"rng": self.rng.get_state().cpu()}

    def resume(self, state: dict) -> None:
        self.rng.set_state(state["rng"].cpu())

    def patches(self, count: int, size: int) -> Example:
        """`count` patches from anywhere, their axes exchanged and mirrored at random."""
        given: list[torch.Tensor] = []
        wanted: list[torch.Tensor] = []
        for draw in torch.rand((count, 10), generator=self.rng, device=self.rng.device).tolist():
            pair = self.pairs[int(draw[0] * len(self.pairs))]
            starts = [int(u * (n - size + 1)) for u, n in zip(draw[1:4], pair.low.shape, strict=True)]
            turn = [int(axis) for axis in np.argsort(draw[4:7])]
            flips = [axis for axis in range(3) if draw[7 + axis] < 0.5]
            for volume, scale, cut in ((pair.low, 1, given), (pair.high, self.factor, wanted)):
                part = volume[tuple(slice(scale * start, scale * (start + size)) for start in starts)]
                cut.append(part.permute(turn).flip(flips))
        return Example(torch.stack(given)[:, None], torch.stack(wanted)[:, None])


class PairTask(PoolTask[PairPool]):
    """Learns to make the sharp volumes of the coarse or noisy ones.

    Args:
        architecture, batch: as of `PoolTask`.
        pool, held_out: of pairs.
        size: voxels along an axis of a patch that the network gets.
    """

    learning_rate = 1e-3

    def __init__(self, architecture: str, pool: PairPool, held_out: PairPool, batch: int, size: int):
        super().__init__(architecture, {}, pool, held_out, batch)
        smallest = min(n for pair in (*pool.pairs, *held_out.pairs) for n in pair.low.shape)
        self.size = min(size, smallest)
        self._validation = [_middle(pair, pool.factor) for pair in held_out.pairs]

    def sample(self, done: float) -> Example:
        return self.pool.patches(self.batch, self.size)

    def loss(self, network: nn.Module, batch: Example) -> torch.Tensor:
        return F.l1_loss(network(batch.given), batch.wanted)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Gain in PSNR on the pairs that are held out over the cubic spline, or for denoising the noisy volume, dB."""
        plain = cubic_twice if self.pool.factor == 2 else lambda given: given
        gains = [10 * torch.log10(F.mse_loss(plain(one.given), one.wanted) / F.mse_loss(network(one.given), one.wanted))
                 for one in self._validation]
        return float(torch.stack(gains).mean())


def load_pairs(folder: Path, factor: int, register: bool, device: torch.device,
               on_progress: ProgressCallback | None = None) -> list[OwnPair]:
    """The pairs in `low` and `high` of a folder, by their names.

    Args:
        factor: as of `PairPool`.
        register: align each sharp volume to its coarse one first (rigid), as two acquisitions of one subject need.

    Raises:
        InputError: no folder, fewer than two pairs, or voxel sizes that do not fit.
    """
    if not all((folder / name).is_dir() for name in (LOW, HIGH)):
        raise InputError(f"'{folder}' was expected to hold the folders {LOW} and {HIGH}, with the same names in both.")
    lows, highs = (volumes_in(folder / name) for name in (LOW, HIGH))
    names = sorted(lows.keys() & highs.keys())
    if len(names) < 2:
        raise InputError(f"'{folder}' holds {len(names)} pairs of volumes of one name in {LOW} and {HIGH}; at least "
                         "two are needed, one of them to validate with.")
    found = []
    for n, name in enumerate(names):
        report(on_progress, n / len(names), f"Reading {name}")
        found.append(_load_pair(lows[name], highs[name], factor, register, device))
    return found


def _load_pair(low_file: Path, high_file: Path, factor: int, register: bool, device: torch.device) -> OwnPair:
    low, high = load(low_file), load(high_file)
    ratio = float(low.spacing_mm.max() / high.spacing_mm.max())
    if low.spacing_mm.max() > LARGEST_ANISOTROPY * low.spacing_mm.min():
        raise InputError(f"'{low_file.name}' has longer voxels along one axis than along another; pairs are for "
                         "networks that treat all axes alike.")
    if not 0.7 * factor <= ratio <= 1.3 * factor:
        wanted = "half as long as" if factor == 2 else "as long as"
        raise InputError(f"The voxels of '{high_file.name}' in {HIGH} are {ratio:.2g} times smaller than those in "
                         f"{LOW}; they should be {wanted} these.")
    grid = centered_grid(low.grid, low.spacing_mm / factor)
    if register:
        from meddl.registration import register as align

        sharp = align(low, high, device=str(device)).warp(high, "cubic", grid)
    else:
        sharp = resample(high, grid, "cubic")
    values = ValueRange.of(low.data[0])
    inner = slice(_BORDER, -_BORDER)
    outer = slice(factor * _BORDER, -factor * _BORDER)
    return OwnPair(torch.from_numpy(values.to_unit(low.data[0])[(inner,) * 3].copy()).to(device),
                   torch.from_numpy(values.to_unit(sharp.data[0])[(outer,) * 3].copy()).to(device))


def _middle(pair: OwnPair, factor: int) -> Example:
    """The middle of a pair."""
    counts = [min(n, _VALIDATED) for n in pair.low.shape]
    starts = [(n - count) // 2 for n, count in zip(pair.low.shape, counts, strict=True)]
    low, high = (volume[tuple(slice(scale * start, scale * (start + count)) for start, count in
                              zip(starts, counts, strict=True))] for volume, scale in ((pair.low, 1),
                                                                                       (pair.high, factor)))
    return Example(low[None, None], high[None, None])
