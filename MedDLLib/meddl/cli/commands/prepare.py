"""The command that prepares volumes by a chain of steps."""

import argparse
from dataclasses import fields
from pathlib import Path

import meddl
from meddl.cli.commands.segment import read_roi
from meddl.cli.folders import names_folder
from meddl.cli.inputs import add_common, add_volume, load_volume
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.core.errors import InputError
from meddl.preparation.steps import STEPS, chain_to_text, load_chain, step_from_words

EXIT_SOME_FAILED = 1


def fill_prepare(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl prepare`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "steps and their fields:\n" + "\n".join(
        f"  {name:10}{', '.join(f'{one.name}={_format_value(one.default)}' for one in fields(kind))}"
        for name, kind in STEPS.items())
    add_volume(parser, "input", "the volume, or a folder with several")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path,
                        help="the result (.nii.gz, .nii, .nrrd, .mha), or a folder for all volumes of INPUT")
    parser.add_argument("--step", metavar="NAME[:FIELD=VALUE,...]", action="append", default=[],
                        help="a step; several run in the order given, after those of --chain")
    parser.add_argument("--chain", metavar="FILE.json", type=Path, help="a chain of steps")
    parser.add_argument("--save-chain", metavar="FILE.json", type=Path, help="write the chain to this file")
    parser.add_argument("--reference", metavar="FILE", type=Path,
                        help="the volume whose histogram normalize:method=match takes")
    parser.add_argument("--roi", metavar="FILE|R,A,S,R,A,S", help="region of interest of crop:to=roi: a label map, or "
                        "the lowest and the highest corner of a box in RAS mm")
    add_common(parser, inputs=("input", "reference", "chain"), options=("step", "component", "roi"))
    parser.set_defaults(function=_prepare)


def _prepare(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    from meddl.io import load_header
    from meddl.io.files import WRITABLE, replacing
    from meddl.preparation.prepare import header_after

    steps = (*(load_chain(arguments.chain) if arguments.chain else ()), *map(step_from_words, arguments.step))
    if not steps:
        raise InputError("Nothing would be done. Give --step NAME or --chain FILE.json.")
    one = arguments.output is not None and not names_folder(arguments.output)
    check_outputs(arguments, ((arguments.output if one else None, WRITABLE), (arguments.save_chain, (".json",))))
    if arguments.save_chain is not None:
        with replacing(arguments.save_chain, ".json") as temporary:
            temporary.write_text(chain_to_text(steps), encoding="utf-8")
    if arguments.output is None:
        raise InputError("There is no place for the result. Give -o OUT.")
    reference = None if arguments.reference is None else meddl.load(arguments.reference)
    if not one:
        return _folder(arguments, progress, steps, reference)
    found = meddl.prepare(load_volume(arguments), steps, reference=reference, roi=read_roi(arguments.roi),
                          device=arguments.device, on_progress=progress)
    meddl.save(found.volume, arguments.output, header=header_after(steps, load_header(arguments.input)))
    size = " x ".join(map(str, found.volume.shape))
    done = ", ".join(one["step"] for one in found.report["steps"])
    finish(arguments, progress, found.report, f"{done}, {size} voxels")
    return 0


def _folder(arguments: argparse.Namespace, progress: TerminalProgress, steps, reference) -> int:
    from meddl.preparation.prepare import prepare_folder

    if arguments.roi is not None:
        raise InputError("--roi is for one volume; use crop:to=body for a folder.")
    rows = prepare_folder(arguments.input, arguments.output, steps, reference=reference, device=arguments.device,
                          on_progress=progress)
    failed = [row for row in rows if row["error"]]
    for row in failed:
        progress.warn(f"{row['case']}: {row['error']}")
    finish(arguments, progress, {"cases": rows, "seconds": {"total": sum(row["seconds"] for row in rows)},
                                 "device": "CPU"}, f"{len(rows) - len(failed)} of {len(rows)} volumes prepared")
    return EXIT_SOME_FAILED if failed else 0


def _format_value(default) -> str:
    return "x".join(map(str, default)) if isinstance(default, tuple) else str(default)
