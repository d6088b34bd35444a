"""The nodes of a change: the map in units of the noise, and what hangs on it as node references.

References: the difference in intensities, the follow-up on the baseline's grid, the Jacobian map (volumes), the
transform, the tables of structures and lesions, the lesions by their state (a segmentation), and the color table.
"""

import numpy as np
import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.nodes import Placement, copy_display, place_beside, put_volume
from meddl_slicer.mrml.registration_nodes import show_jacobian
from meddl_slicer.mrml.segmentations import create_segmentation_node
from meddl_slicer.mrml.tables import STRUCTURE, Column, fill_table
from meddl_slicer.mrml.transforms import fill_transform_node
from meddl_slicer.sections.change.remote import ChangeResults

DIFFERENCE_ROLE = "MedDL.Difference"
MATCHED_ROLE = "MedDL.Matched"
JACOBIAN_ROLE = "MedDL.Jacobian"
TRANSFORM_ROLE = "MedDL.Transform"
STRUCTURES_ROLE = "MedDL.Structures"
LESIONS_ROLE = "MedDL.Lesions"
LESION_MAP_ROLE = "MedDL.LesionMap"
COLORS_ROLE = "MedDL.Colors"
ROLES = (DIFFERENCE_ROLE, MATCHED_ROLE, JACOBIAN_ROLE, TRANSFORM_ROLE, STRUCTURES_ROLE, LESIONS_ROLE, LESION_MAP_ROLE,
         COLORS_ROLE)

COLORS = 250              # of the table,
SHOWN_THRESHOLDS = 2.5    # which ends at this many thresholds; the threshold itself lies between two colors
_DARKER = np.array([[0.0, 0.1, 0.7], [0.3, 0.95, 1.0]])   # at the threshold and at the end
_BRIGHTER = np.array([[0.75, 0.0, 0.0], [1.0, 0.95, 0.3]])

# Title and unit of the columns of both tables.
FIGURES = {
    "structure": (STRUCTURE, ""), "lesion": (_("Lesion"), ""), "state": (_("State"), ""),
    "baseline_ml": (_("Baseline"), "ml"), "follow_up_ml": (_("Follow-up"), "ml"), "change_ml": (_("Change"), "ml"),
    "change_percent": (_("Change"), "%"), "mean_jacobian": (_("Mean Jacobian"), ""),
    "mean_log_jacobian": (_("Mean log Jacobian"), ""), "jacobian_change_percent": (_("Change by Jacobian"), "%"),
    "mean_z": (_("Mean difference"), _("noise SD")), "r_mm": ("R", "mm"), "a_mm": ("A", "mm"), "s_mm": ("S", "mm"),
    "baseline_parts": (_("Parts before"), ""), "follow_up_parts": (_("Parts after"), ""),
}


def put_change(found: ChangeResults, baselineNode, followUpNode, placement: Placement):
    """The nodes of a change, beside the baseline; returns the volume node of the map."""
    name = _("{baseline} to {followUp}").format(baseline=baselineNode.GetName(), followUp=followUpNode.GetName())
    node = put_volume(found.z, _("{name} change").format(name=name), None, baselineNode, placement, None)
    place_beside(node, baselineNode)
    _keep(node, COLORS_ROLE, _create_colors(_("{name} change colors").format(name=name)))
    show_threshold(node, found.report["threshold"])
    matched = put_volume(found.matched, _("{name} matched").format(name=name), None, baselineNode, placement, None)
    copy_display(baselineNode, matched)
    difference = put_volume(found.difference, _("{name} difference").format(name=name), None, baselineNode, placement,
                            None)
    largest = SHOWN_THRESHOLDS * found.report["threshold"] * found.report["noise_sd"]
    difference.GetDisplayNode().SetAutoWindowLevel(False)
    difference.GetDisplayNode().SetWindowLevelMinMax(-largest, largest)
    transform = fill_transform_node(found.field, found.matrix, _("{name} transform").format(name=name))
    made = {MATCHED_ROLE: matched, DIFFERENCE_ROLE: difference, TRANSFORM_ROLE: transform}
    if found.jacobian is not None:
        made[JACOBIAN_ROLE] = put_volume(found.jacobian, _("{name} Jacobian").format(name=name), None, baselineNode,
                                         placement, None)
        show_jacobian(made[JACOBIAN_ROLE])
    if found.structures:
        made[STRUCTURES_ROLE] = _table(_("{name} structures").format(name=name), found.structures)
    if found.lesions:
        made[LESIONS_ROLE] = _table(_("{name} lesions").format(name=name), found.lesions)
        made[LESION_MAP_ROLE] = create_segmentation_node(
            found.lesion_map, baselineNode, _("{name} lesions by state").format(name=name), placement=placement)
        made[LESION_MAP_ROLE].GetDisplayNode().SetVisibility2DFill(False)  # outlines, under which the map is seen
    for role, one in made.items():
        _keep(node, role, one)
        place_beside(one, baselineNode)
    return node


def companions(mapNode) -> list:
    """The nodes that hang on the map of a change."""
    found = [mapNode.GetNodeReference(role) for role in ROLES]
    return [node for node in found if node is not None]


def undo(mapNode) -> None:
    """Remove a change from the scene: its map and what hangs on it."""
    for node in (*companions(mapNode), mapNode):
        slicer.mrmlScene.RemoveNode(node)


def show_threshold(mapNode, threshold: float) -> None:
    """Show differences from this many standard deviations of the noise on; what is less is clear."""
    display, colors = mapNode.GetDisplayNode(), mapNode.GetNodeReference(COLORS_ROLE)
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(-SHOWN_THRESHOLDS * threshold, SHOWN_THRESHOLDS * threshold)
    if colors is not None:
        display.SetAndObserveColorNodeID(colors.GetID())


def _create_colors(name: str):
    """A diverging color table, blue for darker and red for brighter, clear below the threshold."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetTypeToUser()
    node.SetNumberOfColors(COLORS)
    for number in range(COLORS):
        value = SHOWN_THRESHOLDS * (2 * (number + 0.5) / COLORS - 1)  # in thresholds
        seen = abs(value) > 1
        ends = _BRIGHTER if value > 0 else _DARKER
        color = ends[0] + (ends[1] - ends[0]) * max(abs(value) - 1, 0) / (SHOWN_THRESHOLDS - 1)
        node.SetColor(number, f"{value:+.2f}", *map(float, color), 1.0 if seen else 0.0)
    return node


def _table(name: str, rows):
    rows = [{**row, **dict(zip(("r_mm", "a_mm", "s_mm"), row.get("center_mm", ())))} for row in rows]
    names = [one for one in FIGURES if any(one in row for row in rows)]
    return fill_table(name, [Column(FIGURES[one][0], [_cell(row.get(one)) for row in rows], FIGURES[one][1])
                             for one in names])


def _cell(value):
    """What a table holds: whole numbers as text, so that they are shown without decimals."""
    return _(value) if isinstance(value, str) else str(value) if isinstance(value, int) else value


def _keep(node, role: str, made) -> None:
    node.SetNodeReferenceID(role, made.GetID())
