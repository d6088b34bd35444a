"""The classifier's outputs: what they are, and their probabilities over all ways in which the volume may be turned."""

import torch
from torch import nn

from meddl.recognition.orientations import TURNS, compose_turns, turn_cubes
from meddl.synthesis.contrasts import CONTRASTS

OUTPUTS = {"head": 2, "stripped": 2, "contrast": len(CONTRASTS), "turn": len(TURNS)}  # classes, in the network's order


def split_outputs(outputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits (B, classes) by name, of the network's outputs (B, all)."""
    return dict(zip(OUTPUTS, outputs.split(list(OUTPUTS.values()), dim=1), strict=True))


@torch.no_grad()
def logits_of(network: nn.Module, cube: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits (classes,) by name, the mean over the cube (2, N, N, N) in all 24 turns.

    Those of a turned volume are the same, turned."""
    every = torch.stack([turn_cubes(cube, turn) for turn in range(len(TURNS))])
    found = split_outputs(network(every))
    back = torch.tensor([[compose_turns(turn, of) for of in range(len(TURNS))] for turn in range(len(TURNS))])
    found["turn"] = found["turn"].gather(1, back)
    return {name: values.mean(dim=0) for name, values in found.items()}
