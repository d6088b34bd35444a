"""The command `meddl inpaint`: masked voxels of a volume or series filled, and the mask of what was synthesized."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common, add_volume, series_of
from meddl.cli.options import add_config_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.inpainting.config import InpaintConfig

_MARK = "-synthesized"


def fill_inpaint(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl inpaint`."""
    add_volume(parser, "input", "the volume or series to repair")
    parser.add_argument("--mask", metavar="MASK", type=Path, required=True,
                        help="a mask or label map, on any grid: its nonzero voxels are filled")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the filled volume (.nii.gz, .nii, .nrrd, .mha)")
    parser.add_argument("--filled", metavar="FILE", type=Path,
                        help=f"the mask of the synthesized voxels (default: the name of OUT with {_MARK})")
    add_config_options(parser, InpaintConfig)
    add_common(parser, inputs=("input", "mask"), options=("component",))
    parser.set_defaults(function=_inpaint)


def _inpaint(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.io import load_header, save_like
    from meddl.io.files import WRITABLE

    if arguments.filled is None:
        arguments.filled = _beside(arguments.output, WRITABLE)
    check_outputs(arguments, ((arguments.output, WRITABLE), (arguments.filled, WRITABLE)))
    config = config_from(arguments, InpaintConfig)
    component = "all" if arguments.component is None else arguments.component
    volume, header = meddl.load(arguments.input, component, series_of(arguments)), load_header(arguments.input)
    result = meddl.inpaint(volume, arguments.mask, config, device=arguments.device, on_progress=progress)
    save_like(result.volume, arguments.output, arguments.input, header)
    save_like(result.filled, arguments.filled, arguments.input, header.of_other_values())
    finish(arguments, progress, result.report, f"{result.report['filled_voxels']} voxels "
           f"({result.report['filled_ml']:.3g} ml) synthesized, method {result.report['method']}", config=config)


def _beside(path: Path, suffixes: tuple[str, ...]) -> Path:
    """The name of a file with a mark before its suffix."""
    suffix = next((one for one in suffixes if path.name.lower().endswith(one)), path.suffix)
    return path.with_name(f"{path.name[:len(path.name) - len(suffix)]}{_MARK}{suffix}")
