"""The `meddl` command.

Results go to the files that were asked for, each whole or not at all; one line about them goes to standard output,
progress (on a terminal), warnings and errors go to standard error. Exit status: 0 done, 2 an error that a person can
mend, 130 stopped by Ctrl-C.

Packages that take long to import are imported by the command that needs them, never for `--help`.
"""

import argparse
import importlib
import json
import sys
import time
import types
import typing
from dataclasses import fields
from pathlib import Path

import meddl
from meddl.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.errors import Cancelled, InputError, MedDLError, ModelError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_TRANSFORM_SUFFIXES = (".h5", ".tfm", ".txt")


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments = make_parser(argv).parse_args(argv)
    progress = _TerminalProgress(sys.stderr)
    try:
        return arguments.function(arguments, progress) or 0
    except (KeyboardInterrupt, Cancelled):
        return _fail(progress, "stopped; nothing half-written was left", EXIT_INTERRUPTED)
    except MedDLError as error:
        return _fail(progress, str(error))
    except MemoryError:
        return _fail(progress, "the memory of this machine is not enough for this volume. Crop or resample it.")
    except OSError as error:
        return _fail(progress, f"{error.filename or 'a file'}: {error.strerror or error}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "meddl":
            raise
        return _fail(progress, f"the Python package '{error.name}' is needed. Install it: pip install {error.name}")
    finally:
        progress.clear()


def _fail(progress: "_TerminalProgress", message: str, status: int = EXIT_ERROR) -> int:
    progress.clear()
    print(f"meddl: {' '.join(message.split())}", file=sys.stderr)
    return status


# --- the parser ---


def make_parser(argv: list[str]) -> argparse.ArgumentParser:
    """The parser for this command line: options are added to the command that `argv` names, and to no other."""
    parser = argparse.ArgumentParser(
        prog="meddl", description="Segment, register and sharpen medical volumes. For research only.",
        epilog="`meddl COMMAND --help` tells more about a command.")
    parser.add_argument("--version", action="version", version=f"meddl {meddl.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    named = [word for word in argv if not word.startswith("-")]
    for name, (summary, fill) in _COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if named[:1] == [name]:
            fill(sub, named[1:])
    return parser


def add_config_options(parser: argparse.ArgumentParser, config_class: type, skip: tuple[str, ...] = ()) -> None:
    """One option for each field of a config: its type, choices, help and default are the field's own."""
    group = parser.add_argument_group("choices")
    hints = typing.get_type_hints(config_class)
    for field in fields(config_class):
        if field.name in skip:
            continue
        flags = field.metadata.get("flags", ["--" + field.name.replace("_", "-")])
        text = field.metadata.get("help", "").replace("%", "%%")
        if field.default is not None:
            text += f" (default: {_shown(field.default)})"
        hint = _without_none(hints[field.name])
        options = {"dest": field.name, "default": argparse.SUPPRESS, "help": text}
        if hint is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(hint) is tuple:
            options.update(type=_list_of(typing.get_args(hint)[0]), metavar="X,X")
        elif "choices" in field.metadata:
            options["choices"] = field.metadata["choices"]
        else:
            options.update(type=hint, metavar="MM" if field.name.endswith("_mm") else "N")
        group.add_argument(*flags, **options)


def config_from(arguments: argparse.Namespace, config_class: type, **more):
    """The config with what was given on the command line, and its own defaults for the rest."""
    given = {}
    for field in fields(config_class):
        if hasattr(arguments, field.name):
            given[field.name] = getattr(arguments, field.name)
    return config_class(**{**given, **more})


def _without_none(hint):
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(one for one in typing.get_args(hint) if one is not type(None))
    return hint


def _list_of(kind: type):
    def numbers(text: str) -> tuple:
        return tuple(kind(part) for part in text.split(","))
    return numbers


def _shown(default) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join(f"{one:g}" for one in default)
    return str(default)


def _add_input(parser: argparse.ArgumentParser, name: str, text: str, prefix: str = "") -> None:
    """A volume to read, and which part of it: `meddl.load`'s arguments."""
    parser.add_argument(name, metavar=name.upper(), type=Path,
                        help=f"{text}: NIfTI, NRRD, MetaImage, or a folder with a DICOM series")
    parser.add_argument(f"--{prefix}component", metavar="N", type=int, default=None,
                        help=f"which time point or component of {name.upper()}, from 0, where it has several")
    parser.add_argument(f"--{prefix}series", metavar="S", default=None,
                        help=f"which series of the DICOM folder {name.upper()}: its UID, or its place from 0")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--report", metavar="FILE.json", type=Path, help="write what was done and measured here")


# --- segment ---


def _fill_segment(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    _add_input(parser, "input", "the volume")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="label map (.nii.gz, .nii, .nrrd, .mha) or Slicer segmentation (.seg.nrrd)")
    parser.add_argument("--model", default="brain", help="see `meddl models list` (default: brain)")
    parser.add_argument("--confidence", dest="confidence_map", metavar="FILE", type=Path,
                        help="also write the probability of the chosen label at each voxel here")
    parser.add_argument("--accept-license", action="store_true",
                        help="accept the license of the model's weights; needed once for a model that you installed")
    add_config_options(parser, SegmentConfig, skip=("confidence",))
    _add_common(parser)
    parser.set_defaults(function=_segment)


def _segment(arguments: argparse.Namespace, progress: "_TerminalProgress") -> None:
    from meddl.io.files import WRITABLE
    from meddl.models.store import ModelStore
    from meddl.volume import Volume

    _check_output(arguments.output, (".seg.nrrd", *WRITABLE))
    _check_output(arguments.confidence_map, WRITABLE)
    _check_output(arguments.report, (".json",))
    store = ModelStore()
    _ask_license(store, arguments.model, arguments.accept_license)
    config = config_from(arguments, SegmentConfig, confidence=arguments.confidence_map is not None)
    result = meddl.segment(_load(arguments), arguments.model, config, device=arguments.device, on_progress=progress)
    meddl.save_segmentation(result, arguments.output)
    if arguments.confidence_map is not None:
        meddl.save(Volume.scalar(result.confidence, result.affine), arguments.confidence_map)
    found = sum(1 for volume_ml in result.report.get("volumes_ml", {}).values() if volume_ml > 0)
    _finish(arguments, progress, result.report, f"{found} structures")


def _ask_license(store, identifier: str, accepted: bool) -> None:
    """Nothing where the license was accepted before or is now; else an error that shows it."""
    card = store.card(identifier)
    if store.license_accepted(identifier):
        return
    if accepted:
        store.accept_license(identifier)
        return
    where = f" ({card.license.url})" if card.license.url else ""
    raise InputError(f"The weights of '{identifier}' are licensed under {card.license.weights}{where}. "
                     "If you accept that, give --accept-license once.")


# --- register ---


def _fill_register(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    _add_input(parser, "fixed", "the volume that stays", "fixed-")
    _add_input(parser, "moving", "the volume that is brought to it", "moving-")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path,
                        help="the moving volume on the fixed one's grid (.nii.gz, .nii, .nrrd, .mha)")
    parser.add_argument("--transform", dest="transform_file", metavar="FILE", type=Path,
                        help="the map from fixed to moving points, as ITK and Slicer read it (.h5, .tfm, .txt)")
    parser.add_argument("--interpolation", choices=("linear", "nearest", "cubic"), default="linear",
                        help="how OUT is sampled; nearest for label maps (default: linear)")
    add_config_options(parser, RegisterConfig)
    _add_common(parser)
    parser.set_defaults(function=_register)


def _register(arguments: argparse.Namespace, progress: "_TerminalProgress") -> None:
    from meddl.io.files import WRITABLE
    from meddl.progress import span

    if arguments.output is None and arguments.transform_file is None:
        raise InputError("Nothing would be written. Give -o OUT, --transform FILE or both.")
    _check_output(arguments.output, WRITABLE)
    _check_output(arguments.transform_file, _TRANSFORM_SUFFIXES)
    _check_output(arguments.report, (".json",))
    fixed, moving = _load(arguments, "fixed", "fixed_"), _load(arguments, "moving", "moving_")
    result = meddl.register(fixed, moving, config_from(arguments, RegisterConfig), device=arguments.device,
                            on_progress=span(progress, 0.0, 0.95))
    if arguments.output is not None:
        progress(0.95, "Resampling the moving volume")
        meddl.save(result.warp(moving, arguments.interpolation), arguments.output)
    if arguments.transform_file is not None:
        result.save(arguments.transform_file)
    metric = result.report["metric"]
    before = "none" if metric["before"] is None else f"{metric['before']:.4f}"
    _finish(arguments, progress, {**result.report, "affine": result.affine.tolist()},
            f"{metric['name']} {before} -> {metric['after']:.4f}")


# --- superres ---


def _fill_superres(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    _add_input(parser, "input", "the volume")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the sharper volume (.nii.gz, .nii, .nrrd, .mha)")
    add_config_options(parser, SuperResolveConfig)
    _add_common(parser)
    parser.set_defaults(function=_superres)


def _superres(arguments: argparse.Namespace, progress: "_TerminalProgress") -> None:
    from meddl.io.files import WRITABLE

    _check_output(arguments.output, WRITABLE)
    _check_output(arguments.report, (".json",))
    result = meddl.super_resolve(_load(arguments), config_from(arguments, SuperResolveConfig), device=arguments.device,
                                 on_progress=progress)
    meddl.save(result.volume, arguments.output)
    after = " x ".join(f"{size:.3g}" for size in result.volume.spacing_mm)
    _finish(arguments, progress, result.report, f"voxels of {after} mm")


# --- models ---


def _fill_models(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the models on this machine")
    listing.set_defaults(function=_list_models)
    install = actions.add_parser("install", help="install a model, also without a network")
    install.add_argument("source", metavar="SOURCE", help="URL of a zip archive, or a local zip archive or folder")
    install.add_argument("--sha256", help="of the archive, where its publisher states it")
    install.add_argument("--accept-license", action="store_true", help="accept the license of the weights")
    install.set_defaults(function=_install_model)
    verify = actions.add_parser("verify", help="compare weights with the SHA-256 that their card states")
    verify.add_argument("identifiers", metavar="ID", nargs="*", help="which models (default: all)")
    verify.set_defaults(function=_verify_models)
    remove = actions.add_parser("remove", help="delete an installed model")
    remove.add_argument("identifier", metavar="ID")
    remove.set_defaults(function=_remove_model)


def _list_models(_arguments: argparse.Namespace, _progress: "_TerminalProgress") -> None:
    from meddl.models.store import ModelStore

    store = ModelStore()
    rows = [("id", "version", "task", "MB", "license of the weights", "from")]
    for card in store.list():
        origin = "MedDL" if store.is_shipped(card.id) else "installed"
        rows.append((card.id, card.version, card.task, f"{card.weights.bytes / 1e6:.1f}", card.license.weights, origin))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for folder, problem in store.problems().items():
        _warn(f"{folder}: {problem}")


def _install_model(arguments: argparse.Namespace, progress: "_TerminalProgress") -> None:
    from meddl.models.store import ModelStore

    store = ModelStore()
    card = store.install(arguments.source, arguments.sha256, on_progress=progress)
    if arguments.accept_license:
        store.accept_license(card.id)
    progress.clear()
    where = f" ({card.license.url})" if card.license.url else ""
    print(f"{card.id} {card.version}: {card.name}. License of the weights: {card.license.weights}{where}")


def _verify_models(arguments: argparse.Namespace, _progress: "_TerminalProgress") -> None:
    from meddl.models.store import ModelStore

    store = ModelStore()
    identifiers = arguments.identifiers or [card.id for card in store.list()]
    wrong = 0
    for identifier in identifiers:
        try:
            store.verify(identifier)
        except ModelError as error:
            wrong += 1
            _warn(str(error))
        else:
            print(f"{identifier}: as its card states")
    if not arguments.identifiers:
        for folder, problem in store.problems().items():
            wrong += 1
            _warn(f"{folder}: {problem}")
    if wrong:
        raise ModelError(f"{wrong} of the models cannot be used. Install them again.")


def _remove_model(arguments: argparse.Namespace, _progress: "_TerminalProgress") -> None:
    from meddl.models.store import ModelStore

    ModelStore().remove(arguments.identifier)
    print(f"{arguments.identifier}: removed")


# --- commands that live in modules of their own ---


def _fill_tasks(package: str, tasks: dict[str, str]):
    """Fills a command that has tasks; task X is `add_arguments(parser)` and `run(arguments)` of `package`.X."""
    def fill(parser: argparse.ArgumentParser, words: list[str]) -> None:
        actions = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
        for task, summary in tasks.items():
            sub = actions.add_parser(task, help=summary, description=summary[0].upper() + summary[1:] + ".")
            if words[:1] == [task]:
                _fill_from(f"{package}.{task}")(sub, words[1:])
    return fill


def _fill_from(module_name: str):
    """Fills a command whose options and work are `add_arguments(parser)` and `run(arguments)` of a module."""
    def fill(parser: argparse.ArgumentParser, _words: list[str]) -> None:
        module = importlib.import_module(module_name)
        module.add_arguments(parser)

        def run(arguments: argparse.Namespace, progress: "_TerminalProgress") -> int:
            result = module.run(arguments, on_progress=progress)
            progress.clear()
            if isinstance(result, Path):
                print(result)
            return result if isinstance(result, int) else 0

        parser.set_defaults(function=run)
    return fill


_COMMANDS = {
    "segment": ("label the structures of a volume", _fill_segment),
    "register": ("align one volume with another", _fill_register),
    "superres": ("make thick slices thin", _fill_superres),
    "models": ("list, install, check and remove models", _fill_models),
    "train": ("train a model", _fill_tasks("meddl.training", {"segmentation": "train a brain model from label maps"})),
    "evaluate": ("measure a model", _fill_tasks("meddl.evaluation", {
        "segmentation": "measure a segmentation model on volumes with known labels"})),
    "demo": ("do all three jobs on an embedded sample head or on a volume of your own", _fill_from("meddl.demo")),
}


# --- what the commands share ---


def _load(arguments: argparse.Namespace, name: str = "input", prefix: str = ""):
    series = getattr(arguments, f"{prefix}series")
    if series is not None and series.isdecimal():
        series = int(series)
    return meddl.load(getattr(arguments, name), getattr(arguments, f"{prefix}component"), series)


def _check_output(path: Path | None, suffixes: tuple[str, ...]) -> None:
    """Refuse before the work what could not be written after it."""
    if path is None:
        return
    if not path.name.lower().endswith(suffixes):
        raise InputError(f"'{path.name}' cannot be written; its name ends with one of {', '.join(suffixes)}.")
    folder = path.expanduser().parent
    if not folder.is_dir():
        raise InputError(f"The folder '{folder}' does not exist. Create it, or choose another place.")


def _finish(arguments: argparse.Namespace, progress: "_TerminalProgress", report: dict, summary: str) -> None:
    """Write the report, if asked for, and say what was done."""
    progress.clear()
    outputs = [str(path) for path in (arguments.output, getattr(arguments, "transform_file", None)) if path]
    if arguments.report is not None:
        from meddl.io.files import replacing

        content = {"meddl": meddl.__version__, "outputs": outputs, **report}
        with replacing(arguments.report, ".json") as temporary:
            temporary.write_text(json.dumps(content, indent=1, default=float) + "\n", encoding="utf-8")
    for text in report.get("warnings", ()):
        _warn(text)
    print(f"{', '.join(outputs)}: {summary}, {report['seconds']['total']:.1f} s on {report['device']}")


def _warn(text: str) -> None:
    print(f"meddl: warning: {text}", file=sys.stderr)


class _TerminalProgress:
    """Shows progress in the last line of a terminal; does nothing where the stream is a file or a pipe."""

    def __init__(self, stream):
        self.stream = stream
        self.live = stream.isatty()
        self.shown = False
        self.last = 0.0

    def __call__(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if self.live and (now - self.last > 0.1 or fraction >= 1):
            self.last, self.shown = now, True
            self.stream.write(f"\r\x1b[2K{fraction:4.0%} {message}")
            self.stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            self.stream.write("\r\x1b[2K")
            self.stream.flush()
            self.shown = False
