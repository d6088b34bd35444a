"""A phantom in which one object rules what another is called, and a small network that has learned just that.

A ball is "marked" where the volume also holds a bright cube somewhere, else "plain"; a gray cube means nothing.
"""

import functools

import nnunet_folder
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from meddl.spatial.volume import Volume

SIZE = 16
LABELS = {"background": 0, "plain": 1, "marked": 2}
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
BALL, MARKER, GRAY = (8, 8, 8), (3, 3, 12), (12, 3, 4)
_BACKGROUND, _BALL, _MARKER, _GRAY = 20.0, 100.0, 220.0, 100.0
_STEPS, _BATCH, _HIDDEN = 800, 8, 0.4


def phantom(marked: bool = True, ball=BALL, marker=MARKER, gray=GRAY, seed: int = 0) -> tuple[Volume, np.ndarray]:
    """The volume and its labels (16, 16, 16); `ball`, `marker` and `gray` are centers in voxels."""
    random = np.random.default_rng(seed)
    data = _BACKGROUND + 3 * random.standard_normal((SIZE,) * 3)
    inside = ((np.indices((SIZE,) * 3) - np.reshape(ball, (3, 1, 1, 1))) ** 2).sum(axis=0) <= 6.3
    data[inside] += _BALL - _BACKGROUND
    data[cube(gray)] += _GRAY - _BACKGROUND
    if marked:
        data[cube(marker)] += _MARKER - _BACKGROUND
    return Volume.scalar(data.astype(np.float32), AFFINE), np.where(inside, 2 if marked else 1, 0)


def cube(center) -> tuple[slice, ...]:
    """The voxels of a cube of 3 voxels."""
    return tuple(slice(c - 1, c + 2) for c in center)


def write_model(folder):
    """The trained network as nnU-Net writes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nnunet_folder, "network", lambda *arguments, **more: trained_network())
        return nnunet_folder.write_nnunet(folder, labels=LABELS, patch=(SIZE,) * 3, mirror=None)


@functools.cache
def trained_network() -> torch.nn.Module:
    """A small U-Net that has learned what marked means."""
    network = untrained_network(0).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    random = np.random.default_rng(1)
    for step in range(_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / _STEPS) + 1e-4
        images, labels = zip(*(_example(random, n % 2 == 0) for n in range(_BATCH)), strict=True)
        loss = F.cross_entropy(network(torch.stack(images)), torch.stack(labels),
                               weight=torch.tensor([0.1, 1.0, 1.0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def untrained_network(seed: int) -> torch.nn.Module:
    """The same network with random weights."""
    return nnunet_folder_network(len(LABELS), 1, False, seed)


nnunet_folder_network = nnunet_folder.network  # also while `write_model` has another one in its place


def _example(random: np.random.Generator, marked: bool) -> tuple[torch.Tensor, torch.Tensor]:
    while True:
        ball, marker, gray = random.integers(3, SIZE - 3, (3, 3))
        if min(np.abs(a - b).max() for a, b in ((ball, marker), (ball, gray), (marker, gray))) > 4:
            break
    volume, labels = phantom(marked, ball, marker, gray, int(random.integers(1 << 30)))
    image = torch.from_numpy(volume.data)
    if random.random() < _HIDDEN:  # where the marker is hidden, as occlusion hides it, nothing is marked
        size = int(random.integers(4, 9))
        part = tuple(slice(max(0, center - size // 2), center + (size + 1) // 2) for center in marker)
        image[(0, *part)] = image[(0, *part)].mean()
        labels = np.minimum(labels, 1)
        labels[part] = 0
    return (image - image.mean()) / image.std(correction=0), torch.from_numpy(labels).long()
