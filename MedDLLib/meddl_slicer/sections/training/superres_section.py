"""The section *Train* of the super-resolution panel: a network trained on one's own sharp volumes or pairs."""

from pathlib import Path

import qt
from slicer.i18n import tr as _

from meddl.training.config import SuperResTrainConfig
from meddl_slicer.sections.training import superres_verb as verb
from meddl_slicer.sections.training.curve import GAIN
from meddl_slicer.sections.training.training_section import TrainingSection

# The networks as the panel's methods call them; SRGAN's are two that belong together, so it has no own models.
NETWORKS = {"through-plane": _("Network"), "edsr3d": _("3D isotropic (EDSR)"), "srcnn": _("SRCNN"),
            "srresnet": _("SRResNet"), "denoiser": _("Denoise"), "autoencoder": _("Denoise (autoencoder)")}


class TrainSuperResSection(TrainingSection):
    """Trains a network of super-resolution or denoising, from the one that ships, on volumes of the user's own."""

    configClass = SuperResTrainConfig
    shownFields = ("minutes", "register", "start", "license")
    score = GAIN
    figuresText = _("Step {step}: gain {score:.2f} dB, best {best:.2f} dB.")
    dataTip = _("Sharp volumes, which are made coarse or noisy by simulation, or a folder with the folders low and "
                "high: the same anatomy coarse and sharp, or noisy and clean, under the same names")
    folderTip = _("Choose a folder on disk with sharp volumes, or with the folders low and high")

    def addConfigRows(self) -> None:
        self.networkComboBox = qt.QComboBox()
        self.networkComboBox.objectName = "trainNetworkComboBox"
        label = qt.QLabel(_("Network:"))
        self.form.addRow(label, self.networkComboBox)
        self._config.bind("network", self.networkComboBox, NETWORKS, label)
        TrainingSection.addConfigRows(self)

    def findData(self) -> list[tuple[str, int]]:
        texts = {True: _("{name} ({count} pairs)"), False: _("{name} ({count} volumes)")}
        return [(texts[one.pairs].format(name=one.name, count=one.count), one.item) for one in verb.find_sources()]

    def whyNotReady(self) -> str | None:
        if self.source is None:
            return _("Load two sharp volumes at least, or choose a folder.")
        if self._fromPairs() and self.readConfig(SuperResTrainConfig).network not in verb.PAIRED:
            return _("Pairs are for {names}. Choose one of these networks.").format(
                names=", ".join(NETWORKS[name] for name in verb.PAIRED))
        return TrainingSection.whyNotReady(self)

    def startTraining(self, name: str, **run):
        return verb.train_superres_model(self.source, name=name, config=self.readConfig(SuperResTrainConfig), **run)

    def resultText(self, report: dict) -> str:
        text = _("On what was held out: {gain:.2f} dB above {baseline}.").format(
            gain=report["gain_db"], baseline=_("the noisy volume") if report["network"] in verb.DENOISING else
            _("interpolation"))
        return text if report["before_db"] is None else " ".join([text, _(
            "The network that it started from: {before:.2f} dB.").format(before=report["before_db"])])

    def _fromPairs(self) -> bool:
        source = self.source
        return verb.has_pairs(Path(source)) if isinstance(source, str) else any(
            one.pairs for one in verb.find_sources() if one.item == source)
