"""`meddl evaluate recognition`: how often what is said of a volume is right, wrong or unknown.

Synthetic heads of label maps that no training saw, in random contrasts and fields of view (whose contrast is what
`meddl.synthesis.contrasts.contrast_of_image` sees in them), and the real volumes that the data folder holds, none of
which was trained on. Heads are looked at as they are and in turned copies, whose header
then contradicts the anatomy; both count.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.recognition.result import UNKNOWN, Recognition
from meddl.spatial.volume import Volume

HELD_OUT_MAPS = (13, 16)
_SPACING_MM, _VOXELS = 3.0, 96
_EACH = 5  # heads of each contrast, whole and stripped each
_SEED = 40_000
_NONE = "none of these"
_TURNS = 2  # turned copies of each head


class Truth(NamedTuple):
    """What a volume is: "head", "no head" or "chest"; contrast; whether stripped. None: not known, does not count."""

    region: str | None
    contrast: str | None = None
    stripped: bool | None = None


REAL = {
    "brain/ecog_t1.nii.gz": Truth("head", "T1", False), "brain/ecog_t1_stripped.nii.gz": Truth("head", "T1", True),
    "brain/vm_t1_stripped.nii.gz": Truth("head", "T1", True),
    "brain/fsaverage_t1_stripped.nii.gz": Truth("head", "T1", True),
    "brain/chris_t1.nii.gz": Truth("head", "T1", False), "brain/chris_PD.nii.gz": Truth("head", "PD", False),
    "brain/chris_MRA.nii.gz": Truth("head", "none of these", False),
    "brain_multimodal/T1_head_ext2.nii.gz": Truth("head", "T1", False),
    "brain_multimodal/T2w.nii.gz": Truth("head", "T2", False),
    "brain_multimodal/fmri.nii.gz": Truth("head", "none of these"),
    "brain_multimodal/dwi.nii.gz": Truth("head", "none of these"),
    "ms/ms07_t1.nii.gz": Truth("head", "T1", True), "ms/ms07_t1post.nii.gz": Truth("head", "T1", True),
    "ms/ms07_t2.nii.gz": Truth("head", "T2", True), "ms/ms07_flair.nii.gz": Truth("head", "FLAIR", True),
    "geometry/orientations/RAS.nii.gz": Truth("head"),
    **{f"sarcoma/sts0{n}_{kind}.nii.gz": Truth("no head", "CT" if kind == "ct" else "none of these")
       for n in range(1, 5) for kind in ("ct", "mr", "pet")},
    "body/abdomen_ct.nii.gz": Truth("no head", "CT"), "body/abdomen_mr.nii.gz": Truth("no head", "none of these"),
    "body/aorta_cta.nii.gz": Truth("chest", "CT"), "body/chest_ct.nrrd": Truth("chest", "CT"),
    "spine/t1_t1w.nii.gz": Truth("no head", "none of these"), "spine/t2_t2.nii.gz": Truth("no head", "none of these"),
    "spine/mt_mt0.nii.gz": Truth("no head", "none of these"), "spine/t2s_t2s.nii.gz": Truth("no head", "none of these"),
}
_CROPS = "hippocampus/images"  # right is only unknown


@dataclass(frozen=True)
class Score:
    """How many classes named for one question about some volumes are right, wrong and unknown."""

    volumes: str
    question: str
    right: int
    wrong: int
    unknown: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path, required=True, help="folder with labelmaps/, brain/, body/ and so on, or "
                        "some of them")
    parser.add_argument("--maps", type=int, nargs=2, default=HELD_OUT_MAPS, metavar=("FIRST", "LAST"),
                        help="label maps of the synthetic heads (default: 13 16, which no training saw)")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for the tables")
    parser.add_argument("--update-card", action="store_true", help="write the figures into the model's card")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Measure, and write `recognition.json` and `recognition.md`.

    Returns:
        The table in Markdown.

    Raises:
        InputError: the folder holds none of the volumes.
    """
    results: list[dict] = []
    seconds: list[float] = []
    for group, name, volume, truth, turns in _cases(arguments.data, tuple(arguments.maps)):
        report(on_progress, 0.5, name)
        for turn in turns:
            found, spent = _look(volume, turn)
            seconds.append(spent)
            results.append({"group": group, "volume": name, "turned": turn, "truth": truth, "found": found})
    if not results:
        raise InputError(f"{arguments.data} was expected to hold labelmaps/, brain/ or others of the test data.")
    command = f"meddl evaluate recognition --data DATA --maps {arguments.maps[0]} {arguments.maps[1]}"
    scores = scores_of(results)
    arguments.out.mkdir(parents=True, exist_ok=True)
    content = {"command": command, "median_seconds": float(np.median(seconds)), "scores": [asdict(s) for s in scores],
               "volumes": [{**one, "truth": one["truth"]._asdict(), "found": asdict(one["found"])} for one in results]}
    (arguments.out / "recognition.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    table = arguments.out / "recognition.md"
    table.write_text(markdown(scores), encoding="utf-8")
    if arguments.update_card:
        _update_card(scores, command)
    return table


def scores_of(results: list[dict]) -> list[Score]:
    """The scores of results {"group", "turned", "truth", "found"}, by group and question."""
    scores: list[Score] = []
    for group in dict.fromkeys(one["group"] for one in results):
        own = [one for one in results if one["group"] == group]
        straight = [(one["truth"], one["found"]) for one in own if one["turned"] == 0]
        scores += _score_pairs(group, "body region", ((t.region, f.region) for t, f in straight))
        scores += _score_pairs(group, "contrast", (("CT" if t.contrast == "CT" else t.contrast, f.contrast)
                                              for t, f in straight))
        scores += _score_pairs(group, "stripped", ((t.stripped, f.stripped) for t, f in straight if t.region == "head"))
        heads = [one for one in own if one["truth"].region == "head"]
        scores += _score_pairs(group, "axes, upright", ((0, one["found"].turn) for one in heads if one["turned"] == 0))
        scores += _score_pairs(group, "axes, turned",
                               ((one["turned"], one["found"].turn) for one in heads if one["turned"]))
    return scores


def markdown(scores: list[Score]) -> str:
    """A table with a row for each score."""
    lines = ["| volumes | question | right | wrong | unknown |", "|---|---|---:|---:|---:|"]
    lines += [f"| {s.volumes} | {s.question} | {s.right} | {s.wrong} | {s.unknown} |" for s in scores]
    return "\n".join(lines) + "\n"


def _score_pairs(volumes: str, question: str, pairs: Iterable[tuple]) -> list[Score]:
    """The score of pairs of truth (None: it does not count) and what was found (None or "unknown": it is unknown)."""
    known = [(truth, None if found == UNKNOWN else found) for truth, found in pairs if truth is not None]
    if not known:
        return []
    right = sum(found == truth for truth, found in known)
    unknown = sum(found is None for _, found in known)
    return [Score(volumes, question, right, len(known) - right - unknown, unknown)]


def _look(volume: Volume, turn: int) -> tuple[Recognition, float]:
    """What is said of a volume whose data are turned under its header, and seconds."""
    from meddl.recognition.recognize import recognize

    start = time.perf_counter()
    return recognize(turn_volume(volume, turn)), time.perf_counter() - start


def turn_volume(volume: Volume, turn: int) -> Volume:
    """The volume as it looks under a header whose axes are exchanged or reversed: a row of `orientations.TURNS`."""
    from meddl.recognition.orientations import TURNS

    order, flips = TURNS[turn]
    straight = volume.reorient("RAS")
    data = straight.data.transpose(0, *(1 + axis for axis in order))
    data = data[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in flips))]
    return Volume(data, np.diag([*straight.spacing_mm[list(order)], 1.0]))


def _cases(data: Path, maps: tuple[int, int]) -> Iterator[tuple[str, str, Volume, Truth, Iterable[int]]]:
    """Group, name, volume, truth, and the turns that it is looked at in."""
    from meddl.io import load

    rng = np.random.default_rng(_SEED)
    if (data / "labelmaps").is_dir():
        for name, volume, truth in _synthetic_heads(data / "labelmaps", maps):
            yield "synthetic heads", name, volume, truth, (0, *_some_turns(rng))
    for name, truth in REAL.items():
        if (data / name).is_file():
            volume = load(data / name, "all")
            head = truth.region == "head"
            turns = (0, *_some_turns(rng)) if head else (0,)
            yield "real heads" if head else "real volumes of no head", name, volume, truth, turns
    for file in sorted((data / _CROPS).glob("*.nii.gz"))[:40]:
        yield "real crops of 35 mm", file.name, load(file), Truth("none of these", "none of these"), (0,)


def _some_turns(rng: np.random.Generator) -> list[int]:
    return rng.choice(np.arange(1, 24), _TURNS, replace=False).tolist()


def _synthetic_heads(folder: Path, maps: tuple[int, int]) -> Iterator[tuple[str, Volume, Truth]]:
    from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps
    from meddl.synthesis.contrasts import CONTRASTS, contrast_of_image

    heads = load_label_maps(folder, *maps)
    for number, contrast in enumerate((*CONTRASTS, _NONE)):
        for stripped in (False, True):
            known = contrast in CONTRASTS
            config = SynthesisConfig(spacing_mm=_SPACING_MM, shape=(_VOXELS,) * 3, crop_fraction=0.6, gamma_sd=0.15,
                                     dark_background_probability=0.85, prior_probability=float(known),
                                     stripped_probability=float(stripped))
            generator = HeadGenerator(heads, config, _SEED + 2 * number + stripped, (contrast,) if known else CONTRASTS)
            for n in range(_EACH):
                batch = generator.sample(1)
                shown = np.nonzero(batch.seen[0].numpy())
                box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in shown)
                image = batch.images[0, 0].numpy()[box]
                seen = contrast_of_image(image, heads.table.labels[batch.rows[0].numpy()[box]]) or _NONE
                yield (f"{contrast}, {'stripped' if stripped else 'whole'}, {n}",
                       Volume.scalar(1000 * image, np.diag([_SPACING_MM] * 3 + [1.0])),
                       Truth("head", contrast if contrast == "CT" else seen, stripped))


def _update_card(scores: list[Score], command: str) -> None:
    """Write the figures into the card of the model that ships."""
    from meddl.models.store.store import ModelStore
    from meddl.recognition.recognize import MODEL

    place = ModelStore().folder(MODEL) / "card.json"
    content = json.loads(place.read_text(encoding="utf-8"))
    sha256 = content["weights"]["sha256"]
    content["accuracy"] = [one for one in content["accuracy"] if "evaluate" not in one["command"]]
    for score in scores:
        count = score.right + score.wrong + score.unknown
        for metric, value in (("right", score.right), ("wrong", score.wrong)):
            content["accuracy"].append({
                "case": score.volumes, "structure": score.question, "metric": f"fraction {metric} of {count}",
                "value": round(value / count, 4), "command": command, "sha256": sha256})
    place.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
