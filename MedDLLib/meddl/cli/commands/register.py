"""The commands of registration: register two volumes or many, and apply a transform that was saved."""

import argparse
import time
from pathlib import Path

import meddl
from meddl.cli.folders import add_folder_options, names_folder, refuse, refuse_folder_options, run_folder
from meddl.cli.inputs import add_common, add_volume, load_volume, series_of
from meddl.cli.options import add_config_options, add_field_tolerance, add_uncertainty_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs
from meddl.core.config import INTERPOLATIONS, REGISTER_PRESETS, REGISTER_RESULTS, RegisterConfig, preset_key
from meddl.core.errors import InputError
from meddl.uncertainty.config import UncertaintyConfig

_PRESETS = {preset_key(name): config for name, config in REGISTER_PRESETS.items()}
_TRANSFORM_HELP = "as ITK and Slicer read it (.h5, .tfm, .txt, or .nii.gz, .nrrd, .mha for a displacement field)"
_HELPS = ("fixed_mask", "moving_mask", "initial", "fixed_points", "moving_points", "fixed_labels", "moving_labels")
_POINTS_HELP = "matched by name or order: .csv (r,a,s or l,p,s in mm), .fcsv, .mrk.json"


# --- register ---


def fill_register(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl register`."""
    add_volume(parser, "fixed", "the fixed volume", "fixed-", nargs="?")
    add_volume(parser, "moving", "the volume to register to it, or a folder of volumes", "moving-", nargs="?")
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("-o", "--output", metavar="OUT", type=Path,
                         help="the moving volume resampled to the fixed grid (.nii.gz, .nii, .nrrd, .mha); or a "
                         "folder, for all volumes and DICOM series that MOVING, a folder, holds")
    outputs.add_argument("--transform", dest="transform_file", metavar="FILE", type=Path,
                         help=f"the transform from fixed to moving points, {_TRANSFORM_HELP}")
    outputs.add_argument("--inverse", dest="inverse_file", metavar="FILE", type=Path,
                         help="the inverse transform, from moving to fixed points, in the same formats")
    outputs.add_argument("--jacobian", dest="jacobian_file", metavar="FILE", type=Path,
                         help="the Jacobian determinant of the transform on the fixed grid")
    add_field_tolerance(outputs)
    _add_interpolation(outputs, "MOVING")
    helps = parser.add_argument_group("masks, landmarks, initialization")
    helps.add_argument("--fixed-mask", metavar="FILE", type=Path,
                       help="mask of FIXED: only its nonzero voxels are compared; on any grid")
    helps.add_argument("--moving-mask", metavar="FILE", type=Path, help="the same for MOVING")
    helps.add_argument("--initial", metavar="FILE", type=Path,
                       help="initialization: a transform from fixed to moving points")
    helps.add_argument("--fixed-points", metavar="FILE", type=Path,
                       help=f"landmarks in FIXED that correspond to those in MOVING, {_POINTS_HELP}")
    helps.add_argument("--moving-points", metavar="FILE", type=Path, help="the corresponding landmarks in MOVING")
    helps.add_argument("--points-only-measure", action="store_true",
                       help="use the landmarks to evaluate the result, not to find it")
    helps.add_argument("--find-landmarks", metavar="MODEL", default=None,
                       help="initialization: the rigid fit of the landmarks that a model finds in both volumes: brain, "
                       "for heads, or one of `meddl train landmarks`")
    helps.add_argument("--fixed-labels", metavar="FILE", type=Path,
                       help="label map or .seg.nrrd of FIXED; the report states the Dice with that of MOVING")
    helps.add_argument("--moving-labels", metavar="FILE", type=Path, help="label map or .seg.nrrd of MOVING")
    parser.add_argument("--preset", type=preset_key, choices=tuple(_PRESETS), default=None,
                        help="values of the options below that are not given themselves")
    many = add_folder_options(parser, (".nii.gz", ".nii", ".nrrd", ".mha"))
    many.add_argument("--pairs", metavar="TABLE", type=Path, help="instead of FIXED and MOVING: a table (.csv, .tsv) "
                      "with a line for each pair and the columns fixed and moving, files relative to its folder")
    many.add_argument("--follow-ups", metavar="FOLDER", type=Path, help="instead of FIXED and MOVING: register each "
                      "subject's later sessions to the first; FOLDER/SUBJECT/SESSION/VOLUME, as in BIDS, or "
                      "FOLDER/SUBJECT/VOLUME")
    many.add_argument("--results", metavar="X,X", type=lambda text: tuple(text.split(",")),
                      default=REGISTER_RESULTS[:2], help=f"what is written of each pair, of "
                      f"{','.join(REGISTER_RESULTS)} (default: {','.join(REGISTER_RESULTS[:2])})")
    add_config_options(parser, RegisterConfig)
    add_uncertainty_options(parser, "the spread of the displacement in mm over runs on perturbed copies of both",
                            skip=("measure", "mirror"))
    add_common(parser, inputs=("fixed", "moving", *_HELPS), options=(
        "interpolation", "points_only_measure", "fixed_component", "moving_component"))
    parser.set_defaults(function=_register)


def _register(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    many = [source for source in (arguments.pairs, arguments.follow_ups) if source is not None]
    if many or names_folder(arguments.output):
        return _register_folder(arguments, many, progress)
    if arguments.fixed is None or arguments.moving is None:
        raise InputError("Two volumes are registered: give FIXED and MOVING; or many: give FIXED and a folder, "
                         "--pairs TABLE or --follow-ups FOLDER.")
    refuse_folder_options(arguments)
    return _register_two(arguments, progress)


def _register_folder(arguments: argparse.Namespace, many: list[Path], progress: TerminalProgress) -> int:
    """Many pairs, one table."""
    from meddl.jobs.cases import case_of

    if not names_folder(arguments.output):
        raise InputError("The results of many registrations go to a folder. Give it: -o FOLDER.")
    names = ("transform_file", "inverse_file", "jacobian_file", "uncertainty", *_HELPS, "points_only_measure",
             "find_landmarks",
             "moving_component", "moving_series")
    refuse(arguments, {name: f"--{name.removesuffix('_file').replace('_', '-')}" for name in names},
           f"is for two volumes; '{arguments.output}' is a folder")
    if len(many) + (arguments.moving is not None) != 1 or many and arguments.fixed is not None:
        raise InputError("Give one of these: FIXED and the folder MOVING; --pairs TABLE; --follow-ups FOLDER.")
    _check_preset(arguments)
    fixed = None
    if not many:
        fixed = case_of(arguments.fixed, series_of(arguments, "fixed_"), arguments.fixed_component)
    return run_folder(arguments, progress, meddl.register_many,
                      config_from(arguments, RegisterConfig, _PRESETS.get(arguments.preset)), (),
                      sources=many[0] if many else arguments.moving, fixed=fixed, results=arguments.results,
                      interpolation=arguments.interpolation, field_tolerance_mm=arguments.field_tolerance)


def _register_two(arguments: argparse.Namespace, progress: TerminalProgress) -> int:
    from meddl.core.progress import span
    from meddl.io import load_header
    from meddl.io.files import WRITABLE
    from meddl.io.transforms import FIELD_SUFFIXES, TRANSFORM_SUFFIXES
    from meddl.registration.quality import with_quality
    from meddl.reports.figures import register_figures
    from meddl.spatial.label_maps import fitting_interpolation

    _check_register(arguments, WRITABLE, (*TRANSFORM_SUFFIXES, *FIELD_SUFFIXES))
    config = config_from(arguments, RegisterConfig, _PRESETS.get(arguments.preset))
    fixed, moving = load_volume(arguments, "fixed", "fixed_"), load_volume(arguments, "moving", "moving_")
    given = _read_helps(arguments)
    landmarks = given["landmarks"]
    if arguments.find_landmarks is not None:
        given["initial"] = _fit_found_landmarks(fixed, moving, arguments, span(progress, 0.0, 0.1))
    choices = {"fixed_mask": given["fixed_mask"], "moving_mask": given["moving_mask"], "initial": given["initial"],
               "landmarks": None if arguments.points_only_measure else landmarks, "device": arguments.device,
               "on_progress": span(progress, 0.0, 0.85)}
    figures = {}
    if arguments.uncertainty is not None:
        result, uncertainty = meddl.register_with_uncertainty(
            fixed, moving, config, config_from(arguments, UncertaintyConfig), **choices)
        meddl.save(uncertainty.map, arguments.uncertainty, header=load_header(arguments.fixed).of_other_values())
        figures = {"uncertainty": {"reading": uncertainty.reading, **uncertainty.report}}
    else:
        result = meddl.register(fixed, moving, config, **choices)
    result = with_quality(result, fixed_labels=given["fixed_labels"], moving_labels=given["moving_labels"],
                          landmarks=landmarks, on_progress=span(progress, 0.85, 0.9))
    if arguments.output is not None:
        interpolation, doubts = fitting_interpolation(moving.data, arguments.interpolation, str(arguments.moving))
        result.report["warnings"] = [*result.report.get("warnings", ()), *doubts]
        warped = result.warp(moving, interpolation, on_progress=span(progress, 0.9, 0.93))
        header = load_header(arguments.moving).in_space_of(load_header(arguments.fixed))
        meddl.save(warped.astype(moving.data.dtype), arguments.output, header=header)
    if arguments.transform_file is not None:
        result.save(arguments.transform_file, arguments.field_tolerance)
    if arguments.inverse_file is not None:
        inverse = result.invert(span(progress, 0.93, 1.0))
        inverse.save(arguments.inverse_file, arguments.field_tolerance)
        if not result.is_linear:
            result.report["inverse_error_mm"] = inverse.report["inverse_error_mm"]
    if arguments.jacobian_file is not None:
        meddl.save(result.jacobian(), arguments.jacobian_file, header=load_header(arguments.fixed).of_other_values())
    finish(arguments, progress, {**result.report, **figures, "affine": result.affine.tolist()}, _summary(result.report),
           config=config, figures=lambda: register_figures(fixed, moving, result))
    return 0


def _check_preset(arguments: argparse.Namespace) -> None:
    if arguments.preset is not None and arguments.config is not None:
        raise InputError("A report has all values of the options; give --preset or --config.")


def _check_register(arguments: argparse.Namespace, volumes: tuple[str, ...], transforms: tuple[str, ...]) -> None:
    """Refuse before the work what could not be done or written after it."""
    outputs = [(arguments.output, volumes), (arguments.transform_file, transforms),
               (arguments.inverse_file, transforms), (arguments.jacobian_file, volumes),
               (arguments.uncertainty, volumes)]
    if not any(path is not None for path, _ in outputs):
        raise InputError("Nothing would be written. Give -o OUT, --transform FILE, --inverse FILE, --jacobian FILE "
                         "or --uncertainty FILE.")
    _check_preset(arguments)
    check_outputs(arguments, outputs)
    if arguments.fixed.exists() and arguments.moving.exists() and arguments.fixed.samefile(arguments.moving) and (
            arguments.fixed_component, arguments.fixed_series) == (arguments.moving_component, arguments.moving_series):
        raise InputError(f"FIXED and MOVING are the same volume, '{arguments.fixed}'. Give two.")
    for first, second in (("fixed_points", "moving_points"), ("fixed_labels", "moving_labels")):
        if (getattr(arguments, first) is None) != (getattr(arguments, second) is None):
            names = " and ".join(f"--{name.replace('_', '-')}" for name in (first, second))
            raise InputError(f"{names} belong together. Give both.")


def _read_helps(arguments: argparse.Namespace) -> dict:
    from meddl.io import load_points, load_segmentation
    from meddl.results import load_transform
    from meddl.spatial.points import match_points

    found = {name: None if getattr(arguments, name) is None else meddl.load(getattr(arguments, name))
             for name in ("fixed_mask", "moving_mask")}
    found["initial"] = None if arguments.initial is None else load_transform(arguments.initial)
    found["landmarks"] = None
    if arguments.fixed_points is not None:
        found["landmarks"] = match_points(load_points(arguments.fixed_points), load_points(arguments.moving_points))
    for name in ("fixed_labels", "moving_labels"):
        path = getattr(arguments, name)
        found[name] = () if path is None else (load_segmentation(path),)
    return found


def _fit_found_landmarks(fixed, moving, arguments: argparse.Namespace, on_progress):
    """The rigid transform that fits the landmarks that a model finds in both volumes.

    Raises:
        InputError: another initialization is given, too, or no landmark is found in both.
    """
    from meddl.registration.landmarks import fit_landmarks
    from meddl.results import Registration
    from meddl.spatial.points import match_points

    if arguments.initial is not None:
        raise InputError("Give one initialization: --initial or --find-landmarks.")
    points = [meddl.find_landmarks(volume, model=arguments.find_landmarks, device=arguments.device,
                                   on_progress=on_progress).points for volume in (fixed, moving)]
    return Registration(fit_landmarks(*match_points(*points), "rigid"), None, None, {"transform": "rigid"})


def _summary(report: dict) -> str:
    metric = report["metric"]
    before = "none" if metric["before"] is None else f"{metric['before']:.4f}"
    parts = [f"{metric['name']} {before} -> {metric['after']:.4f}"]
    if "dice" in report:
        parts.append("Dice {before:.3f} -> {after:.3f}".format(**report["dice"]))
    if "tre_mm" in report:
        error = report["tre_mm"]
        parts.append(f"points {error['before']['mean']:.2f} -> {error['after']['mean']:.2f} mm apart")
    if "folding_percent" in report:
        parts.append(f"{report['folding_percent']:.2g} % folding")
    return ", ".join(parts)


# --- warp ---


def fill_warp(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl warp`."""
    add_volume(parser, "input", "a volume in the space of the moving one")
    parser.add_argument("--transform", dest="given_transform", metavar="FILE", type=Path, required=True,
                        help="a saved transform from fixed to moving points: of `meddl register`, ITK, Slicer or ANTs")
    parser.add_argument("--like", metavar="GRID", type=Path, required=True,
                        help="a volume with the grid of OUT, such as the fixed one")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the warped volume (.nii.gz, .nii, .nrrd, .mha; .seg.nrrd with --labels)")
    parser.add_argument("--labels", action="store_true",
                        help="INPUT is a label map or a segmentation (.seg.nrrd): no new label values arise")
    parser.add_argument("--inverted", action="store_true", help="apply the inverse of the transform")
    _add_interpolation(parser, "INPUT")
    add_common(parser, inputs=("input", "given_transform", "like"), options=(
        "interpolation", "labels", "inverted", "component"), device=False)
    parser.set_defaults(function=_warp)


def _warp(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.core.progress import span
    from meddl.io import load_header, load_segmentation, save_segmentation
    from meddl.io.files import WRITABLE
    from meddl.results import load_transform
    from meddl.spatial.label_maps import fitting_interpolation

    begin = time.perf_counter()
    check_outputs(arguments, [(arguments.output, (".seg.nrrd", *WRITABLE) if arguments.labels else WRITABLE)])
    registration = load_transform(arguments.given_transform)
    grid = meddl.load(arguments.like, "all").grid
    warnings: list[str] = []
    header = load_header(arguments.input).in_space_of(load_header(arguments.like))
    if arguments.inverted:
        registration = registration.invert(span(progress, 0.0, 0.5), grid)
    if arguments.labels:
        save_segmentation(registration.warp_segmentation(load_segmentation(arguments.input), grid,
                                                         span(progress, 0.5, 1.0)), arguments.output, header)
    else:
        volume = load_volume(arguments)
        interpolation, warnings = fitting_interpolation(volume.data, arguments.interpolation, str(arguments.input))
        warped = registration.warp(volume, interpolation, grid, span(progress, 0.5, 1.0))
        meddl.save(warped.astype(volume.data.dtype), arguments.output, header=header)
    seconds = time.perf_counter() - begin
    size = " x ".join(str(n) for n in grid.shape)
    finish(arguments, progress, {"seconds": {"total": seconds}, "device": "cpu", "warnings": warnings},
           f"{size} voxels")


def _add_interpolation(parser, volume: str) -> None:
    parser.add_argument("--interpolation", choices=INTERPOLATIONS,
                        help=f"interpolation of OUT (default: {INTERPOLATIONS[0]}; nearest where {volume} "
                        "seems to be a label map)")
