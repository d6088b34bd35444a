"""The training log: a CSV file that plots itself."""

import csv
import os
from pathlib import Path

CHECKPOINT = "checkpoint.pt"  # of a training, beside its log


class TrainingLog:
    """Rows of numbers in `log.csv`, drawn as curves in `log.png`, in a run's folder.

    Args:
        folder: where the files go; an old log there is continued.
        columns: names of the numbers.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...]):
        self.path = folder / "log.csv"
        self.columns = columns
        if not self.path.exists():
            self._append(columns)

    def add(self, **numbers: float) -> None:
        """Append a row; a missing number stays empty."""
        self._append([f"{numbers[c]:.6g}" if c in numbers else "" for c in self.columns])

    def _append(self, row) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)

    def curves(self) -> dict[str, tuple[list[float], list[float]]]:
        """By column: steps and values."""
        curves = {c: ([], []) for c in self.columns if c != "step"}
        with self.path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for column, (steps, values) in curves.items():
                    if row[column]:
                        steps.append(float(row["step"]))
                        values.append(float(row[column]))
        return curves

    def plot(self, columns: tuple[str, ...]) -> bool:
        """Draw these columns, one panel each, into `log.png`. False where matplotlib is not installed."""
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            return False
        figure = Figure(figsize=(5 * len(columns), 3.5), layout="constrained")
        curves = self.curves()
        for axes, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
            axes.plot(*curves[column], linewidth=1)
            axes.set(title=column, xlabel="step")
            axes.grid(alpha=0.3)
        temporary = self.path.with_name(f"log.{os.getpid()}.png")
        FigureCanvasAgg(figure).print_png(temporary)
        temporary.replace(self.path.with_suffix(".png"))
        return True
