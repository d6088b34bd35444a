"""Network inference: precision, sliding window, test-time mirroring."""

import logging

import torch

from meddl.core.device import in_fast_precision
from meddl.core.device_fallback import is_out_of_memory
from meddl.core.errors import OutOfMemoryError
from meddl.core.progress import ProgressCallback, UnevenProgress, report
from meddl.networks.inference import between_layers

logger = logging.getLogger(__name__)
_OVERLAP = 0.5
BALANCE = 0.5  # of the cross-entropy that the networks are trained with: see meddl.training.losses
_SEEN_VOXELS = 20.0  # of a class, the least that its prior is taken from


@torch.no_grad()
def run_network(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Scores (B, C, I, J, K) float32 of an image (B, 1, I, J, K), in the device's fastest precision."""
    with in_fast_precision(image.device):
        return network(image.contiguous(memory_format=torch.channels_last_3d)).float()


def predict(network: torch.nn.Module, image: torch.Tensor, patch, mirror: tuple[int, ...] | None = None,
            on_progress: ProgressCallback | None = None) -> torch.Tensor:
    """Class log-probabilities (C, I, J, K) of an image (I, J, K) in [0, 1].

    Args:
        patch: patch size that the network was trained on; larger images are processed by a sliding window with
            Gaussian blending.
        mirror: for each class the one of the other hemisphere; if given, probabilities are averaged with those of the
            image mirrored along its first axis (left-right).

    Raises:
        OutOfMemoryError: also one window at a time is too much.
    """
    whole = 1.0 if mirror is None else 0.5
    progress = UnevenProgress(on_progress, "Segmenting", whole)
    progress.again()
    with between_layers([network], lambda *_: progress.again()):
        scores = _windows(network, image[None, None], patch)
    if mirror is not None:
        progress.at(whole, "Segmenting the mirrored volume")
        with between_layers([network], lambda *_: progress.again()):
            flipped = _windows(network, image.flip(0)[None, None], patch)
        scores = torch.logaddexp(scores, flipped.flip(2)[:, list(mirror)]) - torch.log(torch.tensor(2.0))
    report(on_progress, 1.0, "Segmenting")
    return scores[0]


def undo_balance(scores: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (C, I, J, K) under the sizes that classes have, of a network that was trained on balanced ones.

    A class that counts in training by its size to the power of 1 - `BALANCE` comes out too large. This adjusts the
    priors (Saerens et al. 2002, doi:10.1162/089976602753284446), with the sizes that the network finds here.
    """
    sizes = scores.exp().sum(dim=(1, 2, 3)).clamp_min_(_SEEN_VOXELS)
    return (scores + BALANCE * (sizes / sizes.sum()).log()[:, None, None, None]).log_softmax(dim=0)


def _windows(network: torch.nn.Module, image: torch.Tensor, patch) -> torch.Tensor:
    try:
        if all(n <= p for n, p in zip(image.shape[2:], patch, strict=True)):
            return run_network(network, image)
        from monai.inferers import sliding_window_inference

        return sliding_window_inference(image, tuple(patch), 1, lambda part: run_network(network, part),
                                        overlap=_OVERLAP, mode="gaussian")
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"Segmenting {' x '.join(map(str, image.shape[2:]))} voxels needs more memory than {image.device} has "
            "free. Close other programs, or choose the device 'cpu'.") from error
