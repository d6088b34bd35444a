"""`meddl landmarks`: landmarks of a head, or of a model of one's own, as points, and AC-PC alignment as a transform."""

import argparse
import json
import warnings
from pathlib import Path

import meddl
from meddl.cli.commands.segment import ask_license
from meddl.cli.terminal import check_outputs
from meddl.core.errors import FileWarning
from meddl.core.progress import ProgressCallback

_POINTS, _TRANSFORMS = (".json", ".csv"), (".h5", ".tfm", ".txt", ".mat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("input", metavar="FILE", type=Path,
                        help="a head, or what the model is for: NIfTI, NRRD, MetaImage, or DICOM: a folder, or a file "
                        "of a series")
    parser.add_argument("--model", default="brain",
                        help="a model of yours, from `meddl train landmarks` (default: brain, landmarks of the brain)")
    parser.add_argument("--accept-license", action="store_true",
                        help="accept the license of the model's weights; needed once for a model that you installed")
    parser.add_argument("-o", "--output", metavar="POINTS", type=Path,
                        help="the points, and boxes as ROIs: .mrk.json, Slicer's markups; or points as .csv in RAS mm")
    parser.add_argument("--align", metavar="TRANSFORM", type=Path,
                        help="the AC-PC alignment: a rigid transform for ITK and Slicer (.h5, .tfm); the head under it "
                        "has AC at the origin and PC straight behind it")
    parser.add_argument("--component", metavar="N", type=int, default=None,
                        help="which time point, echo, b-value or component to look at, from 0")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--json", action="store_true", help="print points and report as JSON")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> str:
    """Find and write them; gives what is to be printed.

    Raises:
        InputError: as of `check_outputs` and `find_landmarks`.
    """
    from meddl.landmarks.find import find_landmarks
    from meddl.models.store.store import ModelStore

    check_outputs(arguments, ((arguments.output, _POINTS), (arguments.align, _TRANSFORMS)))
    ask_license(ModelStore(), arguments.model, arguments.accept_license)
    found = find_landmarks(meddl.load(arguments.input, component=arguments.component), model=arguments.model,
                           device=arguments.device, on_progress=on_progress)
    if arguments.align is not None:
        found.alignment.save(arguments.align)
    if arguments.output is not None:
        found.save(arguments.output)
    rows = list(zip(found.points.labels, found.points.positions.round(2).tolist(), found.confidence, strict=True))
    boxes = list(zip(found.boxes.labels, found.boxes.centers.round(2).tolist(), found.boxes.sizes.round(2).tolist(),
                     found.box_confidence, strict=True))
    if arguments.json:
        points = [{"label": label, "position_ras_mm": position, "confidence": sure} for label, position, sure in rows]
        rois = [{"label": label, "center_ras_mm": center, "size_mm": size, "confidence": sure}
                for label, center, size, sure in boxes]
        return json.dumps({"points": points, **({"boxes": rois} if rois else {}), **found.report}, indent=1)
    for text in found.report["warnings"]:
        warnings.warn(text, FileWarning, stacklevel=2)
    lines = [f"{label:<18}{_numbers(position)} mm   confidence {sure:.2f}" for label, position, sure in rows]
    lines += [f"{label:<18}{_numbers(center)} mm   size{_numbers(size)} mm   confidence {sure:.2f}"
              for label, center, size, sure in boxes]
    return "\n".join(lines)


def _numbers(values: list[float]) -> str:
    return "".join(f"{value:9.2f}" for value in values)
