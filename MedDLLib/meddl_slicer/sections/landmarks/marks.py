"""Which markups of the scene belong to which volume."""

from typing import NamedTuple

import numpy as np
import slicer
from slicer.i18n import tr as _

from meddl.spatial.points import Boxes, Points
from meddl_slicer.mrml.nodes import is_plain_volume
from meddl_slicer.mrml.registration_nodes import points_of
from meddl_slicer.mrml.roi import read_roi, why_no_box
from meddl_slicer.runs.many_volumes import volumes_below
from meddl_slicer.sections.classification.classes import patient_of_item
from meddl_slicer.sections.landmarks.verb import FOUND
from meddl_slicer.sections.training.verb import ancestors

_KINDS = ("vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsROINode")


class MarkedNode(NamedTuple):
    """A volume node, its point lists and ROIs, and its patient, "" where the subject hierarchy has none."""

    node: object
    lists: tuple
    rois: tuple
    patient: str


class MarkedFolder(NamedTuple):
    """An item of the subject hierarchy, its name, and how many volumes with markups there are below it."""

    name: str
    item: int
    volumes: int


def marked_below(itemID: int) -> list[MarkedNode]:
    """The volumes below an item of the subject hierarchy that have markups.

    A point list or ROI belongs to the volume below whose item, or in whose folder it lies, if there is one volume; else
    to the one with whose name its own begins. What MedDL itself has found does not count.
    """
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    volumes = [(item, node) for item, node in volumes_below(itemID) if is_plain_volume(node)]
    parents = [hierarchy.GetItemParent(item) for item, _node in volumes]
    found: dict[int, tuple[list, list]] = {}
    for kind in range(len(_KINDS)):
        for node in slicer.util.getNodesByClass(_KINDS[kind]):
            parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
            near = [item for (item, _volume), above in zip(volumes, parents, strict=True) if parent in (item, above)]
            named = [item for item, volume in volumes if _rest_of_name(node, volume) is not None
                     and (not near or item in near)]
            owner = (near[0] if len(near) == 1 else
                     max(named, key=lambda item: len(hierarchy.GetItemName(item)), default=None))
            if owner is not None and not is_found(node):
                found.setdefault(owner, ([], []))[kind].append(node)
    return [MarkedNode(node, tuple(found[item][0]), tuple(found[item][1]), patient_of_item(item))
            for item, node in volumes if item in found]


def folders_with_marks() -> list[MarkedFolder]:
    """The scene and its folders below which there are two volumes with markups at least."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    scene = hierarchy.GetSceneItemID()
    above = {item for one in marked_below(scene) for item in ancestors(hierarchy, one.node)}
    found = [MarkedFolder(_("Whole scene") if item == scene else hierarchy.GetItemName(item), item,
                          len(marked_below(item))) for item in (scene, *sorted(above))]
    return [one for one in found if one.volumes > 1]


def read_marks(marked: MarkedNode) -> tuple[Points, Boxes]:
    """The points and boxes of a volume in the world. A box is called as its ROI, without the volume's name.

    Raises:
        InputError: an ROI under a nonlinear transform.
    """
    points = [points_of(node) for node in marked.lists]
    boxes = [(_rest_of_name(node, marked.node) or node.GetName(), read_roi(node, marked.node)) for node in marked.rois
             if why_no_box(node) is None]
    nothing = np.zeros((0, 3))
    return (Points(np.concatenate([nothing, *(one.positions for one in points)]),
                   tuple(label for one in points for label in one.labels)),
            Boxes(np.array([box[:3, 3] for _name, box in boxes]).reshape(-1, 3),
                  np.array([np.abs(box[:3, :3]).sum(axis=1) for _name, box in boxes]).reshape(-1, 3),
                  tuple(name for name, _box in boxes)))


def is_found(node) -> bool:
    """Whether a markups node was made by a run."""
    return bool(node.GetAttribute(FOUND))


def _rest_of_name(node, volume) -> str | None:
    """What follows the volume's name in a node's; None where it does not begin with it."""
    name, own = volume.GetName(), node.GetName()
    if own == name:
        return ""
    return own[len(name):].strip("_- ") if own.startswith((f"{name}_", f"{name}-", f"{name} ")) else None
