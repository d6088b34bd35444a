"""MedDL's samples in the Sample Data module: rendered on this computer, nothing is downloaded.

A node of a sample has an address of its own, `meddl:NODE`. Sample Data lets addresses be rewritten as it downloads;
the rule that is registered here renders the file into Slicer's cache, at the first time, and gives its place. So a
sample comes in one way, from the button and from scripts: `SampleData.downloadSample("MedDLHeadT1")`.
"""

from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from meddl import __version__
from meddl.io import save
from meddl_slicer.mrml.segmentations import create_segmentation_node

CATEGORY = "MedDL"
SCHEME = "meddl:"
_REWRITE_RULE = "MedDLSamples"


@dataclass(frozen=True)
class Sample:
    """One button of the Sample Data module.

    Attributes:
        module: the module that it is made for; its icon is the button's picture.
        nodes: name of each node that it loads, with the arguments of `meddl.samples.head_image`.
    """

    module: str
    nodes: dict[str, dict]


SAMPLES = {
    "MedDLHeadT1": Sample("MedDLSeg", {"MedDLHeadT1": {"contrast": "T1"}}),
    "MedDLHeadT2": Sample("MedDLSeg", {"MedDLHeadT2": {"contrast": "T2"}}),
    "MedDLHeadFLAIR": Sample("MedDLSeg", {"MedDLHeadFLAIR": {"contrast": "FLAIR"}}),
    "MedDLHeadCT": Sample("MedDLSeg", {"MedDLHeadCT": {"contrast": "CT"}}),
    "MedDLHeads": Sample("MedDLSeg", {  # four people, to train on
        f"MedDLHeads{number}": {"contrast": "T1", "spacing_mm": 2.0, "seed": number} for number in range(1, 5)}),
    "MedDLHeadPair": Sample("MedDLRegister", {  # two people: turned, of other size and other shape
        "MedDLHeadPairFixedT1": {"contrast": "T1"},
        "MedDLHeadPairMovingT2": {"contrast": "T2", "seed": 7}}),
    "MedDLHeadT2Thick": Sample("MedDLSuperRes", {
        "MedDLHeadT2Thick": {"contrast": "T2", "spacing_mm": (1.0, 1.0, 5.0)}}),
}
LOOKS = {name: look for sample in SAMPLES.values() for name, look in sample.nodes.items()}


def register() -> None:
    """Add the samples to the Sample Data module, once. Nothing is rendered yet."""
    from SampleData import SampleDataLogic

    SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=_("MedDL"))
    SampleDataLogic.registerUrlRewriteRule(_REWRITE_RULE, rendered_address)
    known = {source.sampleName for source in SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)}
    for name, sample in SAMPLES.items():
        if name not in known:
            nodes = list(sample.nodes)
            SampleDataLogic.registerCustomSampleDataSource(
                category=CATEGORY, sampleName=name, uris=[SCHEME + node for node in nodes],
                fileNames=[_file_name(node) for node in nodes], nodeNames=nodes,
                loadFileTypes="VolumeFile", thumbnailFileName=_thumbnail(sample.module))


def rendered_address(address: str) -> str:
    """The address of a file in place of `meddl:NODE`, rendered if it is not in the cache; others stay as they are.

    Raises:
        InputError: the file could not be written.
    """
    if not address.startswith(SCHEME):
        return address
    node = address.removeprefix(SCHEME)
    path = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()) / CATEGORY / _file_name(node)
    if not path.is_file():
        from meddl import samples
        with slicer.util.WaitCursor():
            path.parent.mkdir(parents=True, exist_ok=True)
            save(samples.head_image(**LOOKS[node]), path)
    return path.absolute().as_uri()


def load(contrast: str = "T1", truth: bool = False):
    """Load the head of a contrast into the scene and show it.

    Args:
        contrast: T1, T2, FLAIR or CT.
        truth: also add its true labels, as the segmentation node "<name> truth".

    Returns:
        The volume node.
    """
    import SampleData

    register()
    name = f"MedDLHead{contrast}"
    node = SampleData.downloadSample(name)
    if truth:
        from meddl import samples

        create_segmentation_node(samples.head(**LOOKS[name])[1], node, f"{name} truth")
    return node


def _file_name(node: str) -> str:
    """Its name in the cache: another version of MedDL may render another image."""
    return f"{node}-{__version__}.nrrd"


def _thumbnail(module: str) -> str | None:
    """The icon of a module, where it is loaded."""
    try:
        path = Path(slicer.util.modulePath(module))
    except (AttributeError, RuntimeError):
        return None
    return str(path.parent / "Resources" / "Icons" / f"{module}.png")
