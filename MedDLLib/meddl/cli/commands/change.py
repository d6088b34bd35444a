"""The command that shows what has changed between two dates."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common, add_volume, load_volume
from meddl.cli.options import add_config_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs, table
from meddl.core.config import REGISTER_PRESETS, RegisterConfig, preset_key
from meddl.core.errors import InputError
from meddl.longitudinal.config import PRESET, ChangeConfig

_PRESETS = tuple(preset_key(name) for name in REGISTER_PRESETS)
_SHOWN = {"structure": "structure", "lesion": "lesion", "state": "state", "baseline_ml": "baseline ml",
          "follow_up_ml": "follow-up ml", "change_ml": "change ml", "change_percent": "change %",
          "mean_jacobian": "mean J", "mean_log_jacobian": "mean log J", "jacobian_change_percent": "change % by J",
          "mean_z": "mean z"}
_MOST_ROWS = 40


def fill_change(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl change`."""
    add_volume(parser, "baseline", "the volume of the first date", "baseline-")
    add_volume(parser, "follow_up", "the volume of the second date", "follow-up-")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                         help="follow-up minus baseline in standard deviations of the noise, on the baseline's grid "
                         "(.nii.gz, .nii, .nrrd, .mha)")
    outputs.add_argument("--difference", metavar="FILE", type=Path, help="the same in intensities of the baseline")
    outputs.add_argument("--matched", metavar="FILE", type=Path,
                         help="the follow-up on the baseline's grid, in its intensities")
    outputs.add_argument("--transform", dest="transform_file", metavar="FILE", type=Path,
                         help="the transform from baseline to follow-up points")
    outputs.add_argument("--jacobian", dest="jacobian_file", metavar="FILE", type=Path,
                         help="the Jacobian determinant of a deformable registration")
    outputs.add_argument("--structures", metavar="OUT.csv", type=Path, help="the table of structures")
    outputs.add_argument("--lesion-table", metavar="OUT.csv", type=Path, help="the table of lesions")
    outputs.add_argument("--lesion-map", metavar="FILE", type=Path,
                         help="new, grown, stable, shrunk and gone lesions as a segmentation (.seg.nrrd, .nii.gz)")
    helps = parser.add_argument_group("segmentations, mask, registration")
    helps.add_argument("--baseline-labels", metavar="FILE", type=Path,
                       help="segmentation or label map of BASELINE: structures or lesions")
    helps.add_argument("--follow-up-labels", metavar="FILE", type=Path, help="the same of FOLLOW_UP")
    helps.add_argument("--mask", metavar="FILE", type=Path,
                       help="where to look, in the space of BASELINE (default: the body)")
    helps.add_argument("--preset", type=preset_key, choices=_PRESETS, default=None, help="of the registration "
                       f"(default: {preset_key(PRESET)}); deformable ones give Jacobians")
    helps.add_argument("--given-transform", metavar="FILE", type=Path,
                       help="take this transform from baseline to follow-up points; nothing is registered")
    add_config_options(parser, ChangeConfig)
    add_common(parser, inputs=("baseline", "follow_up", "baseline_labels", "follow_up_labels", "mask",
                               "given_transform"),
               options=("preset", "baseline_component", "follow_up_component"))
    parser.set_defaults(function=_change)


def _change(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.comparison.folders import write_csv
    from meddl.results import load_transform

    _check(arguments)
    config = config_from(arguments, ChangeConfig)
    known = None if arguments.given_transform is None else load_transform(arguments.given_transform)
    if arguments.jacobian_file is not None and _is_linear(known, arguments.preset):
        raise InputError("The registration is linear and has no Jacobian map. Choose a deformable --preset, or leave "
                         "--jacobian out.")
    labels = [None if path is None else meddl.load_segmentation(path)
              for path in (arguments.baseline_labels, arguments.follow_up_labels)]
    found = meddl.change(
        load_volume(arguments, "baseline", "baseline_"), load_volume(arguments, "follow_up", "follow_up_"), config,
        registration=known, preset=arguments.preset, segmentations=None if labels[0] is None else tuple(labels),
        mask=arguments.mask, device=arguments.device,
        on_progress=progress)
    for volume, path in ((found.z, arguments.output), (found.difference, arguments.difference),
                         (found.matched, arguments.matched), (found.jacobian, arguments.jacobian_file)):
        if path is not None:
            meddl.save(volume, path)
    if arguments.transform_file is not None:
        found.registration.save(arguments.transform_file)
    for rows, path in ((found.structures, arguments.structures), (found.lesions, arguments.lesion_table)):
        if path is not None:
            write_csv([_flat(row) for row in rows], path)
    if arguments.lesion_map is not None:
        meddl.save_segmentation(found.lesion_map, arguments.lesion_map)
    for rows in (found.structures, found.lesions):
        if rows:
            progress.say(_table(rows))
    finish(arguments, progress, {**found.report, "structures": list(found.structures), "lesions": list(found.lesions)},
           found.report["reading"], config=config, models=(config.model,) if config.model else ())


def _is_linear(known, preset: str | None) -> bool:
    if known is not None:
        return known.is_linear
    return RegisterConfig.from_preset(preset or PRESET).transform_type != "deformable"


def _check(arguments: argparse.Namespace) -> None:
    """Refuse before the work what could not be done or written after it."""
    from meddl.io.files import WRITABLE
    from meddl.io.transforms import FIELD_SUFFIXES, TRANSFORM_SUFFIXES

    check_outputs(arguments, (
        *((getattr(arguments, name), WRITABLE) for name in ("output", "difference", "matched", "jacobian_file")),
        (arguments.transform_file, (*TRANSFORM_SUFFIXES, *FIELD_SUFFIXES)), (arguments.structures, (".csv",)),
        (arguments.lesion_table, (".csv",)), (arguments.lesion_map, (".seg.nrrd", *WRITABLE))))
    if arguments.follow_up_labels is not None and arguments.baseline_labels is None:
        raise InputError("--follow-up-labels needs --baseline-labels. Give both.")
    if arguments.structures is not None and arguments.baseline_labels is None and not getattr(arguments, "model", ""):
        raise InputError("--structures needs --baseline-labels, or --model, which segments both dates.")
    if (arguments.lesion_table or arguments.lesion_map) and (
            arguments.follow_up_labels is None or not getattr(arguments, "lesions", True)):
        raise InputError("Lesions are followed between --baseline-labels and --follow-up-labels. Give both, without "
                         "--no-lesions.")


def _flat(row: dict) -> dict:
    """A row as CSV has it: a center as three columns."""
    found = {name: value for name, value in row.items() if name != "center_mm"}
    if "center_mm" in row:
        found.update(zip(("r_mm", "a_mm", "s_mm"), row["center_mm"], strict=True))
    return found


def _table(rows: tuple[dict, ...]) -> str:
    names = [name for name in _SHOWN if name in rows[0]]
    texts = [name for name in names if name in ("structure", "state")]
    shown = table([_SHOWN[name] for name in names], [[_cell(row[name]) for name in names] for row in rows[:_MOST_ROWS]],
                  right=[number for number, name in enumerate(names) if name not in texts],
                  shrink=names.index("structure"))
    return shown if len(rows) <= _MOST_ROWS else f"{shown}\n... {len(rows) - _MOST_ROWS} more"


def _cell(value) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else f"{value:.4g}"
