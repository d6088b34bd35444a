"""Segmentation of many volumes of the scene: all below a folder of the subject hierarchy, or the frames of a sequence.

Each takes `wait`, `onProgress` and `onDone` and offers missing packages as the verbs of `runs` do; without waiting they
return a `batch.Batch`.
"""

from collections.abc import Sequence
from typing import Any

import slicer
import vtk

from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.jobs.summary import Row
from meddl.models.catalog.structure_names import match_structures
from meddl.models.store.store import ModelStore
from meddl.results import Segmentation
from meddl_slicer.mrml.channels import nodes_by_channel
from meddl_slicer.mrml.nodes import is_label_map
from meddl_slicer.mrml.sequences import (
    fill_label_map_sequence,
    fill_segmentation_sequence,
    show_in_step,
    volumes_from_sequence,
)
from meddl_slicer.mrml.tables import create_summary_table
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.batch import Batch, Ended, Step
from meddl_slicer.runs.packages import dependencies


def segment_branch(itemID: int, model: str = "brain", config: SegmentConfig | None = None, *, tableNode=None,
                   show3D: bool = False, device: str = "auto", wait: bool = True, onProgress=None, onDone=None):
    """Segment all scalar volumes below an item of the subject hierarchy, one after the other.

    With a model of several channels, the volumes of one folder are one case; each is found by the channel's name in its
    own name. What fails does not stop the rest.

    Args:
        itemID: a folder, study or patient, or a volume's own item; the scene item for all volumes.
        model, config, show3D, device: as in `verbs.segment_node`.
        tableNode: a table node to fill instead of a new one.

    Returns:
        The table node, or the Batch: a row for each case. The segmentations lie beside their volumes.

    Raises:
        InputError: there is no volume, or a structure is asked for that the model does not know.
    """
    dependencies.ensure()
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    names = ModelStore().card(model).channel_names
    cases = _cases(hierarchy, itemID, names)
    if not cases:
        raise InputError(f"There is no volume under '{hierarchy.GetItemName(itemID)}'. Choose a folder of the subject "
                         "hierarchy that holds volumes.")
    structures = _structures(model, config)
    title = f"{hierarchy.GetItemName(itemID) or 'Scene'} segmentations"

    def step(name: str, nodes: Sequence) -> Step:
        def start(onProgress, onDone):
            missing = [node for node in nodes if not slicer.mrmlScene.IsNodePresent(node)]
            if missing:
                raise InputError("A volume was removed from the scene before its turn.")
            first, *others = nodes_by_channel(nodes, names)
            return verbs.segment_node(first, model, config, otherNodes=others, show3D=show3D, device=device, wait=False,
                                     onProgress=onProgress, onDone=onDone)

        return Step(name, start)

    def finish(ended: list[Ended]):
        reports = [verbs.report_of(one.value) for one in ended]
        rows = [_row(one, report) for one, report in zip(ended, reports)]
        table = create_summary_table(rows, structures, title, verbs._if_present(tableNode))
        failed = sum(one.state == "failed" for one in ended)
        verbs.keep_report(table, {
            "model": model, "seconds": {"total": sum(one.seconds for one in ended)},
            "device": next((report["device"] for report in reports if report.get("device")), ""),
            "warnings": [f"{failed} of {len(ended)} failed: see the table."] if failed else []})
        table_item = hierarchy.GetItemByDataNode(table)
        if hierarchy.GetItemDataNode(itemID) is None and table_item:
            hierarchy.SetItemParent(table_item, itemID)
        return table

    batch = Batch([step(*case) for case in cases], finish, onProgress, onDone)
    return batch.result() if wait else batch


def segment_sequence(sequenceNode, model: str = "brain", config: SegmentConfig | None = None, *, otherSequences=(),
                     labelMaps: bool = False, outputSequence=None, device: str = "auto", wait: bool = True,
                     onProgress=None, onDone=None):
    """Segment every frame of a volume sequence.

    Args:
        sequenceNode: a sequence of scalar volumes.
        model, config, device: as in `verbs.segment_node`.
        otherSequences: further sequences with as many frames, for a model of several channels, in its order.
        labelMaps: make label maps instead of segmentations.
        outputSequence: a sequence node to fill instead of a new one; never an input.

    Returns:
        The sequence node, or the Batch. It has the index values of the input and is in its browser; its node reference
        `verbs.TABLE_ROLE` is a table with a row for each frame.

    Raises:
        InputError: an input that cannot be used; a frame that fails ends the run with its error.
    """
    dependencies.ensure()
    series = (sequenceNode, *otherSequences)
    if outputSequence is not None and outputSequence in series:
        raise InputError(f"'{outputSequence.GetName()}' is an input. Choose another sequence to fill, or none.")
    frames = [volumes_from_sequence(node) for node in series]
    for node, volumes in zip(series, frames):
        if len(volumes) != len(frames[0]):
            raise InputError(f"All sequences have as many frames as the first one, {len(frames[0])}; "
                             f"'{node.GetName()}' has {len(volumes)}.")
    structures = _structures(model, config)

    def step(number: int) -> Step:
        first, *others = [volumes[number] for volumes in frames]

        def start(onProgress, onDone):
            more = {"others": others} if others else {}
            return tasks.run(verbs.SEGMENT, first, model, config or SegmentConfig(), device=device, surfaces=None,
                             wait=False, inputs=series, onProgress=onProgress, onDone=onDone, **more)

        return Step(f"frame {sequenceNode.GetNthIndexValue(number)}", start)

    def finish(ended: list[Ended]):
        found: list[Segmentation] = [one.value[0] for one in ended]
        fill = fill_label_map_sequence if labelMaps else fill_segmentation_sequence
        node = fill(found, sequenceNode, f"{sequenceNode.GetName()} segmentation", verbs._if_present(outputSequence))
        show_in_step(sequenceNode, (node,))
        rows = [_row(one, segmentation.report) for one, segmentation in zip(ended, found)]
        table = create_summary_table(rows, structures, f"{node.GetName()} volumes",
                                     node.GetNodeReference(verbs.TABLE_ROLE))
        node.SetNodeReferenceID(verbs.TABLE_ROLE, table.GetID())
        verbs.keep_report(node, {"model": model, "seconds": {"total": sum(one.seconds for one in ended)},
                                "device": found[0].report.get("device", ""),
                                "warnings": sorted({text for row in rows for text in row.warnings})})
        return node

    batch = Batch([step(number) for number in range(len(frames[0]))], finish, onProgress, onDone, stopAtError=True)
    return batch.result() if wait else batch


def volumes_below(itemID: int) -> list[tuple[int, Any]]:
    """(item, node) of each scalar volume below an item of the subject hierarchy, the item itself included.

    Label maps are left out, and what MedDL made of other volumes.
    """
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(itemID, children, True)
    items = [itemID, *(children.GetId(index) for index in range(children.GetNumberOfIds()))]
    volumes = [(item, hierarchy.GetItemDataNode(item)) for item in items]
    made = {node.GetNodeReferenceID(verbs.CONFIDENCE_ROLE)
            for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")}
    return [(item, node) for item, node in volumes
            if node is not None and node.IsA("vtkMRMLScalarVolumeNode") and not is_label_map(node)
            and node.GetID() not in made]


def _cases(hierarchy, itemID: int, names: Sequence[str]) -> list[tuple[str, list]]:
    """(name, volume nodes) of what is below an item, the item itself included."""
    volumes = volumes_below(itemID)
    if len(names) == 1:
        return [(node.GetName(), [node]) for _, node in volumes]
    folders: dict[int, list] = {}
    for item, node in volumes:
        folders.setdefault(hierarchy.GetItemParent(item), []).append(node)
    return [(hierarchy.GetItemName(folder) or "Scene", nodes) for folder, nodes in folders.items()]


def _structures(model: str, config: SegmentConfig | None) -> tuple[str, ...]:
    """Names of the model's structures; an InputError where one is asked for that it does not know."""
    labels = ModelStore().card(model).labels
    match_structures(labels, config.structures if config else ())
    return tuple(label.name for label in labels)


def _row(ended: Ended, report: dict) -> Row:
    error = "" if ended.error is None else " ".join(str(ended.error).split())
    output = ended.value.GetName() if hasattr(ended.value, "GetName") else ""
    return Row(ended.name, ended.state, ended.seconds, report.get("volumes_ml", {}),
               tuple(report.get("warnings", ())), error, output)
