"""The command of contrast synthesis."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common, add_volume, load_volume
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.contrast_synthesis.contrasts import TARGETS


def fill_synthesize(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl synthesize`."""
    add_volume(parser, "input", "a head of MR, of any contrast")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the synthesized volume (.nii.gz, .nii, .nrrd, .mha): synthesized, not measured")
    parser.add_argument("--contrast", choices=tuple(TARGETS), default="t2", help="contrast to synthesize (default: t2)")
    add_common(parser, inputs=("input",), options=("component", "contrast"))
    parser.set_defaults(function=_synthesize)


def _synthesize(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    from meddl.io import load_header
    from meddl.io.files import WRITABLE

    check_outputs(arguments, ((arguments.output, WRITABLE),))
    volume, header = load_volume(arguments), load_header(arguments.input)
    result = meddl.synthesize_contrast(volume, arguments.contrast, device=arguments.device, on_progress=progress)
    meddl.save(result.volume, arguments.output, header=header.of_other_values())
    finish(arguments, progress, result.report, f"{result.report['contrast']}, invented",
           models=tuple(result.report["model"].split()[:1]))
    return 0
