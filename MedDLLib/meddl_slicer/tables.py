"""The volumes of a segmentation as a table node."""

import slicer
import vtk

from meddl.results import Segmentation

COLUMNS = ("Structure", "Volume [ml]", "Confidence")


def create_volume_table(segmentation: Segmentation, name: str, node=None):
    """A table node with a row for each structure: its name, volume in ml and mean confidence, 0 to 1.

    Args:
        segmentation: its report holds `volumes_ml` and `confidence` by name; a confidence that it lacks stays empty.
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
        for index, title in enumerate(COLUMNS):
            array = vtk.vtkStringArray() if index == 0 else vtk.vtkDoubleArray()
            array.SetName(title)
            for row in rows:
                array.InsertNextValue(row[index] if index == 0 else _number(row[index]))
            node.AddColumn(array)
        node.SetColumnUnitLabel(COLUMNS[1], "ml")
        node.SetLocked(True)
        node.SetUseColumnTitleAsColumnHeader(True)
    return node


def _number(value) -> float:
    return float("nan") if value is None else round(float(value), 3)
