"""How well the uncertainty of the brain model tells of its errors: rank correlation on synthetic heads.

    python Testing/Benchmarks/uncertainty_errors.py --data DATA [--heads 4] [--runs 4] [--spacing 2] [--atlas 0]

Heads are random, from the label maps 13 to 16, which no training saw. For each structure of each head: its spread
(1 - mean Dice of the perturbed runs with the first) and its error (1 - Dice of the first run with the truth); and over
all voxels near a structure: entropy, and whether the label is wrong. Finished heads are kept in the output file and not
computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

LIBRARY = Path(__file__).resolve().parents[2] / "MedDLLib"
if str(LIBRARY) not in sys.path:
    sys.path.insert(0, str(LIBRARY))

_SAMPLED = 20_000  # voxels of each head


def measure_head(number: int, arguments: argparse.Namespace) -> dict:
    """Spread and error of each structure of one head, and of a sample of its voxels."""
    import meddl
    from meddl.core.config import SegmentConfig
    from meddl.measures.overlap import dice
    from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps
    from meddl.uncertainty.config import UncertaintyConfig

    maps = load_label_maps(arguments.data / "labelmaps", 13, 16)
    spacing = arguments.spacing
    shape = tuple(int(np.ceil(extent / spacing / 8)) * 8 for extent in (192, 228, 216))
    batch = HeadGenerator(maps, SynthesisConfig(spacing_mm=spacing, shape=shape), seed=900 + number).sample(1)
    seen = batch.seen[0].numpy()
    truth = maps.table.targets[batch.rows[0].numpy()].astype(np.uint16) * seen
    volume = meddl.Volume.scalar(batch.images[0, 0].numpy(), np.diag([spacing] * 3 + [1.0]))
    found, uncertainty = meddl.segment_with_uncertainty(
        volume, config=SegmentConfig(atlas_label_maps=arguments.atlas),
        uncertainty=UncertaintyConfig(runs=arguments.runs), device="cpu")
    labels = found.labels.astype(np.uint16) * seen
    values = {segment.name: segment.value for segment in found.segments}
    rows = []
    for row in uncertainty.report["structures"]:
        value = values[row["structure"]]
        if (truth == value).any():
            rows.append((row["structure"], 1 - row["dice"], 1 - float(dice(labels, truth, [value])[0])))
    near = np.flatnonzero((labels > 0) | (truth > 0))
    chosen = np.random.default_rng(number).choice(near, min(_SAMPLED, near.size), replace=False)
    entropy = uncertainty.map.data[0].ravel()[chosen]
    return {"structures": rows, "entropy": entropy.round(4).tolist(),
            "wrong": (labels.ravel() != truth.ravel())[chosen].astype(int).tolist()}


def summarize(heads: list[dict]) -> dict:
    """Spearman's rank correlation over structures and heads, over voxels, and the mean of both figures."""
    from scipy.stats import spearmanr

    rows = [row for head in heads for row in head["structures"]]
    spread, error = (np.array([row[column] for row in rows]) for column in (1, 2))
    entropy, wrong = (np.concatenate([head[name] for head in heads]) for name in ("entropy", "wrong"))
    return {"heads": len(heads), "structures": len(rows), "spearman": float(spearmanr(spread, error).statistic),
            "spearman_of_voxels": float(spearmanr(entropy, wrong).statistic),
            "wrong_where_certain": float(wrong[entropy == 0].mean()),
            "wrong_where_uncertain": float(wrong[entropy > 0].mean()),
            "mean_spread": float(spread.mean()), "mean_error": float(error.mean())}


def main(given: list[str] | None = None) -> int:
    """Measure the heads that the output file does not hold yet, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labelmaps/")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--spacing", type=float, default=2.0, help="voxel size of the heads, mm")
    parser.add_argument("--atlas", type=int, default=0, help="label maps of the atlas that are fused")
    parser.add_argument("--out", type=Path, default=Path("uncertainty_errors.json"))
    arguments = parser.parse_args(given)
    heads = json.loads(arguments.out.read_text()) if arguments.out.is_file() else []
    while len(heads) < arguments.heads:
        heads.append(measure_head(len(heads), arguments))
        arguments.out.write_text(json.dumps(heads))
    print(json.dumps(summarize(heads), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
