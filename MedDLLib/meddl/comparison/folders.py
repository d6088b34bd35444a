"""Comparison of a folder of results with a folder of references, case by case."""

import csv
import io
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from meddl.core.errors import Cancelled, InputError, MedDLError
from meddl.core.progress import ProgressCallback, span
from meddl.io.files import replacing, suffix_of

_ENDINGS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_NOT_FIGURES = ("case", "structure", "matched_by", "label", "reference_label", "point", "error")


@dataclass(frozen=True)
class FolderComparison:
    """Agreement of the cases of two folders.

    Attributes:
        rows: of all cases, those of the worst case first, each with its "case"; a case that failed has one row with
            its "error".
        unmatched: files of one folder alone.
    """

    rows: tuple[dict, ...]
    unmatched: tuple[str, ...]

    def __repr__(self) -> str:
        cases = {row["case"] for row in self.rows}
        return f"FolderComparison({len(cases)} case{'s'[:len(cases) != 1]}, {len(self.unmatched)} unmatched)"

    def summary(self) -> list[dict]:
        """For each structure and figure the number of cases, mean, standard deviation and 95 % interval of the mean
        (Student's t); None where two cases are not there. Cases in which a figure is not defined are left out."""
        from scipy.stats import t as student_t

        groups: dict[tuple[str, str], list[float]] = {}
        for row in self.rows:
            for name, figure in row.items():
                if name not in _NOT_FIGURES and isinstance(figure, (int, float)):
                    groups.setdefault((row.get("structure", ""), name), []).append(float(figure))
        made = []
        for (structure, name), figures in groups.items():
            mean = statistics.fmean(figures)
            spread = statistics.stdev(figures) if len(figures) > 1 else None
            half = None if spread is None else student_t.ppf(0.975, len(figures) - 1) * spread / len(figures) ** 0.5
            made.append({"structure": structure, "figure": name, "cases": len(figures), "mean": mean, "sd": spread,
                         "low_95": None if half is None else mean - half,
                         "high_95": None if half is None else mean + half})
        return made


def compare_folders(results: str | Path, references: str | Path, compare_files: Callable[[Path, Path], list[dict]],
                    worst: Callable[[list[dict]], float], on_progress: ProgressCallback | None = None
                    ) -> FolderComparison:
    """Compare the files of two folders that have the same name but for its ending.

    Args:
        compare_files: the rows of two files.
        worst: of a case's rows the figure by which cases are sorted, smallest first.

    Raises:
        InputError: no file of the two has the same name.
        Cancelled: from `on_progress`.
    """
    ours, theirs = _files(results), _files(references)
    names = sorted(ours.keys() & theirs.keys())
    if not names:
        raise InputError(f"No file in '{results}' has the name of one in '{references}'.")
    cases: list[tuple[float, list[dict]]] = []
    for number, name in enumerate(names):
        stage = span(on_progress, number / len(names), (number + 1) / len(names))
        if stage is not None:
            stage(0.0, name)
        try:
            rows = [{"case": name, **row} for row in compare_files(ours[name], theirs[name])]
            cases.append((worst(rows), rows))
        except Cancelled:
            raise
        except MedDLError as error:
            cases.append((float("-inf"), [{"case": name, "error": str(error)}]))
    cases.sort(key=lambda case: case[0])
    return FolderComparison(tuple(row for _, rows in cases for row in rows),
                            tuple(str(files[name]) for files in (ours, theirs) for name in sorted(files)
                                  if name not in names))


def write_csv(rows: Iterable[dict], path: str | Path) -> None:
    """Write dictionaries as CSV: a column for each key, empty where a figure is not defined.

    Raises:
        InputError: the file cannot be written.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path, ".csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def _files(folder: str | Path) -> dict[str, Path]:
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise InputError(f"The folder '{place}' does not exist.")
    found: dict[str, Path] = {}
    for file in sorted(place.iterdir()):
        ending = suffix_of(file)
        if file.is_file() and ending in _ENDINGS and not file.name.startswith("."):
            name = file.name[:-len(ending)]
            if name in found:
                raise InputError(f"'{found[name].name}' and '{file.name}' are one case by their name; remove one.")
            found[name] = file
    return found
