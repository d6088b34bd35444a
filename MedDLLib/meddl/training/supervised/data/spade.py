"""A conditional GAN that renders label maps in the look of a few images: MONAI's SPADE blocks, and their training.

T. Park et al., CVPR 2019, doi:10.1109/CVPR.2019.00244. The style of an image is a vector of a variational encoder; one
drawn at random gives a style between those of the images.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.device import in_fast_precision
from meddl.core.progress import ProgressCallback, report
from meddl.networks.architectures.srresnet import PatchDiscriminator3D
from meddl.networks.cpu.fast_training import ready_for_training
from meddl.training.losses import check_finite

CHANNELS = (16, 32, 48)  # of the encoder, fine to coarse: each halves the patch
DIVISOR = 2 ** len(CHANNELS)
_STYLE = 16
_WIDTH, _HIDDEN = 16, 24
_RATE = 5e-4
_ADVERSARIAL, _FEATURES, _PIXEL, _DIVERGENCE = 0.5, 2.0, 5.0, 0.01  # weights of the losses
_NORM = ("GROUP", {"num_groups": 8})


class SpadeRenderer(nn.Module):
    """From a label map to an image, in a style.

    Args:
        classes: of the label map, with background.
        images: channels of the image.
        shape: voxels of both, multiples of `DIVISOR`.
    """

    def __init__(self, classes: int, images: int, shape: Sequence[int]):
        super().__init__()
        from monai.networks.nets.spade_network import SPADEDecoder, SPADEEncoder, SPADENetResBlock

        self.encoder = SPADEEncoder(3, images, _STYLE, list(CHANNELS), tuple(shape), norm=_NORM)
        self.decoder = ready_for_training(SPADEDecoder(3, _WIDTH, classes, tuple(shape), list(reversed(CHANNELS)),
                                                       _STYLE, spade_intermediate_channels=_HIDDEN))
        self.fine = ready_for_training(SPADENetResBlock(3, _WIDTH, _WIDTH, classes, _HIDDEN))
        self.last = nn.Conv3d(_WIDTH, images, 3, padding=1)

    def forward(self, labels: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Images (B, C, I, J, K) of labels (B, classes, I, J, K) in styles (B, 16); texture is drawn at random."""
        features = self.decoder(labels, style)
        features = features + 0.1 * torch.randn_like(features)
        return self.last(self.fine(features, labels))


def train_renderer(renderer: SpadeRenderer, batches: Iterator[tuple[torch.Tensor, torch.Tensor]], steps: int,
                   on_progress: ProgressCallback | None = None) -> list[float]:
    """Train a renderer against a discriminator on images (B, C, I, J, K) and labels (B, classes, I, J, K).

    Returns:
        The mean absolute error of the images rendered in their own style, by step.

    Raises:
        DivergenceError: it is not a number any more.
    """
    device = next(renderer.parameters()).device
    images, labels = next(batches)
    discriminator = PatchDiscriminator3D(channels=images.shape[1] + labels.shape[1]).to(device)
    optimizers = [torch.optim.Adam(network.parameters(), lr=rate, betas=(0.0, 0.9))
                  for network, rate in ((renderer, _RATE), (discriminator, 2 * _RATE))]
    losses = []
    for step in range(steps):
        report(on_progress, step / steps, f"Training the generator of images, step {step + 1} of {steps}")
        with in_fast_precision(device):
            losses.append(_step(renderer, discriminator, optimizers, images, labels))
        check_finite(losses[-1], step + 1)
        images, labels = next(batches)
    return losses


def _step(renderer: SpadeRenderer, discriminator: PatchDiscriminator3D, optimizers, images: torch.Tensor,
          labels: torch.Tensor) -> float:
    """One step of both networks."""
    with _in_float32(images):
        mean, log_variance = renderer.encoder(images)
    log_variance = log_variance.clamp(-8, 8)
    made = renderer(labels, renderer.encoder.reparameterize(mean, log_variance))
    discriminator.requires_grad_(False)
    judged, found = _discriminate(discriminator, made, labels)
    _, real = _discriminate(discriminator, images, labels)
    pixel = F.l1_loss(made, images)
    features = sum(F.l1_loss(a, b) for a, b in zip(found, real, strict=True)) / len(real)
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()
    _descend(optimizers[0], renderer,
             _PIXEL * pixel + _FEATURES * features - _ADVERSARIAL * judged.mean() + _DIVERGENCE * divergence)
    discriminator.requires_grad_(True)
    wrong = (F.relu(1 - _discriminate(discriminator, images, labels)[0]).mean()
             + F.relu(1 + _discriminate(discriminator, made.detach(), labels)[0]).mean())
    _descend(optimizers[1], discriminator, wrong)
    return float(pixel.detach())


def _in_float32(images: torch.Tensor) -> torch.autocast:
    """For networks whose last images may be smaller than a kernel, and whose layers mind this in bf16."""
    return torch.autocast(images.device.type, enabled=False)


def _discriminate(discriminator: PatchDiscriminator3D, images: torch.Tensor, labels: torch.Tensor
                  ) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """What the discriminator says of images beside the labels that they were rendered from."""
    with _in_float32(images):
        return discriminator(torch.cat([images.float(), labels], dim=1))


def _descend(optimizer: torch.optim.Optimizer, network: nn.Module, loss: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()


@torch.no_grad()
def render(renderer: SpadeRenderer, labels: torch.Tensor, like: Callable[[], torch.Tensor],
           rng: torch.Generator) -> torch.Tensor:
    """Images of labels (B, classes, I, J, K), half in a random style, half in that of other images `like()`, varied."""
    renderer.eval()
    device = labels.device
    style = torch.randn((len(labels), _STYLE), generator=rng).to(device)
    if float(torch.rand((), generator=rng)) < 0.5:
        mean, _ = renderer.encoder(like())
        style = mean + 0.5 * style
    return renderer(labels, style)
