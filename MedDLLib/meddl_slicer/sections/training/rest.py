"""Active learning on nodes: a model segments the volumes without segments, and the least certain is corrected."""

import slicer
from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.jobs.summary import Row
from meddl_slicer.mrml.nodes import is_label_map, is_plain_volume
from meddl_slicer.mrml.tables import Column, fill_table
from meddl_slicer.panels.views import segment_editor
from meddl_slicer.runs import verbs
from meddl_slicer.runs.batch import Batch, Ended, Step
from meddl_slicer.runs.many_volumes import check_present, volumes_below
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.painting.registration import PREDICTED
from meddl_slicer.sections.training.verb import pairs_below

CERTAINTY = "MedDL.Certainty"  # attribute of a prediction
CASE, CONFIDENCE, RESULT = _("Case"), _("Confidence"), _("Segmentation")


def rest_below(itemID: int) -> list:
    """The volumes below an item of the subject hierarchy to which no segments belong that a user has painted or
    corrected."""
    paired = {volume.GetID() for volume, _labels in pairs_below(itemID)}
    return [node for _item, node in volumes_below(itemID)
            if is_plain_volume(node) and not is_label_map(node) and node.GetID() not in paired]


def predict_rest(itemID: int, model: str, *, tableNode=None, device: str = "auto", wait: bool = True, onProgress=None,
                 onDone=None):
    """Segment the volumes below an item of the subject hierarchy that have no segments yet: the panel's
    `meddl.segment_rest`.

    Args:
        itemID: a folder, or the scene item.
        model: identifier of an installed model.
        tableNode: a table node to fill instead of a new one.
        device, wait, onProgress, onDone: as of `verbs.segment_node`.

    Returns:
        The table node, the least certain volume first, or the Batch. A prediction is no training case until it was
        opened by `open_least_certain`; an earlier prediction of the same volume is filled anew.

    Raises:
        InputError: no volume is without segments.
    """
    nodes = rest_below(itemID)
    if not nodes:
        raise InputError(_("Every volume has segments: there is nothing left to predict."))
    dependencies.ensure()
    earlier = {source_of(node): node for node in predictions()}

    def step(volume) -> Step:
        def start(onProgress, onDone):
            check_present([volume])
            return verbs.segment_node(volume, model, segmentationNode=earlier.get(volume), device=device, wait=False,
                                      onProgress=onProgress, onDone=onDone)

        return Step(volume.GetName(), start)

    def finish(ended: list[Ended]):
        for one in ended:
            if one.state == "done":
                one.value.SetAttribute(PREDICTED, model)
                sure = certainty_of(verbs.report_of(one.value))
                one.value.SetAttribute(CERTAINTY, "" if sure is None else repr(sure))
        return _fill(ended, model, tableNode)

    batch = Batch([step(node) for node in nodes], finish, onProgress, onDone)
    return batch.result() if wait else batch


def predictions() -> list:
    """The predictions in the scene that nobody has looked at, the least certain first."""
    nodes = [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node.GetAttribute(PREDICTED)]
    return sorted(nodes, key=lambda node: (float(node.GetAttribute(CERTAINTY) or -1), node.GetName()))


def open_least_certain():
    """Open the least certain prediction in the Segment Editor. From then on it is a training case.

    Returns:
        Its node.

    Raises:
        InputError: there is none.
    """
    found = predictions()
    if not found:
        raise InputError(_("There is no prediction left to correct. Press Predict the rest."))
    segment_editor.edit(found[0])
    found[0].RemoveAttribute(PREDICTED)
    return found[0]


def source_of(segmentationNode):
    """The volume that a segmentation lies over, or None."""
    return segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())


def certainty_of(report: dict) -> float | None:
    """The mean confidence of a segmentation's labeled voxels; None where nothing was found."""
    return Row("", "done", volumes_ml=report.get("volumes_ml", {}), confidence=report.get("confidence", {})
               ).mean_confidence


def _fill(ended: list[Ended], model: str, tableNode):
    """The table of the predictions of this run, the least certain first; what failed is last."""
    rows = sorted(((one, certainty_of(verbs.report_of(one.value)) if one.state == "done" else None) for one in ended),
                  key=lambda row: (row[0].state != "done", row[1] is not None, row[1] or 0.0, row[0].name))
    table = fill_table(_("{model} predictions").format(model=model), [
        Column(CASE, [one.name for one, _sure in rows]), Column(CONFIDENCE, [sure for _one, sure in rows]),
        Column(RESULT, [one.value.GetName() if one.state == "done" else str(one.error or one.state)
                        for one, _sure in rows])], tableNode if verbs.is_present(tableNode) else None)
    failed = sum(one.state == "failed" for one in ended)
    verbs.keep_report(table, {
        "model": model, "seconds": {"total": sum(one.seconds for one in ended)},
        "device": next((device for one in ended if (device := verbs.report_of(one.value).get("device"))), ""),
        "predicted": [one.name for one, _sure in rows if one.state == "done"],
        "warnings": [f"{failed} of {len(ended)} failed: see the table."] if failed else []})
    return table
