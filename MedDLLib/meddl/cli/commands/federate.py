"""`meddl federate`: sites train one model together and exchange files of weights alone."""

import argparse
from pathlib import Path

from meddl.cli.options import add_config_options, config_from
from meddl.cli.terminal import TerminalProgress
from meddl.training.config import TrainConfig

_OF_START = ("network", "width", "patch_voxels", "seed", "ignore_value", "painted_slices", "patient", "license")
_NOT_OF_CONTRIBUTIONS = ("start", "network", "width", "license", "patch_voxels")


def fill_federate(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the actions of `meddl federate`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    start = actions.add_parser("start", help="write the common model of the first round, for all sites")
    _add_data(start, "to plan the network for; its weights are then random")
    start.add_argument("--from", dest="model", metavar="MODEL", help="instead of data: an installed model, or its "
                       "folder, whose network and weights the sites begin with")
    start.add_argument("--name", default="common model", help="what the model is called")
    start.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="a new folder")
    _add_config(start, [name for name in TrainConfig.__dataclass_fields__ if name not in _OF_START])
    start.set_defaults(function=_start)
    contribute = actions.add_parser("contribute", help="train the common model on the cases of this site")
    contribute.add_argument("common", metavar="FOLDER", type=Path, help="of the common model")
    _add_data(contribute, "to train on; nothing of it is in what is given")
    contribute.add_argument("--work", metavar="DIR", type=Path, required=True, help="folder of the training, which "
                            "stays here; an unfinished one there is resumed")
    contribute.add_argument("-o", "--output", metavar="FILE", type=Path, required=True,
                            help="what to give: weights and the number of cases (.safetensors)")
    contribute.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    _add_config(contribute, _NOT_OF_CONTRIBUTIONS)
    contribute.set_defaults(function=_contribute)
    merge = actions.add_parser("merge", help="the common model of the next round from the sites' contributions")
    merge.add_argument("common", metavar="FOLDER", type=Path, help="of the model that they were trained from")
    merge.add_argument("contributions", metavar="FILE", nargs="+", type=Path, help="the sites' files")
    merge.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="a new folder; `meddl "
                       "models install FOLDER` makes it a model like any other")
    merge.set_defaults(function=_merge)


def _add_data(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--images", type=Path, help=f"folder of volumes {text}, with --labels")
    parser.add_argument("--labels", type=Path, help="folder of their label maps, of the same names")
    parser.add_argument("--data", type=Path, help="instead of both: folder of a data set (nnU-Net, Decathlon, BIDS)")


def _add_config(parser: argparse.ArgumentParser, skip) -> None:
    add_config_options(parser, TrainConfig, tuple(skip), "options of the training")


def _start(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.training.federated import start_federation

    start_federation(arguments.output, arguments.images or arguments.data, arguments.labels, model=arguments.model,
                     name=arguments.name, config=config_from(arguments, TrainConfig), on_progress=progress)
    progress.clear()
    print(arguments.output)


def _contribute(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.core.errors import InputError
    from meddl.training.federated import contribute

    images = arguments.images or arguments.data
    if images is None:
        raise InputError("Give the cases of this site: --images with --labels, or --data.")
    given, _ = contribute(arguments.common, images, arguments.labels, work=arguments.work, out=arguments.output,
                          config=config_from(arguments, TrainConfig), device=arguments.device, on_progress=progress)
    progress.clear()
    print(f"{given.path}: weights, {given.cases} cases")


def _merge(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.training.federated import merge_contributions

    card = merge_contributions(arguments.common, arguments.contributions, arguments.output, on_progress=progress)
    progress.clear()
    print(f"{arguments.output}: {card.training.data}")
