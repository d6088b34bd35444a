"""The command that builds a template of several volumes."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common
from meddl.cli.options import add_config_options, add_field_tolerance, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_new_folder, check_outputs
from meddl.core.config import INTERPOLATIONS, REGISTER_PRESETS, TEMPLATE_ROUNDS, RegisterConfig
from meddl.core.errors import InputError


def fill_template(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl template`."""
    parser.add_argument("inputs", metavar="VOLUME", type=Path, nargs="+",
                        help="volumes of one modality: NIfTI, NRRD, MetaImage, or a folder with a DICOM series")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("-o", "--out", dest="output", metavar="FOLDER", type=Path, required=True,
                         help="a new or empty folder: template.nii.gz, and map-0001.h5 ..., the transforms from "
                              "points of the template to points of the volumes, in their order")
    outputs.add_argument("--warped", action="store_true",
                         help="also each volume on the template's grid: warped-0001.nii.gz, ...")
    add_field_tolerance(outputs)
    outputs.add_argument("--interpolation", choices=INTERPOLATIONS, default=INTERPOLATIONS[0],
                         help=f"interpolation of these (default: {INTERPOLATIONS[0]})")
    parser.add_argument("--rounds", metavar="N", type=int, default=TEMPLATE_ROUNDS,
                        help=f"number of rounds of registration to the mean (default: {TEMPLATE_ROUNDS})")
    add_config_options(parser, RegisterConfig)
    parser.epilog = "Where not given here, the choices are those of the preset Deformable."
    add_common(parser, inputs=("inputs",), options=("rounds", "interpolation"))
    parser.set_defaults(function=_template)


def _template(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.core.progress import report, span
    from meddl.io import VolumeHeader, load_header
    from meddl.io.files import replacing_folder

    check_new_folder(arguments.output)
    check_outputs(arguments, ())
    missing = [str(path) for path in arguments.inputs if not path.exists()]
    if missing:
        raise InputError(f"'{missing[0]}' does not exist.")
    config = config_from(arguments, RegisterConfig, REGISTER_PRESETS["Deformable"])
    volumes = [meddl.load(path) for path in arguments.inputs]
    result = meddl.build_template(volumes, config, rounds=arguments.rounds, device=arguments.device,
                                  on_progress=span(progress, 0.0, 0.95))
    with replacing_folder(arguments.output) as folder:
        meddl.save(result.image, folder / "template.nii.gz")
        for number, (found, volume) in enumerate(zip(result.maps, volumes, strict=True), start=1):
            report(progress, 0.95 + 0.05 * (number - 1) / len(volumes), "Writing the maps")
            found.save(folder / f"map-{number:04d}.h5", arguments.field_tolerance)
            if arguments.warped:
                warped = found.warp(volume, arguments.interpolation).astype(volume.data.dtype)
                header = load_header(arguments.inputs[number - 1]).in_space_of(VolumeHeader())
                meddl.save(warped, folder / f"warped-{number:04d}.nii.gz", header=header)
    finish(arguments, progress, result.report, _summary(result.report), config=config)


def _summary(report: dict) -> str:
    parts = [f"template of {report['volumes']} volume{'s' if report['volumes'] > 1 else ''}"]
    if report["rounds"]:
        parts.append(f"its shape moved by {report['rounds'][-1]['shape_change_mm']:.2f} mm in the last of "
                     f"{len(report['rounds'])} rounds")
    return ", ".join(parts)
