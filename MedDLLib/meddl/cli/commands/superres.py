"""The command of super-resolution and denoising."""

import argparse
from dataclasses import replace
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common, add_volume, load_volume, series_of
from meddl.cli.options import add_config_options, add_uncertainty_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.core.config import SuperResolveConfig
from meddl.uncertainty.config import UncertaintyConfig


def fill_superres(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl superres`."""
    add_volume(parser, "input", "the volume")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the result (.nii.gz, .nii, .nrrd, .mha)")
    parser.add_argument("--reference", metavar="TRUTH", type=Path,
                        help="a high-resolution reference, if there is one: the report states PSNR, SSIM and NRMSE")
    parser.add_argument("--difference", metavar="FILE", type=Path,
                        help="also write the texture that the method srgan synthesized, in units of the noise")
    parser.add_argument("--residual", metavar="FILE", type=Path,
                        help="also write the result acquired again less the measured slices, on their grid")
    add_config_options(parser, SuperResolveConfig)
    add_uncertainty_options(parser, "the standard deviation of OUT over runs on noisy, mirrored copies of INPUT",
                            skip=("measure", "shift_voxels", "gamma"))
    add_common(parser, inputs=("input", "reference"), options=("component",))
    parser.set_defaults(function=_superres)


def _superres(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.io import load_header, slice_thickness_mm
    from meddl.io.files import WRITABLE
    from meddl.reports.figures import superres_figures

    check_outputs(arguments, ((arguments.output, WRITABLE), (arguments.difference, WRITABLE),
                              (arguments.residual, WRITABLE), (arguments.uncertainty, WRITABLE)))
    config = config_from(arguments, SuperResolveConfig)
    volume, header = load_volume(arguments), load_header(arguments.input)
    along_slices = volume.spacing_mm.argmax() == 2 if config.axis is None else config.axis == 2
    if config.thickness_mm is None and along_slices:
        config = replace(config, thickness_mm=slice_thickness_mm(arguments.input, series_of(arguments)))
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
    after = " x ".join(f"{size:.3g}" for size in result.volume.spacing_mm)
    quality = "" if result.report.get("psnr_db") is None else f", {result.report['psnr_db']:.2f} dB to the reference"
    finish(arguments, progress, {**result.report, **figures},
           f"{result.report['method']}, voxels of {after} mm{quality}",
           config=config, models=tuple(result.report.get("model", "").split()[:1]),
           figures=lambda: superres_figures(volume, result.volume, result.report))
