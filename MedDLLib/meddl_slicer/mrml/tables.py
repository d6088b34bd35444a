"""The volumes of a segmentation, and what became of many, as table nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import slicer
import vtk

from meddl.jobs.summary import Row, figure_titles
from meddl.results import Segmentation, asymmetry_percent, low_confidence

STRUCTURE, VOLUME, CONFIDENCE, USUAL = "Structure", "Volume [ml]", "Confidence", "Usual"
ASYMMETRY = "Left - right [%]"
ERROR, WARNINGS = "Error", "Warnings"  # of a case
_HELP = {
    STRUCTURE: "Structure of the model.",
    VOLUME: "Volume of its label.",
    ASYMMETRY: "Asymmetry: the left volume minus the right one, in percent of their mean.",
    CONFIDENCE: "How sure the network was: the mean probability of the label over its voxels, 0 to 1.",
    USUAL: "The confidence in most of the volumes that the model was measured on (5th to 95th percentile).",
}


def create_volume_table(segmentation: Segmentation, name: str, node=None):
    """A table node with a row for each structure: its name, volume in ml, asymmetry in percent where it has two sides,
    mean confidence, 0 to 1, and where the model's card states it the usual range of the confidence.

    Args:
        segmentation: its report holds `volumes_ml`, `confidence` and `usual_confidence` by name; what it lacks stays
            empty.
        name: of the new node; numbered where the scene has it.
        node: a table node to fill instead of a new one; what it held is replaced.

    Returns:
        The table node, in the scene.
    """
    node = node or _new_table(name)
    report, names = segmentation.report, [segment.name for segment in segmentation.segments]
    volumes, confidence = report.get("volumes_ml", {}), report.get("confidence", {})
    usual = report.get("usual_confidence", {})
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        _add_column(node, vtk.vtkStringArray(), STRUCTURE, names)
        _add_column(node, vtk.vtkDoubleArray(), VOLUME, [round(float(volumes.get(one) or 0), 3) for one in names])
        asymmetry = asymmetry_percent({one: volumes.get(one) or 0 for one in names})
        if asymmetry:
            _add_column(node, vtk.vtkDoubleArray(), ASYMMETRY,
                        [round(asymmetry.get(one, float("nan")), 2) for one in names])
            node.SetColumnTitle(ASYMMETRY, "L\u2212R")
            node.SetColumnUnitLabel(ASYMMETRY, "%")
        # Text, because a number cannot be empty.
        _add_column(node, vtk.vtkStringArray(), CONFIDENCE,
                    [f"{confidence[one]:.2f}" if one in confidence else "" for one in names])
        if usual:
            _add_column(node, vtk.vtkStringArray(), USUAL,
                        [_range(usual[one]) if one in usual else "" for one in names])
        node.SetColumnTitle(VOLUME, "Volume")  # Slicer adds the unit
        node.SetColumnUnitLabel(VOLUME, "ml")
        for column in (STRUCTURE, VOLUME, *([ASYMMETRY] if asymmetry else []), CONFIDENCE, *([USUAL] if usual else [])):
            node.SetColumnDescription(column, _HELP[column])
        _lock(node)
    return node


def doubtful_structures(report: dict) -> dict[str, str]:
    """Structures found with less confidence than is usual, and that in a sentence each.

    Args:
        report: of a segmentation.
    """
    usual = report.get("usual_confidence", {})
    return {name: f"The confidence of '{name}' is {value:.2f}; usual is {_range(usual[name])}. Look at this structure."
            for name, value in low_confidence(report).items()}


def _range(limits: Sequence[float]) -> str:
    return f"{limits[0]:.2f}\u2013{limits[1]:.2f}"


def create_summary_table(rows: Sequence[Row], structures: Sequence[str], name: str, node=None,
                         result: str = "Segmentation"):
    """A table node with a row for each case of a job: its name, state, seconds, quality where it is estimated, other
    figures, error, warnings, result, and ml of each structure.

    Args:
        rows: what became of the cases. Figures of what was not done stay empty (not a number).
        structures: the columns of volumes.
        name: of the new node; numbered where the scene has it.
        node: a table node to fill instead of a new one; what it held is replaced.
        result: the title of the column that names the results.

    Returns:
        The table node, in the scene.
    """
    rated = any(row.quality is not None for row in rows)
    return fill_table(name, [
        Column("Case", [row.case for row in rows]), Column("State", [row.state for row in rows]),
        Column("Seconds", [round(row.seconds, 2) for row in rows]),
        *([Column("Quality", [row.quality for row in rows])] if rated else []),
        *(_figure_column(title, rows) for title in figure_titles(rows)), Column(ERROR, [row.error for row in rows]),
        Column(WARNINGS, [" ".join(row.warnings) for row in rows]), Column(result, [row.output for row in rows]),
        *(Column(structure, [row.volumes_ml.get(structure) for row in rows], "ml") for structure in structures)], node)


def _figure_column(title: str, rows: Sequence[Row]) -> "Column":
    """A figure, whose title may end in its unit: "rotation [deg]"."""
    name, _, unit = title.partition(" [")
    return Column(name[:1].upper() + name[1:], [row.figures.get(title) for row in rows], unit.rstrip("]"))


@dataclass(frozen=True)
class Column:
    """A column of a table node.

    Attributes:
        title: what its header says.
        values: texts, or numbers, where None is shown as not defined.
        unit: of the numbers.
    """

    title: str
    values: Sequence
    unit: str = ""


def fill_table(name: str, columns: Sequence[Column], node=None):
    """A table node with these columns.

    Args:
        name: of the new node; numbered where the scene has it.
        node: a table node to fill instead of a new one; what it held is replaced.

    Returns:
        The table node, in the scene.
    """
    node = node or _new_table(name)
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for column in columns:
            text = any(isinstance(value, str) for value in column.values)
            title = f"{column.title} [{column.unit}]" if column.unit else column.title
            if text:
                _add_column(node, vtk.vtkStringArray(), title, [value or "" for value in column.values])
            else:
                _add_column(node, vtk.vtkDoubleArray(), title,
                            [float("nan") if value is None else float(value) for value in column.values])
            node.SetColumnTitle(title, column.title)
            node.SetColumnUnitLabel(title, column.unit)
        _lock(node)
    return node


def _new_table(name: str):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(name))


def _lock(node) -> None:
    node.SetLocked(True)
    node.SetUseColumnTitleAsColumnHeader(True)


def _add_column(node, array, title: str, values) -> None:
    array.SetName(title)
    for value in values:
        array.InsertNextValue(value)
    node.AddColumn(array)
