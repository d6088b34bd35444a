"""The nodes of a comparison: its table, and what hangs on it as node references.

The table is locked and can be saved as CSV. References: the map of errors (a segmentation: missed, extra, another
structure) or of differences (a volume), the confusion matrix, summary or ROC curve (tables), the plots (charts), and
the model of surfaces colored by distance. A comparison that fills the same table again renews them.
"""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

from meddl_slicer.mrml.nodes import create_volume_node, place_beside
from meddl_slicer.mrml.segmentations import segmentation_content
from meddl_slicer.mrml.surfaces import poly_data
from meddl_slicer.mrml.tables import STRUCTURE, Column, fill_table
from meddl_slicer.sections.comparison import plots
from meddl_slicer.sections.comparison.remote import LABELS, LANDMARKS, PROBABILITY, Compared

ERRORS_ROLE = "MedDL.Errors"
DIFFERENCE_ROLE = "MedDL.Difference"
CONFUSION_ROLE = "MedDL.Confusion"
SUMMARY_ROLE = "MedDL.Summary"
CURVE_ROLE = "MedDL.Curve"
SURFACES_ROLE = "MedDL.Surfaces"
PLOTS_ROLE = "MedDL.Plots"
_ROLES = (ERRORS_ROLE, DIFFERENCE_ROLE, CONFUSION_ROLE, SUMMARY_ROLE, CURVE_ROLE, SURFACES_ROLE, PLOTS_ROLE)
_COLORS = ("vtkMRMLColorTableNodeFileColdToHotRainbow.txt", "vtkMRMLColorTableNodeRainbow")

# Title and unit of what the rows of comparisons hold; what is not listed is left out of tables.
FIGURES = {
    "case": (_("Case"), ""), "structure": (STRUCTURE, ""), "point": (_("Landmark"), ""),
    "dice": ("Dice", ""), "iou": ("IoU", ""), "accuracy": (_("Accuracy"), ""), "sensitivity": (_("Sensitivity"), ""),
    "specificity": (_("Specificity"), ""), "precision": (_("Precision"), ""), "f1": ("F1", ""),
    "volume_ml": (_("Volume"), "ml"), "true_volume_ml": (_("Reference volume"), "ml"),
    "volume_difference_ml": (_("Volume difference"), "ml"), "hausdorff_mm": ("Hausdorff", "mm"),
    "hd95_mm": ("HD95", "mm"), "mean_surface_distance_mm": (_("Mean surface distance"), "mm"),
    "surface_dice": (_("Surface Dice"), ""), "distance_mm": (_("Distance"), "mm"),
    "mae": ("MAE", ""), "rmse": ("RMSE", ""), "nrmse": ("NRMSE", ""), "psnr_db": ("PSNR", "dB"), "ssim": ("SSIM", ""),
    "nmi": (_("Normalized mutual information"), ""), "lncc": (_("Local correlation"), ""), "auc": ("AUC", ""),
    "positives": (_("Voxels inside"), ""), "voxels": (_("Voxels"), ""), "mean_mm": (_("Mean"), "mm"),
    "sd_mm": (_("Standard deviation"), "mm"), "median_mm": (_("Median"), "mm"),
    "p95_mm": (_("95th percentile"), "mm"), "max_mm": (_("Largest"), "mm"), "points": (_("Points"), ""),
}
_SUMMARY = {"structure": STRUCTURE, "figure": _("Figure"), "cases": _("Cases"), "mean": _("Mean"), "sd": "SD",
            "low_95": _("95 % interval, low"), "high_95": _("95 % interval, high")}


def put_comparison(found: Compared, resultNode, referenceNode, tableNode=None):
    """The nodes of the comparison of two nodes; returns the table node."""
    name = _("{result} against {reference}").format(result=resultNode.GetName(), reference=referenceNode.GetName())
    node = _clear_companions(tableNode)
    if found.kind in (LABELS, LANDMARKS):
        node = fill_table(name, _columns(found.rows), node)
    else:
        node = fill_table(name, _upright(found.rows[0]), node)
    place_beside(node, resultNode)
    if found.confusion is not None:
        names, counts = found.confusion
        _keep(node, CONFUSION_ROLE, fill_table(_("{name} confusion matrix").format(name=name), [
            Column(_("True structure"), names), *(Column(one, counts[:, k].tolist()) for k, one in
                                                  enumerate(_distinct(names)))]))
    if found.errors is not None and found.errors.labels.any():
        _keep(node, ERRORS_ROLE, _error_segmentation(found, name, referenceNode))
    if found.difference is not None:
        made = create_volume_node(found.difference, _("{name} difference").format(name=name))
        largest = float(np.percentile(np.abs(found.difference.data[..., ::2, ::2, ::2]), 99.5)) or 1.0
        made.GetDisplayNode().SetAutoWindowLevel(False)
        made.GetDisplayNode().SetWindowLevelMinMax(-largest, largest)
        _keep(node, DIFFERENCE_ROLE, made)
    if found.surfaces:
        _keep(node, SURFACES_ROLE, _model(found.surfaces, _("{name} surface distance").format(name=name)))
    _add_plots(node, found, name)
    for made in companions(node):
        place_beside(made, resultNode)
    return node


def put_cases(kind: str, rows: list[dict], summary: list[dict], likeNode, tableNode=None):
    """The nodes of the comparison of several cases; returns the table node.

    Args:
        rows: of all cases, each with its "case".
        summary: of `FolderComparison.summary`.
        likeNode: a reference, whose name the table takes.
    """
    name = _("Comparison of cases")
    node = fill_table(name, _columns(rows), _clear_companions(tableNode))
    shown = [one for one in summary if one["figure"] in FIGURES]
    _keep(node, SUMMARY_ROLE, fill_table(_("{name} summary").format(name=name), [
        Column(title, [_in_words(one["figure"]) if key == "figure" else one[key] for one in shown])
        for key, title in _SUMMARY.items() if key != "structure" or kind == LABELS]))
    if kind == LABELS:
        for chart in (*plots.box_plot(rows, "dice", _("Dice by structure")),
                      *plots.bland_altman(rows, _("Bland–Altman plot of volumes"))):
            _add(node, PLOTS_ROLE, chart)
    else:
        for chart in plots.box_plot([{**row, "structure": "PSNR"} for row in rows], "psnr_db", "PSNR"):
            _add(node, PLOTS_ROLE, chart)
    for made in companions(node):
        place_beside(made, likeNode)
    return node


def companions(tableNode) -> list:
    """The nodes that hang on the table of a comparison, plots first."""
    found = [tableNode.GetNthNodeReference(role, n) for role in reversed(_ROLES)
             for n in range(tableNode.GetNumberOfNodeReferences(role))]
    return [node for node in found if node is not None]


def charts_of(tableNode) -> list:
    """The plot charts of a comparison."""
    return [node for node in companions(tableNode) if node.IsA("vtkMRMLPlotChartNode")]


def undo(tableNode) -> None:
    """Remove a comparison from the scene: its table and what hangs on it."""
    _clear_companions(tableNode)
    slicer.mrmlScene.RemoveNode(tableNode)


def _clear_companions(tableNode):
    """The table of an earlier comparison without what hung on it; None stays None."""
    if tableNode is not None:
        for node in companions(tableNode):
            slicer.mrmlScene.RemoveNode(node)
        for role in _ROLES:
            tableNode.RemoveNodeReferenceIDs(role)
    return tableNode


def _columns(rows: list[dict]) -> list[Column]:
    """A column for each figure that any row has."""
    names = [name for name in FIGURES if any(name in row for row in rows)]
    return [Column(FIGURES[name][0], [row.get(name) for row in rows], FIGURES[name][1]) for name in names]


def _upright(row: dict) -> list[Column]:
    """One row as two columns: figure and value."""
    names = [name for name in FIGURES if name in row]
    return [Column(_("Figure"), [_in_words(name) for name in names]),
            Column(_("Value"), [_number(row[name]) for name in names])]


def _in_words(figure: str) -> str:
    title, unit = FIGURES[figure]
    return f"{title} [{unit}]" if unit else title


def _number(value) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _distinct(names: tuple[str, ...]) -> list[str]:
    """The names, those that were there before with a number: a table has one column of a name."""
    made: list[str] = []
    for name in names:
        made.append(name if name not in made else f"{name} ({len(made)})")
    return made


def _error_segmentation(found: Compared, name: str, referenceNode):
    node = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(_("{name} errors").format(name=name)))
    content = segmentation_content(found.errors, found.errors.affine)
    with slicer.util.NodeModify(node):
        node.SetAndObserveSegmentation(content)
        role = node.GetReferenceImageGeometryReferenceRole()
        if referenceNode.GetNodeReferenceID(role):
            node.SetNodeReferenceID(role, referenceNode.GetNodeReferenceID(role))
    node.CreateDefaultDisplayNodes()
    return node


def _model(surfaces, name: str):
    """All surfaces as one model, colored by distance, with a color scale that is even about zero."""
    append = vtk.vtkAppendPolyData()
    for one in surfaces:
        mesh = poly_data(one.surface)
        distance = numpy_to_vtk(one.distance_mm, deep=True)
        distance.SetName(plots.DISTANCE)
        mesh.GetPointData().SetScalars(distance)
        append.AddInputData(mesh)
    append.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAndObservePolyData(append.GetOutput())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    largest = max(float(np.abs(one.distance_mm).max(initial=0.0)) for one in surfaces) or 1.0
    colors = next((one for one in _COLORS if slicer.mrmlScene.GetNodeByID(one) is not None), None)
    display.SetActiveScalar(plots.DISTANCE, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetScalarVisibility(True)
    display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
    display.SetScalarRange(-largest, largest)
    if colors is not None:
        display.SetAndObserveColorNodeID(colors)
    return node


def _add_plots(node, found: Compared, name: str) -> None:
    if found.kind == LABELS:
        charts = plots.bar_chart(node, STRUCTURE, "Dice", name)
    elif found.kind == LANDMARKS:
        charts = plots.bar_chart(node, FIGURES["point"][0], _in_words("distance_mm"),
                                 _("Target registration error, {name}").format(name=name))
    elif found.kind == PROBABILITY and found.curve is not None:
        curve = fill_table(_("{name} ROC curve").format(name=name), [
            Column(title, [row[key] for row in found.curve]) for key, title in (
                ("false_positive_rate", plots.RATE), ("sensitivity", plots.SENSITIVITY),
                ("threshold", _("Threshold")))])
        _keep(node, CURVE_ROLE, curve)
        charts = plots.roc_chart(curve, f"{name}, AUC {found.report['auc']:.3f}")
    else:
        charts = ()
    for chart in charts:
        _add(node, PLOTS_ROLE, chart)


def _keep(node, role: str, made) -> None:
    node.SetNodeReferenceID(role, made.GetID())


def _add(node, role: str, made) -> None:
    node.AddNodeReferenceID(role, made.GetID())
