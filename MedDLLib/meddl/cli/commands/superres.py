"""The command of super-resolution and denoising."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.folders import add_folder_options, names_folder, refuse, refuse_folder_options, run_folder
from meddl.cli.inputs import add_common, add_volume, load_volume, series_of
from meddl.cli.options import add_config_options, add_uncertainty_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.core.config import SuperResolveConfig
from meddl.uncertainty.config import UncertaintyConfig


def fill_superres(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl superres`."""
    add_volume(parser, "input", "the volume; several with a folder as OUT, or stacks of one subject in "
               "different directions, which become one volume", nargs="+")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the result (.nii.gz, .nii, .nrrd, .mha); or a folder, for all volumes and DICOM series "
                        "that INPUT, a folder, holds")
    parser.add_argument("--reference", metavar="TRUTH", type=Path,
                        help="a high-resolution reference, if there is one: the report states PSNR, SSIM and NRMSE")
    parser.add_argument("--difference", metavar="FILE", type=Path,
                        help="also write the texture that the method srgan synthesized, in units of the noise")
    parser.add_argument("--residual", metavar="FILE", type=Path,
                        help="also write the result acquired again less the measured slices, on their grid")
    add_folder_options(parser, (".nii.gz", ".nii", ".nrrd", ".mha"))
    add_config_options(parser, SuperResolveConfig)
    add_uncertainty_options(parser, "the standard deviation of OUT over runs on noisy, mirrored copies of INPUT",
                            skip=("measure", "shift_voxels", "gamma"))
    add_common(parser, inputs=("input", "reference"), options=("component",))
    parser.set_defaults(function=_superres)


def _superres(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    if names_folder(arguments.output):
        refuse(arguments, {"reference": "--reference", "difference": "--difference", "residual": "--residual",
                           "uncertainty": "--uncertainty", "component": "--component", "series": "--series"},
               f"is for one volume; '{arguments.output}' is a folder")
        return run_folder(arguments, progress, meddl.super_resolve_many, config_from(arguments, SuperResolveConfig),
                          sources=arguments.input)
    refuse_folder_options(arguments)
    if len(arguments.input) > 1:
        return _stacks(arguments, progress)
    arguments.input = arguments.input[0]
    return _one(arguments, progress)


def _one(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    from meddl.io import load_header
    from meddl.io.files import WRITABLE
    from meddl.superres.acquisition.stated_thickness import with_stated_thickness

    check_outputs(arguments, ((arguments.output, WRITABLE), (arguments.difference, WRITABLE),
                              (arguments.residual, WRITABLE), (arguments.uncertainty, WRITABLE)))
    volume, header = load_volume(arguments), load_header(arguments.input)
    config = with_stated_thickness(config_from(arguments, SuperResolveConfig), volume, arguments.input,
                                   series_of(arguments))
    reference = None if arguments.reference is None else meddl.load(arguments.reference)
    figures = {}
    if arguments.uncertainty is not None:
        result, uncertainty = meddl.super_resolve_with_uncertainty(
            volume, config, config_from(arguments, UncertaintyConfig), reference=reference, device=arguments.device,
            on_progress=progress)
        meddl.save(uncertainty.map, arguments.uncertainty, header=header.of_other_values())
        figures = {"uncertainty": {"reading": uncertainty.reading, **uncertainty.report}}
    else:
        result = meddl.super_resolve(volume, config, reference=reference, residual=arguments.residual is not None,
                                     device=arguments.device, on_progress=progress)
    meddl.save(result.volume, arguments.output, header=header)
    for made, path in ((result.difference, arguments.difference), (result.residual, arguments.residual)):
        if path is not None and made is not None:
            meddl.save(made, path, header=header.of_other_values())
    _finish(arguments, progress, result, figures, volume, config)
    return 0


def _stacks(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    """Several stacks of one subject: one volume."""
    from meddl.io import load_header
    from meddl.io.files import WRITABLE
    from meddl.superres.acquisition.stated_thickness import with_stated_thickness

    refuse(arguments, {"difference": "--difference", "residual": "--residual", "uncertainty": "--uncertainty",
                       "component": "--component", "series": "--series"},
           f"is for one volume; {len(arguments.input)} stacks become '{arguments.output.name}'")
    check_outputs(arguments, ((arguments.output, WRITABLE),))
    volumes, given = [meddl.load(path) for path in arguments.input], config_from(arguments, SuperResolveConfig)
    configs = [with_stated_thickness(given, volume, path)
               for volume, path in zip(volumes, arguments.input, strict=True)]
    reference = None if arguments.reference is None else meddl.load(arguments.reference)
    result = meddl.super_resolve(volumes, configs, reference=reference, device=arguments.device, on_progress=progress)
    meddl.save(result.volume, arguments.output, header=load_header(arguments.input[0]))
    _finish(arguments, progress, result, {}, volumes[0], given)
    return 0


def _finish(arguments: argparse.Namespace, progress: TerminalProgress, result: "meddl.SuperResolution", figures: dict,
            volume: "meddl.Volume", config: SuperResolveConfig) -> None:
    """The report, and a line about the result."""
    from meddl.reports.figures import superres_figures

    after = " x ".join(f"{size:.3g}" for size in result.volume.spacing_mm)
    quality = "" if result.report.get("psnr_db") is None else f", {result.report['psnr_db']:.2f} dB to the reference"
    stacks = f"{len(result.report['stacks'])} stacks, " if "stacks" in result.report else ""
    finish(arguments, progress, {**result.report, **figures},
           f"{stacks}{result.report['method']}, voxels of {after} mm{quality}",
           config=config, models=tuple(result.report.get("model", "").split()[:1]),
           figures=lambda: superres_figures(volume, result.volume, result.report))
