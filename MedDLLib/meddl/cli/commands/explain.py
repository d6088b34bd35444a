"""The command that shows what a structure of a segmentation depends on."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.commands.segment import ask_license, read_channels, read_roi, run_in_worker_if_program
from meddl.cli.inputs import add_common, add_volume
from meddl.cli.options import add_config_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.core.config import SegmentConfig
from meddl.explanation.config import ExplainConfig


def fill_explain(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl explain`."""
    add_volume(parser, "input", "the volume; several are the channels of one case, in the model's order", nargs="+")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the map on the grid of INPUT, 0 to 1 (.nii.gz, .nii, .nrrd, .mha)")
    parser.add_argument("--structure", metavar="NAME", required=True,
                        help="what is explained: the name or label value of a structure; several, separated by commas, "
                        "are explained as one")
    parser.add_argument("--model", default="brain", help="see `meddl models list` (default: brain)")
    parser.add_argument("--channel", metavar="NAME=FILE", action="append", default=[],
                        help="a further channel of a model that takes several, by its name")
    parser.add_argument("--region", metavar="FILE|R,A,S,R,A,S", help="where parts are hidden, of the method occlusion: "
                        "a label map, or the lowest and the highest corner of a box in RAS mm (default: the body)")
    parser.add_argument("--accept-license", action="store_true",
                        help="accept the license of the model's weights; needed once for a model that you installed")
    add_config_options(parser, ExplainConfig)
    add_config_options(parser, SegmentConfig, skip=("confidence", "structures"), title="options of the segmentation")
    add_common(parser, inputs=("input", "channel", "region"), options=("model", "structure", "component"),
               precision=True)
    parser.set_defaults(function=_explain)


def _explain(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.io import load_header
    from meddl.io.files import WRITABLE
    from meddl.models.store.store import ModelStore

    check_outputs(arguments, ((arguments.output, WRITABLE),))
    ask_license(ModelStore(), arguments.model, arguments.accept_license)
    volume, others = read_channels(arguments)
    explain = config_from(arguments, ExplainConfig)
    found = run_in_worker_if_program(
        arguments.model, "meddl.explanation.explain:explain", volume, arguments.model, arguments.structure,
        explain, config_from(arguments, SegmentConfig), others=others,
        region=read_roi(arguments.region, "--region"), device=arguments.device, on_progress=progress)
    meddl.save(found.map, arguments.output, header=load_header(arguments.input[0]).of_other_values())
    finish(arguments, progress, {**found.report, "reading": found.reading}, found.reading,
           config=explain, models=(arguments.model,))
