"""The embedded heads in the Sample Data module: rendered on this computer, nothing is downloaded."""

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from meddl_slicer import dependencies, tasks
from meddl_slicer.nodes import create_volume_node
from meddl_slicer.segmentations import create_segmentation_node

CATEGORY = "MedDL"
CONTRASTS = ("T1", "T2", "FLAIR", "CT")
SAMPLE = "meddl_slicer.remote:head_sample"


def register() -> None:
    """Add the heads to the Sample Data module, once."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("MedDL"))
    known = {source.sampleName for source in getattr(slicer.modules, "sampleDataSources", {}).get(CATEGORY, [])}
    for contrast in CONTRASTS:
        name = sample_name(contrast)
        if name not in known:
            logic.registerCustomSampleDataSource(
                category=CATEGORY, sampleName=name, uris=f"meddl:head/{contrast}", fileNames=f"{name}.nrrd",
                nodeNames=name, thumbnailFileName=_thumbnail(), customDownloader=load_source)


def sample_name(contrast: str) -> str:
    """The name of a head in the Sample Data module, and of its node."""
    return f"MedDLHead{contrast}"


def load_source(source) -> list:
    """What the Sample Data module calls for a click: render the head of this source and show it."""
    contrast = source.uris[0].rpartition("/")[2]
    with slicer.util.tryWithErrorDisplay(_("The sample could not be made.")):
        dependencies.ensure()
        with slicer.util.tryWithErrorDisplay(show=False, waitCursor=True):
            return [load(contrast)]
    return []


def load(contrast: str = "T1", truth: bool = False):
    """Render the head into the scene.

    Args:
        contrast: one of `CONTRASTS`.
        truth: also add its true labels, as the segmentation node "<name> truth".

    Returns:
        The volume node.
    """
    name = sample_name(contrast)

    def apply(result):
        volume, labels = result
        node = create_volume_node(volume, name)
        if truth:
            create_segmentation_node(labels, node, f"{name} truth")
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        return node

    return tasks.run(SAMPLE, contrast, apply=apply)


def _thumbnail() -> str | None:
    """The picture of the samples: MedDLSeg's icon, where that module is loaded."""
    try:
        module = Path(slicer.util.modulePath("MedDLSeg"))
    except (AttributeError, RuntimeError):
        return None
    return str(module.parent / "Resources" / "Icons" / "MedDLSeg.png")
