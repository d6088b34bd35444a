"""The section *Change* of the registration panel: what has changed between two dates, in colors and figures."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.config import REGISTER_PRESETS, preset_key
from meddl.longitudinal.config import PRESET, ChangeConfig
from meddl_slicer.mrml.slice_layers import SliceLayers
from meddl_slicer.mrml.tables import STRUCTURE
from meddl_slicer.panels.banner import Banner
from meddl_slicer.panels.config_form import ConfigForm
from meddl_slicer.panels.views.results_table import ResultsTable
from meddl_slicer.runs import verbs
from meddl_slicer.sections.change import nodes
from meddl_slicer.sections.change.verb import why_not_two_dates
from meddl_slicer.sections.section import LABELS, VOLUMES, Section

PRESETS = tuple(name for name in REGISTER_PRESETS if name != "Time series")
_ALWAYS = ("threshold", "modality", "model")
_OF_LESIONS = ("lesions", "smallest_ml", "overlap", "stable_percent")
_SHOWN = {nodes.STRUCTURES_ROLE: (STRUCTURE, "Baseline [ml]", "Follow-up [ml]", "Change [%]", "Change by Jacobian [%]"),
          nodes.LESIONS_ROLE: (STRUCTURE, _("State"), "Baseline [ml]", "Follow-up [ml]")}


class ChangeSection(Section):
    """Compares two dates: a map over the baseline, the volumes of structures, lesions by their state.

    Args:
        panel, after: as of `Section`.
        logic: of the module.
    """

    def __init__(self, panel, after, logic):
        super().__init__(panel, after, "MedDL.Change", _("Change between two dates"))
        self._logic, self._node, self._layers = logic, None, None
        self.addSelector("baseline", _("Baseline:"), VOLUMES, _("The volume of the first date"), _("Select"))
        self.addSelector("baselineLabels", _("Segments:"), LABELS,
                         _("Structures or lesions of the first date, for the tables"), _("None"))
        self.addSelector("followUp", _("Follow-up:"), VOLUMES, _("The volume of the second date"), _("Select"))
        self.addSelector("followUpLabels", _("Segments:"), LABELS,
                         _("Structures or lesions of the second date, for the tables"), _("None"))
        self.addSelector("mask", _("Mask:"), LABELS, _("Where to look, over the baseline"), _("Body"))
        self.presetComboBox = qt.QComboBox()
        self.presetComboBox.objectName = "changePresetComboBox"
        self.presetComboBox.toolTip = _("How the follow-up is registered to the baseline; deformable presets also give "
                                        "the volume change of the structures of one segmentation")
        for name in PRESETS:
            self.presetComboBox.addItem(name)
        self.presetComboBox.connect("currentIndexChanged(int)", self.onPreset)
        self.form.addRow(_("Registration:"), self.presetComboBox)
        self._config = ConfigForm(ChangeConfig, self.onOptionsChanged)
        self._config.addRows(self.form)
        self.addRun(_("Show change"), _("Register, match, subtract and measure"))
        self._banner = Banner(self.box, self.ui.applyButton)
        self.readingLabel = qt.QLabel()
        self.readingLabel.objectName, self.readingLabel.wordWrap = "changeReadingLabel", True
        self.box.addWidget(self.readingLabel)
        self.tables, self._results = {}, {}
        for role in _SHOWN:
            self.tables[role] = qt.QTableWidget()
            self.tables[role].objectName = f"change{role.rpartition('.')[2]}Table"
            self._results[role] = ResultsTable(self.tables[role])
            self.box.addWidget(self.tables[role])
        self.removeButton = qt.QPushButton(_("Remove result"))
        self.removeButton.objectName = "changeRemoveButton"
        self.removeButton.toolTip = _("Take the map and all that came with it out of the scene")
        self.removeButton.connect("clicked(bool)", self.onRemove)
        self.box.addWidget(self.removeButton)
        self._show(None)

    @property
    def preset(self) -> str:
        """The chosen preset of the registration."""
        return PRESETS[self.presetComboBox.currentIndex]

    def onPreset(self, index: int) -> None:
        """The user has chosen how to register."""
        if 0 <= index < len(PRESETS):
            self.keep("preset", preset_key(PRESETS[index]))

    def onOptionsChanged(self) -> None:
        """The user has changed an option; another threshold is shown at once."""
        self.keepConfig(self._config.config)
        if self._result() is not None:
            nodes.show_threshold(self._node, self._config.config.threshold)
        self.update()

    def onRemove(self, checked: bool = False) -> None:
        """Take the result out of the scene, and show in the views what was there before."""
        node = self._result()
        if node is not None:
            removed = [node, *nodes.companions(node)]
            nodes.undo(node)
            if self._layers is not None:
                self._layers.restore(removed)
        self._show(None)
        self.update()

    def showChoices(self) -> None:
        keys = [preset_key(name) for name in PRESETS]
        key = self.readText("preset")
        blocked = self.presetComboBox.blockSignals(True)
        self.presetComboBox.currentIndex = keys.index(key if key in keys else preset_key(PRESET))
        self.presetComboBox.blockSignals(blocked)
        config, shown = self.readConfig(ChangeConfig), list(_ALWAYS)
        if config.modality != "CT":
            shown.append("bias_field")
        if None not in (self.node("baselineLabels"), self.node("followUpLabels")) and not config.model:
            shown += _OF_LESIONS if config.lesions else ("lesions",)
        self._config.setConfig(config)
        self._config.showOnly(shown)
        if self._node is not None and self._result() is None:
            self._show(None)

    def whyNotReady(self) -> str | None:
        return why_not_two_dates(*(self.node(key) for key in (
            "baseline", "followUp", "baselineLabels", "followUpLabels")))

    def startRun(self, onProgress, onDone):
        self._banner.clear("result")
        return self._logic.change(
            self.node("baseline"), self.node("followUp"), self.readConfig(ChangeConfig), preset=self.preset,
            baselineLabelsNode=self.node("baselineLabels"), followUpLabelsNode=self.node("followUpLabels"),
            maskNode=self.node("mask"), wait=False, onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        earlier, baseline = self._result(), self.node("baseline")
        if earlier is None:
            self._layers = SliceLayers()
        elif earlier is not node:
            nodes.undo(earlier)
        self._show(node)
        slicer.util.setSliceViewerLayers(background=baseline, foreground=node, foregroundOpacity=1.0)

    def clear(self) -> None:
        self._layers = None
        self._show(None)

    def close(self) -> None:
        """Stop the run, and hold neither widgets nor the panel any more."""
        Section.close(self)
        self._logic = None

    def _result(self):
        """The map that is shown; None where it has left the scene."""
        return self._node if self._node is not None and slicer.mrmlScene.IsNodePresent(self._node) else None

    def _show(self, node) -> None:
        self._node = node
        self.removeButton.visible = self.readingLabel.visible = node is not None
        report = {} if node is None else verbs.report_of(node)
        self._banner.show("result", _("Look at both volumes"), report.get("warnings", ()))
        self.readingLabel.text = " ".join((report.get("reading", ""), _lesions_in_words(report))).strip()
        for role, table in self.tables.items():
            content = None if node is None else node.GetNodeReference(role)
            table.visible = content is not None
            if content is None:
                self._results[role].clear()
            else:
                self._results[role].show(content, {}, _SHOWN[role])


def _lesions_in_words(report: dict) -> str:
    """How many lesions are in each state."""
    counts = {state: count for state, count in (report.get("lesion_states") or {}).items() if count}
    return _("Lesions: {counts}.").format(counts=", ".join(f"{count} {state}" for state, count in counts.items())) \
        if counts else ""
