"""The commands that work on volumes: segment, register, superres."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.options import add_config_options, config_from
from meddl.cli.terminal import TerminalProgress, check_output, finish
from meddl.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.errors import InputError

_TRANSFORM_SUFFIXES = (".h5", ".tfm", ".txt")


# --- segment ---


def fill_segment(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl segment`."""
    _add_input(parser, "input", "the volume")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="label map (.nii.gz, .nii, .nrrd, .mha) or Slicer segmentation (.seg.nrrd)")
    parser.add_argument("--model", default="brain", help="see `meddl models list` (default: brain)")
    parser.add_argument("--confidence", dest="confidence_map", metavar="FILE", type=Path,
                        help="also write the probability of the chosen label at each voxel here")
    parser.add_argument("--accept-license", action="store_true",
                        help="accept the license of the model's weights; needed once for a model that you installed")
    add_config_options(parser, SegmentConfig, skip=("confidence",))
    _add_common(parser)
    parser.set_defaults(function=_segment)


def _segment(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.io.files import WRITABLE
    from meddl.models.store import ModelStore
    from meddl.volume import Volume

    check_output(arguments.output, (".seg.nrrd", *WRITABLE))
    check_output(arguments.confidence_map, WRITABLE)
    check_output(arguments.report, (".json",))
    store = ModelStore()
    _ask_license(store, arguments.model, arguments.accept_license)
    config = config_from(arguments, SegmentConfig, confidence=arguments.confidence_map is not None)
    result = meddl.segment(_load(arguments), arguments.model, config, device=arguments.device, on_progress=progress)
    meddl.save_segmentation(result, arguments.output)
    if arguments.confidence_map is not None:
        meddl.save(Volume.scalar(result.confidence, result.affine), arguments.confidence_map)
    found = sum(1 for volume_ml in result.report.get("volumes_ml", {}).values() if volume_ml > 0)
    finish(arguments, progress, result.report, f"{found} structures")


def _ask_license(store, identifier: str, accepted: bool) -> None:
    """Nothing where the license was accepted before or is now; else an error that shows it."""
    card = store.card(identifier)
    if store.license_accepted(identifier):
        return
    if accepted:
        store.accept_license(identifier)
        return
    where = f" ({card.license.url})" if card.license.url else ""
    raise InputError(f"The weights of '{identifier}' are licensed under {card.license.weights}{where}. "
                     "If you accept that, give --accept-license once.")


# --- register ---


def fill_register(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl register`."""
    _add_input(parser, "fixed", "the volume that stays", "fixed-")
    _add_input(parser, "moving", "the volume that is brought to it", "moving-")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path,
                        help="the moving volume on the fixed one's grid (.nii.gz, .nii, .nrrd, .mha)")
    parser.add_argument("--transform", dest="transform_file", metavar="FILE", type=Path,
                        help="the map from fixed to moving points, as ITK and Slicer read it (.h5, .tfm, .txt)")
    parser.add_argument("--interpolation", choices=("linear", "nearest", "cubic"), default="linear",
                        help="how OUT is sampled; nearest for label maps (default: linear)")
    add_config_options(parser, RegisterConfig)
    _add_common(parser)
    parser.set_defaults(function=_register)


def _register(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.io.files import WRITABLE
    from meddl.progress import span

    if arguments.output is None and arguments.transform_file is None:
        raise InputError("Nothing would be written. Give -o OUT, --transform FILE or both.")
    check_output(arguments.output, WRITABLE)
    check_output(arguments.transform_file, _TRANSFORM_SUFFIXES)
    check_output(arguments.report, (".json",))
    fixed, moving = _load(arguments, "fixed", "fixed_"), _load(arguments, "moving", "moving_")
    result = meddl.register(fixed, moving, config_from(arguments, RegisterConfig), device=arguments.device,
                            on_progress=span(progress, 0.0, 0.95))
    if arguments.output is not None:
        progress(0.95, "Resampling the moving volume")
        meddl.save(result.warp(moving, arguments.interpolation), arguments.output)
    if arguments.transform_file is not None:
        result.save(arguments.transform_file)
    metric = result.report["metric"]
    before = "none" if metric["before"] is None else f"{metric['before']:.4f}"
    finish(arguments, progress, {**result.report, "affine": result.affine.tolist()},
            f"{metric['name']} {before} -> {metric['after']:.4f}")


# --- superres ---


def fill_superres(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl superres`."""
    _add_input(parser, "input", "the volume")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the sharper volume (.nii.gz, .nii, .nrrd, .mha)")
    add_config_options(parser, SuperResolveConfig)
    _add_common(parser)
    parser.set_defaults(function=_superres)


def _superres(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.io.files import WRITABLE

    check_output(arguments.output, WRITABLE)
    check_output(arguments.report, (".json",))
    result = meddl.super_resolve(_load(arguments), config_from(arguments, SuperResolveConfig), device=arguments.device,
                                 on_progress=progress)
    meddl.save(result.volume, arguments.output)
    after = " x ".join(f"{size:.3g}" for size in result.volume.spacing_mm)
    finish(arguments, progress, result.report, f"voxels of {after} mm")


# --- what they share ---


def _add_input(parser: argparse.ArgumentParser, name: str, text: str, prefix: str = "") -> None:
    """A volume to read, and which part of it: `meddl.load`'s arguments."""
    parser.add_argument(name, metavar=name.upper(), type=Path,
                        help=f"{text}: NIfTI, NRRD, MetaImage, or a folder with a DICOM series")
    parser.add_argument(f"--{prefix}component", metavar="N", type=int, default=None,
                        help=f"which time point or component of {name.upper()}, from 0, where it has several")
    parser.add_argument(f"--{prefix}series", metavar="S", default=None,
                        help=f"which series of the DICOM folder {name.upper()}: its UID, or its place from 0")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--report", metavar="FILE.json", type=Path, help="write what was done and measured here")


def _load(arguments: argparse.Namespace, name: str = "input", prefix: str = ""):
    series = getattr(arguments, f"{prefix}series")
    if series is not None and series.isdecimal():
        series = int(series)
    return meddl.load(getattr(arguments, name), getattr(arguments, f"{prefix}component"), series)
