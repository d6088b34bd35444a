"""Random numbers from one generator, so that a seed decides everything."""

import torch


def uniform(shape, low: float, high: float, rng: torch.Generator) -> torch.Tensor:
    """Uniform numbers of this shape on the generator's device."""
    return torch.rand(shape, generator=rng, device=rng.device) * (high - low) + low


def chance(batch: int, probability: float, rng: torch.Generator) -> torch.Tensor:
    """True for about this fraction of a batch, (B,)."""
    return torch.rand(batch, generator=rng, device=rng.device) < probability


def decide(probability: float, rng: torch.Generator) -> bool:
    """True with about this probability, from a generator on the CPU: nothing waits for another device."""
    return float(torch.rand((), generator=rng)) < probability
