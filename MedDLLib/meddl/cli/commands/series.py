"""The commands of time series: their frames registered to one of them, and denoised."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common
from meddl.cli.options import add_config_options, add_field_tolerance, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_new_folder, check_outputs
from meddl.core.config import INTERPOLATIONS, REGISTER_PRESETS, RegisterConfig
from meddl.core.errors import InputError
from meddl.series.config import DenoiseSeriesConfig

_SERIES = "a 4D file (NIfTI, NRRD or MetaImage), or one with the frames as components"


def fill_series(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl register-series`."""
    parser.add_argument("input", metavar="SERIES", type=Path, help=_SERIES)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("-o", "--output", metavar="OUT", type=Path,
                         help="the corrected frames as a 4D file (.nii.gz, .nii, .nrrd, .mha)")
    outputs.add_argument("--transforms", dest="transform_file", metavar="FOLDER", type=Path,
                         help="a new or empty folder for the transforms from the reference to each frame: "
                         "frame-0000.h5, ...")
    outputs.add_argument("--transform", dest="transform_file", type=Path, help=argparse.SUPPRESS)  # short for these
    outputs.add_argument("--mean", dest="mean_file", metavar="FILE", type=Path,
                         help="the reference: the chosen frame, or the mean")
    add_field_tolerance(outputs)
    outputs.add_argument("--interpolation", choices=INTERPOLATIONS, default=INTERPOLATIONS[0],
                         help=f"interpolation of OUT (default: {INTERPOLATIONS[0]})")
    parser.add_argument("--reference", metavar="N|mean", type=_reference, default=0,
                        help="the frame to register to, from 0, or the mean of all (default: 0)")
    parser.add_argument("--mask", metavar="FILE", type=Path,
                        help="mask of the reference: only its nonzero voxels are compared; on any grid")
    add_config_options(parser, RegisterConfig)
    preset = REGISTER_PRESETS["Time series"]
    parser.epilog = ("Where not given here, the choices are those of the preset Time series: "
                     f"initialization {preset.initialization}, "
                     f"levels {', '.join(f'{level:g}' for level in preset.levels_mm)} mm.")
    add_common(parser, inputs=("input", "mask"), options=("reference", "interpolation"))
    parser.set_defaults(function=_register_series)


def fill_denoise_series(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl denoise-series`."""
    parser.add_argument("input", metavar="SERIES", type=Path, help=_SERIES)
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the denoised frames as a 4D file (.nii.gz, .nii, .nrrd, .mha)")
    add_config_options(parser, DenoiseSeriesConfig)
    add_common(parser, inputs=("input",))
    parser.set_defaults(function=_denoise_series)


def _denoise_series(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.io import load_header, save_series, time_step
    from meddl.io.files import WRITABLE

    check_outputs(arguments, ((arguments.output, WRITABLE),))
    config = config_from(arguments, DenoiseSeriesConfig)
    series, header = meddl.load(arguments.input, "all"), load_header(arguments.input)
    result = meddl.denoise_series(series, config, device=arguments.device, on_progress=progress)
    save_series(result.volume, arguments.output, time_step(arguments.input) if arguments.input.is_file() else 1.0,
                header=header)
    finish(arguments, progress, result.report, f"{len(result.volume.data)} frames, noise "
           f"{result.report['noise_sigma']:.4g}", config=config,
           models=tuple(model.split()[0] for model in result.report["models"]))


def _reference(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _register_series(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.core.progress import report, span
    from meddl.io import as_mask, load_header, save_series, time_step
    from meddl.io.files import WRITABLE

    _check(arguments, WRITABLE)
    config = config_from(arguments, RegisterConfig, REGISTER_PRESETS["Time series"])
    mask = None if arguments.mask is None else as_mask(arguments.mask)
    series, header = meddl.load(arguments.input, "all"), load_header(arguments.input)
    result = meddl.register_series(series, config, reference=arguments.reference,
                                   mask=mask, interpolation=arguments.interpolation, device=arguments.device,
                                   on_progress=span(progress, 0.0, 0.95))
    if arguments.output is not None:
        save_series(result.corrected.astype(series.data.dtype), arguments.output, time_step(arguments.input),
                    header=header)
    if arguments.mean_file is not None:
        meddl.save(result.reference, arguments.mean_file, header=header)
    if arguments.transform_file is not None:
        arguments.transform_file.mkdir(exist_ok=True)
        for number, frame in enumerate(result.frames):
            report(progress, 0.95 + 0.05 * number / len(result.frames), "Writing the transforms")
            frame.save(arguments.transform_file / f"frame-{number:04d}.h5", arguments.field_tolerance)
    affines = [frame.affine.tolist() for frame in result.frames]
    finish(arguments, progress, {**result.report, "affines": affines}, _summary(result.report),
           config=config)


def _check(arguments: argparse.Namespace, volumes: tuple[str, ...]) -> None:
    """Refuse before the work what could not be written after it."""
    folder = arguments.transform_file
    if arguments.output is None and folder is None and arguments.mean_file is None and arguments.report is None:
        raise InputError("Nothing would be written. Give -o OUT, --transforms FOLDER, --mean FILE or "
                         "--report FILE.json.")
    check_outputs(arguments, ((arguments.output, volumes), (arguments.mean_file, volumes)))
    if folder is not None:
        check_new_folder(folder)


def _summary(report: dict) -> str:
    steps = report["framewise_displacement_mm"]
    parts = [f"{len(steps)} frames", f"framewise displacement {max(steps):.2f} mm at most"]
    spread = report["temporal_sd"]
    if spread["before"] is not None:
        parts.append(f"temporal SD {spread['before']:.4g} -> {spread['after']:.4g}")
    return ", ".join(parts)
