"""The `meddl` command.

Results go to the files that were asked for, each whole or not at all; one line about them goes to standard output,
progress (on a terminal), warnings and errors go to standard error. Exit status: 0 done, 2 an error that the user can
mend, 1 some cases of a folder failed, 130 stopped by Ctrl-C.

Packages that take long to import are imported by the command that needs them, never for `--help`.

Files: `commands` (one file each), `classification`, `inpaint`, `landmarks`, `train_landmarks`, `synthesize`, `inputs`
and `options` (their arguments), `folders` (runs over whole folders), `terminal` (what the user sees), `reporting` (the
end of a run). The other commands live with what they do: training, evaluation, demo.
"""

import argparse
import contextlib
import importlib
import os
import sys
import warnings
from pathlib import Path

import meddl
from meddl.cli.classification import fill_classify
from meddl.cli.commands.change import fill_change
from meddl.cli.commands.compare import fill_compare
from meddl.cli.commands.explain import fill_explain
from meddl.cli.commands.federate import fill_federate
from meddl.cli.commands.models import fill_models
from meddl.cli.commands.prepare import fill_prepare
from meddl.cli.commands.register import fill_register, fill_warp
from meddl.cli.commands.segment import fill_paint, fill_segment
from meddl.cli.commands.series import fill_denoise_series, fill_series
from meddl.cli.commands.superres import fill_superres
from meddl.cli.commands.template import fill_template
from meddl.cli.inpaint import fill_inpaint
from meddl.cli.inputs import machine_options
from meddl.cli.options import CommandParser
from meddl.cli.synthesize import fill_synthesize
from meddl.cli.terminal import EXIT_ERROR, EXIT_INTERRUPTED, TerminalProgress, fail
from meddl.core.errors import Cancelled, FileWarning, MedDLError
from meddl.core.thread_waiting import wait_briefly


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return the exit status."""
    wait_briefly(os.environ)
    argv = sys.argv[1:] if argv is None else list(argv)
    progress = TerminalProgress(sys.stderr)
    if not argv:
        make_parser(argv).print_help()
        return EXIT_ERROR
    try:
        arguments = make_parser(argv).parse_args(argv)
        arguments.command_line = argv  # for a report that is to name them
        progress.quiet, progress.verbose = (getattr(arguments, name, False) for name in ("quiet", "verbose"))
        with _doubts_shown(progress), machine_options(arguments):
            status = arguments.function(arguments, progress) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # who reads has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more as it ends
        return 0
    except (KeyboardInterrupt, Cancelled):
        return fail(progress, "stopped; nothing half-written was left", EXIT_INTERRUPTED)
    except MedDLError as error:
        return fail(progress, str(error))
    except MemoryError:
        return fail(progress, "the memory of this machine is not enough for this volume. Crop or resample it.")
    except OSError as error:
        return fail(progress, f"{error.filename or 'a file'}: {error.strerror or error}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "meddl":
            raise
        return fail(progress, f"the Python package '{error.name}' is needed. Install it: pip install {error.name}")
    finally:
        progress.clear()


@contextlib.contextmanager
def _doubts_shown(progress: TerminalProgress):
    """What files state that is in doubt is shown as a warning of the command, once."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", FileWarning)
        others = warnings.showwarning

        def show(message, category, *where, **more):
            if issubclass(category, FileWarning):
                progress.doubt(str(message))
            else:
                others(message, category, *where, **more)

        warnings.showwarning = show
        yield


def make_parser(argv: list[str]) -> argparse.ArgumentParser:
    """The parser for this command line: options are added to the command that `argv` names, and to no other."""
    parser = CommandParser(
        prog="meddl", description="Segment, register and sharpen medical volumes. For research only.",
        epilog="`meddl COMMAND --help` says more about a command.")
    parser.add_argument("--version", action="version", version=f"meddl {meddl.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    named = [word for word in argv if not word.startswith("-")]
    for name, (summary, fill) in _COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.set_defaults(command=name)
        if named[:1] == [name]:
            fill(sub, named[1:])
    return parser


# --- commands that live in modules of their own ---


def _fill_tasks(tasks: dict[str, tuple[str, str]]):
    """Fills a command that has tasks, each with its module (see `_fill_from`) and a summary."""
    def fill(parser: argparse.ArgumentParser, words: list[str]) -> None:
        actions = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
        for task, (module_name, summary) in tasks.items():
            sub = actions.add_parser(task, help=summary, description=summary[0].upper() + summary[1:] + ".")
            if words[:1] == [task]:
                _fill_from(module_name)(sub, words[1:])
    return fill


def _fill_from(module_name: str):
    """Fills a command whose options and work are `add_arguments(parser)` and `run(arguments)` of a module."""
    def fill(parser: argparse.ArgumentParser, _words: list[str]) -> None:
        module = importlib.import_module(module_name)
        module.add_arguments(parser)

        def run(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
            result = module.run(arguments, on_progress=progress)
            progress.clear()
            if isinstance(result, Path | str):
                print(result)
            return result if isinstance(result, int) else 0

        parser.set_defaults(function=run)
    return fill


_COMMANDS = {
    "segment": ("segment the structures of a volume, or of all volumes of a folder", fill_segment),
    "paint": ("segment the rest of structures that are painted in a few slices of a volume", fill_paint),
    "register": ("register one volume to another, or many: linear or deformable", fill_register),
    "register-series": ("correct the motion of a time series", fill_series),
    "denoise-series": ("denoise the frames of a time series", fill_denoise_series),
    "template": ("build an unbiased template: the average of several volumes in intensity and shape", fill_template),
    "warp": ("apply a saved transform to a volume or its labels", fill_warp),
    "synthesize": ("synthesize another contrast of a head of MR: T1, T2 or FLAIR", fill_synthesize),
    "superres": ("super-resolve thick slices, or denoise a volume", fill_superres),
    "inpaint": ("fill the voxels inside a mask: a lesion, an artifact, missing slices", fill_inpaint),
    "compare": ("compare a segmentation, volume or transform with a reference, or two folders of them", fill_compare),
    "change": ("show what has changed between two dates of one subject: difference, volumes, lesions", fill_change),
    "explain": ("show what a structure of a segmentation depends on: occlusion or Grad-CAM", fill_explain),
    "classify": ("say which class of a classifier of yours a volume belongs to", fill_classify),
    "prepare": ("prepare volumes: bias field, noise, contrast, intensities, cropping, sampling", fill_prepare),
    "info": ("say what a file holds: its header, what speaks against it, and what the volume looks like",
             _fill_from("meddl.recognition.command")),
    "landmarks": ("find landmarks of the brain in a head, or those of a model of yours; align a head by AC and PC",
                  _fill_from("meddl.cli.landmarks")),
    "deidentify": ("remove the patient from the headers of volumes and DICOM files",
                   _fill_from("meddl.deidentification.command")),
    "models": ("list, install, check and remove models", fill_models),
    "train": ("train a model", _fill_tasks({
        "segmentation": ("meddl.cli.commands.train",
                         "train a segmentation model on volumes with label maps, or a brain model from label maps"),
        "rest": ("meddl.active_learning.command",
                 "segment the volumes that have no label map yet, the least certain first"),
        "atlas": ("meddl.training.segmentation.atlas",
                  "build the probabilistic atlas of a brain model from label maps"),
        "superres": ("meddl.training.superres.command",
                     "train a network of super-resolution or denoising from label maps, random shapes or volumes"),
        "classification": ("meddl.cli.classification",
                           "train a classifier on volumes in folders, one a class, or of a table"),
        "landmarks": ("meddl.cli.train_landmarks",
                      "train a model that finds landmarks and boxes on volumes with Slicer's markups"),
        "recognition": ("meddl.training.recognition.command",
                        "train the classifier that says what a volume is, from label maps of heads")})),
    "federate": ("train one model at several sites, which exchange weights alone", fill_federate),
    "evaluate": ("evaluate a model", _fill_tasks({
        "segmentation": ("meddl.evaluation.segmentation",
                         "evaluate a segmentation model on volumes with reference labels"),
        "superres": ("meddl.evaluation.superres",
                     "evaluate super-resolution and denoising on real volumes"),
        "classification": ("meddl.evaluation.classification",
                           "measure a classifier on volumes whose classes are known"),
        "landmarks": ("meddl.evaluation.landmarks",
                      "measure a model of landmarks and boxes on volumes whose places are known"),
        "recognition": ("meddl.evaluation.recognition",
                        "measure how often what is said of a volume is right, wrong or unknown"),
        "calibration": ("meddl.evaluation.calibration",
                        "measure whether a brain model is right as often as its confidence says")})),
    "demo": ("run all three verbs on an embedded sample head or on your own volume", _fill_from("meddl.demo")),
}
