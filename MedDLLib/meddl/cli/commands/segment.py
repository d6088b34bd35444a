"""The commands of segmentation: of one volume, of all channels of a case, of a series, or of whole folders; and from a
few painted slices."""

import argparse
import importlib
from pathlib import Path

import meddl
from meddl.cli.folders import add_folder_options, names_folder, refuse, refuse_folder_options, run_folder
from meddl.cli.inputs import add_common, add_volume, load_volume, series_of
from meddl.cli.options import add_config_options, add_uncertainty_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.core.config import LABEL_SUFFIXES, SegmentConfig
from meddl.core.errors import GeometryError, InputError
from meddl.painting.config import PaintConfig
from meddl.uncertainty.config import UncertaintyConfig


def fill_segment(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl segment`."""
    add_volume(parser, "input", "the volume; several are the channels of one case, in the model's order, or with a "
               "folder as OUT as many cases", nargs="+")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="label map (.nii.gz, .nii, .nrrd, .mha) or Slicer segmentation (.seg.nrrd); or a folder, "
                        "for all volumes and DICOM series that INPUT, a folder, holds")
    parser.add_argument("--model", default="brain", help="see `meddl models list` (default: brain)")
    parser.add_argument("--channel", metavar="NAME=FILE", action="append", default=[],
                        help="a further channel of a model that takes several, by its name; the labels lie on INPUT")
    parser.add_argument("--synthesize-missing", action="store_true",
                        help="synthesize the channels of T1, T2 or FLAIR that were not given from INPUT, which is then "
                        "the first channel that no --channel names: not measured")
    parser.add_argument("--roi", metavar="FILE|R,A,S,R,A,S", help="region of interest, outside of which labels are "
                        "background: a label map, or the lowest and the highest corner of a box in RAS mm")
    parser.add_argument("--frames", action="store_true", help="segment each time point of a 4D file by itself")
    parser.add_argument("--smooth", action="store_true", help="with --frames: smooth the labels in time where the "
                        "images do not change")
    parser.add_argument("--confidence", dest="confidence_map", metavar="FILE", type=Path,
                        help="also write the probability of the label at each voxel to this file")
    parser.add_argument("--accept-license", action="store_true",
                        help="accept the license of the model's weights; needed once for a model that you installed")
    add_folder_options(parser, LABEL_SUFFIXES)
    add_config_options(parser, SegmentConfig, skip=("confidence",))
    add_uncertainty_options(parser, "where the labels differ over runs on perturbed copies of INPUT")
    add_common(parser, inputs=("input", "channel", "roi"), precision=True,
               options=("model", "component", "frames", "smooth", "synthesize_missing"))
    parser.set_defaults(function=_segment)


def fill_paint(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl paint`."""
    add_volume(parser, "input", "the volume")
    parser.add_argument("strokes", metavar="STROKES", type=Path, help="what is painted in a few slices of it: a Slicer "
                        "segmentation (.seg.nrrd) or a label map, on its grid")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="label map (.nii.gz, .nii, .nrrd, .mha) or Slicer segmentation (.seg.nrrd)")
    parser.add_argument("--confidence", dest="confidence_map", metavar="FILE", type=Path,
                        help="also write the probability of the label at each voxel to this file")
    add_config_options(parser, PaintConfig)
    add_common(parser, inputs=("input", "strokes"), options=("component",), device=False)
    parser.set_defaults(function=_paint, device="cpu")


def _paint(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    from meddl.io import load_header
    from meddl.io.files import WRITABLE
    from meddl.reports.figures import segment_figures
    from meddl.spatial.volume import Volume

    check_outputs(arguments, ((arguments.output, (".seg.nrrd", *WRITABLE)), (arguments.confidence_map, WRITABLE)))
    config = config_from(arguments, PaintConfig)
    volume, header = load_volume(arguments), load_header(arguments.input).of_other_values()
    result = meddl.segment_from_paint(volume, meddl.load_segmentation(arguments.strokes), config, on_progress=progress)
    meddl.save_segmentation(result, arguments.output, header)
    if arguments.confidence_map is not None:
        meddl.save(Volume.scalar(result.confidence, result.affine), arguments.confidence_map, header=header)
    finish(arguments, progress, result.report, f"{len(result.segments)} structures from {result.report['slices']} "
           "painted slices", config=config, figures=lambda: segment_figures(volume, result))
    return 0


def _segment(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    from meddl.models.store.store import ModelStore

    store = ModelStore()
    ask_license(store, arguments.model, arguments.accept_license)
    if names_folder(arguments.output):
        return _folder(arguments, progress)
    return _one(arguments, progress)


def _one(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    """A single case: INPUT and the further ones are its channels."""
    from meddl.core.progress import span
    from meddl.io import load_header
    from meddl.io.files import WRITABLE
    from meddl.reports.figures import segment_figures
    from meddl.spatial.volume import Volume

    check_outputs(arguments, ((arguments.output, WRITABLE if arguments.frames else (".seg.nrrd", *WRITABLE)),
                              (arguments.confidence_map, WRITABLE), (arguments.uncertainty, WRITABLE)))
    refuse_folder_options(arguments)
    if arguments.frames:
        return _frames(arguments, progress)
    refuse(arguments, {"smooth": "--smooth"}, "is for the time points of a series: give --frames too")
    config = config_from(arguments, SegmentConfig, confidence=arguments.confidence_map is not None)
    volume, others = read_channels(arguments)
    invented: tuple[str, ...] = ()
    if arguments.synthesize_missing:
        others, invented = meddl.complete_channels(volume, others, arguments.model, device=arguments.device,
                                                   on_progress=span(progress, 0.0, 0.3))
    header = load_header(arguments.input[0]).of_other_values()
    name, configs, figures = "meddl.segmentation.segment:segment", [config], {}
    if arguments.uncertainty is not None:
        name = "meddl.uncertainty.segmentation:segment_with_uncertainty"
        configs.append(config_from(arguments, UncertaintyConfig))
    result = run_in_worker_if_program(arguments.model, name, volume, arguments.model, *configs, others=others,
                                       roi=read_roi(arguments.roi), device=arguments.device,
                                       on_progress=span(progress, 0.3, 1.0) if invented else progress)
    if arguments.uncertainty is not None:
        result, uncertainty = result
        meddl.save(uncertainty.map, arguments.uncertainty, header=header)
        figures = {"uncertainty": {"reading": uncertainty.reading, **uncertainty.report}}
    meddl.save_segmentation(result, arguments.output, header)
    if arguments.confidence_map is not None and result.confidence is not None:
        meddl.save(Volume.scalar(result.confidence, result.affine), arguments.confidence_map, header=header)
    found = sum(1 for volume_ml in result.report.get("volumes_ml", {}).values() if volume_ml > 0)
    warnings = [*invented, *result.report.get("warnings", ())]
    finish(arguments, progress, {**result.report, **figures, "warnings": warnings}, f"{found} structures",
           config=config, models=(arguments.model,), figures=lambda: segment_figures(volume, result))
    return 0


def run_in_worker_if_program(model: str, target: str, *arguments, on_progress, **choices):
    """Call a function, "module:name": in a worker process where the model is a program, which only that may run."""
    from meddl.models.store.store import ModelStore
    from meddl.worker import Worker

    if any(spec.architecture == "TorchScriptNetwork" for spec in ModelStore().card(model).networks.values()):
        with Worker() as worker:
            return worker.call(target, *arguments, on_progress=on_progress, **choices)
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(*arguments, on_progress=on_progress, **choices)


def read_roi(text: str | None, option: str = "--roi"):
    """The region of interest: a mask volume or the corners of a box, (2, 3)."""
    import numpy as np

    from meddl.io import as_mask
    from meddl.io.files import suffix_of

    if text is None or Path(text).exists() or suffix_of(text):
        return None if text is None else as_mask(Path(text))
    try:
        return np.array([float(number) for number in text.split(",")]).reshape(2, 3)
    except ValueError as error:
        raise InputError(f"{option} is the file of a label map, or six numbers: the lowest R, A and S, then the "
                         f"highest, in mm; got '{text}'. Where the first number is negative, write {option}={text}."
                         ) from error


def read_channels(arguments: argparse.Namespace) -> tuple:
    """The first volume, and the others in the model's order or by name."""
    from meddl.io import frame_of_reference
    from meddl.models.store.store import ModelStore

    named = {}
    for text in arguments.channel:
        name, equals, file = text.partition("=")
        if not equals or not name or not file or name in named:
            raise InputError(f"A channel is given as NAME=FILE, each name once; got '{text}'.")
        named[name] = Path(file)
    if named and len(arguments.input) > 1:
        raise InputError("Give the further channels either in the model's order after INPUT, or all by --channel.")
    first, *more = arguments.input
    files = list(named.values()) or more
    if not files:
        channels = ModelStore().card(arguments.model).channel_names
        if len(channels) > 1 and arguments.component is None:
            return meddl.load(first, "all", series_of(arguments)), ()
        return meddl.load(first, arguments.component, series_of(arguments)), ()
    space = frame_of_reference(first, series_of(arguments))
    for file in files:
        other = frame_of_reference(file)
        if space and other and other != space:
            raise GeometryError(f"'{first}' and '{file}' lie in different frames of reference (DICOM): their voxels "
                                "cannot be compared. Register one to the other with `meddl register` before.")
    volumes = [meddl.load(file) for file in files]
    reference = meddl.load(first, arguments.component, series_of(arguments))
    return reference, dict(zip(named, volumes, strict=True)) if named else volumes


def _frames(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    """Each time point of a series."""
    import numpy as np

    from meddl.core.progress import span
    from meddl.io import load_header, save_series, time_step
    from meddl.spatial.volume import Volume

    refuse(arguments, {"confidence_map": "--confidence", "uncertainty": "--uncertainty", "channel": "--channel",
                       "component": "--component", "synthesize_missing": "--synthesize-missing"},
           "cannot be given with --frames")
    config = config_from(arguments, SegmentConfig)
    series = [meddl.load(file, "all", series_of(arguments)) for file in arguments.input]
    found = meddl.segment_series(series[0], arguments.model, config, others=series[1:],
                                 roi=read_roi(arguments.roi), device=arguments.device,
                                 on_progress=span(progress, 0.0, 0.9) if arguments.smooth else progress)
    if arguments.smooth:
        found = meddl.smooth_labels(series[0], found, device=arguments.device, on_progress=span(progress, 0.9, 1.0))
    save_series(Volume(np.stack([one.labels for one in found]), series[0].affine), arguments.output,
                time_step(arguments.input[0]) if arguments.input[0].is_file() else 1.0,
                header=load_header(arguments.input[0]).of_other_values())
    seconds = sum(sum(one.report["seconds"].values()) for one in found)
    finish(arguments, progress, {
        "model": arguments.model, "device": found[0].report["device"], "seconds": {"total": seconds},
        "warnings": [f"Frame {number}: {text}" for number, one in enumerate(found) for text in one.report["warnings"]],
        "frames": [one.report for one in found]}, f"{len(found)} time points", config=config,
        models=(arguments.model,))
    return 0


def _folder(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    """Many cases, one table."""
    refuse(arguments, {"confidence_map": "--confidence", "uncertainty": "--uncertainty", "channel": "--channel",
                       "component": "--component", "roi": "--roi", "series": "--series", "smooth": "--smooth",
                       "synthesize_missing": "--synthesize-missing"},
           f"is for one volume; '{arguments.output}' is a folder")
    return run_folder(arguments, progress, meddl.segment_many, config_from(arguments, SegmentConfig),
                      (arguments.model,), sources=arguments.input, model=arguments.model, frames=arguments.frames)


def ask_license(store, identifier: str, accepted: bool) -> None:
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
