"""Choices of the panels, and their parameters under the names of version 0.1.0."""

from dataclasses import fields

from slicer.i18n import tr as _

_WORDS = {
    "auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("CUDA GPU"), "mps": _("Apple GPU"),
    "on": _("On"), "off": _("Off"), "given": _("By the headers"),
    "translation": _("Translation"), "rigid": _("Rigid"), "affine": _("Affine"), "deformable": _("Deformable"),
    "nmi": _("Normalized MI"), "mi": _("Mutual information"), "lncc": _("Local correlation"),
    "mind": _("MIND descriptors"), "gaussian": _("Gaussian"), "rect": _("Box"),
    "name": _("Name"), "terminology": _("Terminology"), "value": _("Label value"), "grid": _("Whole grid"),
    "box": _("Box around all"), "body": _("Body"), "roi": _("Region of interest"), "curvature": _("Curvature"),
    "network": _("Network"), "global": _("Global"), "adaptive": _("Adaptive"),
    "dynunet": "DynUNet", "nnunet": "nnU-Net", "segresnet": "SegResNet", "unet": "U-Net",
    "linear": _("Linear"), "cubic": _("Cubic"), "nearest": _("Nearest neighbor"),
    "recurrent": _("Recurrent network"), "local-pca": _("Local PCA"), "both": _("Forward and backward"),
    "forward": _("Forward alone"),
    "percentile": _("Percentiles"), "match": _("Match a reference"), "window": _("CT window"),
}
# Labels of fields whose names alone say too little.
LABELS = {"nonzero": _("Nonzero voxels only"), "keep_type": _("Keep the data type"),
          "keep_range": _("Keep the value range"), "codes": _("Orientation"),
          "surfaces": _("Surface distances"), "stable_percent": _("Stable up to"), "seconds": _("Time limit"),
          "dice_loss": _("Largest loss of Dice"), "leave_out": _("Leave out faulty cases")}
DEVICES = ["auto", "cpu", "cuda", "mps"]


def choices(config_class: type) -> dict[str, list[str]]:
    """The allowed values of each field of a config that has a fixed set of them."""
    return {field.name: list(field.metadata["choices"]) for field in fields(config_class)
            if "choices" in field.metadata}


def in_words(value: object) -> str:
    """A choice as a combo box shows it."""
    return _WORDS.get(value, str(value)) if isinstance(value, str) else str(value)


def show_in_words(comboBox) -> None:
    """Let a combo box whose items are choices as the parameter node has them show them in words."""
    for index in range(comboBox.count):
        comboBox.setItemText(index, in_words(comboBox.itemText(index)))


def rename_parameters(parameterNode, names: dict[str, str]) -> None:
    """Move parameters that a scene saved under old names to their present ones, {old: present}.

    Args:
        parameterNode: vtkMRMLScriptedModuleNode, before `parameterNodeWrapper` wraps it.
    """
    for old, present in names.items():
        if parameterNode.GetParameter(old):
            parameterNode.SetParameter(present, parameterNode.GetParameter(old))
            parameterNode.UnsetParameter(old)
