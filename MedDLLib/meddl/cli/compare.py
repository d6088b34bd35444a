"""The command that compares two results, or two folders of results."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs, table
from meddl.core.errors import InputError

_SHOWN = {"dice": "Dice", "iou": "IoU", "sensitivity": "sensitivity", "precision": "precision",
          "specificity": "specificity", "hd95_mm": "HD95 mm", "mean_surface_distance_mm": "surface mm",
          "surface_dice": "surface Dice", "volume_ml": "ml", "true_volume_ml": "reference ml", "mae": "MAE",
          "rmse": "RMSE", "psnr_db": "PSNR dB", "ssim": "SSIM", "nmi": "NMI", "lncc": "LNCC"}
_KINDS = ("labels", "images", "transforms")
_MOST_LABELS = 256
_TRANSFORMS = (".h5", ".tfm", ".txt", ".mat", ".hdf5")


def fill_compare(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl compare`."""
    from meddl.comparison.matching import RULES
    from meddl.comparison.segmentations import REGIONS

    parser.add_argument("result", metavar="A", type=Path,
                        help="a segmentation or label map, a volume, a transform, or a folder of the first two")
    parser.add_argument("reference", metavar="B", type=Path, help="the reference: the same kind of file, or a folder "
                        "with files of the same names")
    parser.add_argument("-o", "--output", metavar="OUT.csv", type=Path, help="write all figures to this file")
    parser.add_argument("--summary", metavar="OUT.csv", type=Path,
                        help="of folders, write mean, standard deviation and 95 %% interval to this file")
    parser.add_argument("--errors", metavar="FILE", type=Path, help="write where the two disagree: a segmentation "
                        "(missed, extra, another structure), or the difference of two volumes")
    parser.add_argument("--kind", choices=_KINDS, help="what the files hold (default: labels where they hold at most "
                        f"{_MOST_LABELS} whole numbers, images else; transforms by their names)")
    labels = parser.add_argument_group("segmentations")
    labels.add_argument("--match", choices=RULES, default=RULES[0],
                        help=f"what makes two structures the same (default: {RULES[0]})")
    labels.add_argument("--region", choices=REGIONS, default=REGIONS[0], help="where true negatives count, which rules "
                        f"accuracy and specificity (default: {REGIONS[0]}, the whole grid)")
    labels.add_argument("--image", metavar="FILE", type=Path, help="the volume in which --region body is found")
    labels.add_argument("--tolerance-mm", metavar="MM", type=float, default=1.0,
                        help="of the surface Dice (default: 1)")
    labels.add_argument("--no-surfaces", dest="surfaces", action="store_false", help="leave surface distances out")
    parser.add_argument("--mask", metavar="FILE", type=Path, help="of images: where to look")
    parser.add_argument("--fixed", metavar="FILE", type=Path,
                        help="of transforms: the fixed volume, in which they are compared")
    add_common(parser, inputs=("result", "reference", "image", "mask", "fixed"), options=(
        "kind", "match", "region", "tolerance_mm", "surfaces"), device=False)
    parser.set_defaults(function=_compare)


def _compare(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.comparison.folders import write_csv

    check_outputs(arguments, ((arguments.output, (".csv",)), (arguments.summary, (".csv",)),
                              (arguments.errors, ("",))))
    folders = [path.is_dir() for path in (arguments.result, arguments.reference)]
    if any(folders):
        if not all(folders):
            raise InputError("Two files or two folders can be compared; got one of each.")
        _compare_folders(arguments, progress)
        return
    made, rows = _rows(arguments, progress, arguments.result, arguments.reference)
    if arguments.errors is not None:
        _save_errors(made, arguments.errors)
    if arguments.output is not None:
        write_csv(rows, arguments.output)
    if "structure" in rows[0] or len(rows) == 1:
        progress.say(_table(rows))
    finish(arguments, progress, {**made.report, "rows": rows}, _sentence(made))


def _compare_folders(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.comparison.folders import compare_folders, write_csv

    if arguments.errors is not None:
        raise InputError("--errors writes one file; compare two files, not two folders.")
    made = compare_folders(arguments.result, arguments.reference,
                           lambda a, b: _rows(arguments, None, a, b)[1], _worst, progress)
    summary = made.summary()
    if arguments.output is not None:
        write_csv(made.rows, arguments.output)
    if arguments.summary is not None:
        write_csv(summary, arguments.summary)
    progress.clear()
    for file in made.unmatched:
        progress.warn(f"not used: {file} (no file of this name in the other folder)")
    for row in made.rows:
        if "error" in row:
            progress.warn(f"{row['case']}: {row['error']}")
    shown = [row for row in summary if row["figure"] in _SHOWN]
    if shown:
        progress.say(table(("structure", "figure", "cases", "mean", "SD", "95 % interval"),
                    [(row["structure"], _SHOWN[row["figure"]], row["cases"], _number(row["mean"]), _number(row["sd"]),
                      "" if row["low_95"] is None else f"{_number(row['low_95'])} to {_number(row['high_95'])}")
                     for row in shown], right=(2, 3, 4, 5), shrink=0))
    cases = list(dict.fromkeys(row["case"] for row in made.rows))
    names = {case: case if arguments.report_inputs else f"case {number}" for number, case in enumerate(cases, start=1)}
    rows = [{**row, "case": names[row["case"]]} for row in made.rows]
    finish(arguments, progress, {"summary": summary, "cases": list(names.values()), "rows": rows, "warnings": []},
           f"{len(cases)} cases compared, the worst: {', '.join(cases[:3])}")


def _rows(arguments: argparse.Namespace, progress: TerminalProgress | None, result: Path, reference: Path):
    """The comparison of two files, and its rows."""
    kind = arguments.kind or _kind_of(result, reference)
    if kind == "transforms":
        grid = None if arguments.fixed is None else meddl.load(arguments.fixed).grid
        made = meddl.compare(meddl.load_transform(result), meddl.load_transform(reference), grid=grid)
        return made, [{name: value for name, value in made.report.items() if name != "warnings"}]
    if kind == "images":
        mask = None if arguments.mask is None else meddl.load(arguments.mask)
        made = meddl.compare(meddl.load(result), meddl.load(reference), mask=mask, on_progress=progress)
    else:
        image = None if arguments.image is None else meddl.load(arguments.image)
        made = meddl.compare(meddl.load_segmentation(result), meddl.load_segmentation(reference),
                             match=arguments.match, region=arguments.region, image=image,
                             tolerance_mm=arguments.tolerance_mm, surfaces=arguments.surfaces, on_progress=progress)
    return made, made.rows()


def _kind_of(result: Path, reference: Path) -> str:
    """What two files hold, by their names and values."""
    import numpy as np

    from meddl.io.files import suffix_of

    if result.name.lower().endswith(_TRANSFORMS) and reference.name.lower().endswith(_TRANSFORMS):
        return "transforms"
    for file in (result, reference):
        if suffix_of(file) == ".seg.nrrd":
            continue
        data = meddl.load(file).data
        values = np.unique(data[..., ::7])[:_MOST_LABELS + 1]
        whole = np.isfinite(values).all() and (values >= 0).all() and (values == np.round(values)).all()
        if not whole or len(values) > _MOST_LABELS:
            return "images"
    return "labels"


def _save_errors(made, path: Path) -> None:
    if hasattr(made, "errors"):
        meddl.save_segmentation(made.errors, path)
    elif hasattr(made, "difference"):
        meddl.save(made.difference, path)
    else:
        raise InputError("Two transforms have no map of errors; leave --errors out.")


def _worst(rows: list[dict]) -> float:
    """The figure by which cases are sorted: mean Dice, or PSNR."""
    figures = [row.get("dice", row.get("psnr_db")) for row in rows]
    defined = [figure for figure in figures if figure is not None]
    return sum(defined) / len(defined) if defined else float("-inf")


def _table(rows: list[dict]) -> str:
    names = [name for name in rows[0] if name in _SHOWN or name.endswith("_mm") and "structure" not in rows[0]]
    first = ("structure",) if "structure" in rows[0] else ()
    return table((*first, *(_SHOWN.get(name, name) for name in names)),
                 [(*(str(row[name]) for name in first), *(_number(row[name]) for name in names)) for row in rows],
                 right=range(len(first), len(first) + len(names)), shrink=0 if first else None)


def _number(figure: float | None) -> str:
    """A figure in four digits; a dash where it is not defined."""
    return "–" if figure is None else f"{figure:.4g}"


def _sentence(made) -> str:
    report = made.report
    where = "" if not report.get("resampled") else f"; resampled: {report['resampled']}"
    if "structures" in report:
        return f"{report['structures']} structures, region: {report['region']}{where}"
    if "data_range" in report:
        low, high = report["data_range"]
        return f"{report['voxels']} voxels, PSNR and SSIM for values from {low:.6g} to {high:.6g}{where}"
    return f"{report['points']} points, mean distance {report['mean_mm']:.4g} mm"
