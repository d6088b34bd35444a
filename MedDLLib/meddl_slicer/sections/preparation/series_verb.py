"""Denoising of the frames of a sequence node."""

from slicer.i18n import tr as _

from meddl.core.config import check_config
from meddl.series.config import DenoiseSeriesConfig
from meddl_slicer.mrml.nodes import check_node
from meddl_slicer.mrml.sequences import fill_volume_sequence, looks_like_volumes, show_in_step, volumes_from_sequence
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies

DENOISE_SERIES = "meddl_slicer.sections.preparation.series_remote:denoise_series"


def denoise_sequence(sequenceNode, config: DenoiseSeriesConfig | None = None, *, outputSequence=None,
                     device: str = "auto", wait: bool = True, onProgress=None, onDone=None):
    """Denoise the frames of a sequence of volumes: `meddl.denoise_series`. The sequence stays as it is.

    Args:
        sequenceNode: a sequence of scalar volumes on one grid.
        config: temporal passes, spatial denoising, noise, memory.
        outputSequence: a sequence node to fill instead of a new one; never the input.
        device, wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The sequence node, or the Task. It has the index values of the input and is in its browser, a new one where it
        has none; it keeps the report.

    Raises:
        InputError: an input that cannot be used, with the number of the frame.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    config = check_config(config, DenoiseSeriesConfig)
    check_node(outputSequence, "outputSequence", "vtkMRMLSequenceNode", (sequenceNode,))
    dependencies.ensure()
    frames = volumes_from_sequence(sequenceNode)

    def apply(found):
        volumes, report = found
        node = fill_volume_sequence(volumes, sequenceNode, f"{sequenceNode.GetName()} denoised",
                                    verbs._if_present(outputSequence))
        show_in_step(sequenceNode, (node,))
        verbs.keep_report(node, report)
        return node

    return tasks.run(DENOISE_SERIES, frames, config, device=device, wait=wait, apply=apply, inputs=(sequenceNode,),
                     onProgress=onProgress, onDone=onDone)


def why_not_denoised(sequenceNode) -> str | None:
    """Why a sequence cannot be denoised; None where it can. Reads no voxels."""
    if sequenceNode is None:
        return _("Choose a sequence of volumes.")
    if not looks_like_volumes(sequenceNode):
        return _("The sequence '{name}' does not hold volumes. Choose another.").format(name=sequenceNode.GetName())
    return None
