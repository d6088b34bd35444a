"""From labels to intensities: Gaussian mixture, bias field, gamma, saturation."""

import torch

from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.fields.lattice import enlarge
from meddl.synthesis.random import chance, uniform


def random_tissues(batch: int, priors: torch.Tensor, alike: torch.Tensor, config: SynthesisConfig,
                   rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of every tissue of every image, each (B, T), about 0 to 1.

    Args:
        priors: (contrasts, T) means of known contrasts.
        alike: (T,) for each tissue the one that it has the mean of in a known contrast, up to what the priors differ
            by; itself for one of its own.
    """
    count = priors.shape[1]
    free = uniform((batch, count), 0, 1, rng)
    contrast = torch.randint(priors.shape[0], (batch,), generator=rng, device=rng.device)
    noise = 0.07 * torch.randn((batch, count), generator=rng, device=rng.device)
    around = priors.index_select(0, contrast) + noise.index_select(1, alike)
    known = chance(batch, config.prior_probability, rng)[:, None]
    means = torch.where(known, around, free).clamp_(0, 1)
    deviations = uniform((batch, count), *config.tissue_sd, rng) * torch.where(known, 0.5, 1.0)
    return means, deviations


def random_bias(batch: int, config: SynthesisConfig, rng: torch.Generator) -> torch.Tensor:
    """A smooth positive factor, (B, I, J, K)."""
    points = torch.randn((batch, 4, 4, 4), generator=rng, device=rng.device)
    points *= uniform((batch, 1, 1, 1), *config.bias_sd, rng)
    return enlarge(points, config.shape).exp_()


def random_gamma(images: torch.Tensor, config: SynthesisConfig, rng: torch.Generator) -> torch.Tensor:
    """Images in [0, 1] to a random power."""
    exponent = torch.randn((images.shape[0], 1, 1, 1, 1), generator=rng, device=rng.device)
    return images.clamp_min(1e-5).pow_((exponent * config.gamma_sd).exp_())


def random_saturation(images: torch.Tensor, config: SynthesisConfig, rng: torch.Generator) -> torch.Tensor:
    """Images in [0, 1] with a random window, as a viewer's or a scanner's."""
    batch = images.shape[0]
    chosen = chance(batch, config.clip_probability, rng)
    floor = torch.where(chosen, uniform((batch,), 0.0, 0.12, rng), 0.0).reshape(-1, 1, 1, 1, 1)
    ceiling = torch.where(chosen, uniform((batch,), 0.6, 1.0, rng), 1.0).reshape(-1, 1, 1, 1, 1)
    return ((images - floor) / (ceiling - floor)).clamp_(0, 1)
