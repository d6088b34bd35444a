"""Segmentation and super-resolution of many volumes of the scene: all below a folder of the subject hierarchy, or the
frames of a sequence; and what runs over a folder have in common.

Each takes `wait`, `onProgress` and `onDone` and offers missing packages as the verbs of `runs` do; without waiting they
return a `batch.Batch`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import slicer
import vtk

from meddl.core.config import SegmentConfig, SuperResolveConfig, check_config
from meddl.core.errors import InputError
from meddl.jobs.summary import Row, quality_of, super_resolution_figures
from meddl.models.catalog.structure_names import match_structures
from meddl.models.store.store import ModelStore
from meddl.results import Segmentation
from meddl_slicer.mrml.channels import nodes_by_channel
from meddl_slicer.mrml.nodes import is_label_map
from meddl_slicer.mrml.registration_nodes import VOLUME_RESULTS, WARPED_ROLE
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
    names = ModelStore().card(model).channel_names
    cases = _cases(slicer.mrmlScene.GetSubjectHierarchyNode(), itemID, names)
    check_any(cases, itemID)

    def step(name: str, nodes: Sequence) -> Step:
        def start(onProgress, onDone):
            check_present(nodes)
            first, *others = nodes_by_channel(nodes, names)
            return verbs.segment_node(first, model, config, otherNodes=others, show3D=show3D, device=device, wait=False,
                                     onProgress=onProgress, onDone=onDone)

        return Step(name, start)

    table = BranchTable(itemID, "segmentations", "Segmentation", tableNode, _structures(model, config),
                        report={"model": model})
    batch = Batch([step(*case) for case in cases], table.fill, onProgress, onDone)
    return batch.result() if wait else batch


def super_resolve_branch(itemID: int, config: SuperResolveConfig | None = None, *, tableNode=None,
                         device: str = "auto", wait: bool = True, onProgress=None, onDone=None):
    """Super-resolve all scalar volumes below an item of the subject hierarchy, one after the other.

    What fails does not stop the rest. Results of earlier super-resolutions are left out.

    Args:
        itemID: a folder, study or patient, or a volume's own item; the scene item for all volumes.
        config, device: as in `verbs.super_resolve_node`.
        tableNode: a table node to fill instead of a new one.

    Returns:
        The table node, or the Batch: a row for each volume. The results lie beside their volumes.

    Raises:
        InputError: there is no volume.
    """
    config = check_config(config, SuperResolveConfig)
    dependencies.ensure()
    nodes = [node for _, node in volumes_below(itemID, "superResolve")]
    check_any(nodes, itemID)

    def step(node) -> Step:
        def start(onProgress, onDone):
            check_present([node])
            return verbs.super_resolve_node(node, config, device=device, wait=False, onProgress=onProgress,
                                            onDone=onDone)

        return Step(node.GetName(), start)

    table = BranchTable(itemID, "super-resolutions", "Volume", tableNode, figures=super_resolution_figures)
    batch = Batch([step(node) for node in nodes], table.fill, onProgress, onDone)
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


@dataclass(frozen=True, eq=False)
class BranchTable:
    """The table of a run over all volumes below an item of the subject hierarchy; it lies there too.

    Attributes:
        itemID: of the subject hierarchy.
        kind: of the results, in the name of the table.
        result: the title of the column that names them.
        node: a table node to fill instead of a new one.
        structures: the columns of volumes.
        figures: other figures of a result's report, by title.
        report: entries of the table's report.
    """

    itemID: int
    kind: str
    result: str
    node: Any = None
    structures: Sequence[str] = ()
    figures: Callable[[dict], dict] = lambda report: {}
    report: dict = field(default_factory=dict)

    def fill(self, ended: list[Ended]):
        """The table node, of how the steps of a batch have ended."""
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        reports = [verbs.report_of(one.value) for one in ended]
        rows = [_row(one, report, self.figures(report) if report else {}) for one, report in zip(ended, reports)]
        title = f"{hierarchy.GetItemName(self.itemID) or 'Scene'} {self.kind}"
        table = create_summary_table(rows, self.structures, title, verbs._if_present(self.node), self.result)
        failed = sum(one.state == "failed" for one in ended)
        verbs.keep_report(table, {
            **self.report, "seconds": {"total": sum(one.seconds for one in ended)},
            "device": next((report["device"] for report in reports if report.get("device")), ""),
            "warnings": [f"{failed} of {len(ended)} failed: see the table."] if failed else []})
        item = hierarchy.GetItemByDataNode(table)
        if hierarchy.GetItemDataNode(self.itemID) is None and item:
            hierarchy.SetItemParent(item, self.itemID)
        return table


def check_any(found: Sequence, itemID: int, what: str = "volume") -> None:
    """Refuse an item of the subject hierarchy below which nothing is.

    Raises:
        InputError: nothing was found.
    """
    if not found:
        name = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemName(itemID)
        raise InputError(f"There is no {what} under '{name}'. Choose a folder of the subject hierarchy that holds "
                         "volumes.")


def check_present(nodes: Sequence) -> None:
    """Refuse a step whose nodes have left the scene.

    Raises:
        InputError: one has.
    """
    if any(not slicer.mrmlScene.IsNodePresent(node) for node in nodes):
        raise InputError("A volume was removed from the scene before its turn.")


def volumes_below(itemID: int, verb: str = "segment") -> list[tuple[int, Any]]:
    """(item, node) of each scalar volume below an item of the subject hierarchy, the item itself included.

    Label maps and maps that MedDL made (confidence, Jacobian determinant, differences) are left out, and what the verb
    itself has made: volumes that "register" warped, or that "superResolve" sharpened.
    """
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(itemID, children, True)
    items = [itemID, *(children.GetId(index) for index in range(children.GetNumberOfIds()))]
    volumes = [(item, hierarchy.GetItemDataNode(item)) for item in items]
    made = _maps_and_results(verb)
    return [(item, node) for item, node in volumes
            if node is not None and node.IsA("vtkMRMLScalarVolumeNode") and not is_label_map(node)
            and node.GetID() not in made]


def _maps_and_results(verb: str) -> set[str]:
    """The IDs of volumes that are maps of a result, or results of the verb."""
    roles = {"vtkMRMLSegmentationNode": (verbs.CONFIDENCE_ROLE,),
             "vtkMRMLTransformNode": (*(result.role for result in VOLUME_RESULTS),
                                      *((WARPED_ROLE,) if verb == "register" else ())),
             "vtkMRMLScalarVolumeNode": (verbs.INVENTED_ROLE,)}
    found = {node.GetNodeReferenceID(role) for kind, names in roles.items()
             for node in slicer.util.getNodesByClass(kind) for role in names}
    if verb == "superResolve":
        found |= {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
                  if verbs.report_of(node)}
    return found - {None}


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


def _row(ended: Ended, report: dict, figures: dict | None = None) -> Row:
    error = "" if ended.error is None else " ".join(str(ended.error).split())
    output = ended.value.GetName() if hasattr(ended.value, "GetName") else ""
    return Row(ended.name, ended.state, ended.seconds, report.get("volumes_ml", {}),
               tuple(report.get("warnings", ())), error, output, quality=quality_of(report), figures=figures or {})
