"""The volumes of a segmentation as a table node."""

import slicer
import vtk

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
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(name))
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
        node.SetLocked(True)
        node.SetUseColumnTitleAsColumnHeader(True)
    return node


def _add_column(node, array, title: str, values) -> None:
    array.SetName(title)
    for value in values:
        array.InsertNextValue(value)
    node.AddColumn(array)
