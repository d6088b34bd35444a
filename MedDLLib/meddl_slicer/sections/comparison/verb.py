"""Comparison of two nodes, or of all cases of two folders: read, compared in the worker, put into the scene."""

from dataclasses import replace

import slicer
import vtk
from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.measures.config import CompareConfig
from meddl_slicer.mrml.nodes import (
    check_node,
    is_label_map,
    is_of_class,
    is_plain_volume,
    name_of_node,
    place_beside,
    read_node,
)
from meddl_slicer.mrml.registration_nodes import label_map_of, points_of
from meddl_slicer.mrml.segment_layers import read_layers, reference_grid
from meddl_slicer.mrml.transforms import registration_from_node
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.batch import Batch, Ended, Step
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.comparison.nodes import put_cases, put_comparison
from meddl_slicer.sections.comparison.remote import (
    LABELS,
    LANDMARKS,
    PROBABILITY,
    TRANSFORMS,
    VOLUMES,
    Layers,
    summarize,
)

COMPARE = "meddl_slicer.sections.comparison.remote:compare"


def compare_nodes(resultNode, referenceNode, config: CompareConfig | None = None, *, regionNode=None,
                  transformNode=None, distances: bool = False, tableNode=None, wait: bool = True, onProgress=None,
                  onDone=None):
    """Compare a node with a reference: `meddl.compare`. Both stay as they are.

    Args:
        resultNode, referenceNode: segmentations or label maps; volumes; a volume of probabilities and a segmentation;
            transforms; or markups, the landmarks of the fixed and of the moving volume.
        config: choices for segmentations.
        regionNode: where they are compared: a volume in which the body is found, for the region "body" of
            segmentations; a segmentation or label map as mask of volumes; the fixed volume of transforms.
        transformNode: of landmarks, the transform to the fixed volume that is tested; None: as they lie.
        distances: also make a model of the result's surfaces, colored by their distance to the reference's.
        tableNode: a table of an earlier comparison to fill instead of a new one; what hung on it is renewed.
        wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The table node, or the Task. A map of errors, the confusion matrix, the plots and the model are its node
        references: see `meddl_slicer.sections.comparison.nodes`.

    Raises:
        InputError: nodes that cannot be compared.
    """
    reason = why_not_comparable(resultNode, referenceNode)
    if reason is not None:
        raise InputError(reason)
    check_node(tableNode, "tableNode", "vtkMRMLTableNode")
    dependencies.ensure()
    kind = kind_of(resultNode, referenceNode)
    content = [_read(kind, node) for node in (resultNode, referenceNode)]
    region = None if regionNode is None else _read_region(kind, regionNode)
    transform = None if transformNode is None or kind != LANDMARKS else registration_from_node(transformNode)

    def apply(found):
        node = put_comparison(found, resultNode, referenceNode, verbs._if_present(tableNode))
        verbs.keep_report(node, found.report)
        return node

    return tasks.run(COMPARE, kind, *content, config or CompareConfig(), region=region, transform=transform,
                     distances=distances, wait=wait, apply=apply, inputs=(resultNode, referenceNode),
                     onProgress=onProgress, onDone=onDone)


def compare_branches(resultItem: int, referenceItem: int, config: CompareConfig | None = None, *, tableNode=None,
                     wait: bool = True, onProgress=None, onDone=None):
    """Compare the segmentations, label maps or volumes below two items of the subject hierarchy, case by case.

    A result is compared with the reference of the same name, else with the one that lies over the same volume.

    Args:
        resultItem, referenceItem: two folders, studies or patients.
        config, tableNode, wait, onProgress, onDone: as of `compare_nodes`.

    Returns:
        The table node, or the Batch: a row for each structure of each case, the worst case first. Its summary (mean,
        standard deviation, 95 % interval) and plots are its node references.

    Raises:
        InputError: no two nodes belong together.
    """
    pairs = pairs_of(resultItem, referenceItem)
    if not pairs:
        raise InputError("No node below the one folder belongs to a node below the other. Give the nodes of one case "
                         "the same name.")
    dependencies.ensure()
    config, kind = config or CompareConfig(), kind_of(*pairs[0])
    if config.region == "body":
        config = replace(config, region="box")

    def step(result, reference) -> Step:
        def start(onProgress, onDone):
            return tasks.run(COMPARE, kind, _read(kind, result), _read(kind, reference), config, wait=False,
                             inputs=(result, reference), onProgress=onProgress, onDone=onDone)

        return Step(result.GetName(), start)

    def finish(ended: list[Ended]):
        done = [(one.name, one.value.rows) for one in ended if one.state == "done"]
        failed = [f"{one.name}: {one.error}" for one in ended if one.state == "failed"]
        if not done:
            raise InputError(f"No case could be compared. {failed[0] if failed else ''}")
        rows, summary = summarize(kind, done)
        node = put_cases(kind, rows, summary, pairs[0][1], verbs._if_present(tableNode))
        place_beside(node, pairs[0][0])
        warnings = sorted({text for one in ended if one.state == "done" for text in one.value.report["warnings"]})
        verbs.keep_report(node, {"cases": len(done), "kind": kind, "seconds": {
            "total": sum(one.seconds for one in ended)}, "device": "CPU", "warnings": [*failed, *warnings]})
        return node

    batch = Batch([step(*pair) for pair in pairs], finish, onProgress, onDone)
    return batch.result() if wait else batch


class ComparisonVerbs:
    """Part of the logic of the modules."""

    def compare(self, resultNode, referenceNode, config=None, **choices):
        """Compare two nodes; returns the table node. See `compare_nodes`."""
        return compare_nodes(resultNode, referenceNode, config, **choices)


def kind_of(resultNode, referenceNode) -> str | None:
    """What kind of comparison two nodes allow; None: none."""
    both = (resultNode, referenceNode)
    if any(node is None for node in both):
        return None
    for kind, fits in ((LABELS, is_labels), (VOLUMES, is_plain_volume), (TRANSFORMS, _is_transform),
                       (LANDMARKS, _is_markups)):
        if all(map(fits, both)):
            return kind
    return PROBABILITY if is_plain_volume(resultNode) and is_labels(referenceNode) else None


def is_labels(node) -> bool:
    """Whether the node is a segmentation or a label map."""
    return is_of_class(node, "vtkMRMLSegmentationNode") or is_label_map(node)


def why_not_comparable(resultNode, referenceNode) -> str | None:
    """Why two nodes cannot be compared; None where they can."""
    if resultNode is None:
        return _("Choose what is to be compared.")
    if referenceNode is None:
        return _("Choose the reference.")
    if resultNode is referenceNode:
        return _("The reference is the same node. Choose another.")
    if kind_of(resultNode, referenceNode) is None:
        return _("'{result}' and '{reference}' are of different kinds. Choose two of a kind.").format(
            result=name_of_node(resultNode), reference=name_of_node(referenceNode))
    return None


def pairs_of(resultItem: int, referenceItem: int) -> list[tuple]:
    """(result, reference) of the nodes below two items that belong together, all of one kind."""
    results, references = nodes_below(resultItem), nodes_below(referenceItem)
    pairs = []
    for node in results:
        named = [one for one in references if one is not node and one.GetName() == node.GetName()]
        over = [one for one in references if one is not node and _image_of(node) and _image_of(one) == _image_of(node)]
        for reference in (*named, *over):
            if kind_of(node, reference) in (LABELS, VOLUMES):
                pairs.append((node, reference))
                references.remove(reference)
                break
    return [pair for pair in pairs if kind_of(*pair) == kind_of(*pairs[0])]


def nodes_below(itemID: int) -> list:
    """The segmentations, label maps and volumes below an item of the subject hierarchy."""
    hierarchy, children = slicer.mrmlScene.GetSubjectHierarchyNode(), vtk.vtkIdList()
    hierarchy.GetItemChildren(itemID, children, True)
    nodes = [hierarchy.GetItemDataNode(children.GetId(number)) for number in range(children.GetNumberOfIds())]
    return [node for node in nodes if node is not None and (is_labels(node) or is_plain_volume(node))]


def _image_of(node) -> str | None:
    """The identifier of the volume that a segmentation was made on."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return None
    return node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole())


def _is_transform(node) -> bool:
    return is_of_class(node, "vtkMRMLTransformNode")


def _is_markups(node) -> bool:
    return is_of_class(node, "vtkMRMLMarkupsNode")


def _read_region(kind: str, node):
    """What the worker takes for where two nodes are compared.

    Raises:
        InputError: a node of another kind.
    """
    if not (is_labels(node) if kind == VOLUMES else is_plain_volume(node)):
        raise InputError(f"'{node.GetName()}' is not where these can be compared: volumes take a segmentation or label "
                         "map as mask, segmentations and transforms a volume.")
    return _read(LABELS if kind == VOLUMES else VOLUMES, node)


def _read(kind: str, node):
    """What the worker takes for a node."""
    if is_of_class(node, "vtkMRMLSegmentationNode"):
        return Layers(tuple(layer.labels for layer in read_layers(node)), reference_grid(node), node.GetName())
    if is_label_map(node):
        return Layers((label_map_of(node),), None, node.GetName())
    if kind == LANDMARKS:
        return points_of(node)
    return registration_from_node(node) if kind == TRANSFORMS else read_node(node)[0]
