"""The change between two dates on nodes: read, computed in the worker, put into the scene."""

from slicer.i18n import tr as _

from meddl.core.config import RegisterConfig, registration_config
from meddl.core.errors import InputError
from meddl.longitudinal.config import PRESET, ChangeConfig
from meddl_slicer.mrml.nodes import check_node, is_label_map, is_plain_volume, name_of_node, read_node
from meddl_slicer.mrml.registration_nodes import label_map_of
from meddl_slicer.mrml.segment_layers import read_layers, reference_grid
from meddl_slicer.mrml.transforms import registration_from_node
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.change.nodes import put_change
from meddl_slicer.sections.comparison.remote import Layers

CHANGE = "meddl_slicer.sections.change.remote:change"


def change_nodes(baselineNode, followUpNode, config: ChangeConfig | None = None, *, preset: str | None = None,
                 registration: RegisterConfig | None = None, transformNode=None, baselineLabelsNode=None,
                 followUpLabelsNode=None, maskNode=None, device: str = "auto", wait: bool = True, onProgress=None,
                 onDone=None):
    """What has changed between two dates: `meddl.change`. All inputs stay as they are.

    Args:
        baselineNode, followUpNode: scalar volume nodes, under any parent transforms.
        config: threshold, matching, lesions.
        preset: the name of a preset of the registration; default: rigid.
        registration: choices of the registration instead.
        transformNode: a transform that brings the follow-up to the baseline, such as of an earlier registration, in
            place of a new one.
        baselineLabelsNode, followUpLabelsNode: segmentations or label maps, structures or lesions.
        maskNode: a segmentation or label map over the baseline: where to look; default: the body.
        device, wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The volume node of the map in units of the noise, or the Task. All else is its node references: see
        `meddl_slicer.sections.change.nodes`, whose `undo` takes everything away.

    Raises:
        InputError: a node of another kind, or labels of the follow-up alone.
    """
    reason = why_not_two_dates(baselineNode, followUpNode, baselineLabelsNode, followUpLabelsNode)
    if reason is not None:
        raise InputError(reason)
    check_node(transformNode, "transformNode", "vtkMRMLTransformNode")
    dependencies.ensure()
    baseline, placement = read_node(baselineNode)
    follow_up = read_node(followUpNode)[0]
    known = (registration_config(registration, preset, PRESET) if transformNode is None else
             registration_from_node(transformNode, baseline.grid))
    labels = tuple(None if node is None else _read_labels(node, volume) for node, volume in (
        (baselineLabelsNode, baselineNode), (followUpLabelsNode, followUpNode)))
    mask = None if maskNode is None else _read_labels(maskNode, baselineNode)

    def apply(found):
        node = put_change(found, baselineNode, followUpNode, placement)
        verbs.keep_report(node, found.report)
        return node

    inputs = (baselineNode, followUpNode, transformNode, baselineLabelsNode, followUpLabelsNode, maskNode)
    return tasks.run(CHANGE, baseline, follow_up, config or ChangeConfig(), registration=known, labels=labels,
                     mask=mask, device=device, wait=wait, apply=apply, inputs=inputs,
                     onProgress=onProgress, onDone=onDone)


def why_not_two_dates(baselineNode, followUpNode, baselineLabelsNode=None, followUpLabelsNode=None) -> str | None:
    """Why two dates cannot be compared; None where they can. Reads no voxels."""
    for node, missing in ((baselineNode, _("Choose the volume of the first date.")),
                          (followUpNode, _("Choose the volume of the second date."))):
        if node is None:
            return missing
        if not is_plain_volume(node):
            return _("'{name}' is no scalar volume. Choose another.").format(name=name_of_node(node))
    if baselineNode is followUpNode:
        return _("Both dates are the same volume. Choose two.")
    if followUpLabelsNode is not None and baselineLabelsNode is None:
        return _("Choose the segmentation of the baseline too.")
    if followUpLabelsNode is not None and followUpLabelsNode is baselineLabelsNode:
        return _("The segmentations of both dates are the same. Choose one for each date.")
    return None


class ChangeVerbs:
    """Part of the logic of MedDL Registration."""

    @verbs.document_as(change_nodes)
    def change(self, baselineNode, followUpNode, config: ChangeConfig | None = None, **choices):
        """What has changed between two dates."""
        return change_nodes(baselineNode, followUpNode, config, **choices)


def _read_labels(node, volumeNode) -> Layers:
    """What the worker takes for a segmentation or label map.

    Raises:
        InputError: another node, or no segment in it.
    """
    if is_label_map(node):
        return Layers((label_map_of(node),), None, node.GetName())
    return Layers(tuple(layer.labels for layer in read_layers(node, volumeNode)), reference_grid(node), node.GetName())
