"""The commands of classification: `meddl classify`, and `meddl train classification`."""

import argparse
import csv
import json
from pathlib import Path

import meddl
from meddl.cli.commands.segment import ask_license
from meddl.cli.inputs import add_volume, series_of
from meddl.cli.options import add_config_options, add_training_options, config_from
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.core.errors import MedDLError
from meddl.core.progress import ProgressCallback
from meddl.training.config import ClassifierTrainConfig

EXIT_SOME_FAILED = 1


def fill_classify(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl classify`."""
    add_volume(parser, "input", "the volumes to classify, one or several", nargs="+")
    parser.add_argument("--model", required=True, help="identifier of a classifier: see `meddl models list`")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="table with a row for each volume (.csv)")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.add_argument("--overwrite", action="store_true", help="replace a table that exists")
    parser.add_argument("--accept-license", action="store_true",
                        help="accept the license of the model's weights; needed once for a model that you installed")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.set_defaults(function=_classify)


def _classify(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    from meddl.models.store.store import ModelStore

    check_outputs(arguments, ((arguments.output, (".csv",)),))
    ask_license(ModelStore(), arguments.model, arguments.accept_license)
    rows: list[dict] = []
    failed = 0
    for n, path in enumerate(arguments.input):
        progress(n / len(arguments.input), f"Classifying {path.name}")
        try:
            volume = meddl.load(path, arguments.component, series_of(arguments))
            found = meddl.classify(volume, arguments.model, device=arguments.device)
        except MedDLError as error:
            if len(arguments.input) == 1:
                raise
            failed += 1
            progress.clear()
            progress.warn(f"{path}: {error}")
            rows.append({"file": str(path), "class": "", "error": str(error)})
            continue
        progress.clear()
        rows.append({"file": str(path), "class": found.name, "probabilities": found.probabilities, **found.report})
        for text in found.report["warnings"]:
            progress.warn(f"{path}: {text}")
        if not arguments.json:
            print(f"{path}: {found.describe()}")
    progress.clear()
    if arguments.json:
        print(json.dumps(rows, indent=1))
    if arguments.output is not None:
        _write(rows, arguments.output)
    return EXIT_SOME_FAILED if failed else 0


def _write(rows: list[dict], place: Path) -> None:
    """A table with the class of each volume and the probabilities of all classes."""
    from meddl.io.files import replacing

    classes = sorted({name for row in rows for name in row.get("probabilities", ())})
    with replacing(place, ".csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "class", *(f"probability {name}" for name in classes), "notes"])
        for row in rows:
            known = row.get("probabilities", {})
            writer.writerow([row["file"], row["class"], *(f"{known[name]:.4f}" if known else "" for name in classes),
                             row.get("error") or " ".join(row["warnings"])])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `meddl train classification`."""
    parser.add_argument("--data", type=Path, required=True,
                        help="folder with a folder for each class; or a table (.csv, .tsv) with the columns file, "
                             "class and, if known, patient")
    add_training_options(parser, "my classifier")
    parser.add_argument("--from", dest="start", metavar="MODEL", default=None,
                        help="model to start from: recognition, which ships and knows heads, or a classifier of yours")
    add_config_options(parser, ClassifierTrainConfig, skip=("start",))


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train a classifier; gives the folder with `card.json` and `weights.safetensors`. Raises as
    `meddl.train_classifier`."""
    config = config_from(arguments, ClassifierTrainConfig)
    return meddl.train_classifier(arguments.data, out=arguments.out, name=arguments.name, config=config,
                                  device=arguments.device, install=arguments.install, on_progress=on_progress).folder
