"""The volumes of a segmentation, and what became of many, as table nodes."""

from collections.abc import Sequence

import slicer
import vtk

from meddl.jobs.summary import Row
from meddl.results import Segmentation

COLUMNS = ("Structure", "Volume [ml]", "Confidence")


def create_volume_table(segmentation: Segmentation, name: str, node=None):
    """A table node with a row for each structure: its name, volume in ml and mean confidence, 0 to 1.

    Args:
        segmentation: its report holds `volumes_ml` and `confidence` by name; what it lacks stays empty.
        name: of the new node; numbered where the scene has it.
        node: a table node to fill instead of a new one; what it held is replaced.

    Returns:
        The table node, in the scene.
    """
    node = node or _new_table(name)
    volumes = segmentation.report.get("volumes_ml", {})
    confidence = segmentation.report.get("confidence", {})
    rows = [(segment.name, volumes.get(segment.name), confidence.get(segment.name))
            for segment in segmentation.segments]
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        _add_column(node, vtk.vtkStringArray(), COLUMNS[0], [row[0] for row in rows])
        _add_column(node, vtk.vtkDoubleArray(), COLUMNS[1], [round(float(row[1] or 0), 3) for row in rows])
        # Text, because a number cannot be empty.
        _add_column(node, vtk.vtkStringArray(), COLUMNS[2],
                    ["" if row[2] is None else f"{row[2]:.2f}" for row in rows])
        node.SetColumnUnitLabel(COLUMNS[1], "ml")
        _lock(node)
    return node


def create_summary_table(rows: Sequence[Row], structures: Sequence[str], name: str, node=None):
    """A table node with a row for each case of a job: its name, state, seconds, error, warnings, segmentation, and
    ml of each structure.

    Args:
        rows: what became of the cases. Volumes of what was not segmented stay empty (not a number).
        structures: the columns of volumes.
        name: of the new node; numbered where the scene has it.
        node: a table node to fill instead of a new one; what it held is replaced.

    Returns:
        The table node, in the scene.
    """
    node = node or _new_table(name)
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        _add_column(node, vtk.vtkStringArray(), "Case", [row.case for row in rows])
        _add_column(node, vtk.vtkStringArray(), "State", [row.state for row in rows])
        _add_column(node, vtk.vtkDoubleArray(), "Seconds", [round(row.seconds, 2) for row in rows])
        _add_column(node, vtk.vtkStringArray(), "Error", [row.error for row in rows])
        _add_column(node, vtk.vtkStringArray(), "Warnings", [" ".join(row.warnings) for row in rows])
        _add_column(node, vtk.vtkStringArray(), "Segmentation", [row.output for row in rows])
        for structure in structures:
            title = f"{structure} [ml]"
            _add_column(node, vtk.vtkDoubleArray(), title,
                        [float(row.volumes_ml.get(structure, "nan")) for row in rows])
            node.SetColumnUnitLabel(title, "ml")
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
