"""The command that compares two results, or two folders of results."""

import argparse
from dataclasses import asdict
from pathlib import Path

import meddl
from meddl.cli.inputs import add_common
from meddl.cli.options import add_config_options, config_from
from meddl.cli.reporting import finish
from meddl.cli.terminal import TerminalProgress, check_outputs, table
from meddl.core.errors import InputError
from meddl.measures.config import CompareConfig

_SHOWN = {"dice": "Dice", "iou": "IoU", "sensitivity": "sensitivity", "precision": "precision",
          "specificity": "specificity", "hd95_mm": "HD95 mm", "mean_surface_distance_mm": "surface mm",
          "surface_dice": "surface Dice", "volume_ml": "ml", "true_volume_ml": "reference ml", "mae": "MAE",
          "rmse": "RMSE", "psnr_db": "PSNR dB", "ssim": "SSIM", "nmi": "NMI", "lncc": "LNCC", "auc": "AUC",
          "positives": "voxels inside", "voxels": "voxels"}
_KINDS = ("labels", "images", "probability", "transforms", "landmarks")
_MOST_LABELS = 256
_TRANSFORMS = (".h5", ".tfm", ".txt", ".mat", ".hdf5")
_LANDMARKS = (".fcsv", ".csv", ".json")


def fill_compare(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the options of `meddl compare`."""
    parser.add_argument("result", metavar="A", type=Path,
                        help="a segmentation or label map, a volume, a volume of probabilities, a transform, the "
                        "landmarks of the fixed volume, or a folder of segmentations or volumes")
    parser.add_argument("reference", metavar="B", type=Path, help="the reference: the same kind of file (a "
                        "segmentation for probabilities, the moving volume's landmarks), or a folder with files of the "
                        "same names")
    parser.add_argument("-o", "--output", metavar="OUT.csv", type=Path, help="write all figures to this file")
    parser.add_argument("--summary", metavar="OUT.csv", type=Path,
                        help="of folders, write mean, standard deviation and 95 %% interval to this file")
    parser.add_argument("--errors", metavar="FILE", type=Path, help="write where the two disagree: a segmentation "
                        "(missed, extra, another structure), or the difference of two volumes")
    parser.add_argument("--kind", choices=_KINDS, help="what the files hold (default: labels where they hold at most "
                        f"{_MOST_LABELS} whole numbers, images else, probability where A lies between 0 and 1 and B "
                        "holds labels; transforms and landmarks by their names)")
    parser.add_argument("--image", metavar="FILE", type=Path, help="the volume in which --region body is found")
    parser.add_argument("--roc", metavar="OUT.csv", type=Path,
                        help="of probabilities: write the ROC curve to this file")
    parser.add_argument("--mask", metavar="FILE", type=Path, help="of images: where to look")
    parser.add_argument("--fixed", metavar="FILE", type=Path,
                        help="of transforms: the fixed volume, in which they are compared")
    parser.add_argument("--transform", dest="given_transform", metavar="FILE", type=Path, help="of landmarks: the "
                        "transform that brings those of the fixed volume to the moving one (default: none)")
    add_config_options(parser, CompareConfig)
    add_common(parser, inputs=("result", "reference", "image", "mask", "fixed", "given_transform"), options=("kind",),
               device=False)
    parser.set_defaults(function=_compare)


def _compare(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.comparison.folders import write_csv
    from meddl.io.files import WRITABLE

    check_outputs(arguments, ((arguments.output, (".csv",)), (arguments.summary, (".csv",)),
                              (arguments.roc, (".csv",)), (arguments.errors, (".seg.nrrd", *WRITABLE))))
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
    if arguments.roc is not None:
        if not hasattr(made, "curve_rows"):
            raise InputError("--roc is for a volume of probabilities and a segmentation; see --kind.")
        write_csv(made.curve_rows(), arguments.roc)
    progress.say(_table(rows))
    finish(arguments, progress, {**made.report, "rows": rows}, _sentence(made),
           config=config_from(arguments, CompareConfig))


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
    from meddl.io import as_mask

    kind = arguments.kind or _kind_of(result, reference)
    if kind in ("transforms", "landmarks"):
        made = _compare_points(arguments, kind, result, reference)
        return made, made.rows() if kind == "landmarks" else [
            {name: value for name, value in made.report.items() if name != "warnings"}]
    config = asdict(config_from(arguments, CompareConfig))
    structure = config.pop("structure")
    image = None if arguments.image is None else meddl.load(arguments.image)
    if kind == "images":
        mask = None if arguments.mask is None else as_mask(arguments.mask)
        made = meddl.compare(meddl.load(result), meddl.load(reference), mask=mask, on_progress=progress)
    elif kind == "probability":
        made = meddl.compare(meddl.load(result), meddl.load_segmentation(reference), structure=structure or None,
                             region=config["region"], image=image, on_progress=progress)
    else:
        made = meddl.compare(meddl.load_segmentation(result), meddl.load_segmentation(reference), image=image,
                             on_progress=progress, **config)
    return made, made.rows()


def _compare_points(arguments: argparse.Namespace, kind: str, result: Path, reference: Path):
    """Two transforms, or landmarks of the fixed and of the moving volume."""
    from meddl.comparison.transforms import landmark_errors
    from meddl.io import load_points

    if kind == "transforms":
        grid = None if arguments.fixed is None else meddl.load(arguments.fixed).grid
        return meddl.compare(meddl.load_transform(result), meddl.load_transform(reference), grid=grid)
    transform = None if arguments.given_transform is None else meddl.load_transform(arguments.given_transform)
    return landmark_errors(transform, load_points(result), load_points(reference))


def _kind_of(result: Path, reference: Path) -> str:
    """What two files hold, by their names and values."""
    for kind, endings in (("transforms", _TRANSFORMS), ("landmarks", _LANDMARKS)):
        if result.name.lower().endswith(endings) and reference.name.lower().endswith(endings):
            return kind
    kinds = [_kind_of_file(file) for file in (result, reference)]
    if kinds == ["fractions", "labels"]:
        return "probability"
    return "labels" if kinds == ["labels", "labels"] else "images"


def _kind_of_file(file: Path) -> str:
    """ "labels", "fractions" (between 0 and 1) or "images"."""
    import numpy as np

    from meddl.io.files import suffix_of

    if suffix_of(file) == ".seg.nrrd":
        return "labels"
    data = meddl.load(file).data[..., ::7]
    values = np.unique(data)[:_MOST_LABELS + 1]
    if not np.isfinite(values).all() or (values < 0).any():
        return "images"
    if len(values) <= _MOST_LABELS and (values == np.round(values)).all():
        return "labels"
    return "fractions" if data.max() <= 1 else "images"


def _save_errors(made, path: Path) -> None:
    if hasattr(made, "errors"):
        meddl.save_segmentation(made.errors, path)
    elif hasattr(made, "difference"):
        meddl.save(made.difference, path)
    else:
        raise InputError("These have no map of errors; leave --errors out.")


def _worst(rows: list[dict]) -> float:
    """The figure by which cases are sorted: mean Dice, PSNR, or area under the ROC curve."""
    figures = [row.get("dice", row.get("psnr_db", row.get("auc"))) for row in rows]
    defined = [figure for figure in figures if figure is not None]
    return sum(defined) / len(defined) if defined else float("-inf")


def _table(rows: list[dict]) -> str:
    first = [name for name in ("structure", "point") if name in rows[0]]
    names = [name for name in rows[0] if name in _SHOWN or name.endswith("_mm") and "structure" not in rows[0]]
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
    if "auc" in report:
        return f"AUC {report['auc']:.4g} of {report['structure']}, region: {report['region']}{where}"
    return f"{report['points']} points, mean distance {report['mean_mm']:.4g} mm"
