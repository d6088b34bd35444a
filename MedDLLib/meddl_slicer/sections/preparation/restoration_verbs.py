"""What the logic of MedDL Super-resolution does to a volume before others use it."""

from meddl_slicer.runs import verbs
from meddl_slicer.sections.preparation import inpaint_verb, series_verb, verb


class RestorationVerbs:
    """Part of the logic of MedDL Super-resolution."""

    @verbs.document_as(verb.prepare_node)
    def prepare(self, volumeNode, steps, **choices):
        """Run a volume node through steps; returns the volume node."""
        return verb.prepare_node(volumeNode, steps, **choices)

    @verbs.document_as(series_verb.denoise_sequence)
    def denoiseSequence(self, sequenceNode, config=None, **choices):
        """Denoise the frames of a volume sequence."""
        return series_verb.denoise_sequence(sequenceNode, config, **choices)

    @verbs.document_as(inpaint_verb.inpaint_node)
    def inpaint(self, inputNode, maskNode, config=None, **choices):
        """Fill the voxels of a volume or sequence inside a mask."""
        return inpaint_verb.inpaint_node(inputNode, maskNode, config, **choices)
