"""What speaks against a chosen volume, from a look at a sample of its voxels; a volume is looked at once."""

import slicer
from slicer.i18n import tr as _

from meddl.models.catalog.volume_check import look_at, reasons_to_doubt
from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.panels.models.choices import metadata_of_node


class VolumeDoubts:
    """Remembers how the volumes look that were asked about last."""

    def __init__(self):
        self._looks = {}

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
        return reasons_to_doubt(self._looks[key], metadata, model)

    def forget(self) -> None:
        """The scene closes."""
        self._looks.clear()


def doubt_title(volumeNode) -> str:
    """What stands above the reasons."""
    return _("Check '{name}' before Apply").format(name=volumeNode.GetName())
