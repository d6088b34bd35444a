"""The classes of volumes in the scene: an attribute of the subject hierarchy or of the node, else the folder's name."""

from typing import NamedTuple

import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.nodes import is_plain_volume
from meddl_slicer.runs.many_volumes import volumes_below
from meddl_slicer.sections.training.verb import ancestors

ATTRIBUTE = "Class"   # that names the class, if no other is given
_PATIENT_ID = "DICOM.PatientID"


class ClassifiedNode(NamedTuple):
    """A volume node, its class, and its patient, "" where the subject hierarchy has none."""

    node: object
    label: str
    patient: str


class ClassFolder(NamedTuple):
    """An item of the subject hierarchy, its name, and how many volumes and classes there are below it."""

    name: str
    item: int
    volumes: int
    classes: int


def classified_below(itemID: int, attribute: str = ATTRIBUTE) -> list[ClassifiedNode]:
    """The volumes below an item of the subject hierarchy that have a class.

    Args:
        itemID: a folder, or the scene item.
        attribute: names the class: of the volume's item or one above it, or of its node. Where none has it, it is the
            name of the folder in which the volume lies.
    """
    found = [(node, _class_of(item, node, attribute), patient_of_item(item)) for item, node in volumes_below(itemID)
             if is_plain_volume(node)]
    return [ClassifiedNode(node, label, patient) for node, label, patient in found if label]


def folders_with_classes(attribute: str = ATTRIBUTE) -> list[ClassFolder]:
    """The scene and its folders below which there are two classes at least."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    scene = hierarchy.GetSceneItemID()
    above = {item for one in classified_below(scene, attribute) for item in ancestors(hierarchy, one.node)}
    found = []
    for item in (scene, *sorted(above)):
        volumes = classified_below(item, attribute)
        name = _("Whole scene") if item == scene else hierarchy.GetItemName(item)
        found.append(ClassFolder(name, item, len(volumes), len({one.label for one in volumes})))
    return [one for one in found if one.classes > 1]


def _class_of(item: int, node, attribute: str) -> str:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    scene, above = hierarchy.GetSceneItemID(), item
    while above and above != scene:
        if label := hierarchy.GetItemAttribute(above, attribute):
            return label.strip()
        above = hierarchy.GetItemParent(above)
    if label := node.GetAttribute(attribute):
        return label.strip()
    parent = hierarchy.GetItemParent(item)
    return "" if parent in (0, scene) or hierarchy.GetItemDataNode(parent) is not None else (
        hierarchy.GetItemName(parent).strip())


def patient_of_item(item: int) -> str:
    """The DICOM patient above an item."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    while item and item != hierarchy.GetSceneItemID():
        if patient := hierarchy.GetItemAttribute(item, _PATIENT_ID):
            return patient
        item = hierarchy.GetItemParent(item)
    return ""
