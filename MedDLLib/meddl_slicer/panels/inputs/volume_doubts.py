"""What speaks against a chosen volume: a look at a sample of its voxels, and what it looks like to the classifier.

A volume is looked at once."""

from dataclasses import replace

import slicer
from slicer.i18n import tr as _

from meddl.models.catalog.volume_check import look_at, reasons_to_doubt
from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.panels.inputs.recognitions import Recognitions
from meddl_slicer.panels.models.choices import metadata_of_node


class VolumeDoubts:
    """Remembers how the volumes look that were asked about last.

    Args:
        onRecognized: called when the worker has said what a volume shows; None: it is not asked.
    """

    def __init__(self, onRecognized=None):
        self._looks = {}
        self._recognitions = None if onRecognized is None else Recognitions(onRecognized)

    def metadataOf(self, volumeNode):
        """What the catalog needs to know of a volume node, with the region that it shows where that is known.

        None where it holds no image."""
        metadata = metadata_of_node(volumeNode)
        found = None if metadata is None else self._recognition(volumeNode, metadata)
        return metadata if found is None else replace(metadata, region=found.known_region)

    def of(self, volumeNode, model=None) -> tuple[str, ...]:
        """Reasons to doubt that a volume node suits a model, in sentences; none where it holds no image.

        Args:
            model: a catalog entry; None: only the volume itself is doubted.
        """
        if why_not_usable(volumeNode) is not None:
            return ()
        metadata = metadata_of_node(volumeNode)
        key = (volumeNode.GetID(), volumeNode.GetImageData().GetMTime(), metadata)
        if key not in self._looks:
            while len(self._looks) > 3:
                self._looks.pop(next(iter(self._looks)))
            self._looks[key] = look_at(slicer.util.arrayFromVolume(volumeNode), metadata.modality)
        found = self._recognition(volumeNode, metadata)
        if found is None:
            return reasons_to_doubt(self._looks[key], metadata, model)
        metadata = replace(metadata, region=found.known_region)
        return (*reasons_to_doubt(self._looks[key], metadata, model), *found.warnings())

    def forget(self) -> None:
        """The scene closes."""
        self._looks.clear()
        if self._recognitions is not None:
            self._recognitions.forget()

    def close(self) -> None:
        """The panel goes: no result of the worker is taken any more."""
        if self._recognitions is not None:
            self._recognitions.close()

    def _recognition(self, volumeNode, metadata):
        return None if self._recognitions is None else self._recognitions.of(volumeNode, metadata.modality)


def doubt_title(volumeNode) -> str:
    """What stands above the reasons."""
    return _("Check '{name}' before Apply").format(name=volumeNode.GetName())
