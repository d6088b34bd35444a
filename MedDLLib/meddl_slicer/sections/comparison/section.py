"""The section *Compare* of the panels: a result against a reference, figures, plots and a map of errors."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl.measures.config import CompareConfig
from meddl_slicer.mrml.tables import STRUCTURE
from meddl_slicer.panels.config_form import ConfigForm
from meddl_slicer.panels.options import in_words
from meddl_slicer.panels.views.results_table import ResultsTable
from meddl_slicer.runs import verbs
from meddl_slicer.sections.comparison import verb
from meddl_slicer.sections.comparison.nodes import DIFFERENCE_ROLE, FIGURES, charts_of
from meddl_slicer.sections.comparison.plots import show_chart
from meddl_slicer.sections.comparison.remote import LABELS, LANDMARKS, PROBABILITY, TRANSFORMS
from meddl_slicer.sections.comparison.remote import VOLUMES as TWO_VOLUMES
from meddl_slicer.sections.section import LABELS as LABEL_NODES
from meddl_slicer.sections.section import LANDMARKS as LANDMARK_NODES
from meddl_slicer.sections.section import TRANSFORMS as TRANSFORM_NODES
from meddl_slicer.sections.section import VOLUMES, Section

_SHOWN = {LABELS: (STRUCTURE, "Dice", "HD95 [mm]"), LANDMARKS: (FIGURES["point"][0], "Distance [mm]")}
_SHOWN_OF_CASES = {LABELS: (FIGURES["case"][0], STRUCTURE, "Dice"), TWO_VOLUMES: (FIGURES["case"][0], "PSNR [dB]")}
_FIELDS = {LABELS: ("match", "region", "tolerance_mm", "surfaces"), PROBABILITY: ("region", "structure")}


class CompareSection(Section):
    """Compares two nodes, or all cases of their folders.

    Args:
        panel, after: as of `Section`.
        results, references: classes of the nodes that may be compared.
    """

    def __init__(self, panel, after, results, references):
        super().__init__(panel, after, "MedDL.Compare", _("Compare"))
        self.addSelector("result", _("Result:"), results, _("What is compared with the reference"), _("Select"))
        self.addSelector("reference", _("Reference:"), references, _("What the result should be"), _("Select"))
        self.addSelector("image", _("Image:"), VOLUMES, _("The volume in which the body is found"), _("Select"))
        self.addSelector("mask", _("Mask:"), LABEL_NODES, _("Where the volumes are compared"), _("Everywhere"))
        self.addSelector("fixed", _("Fixed volume:"), VOLUMES,
                         _("The volume at whose voxels the transforms are compared"), _("Of the transforms"))
        self.addSelector("transform", _("Transform:"), TRANSFORM_NODES,
                         _("The transform under which the moving landmarks should lie on the fixed ones"), _("None"))
        self._config = ConfigForm(CompareConfig, self.onOptionsChanged)
        self._config.addRows(self.form)
        self._cases = self._checkBox("cases", _("All cases of both folders"), _(
            "Compare each result of the folder with the reference of the same name or over the same volume"))
        self._distances = self._checkBox("distances", _("Surfaces colored by distance"), _(
            "Make a model of the result's surfaces, colored by their distance to the reference's"))
        self.addRun(_("Compare"), _("Compare the result with the reference"))
        self._label, self.table = qt.QLabel(), qt.QTableWidget()
        self._label.wordWrap = True
        self.table.objectName = "compareTable"
        self._results, self._node = ResultsTable(self.table), None
        self._plot, self._save = qt.QPushButton(_("Show plot")), qt.QPushButton(_("Save table..."))
        self._plot.objectName, self._save.objectName = "comparePlotButton", "compareSaveButton"
        self._plot.toolTip = _("Show the plot of the comparison, and the next one where there are several")
        self._save.toolTip = _("Write all figures to a CSV file")
        self._plot.connect("clicked(bool)", self.onPlot)
        self._save.connect("clicked(bool)", self.onSave)
        self._charts = 0
        self._buttons = qt.QHBoxLayout()
        self._buttons.addWidget(self._plot)
        self._buttons.addWidget(self._save)
        self.box.addWidget(self._label)
        self.box.addWidget(self.table)
        self.box.addLayout(self._buttons)
        self._showTable(None)

    @property
    def kind(self) -> str | None:
        """What kind of comparison the chosen nodes allow; None: none."""
        return verb.kind_of(self._selectors["result"].currentNode(), self._selectors["reference"].currentNode())

    def onOptionsChanged(self) -> None:
        """The user has changed an option."""
        self.keepConfig(self._config.config)
        self.update()

    def showChoices(self) -> None:
        kind, config = self.kind, self.readConfig(CompareConfig)
        body = kind in (LABELS, PROBABILITY) and config.region == "body"
        more = "image" if body else {TWO_VOLUMES: "mask", TRANSFORMS: "fixed", LANDMARKS: "transform"}.get(kind)
        self.showRows({"result", "reference", more})
        for key, text, other in (("result", _("Result:"), _("Fixed landmarks:")),
                                 ("reference", _("Reference:"), _("Moving landmarks:"))):
            self._labels[key].text = other if kind == LANDMARKS else text
        self._config.setConfig(config)
        self._config.showOnly(_FIELDS.get(kind, ()))
        self._cases.visible = len(self._pairs()) > 1
        self._distances.visible = kind == LABELS and not self._several()
        for box, key in ((self._cases, "cases"), (self._distances, "distances")):
            box.checked = self.readText(key) == "1"

    def whyNotReady(self) -> str | None:
        reason = verb.why_not_comparable(self.node("result"), self.node("reference"))
        if reason is None and "image" in self._shown and self.node("image") is None:
            return _("Choose the image in which the body is found.")
        return reason

    def startRun(self, onProgress, onDone):
        result, reference, config = self.node("result"), self.node("reference"), self.readConfig(CompareConfig)
        choices = {"wait": False, "onProgress": onProgress, "onDone": onDone}
        origin = f"{result.GetID()} {reference.GetID()} {self._several()}"
        if self._node is not None and self.readText("origin") == origin and slicer.mrmlScene.IsNodePresent(self._node):
            choices["tableNode"] = self._node
        self.keep("origin", origin)
        if self._several():
            return verb.compare_branches(*self._folders(), config, **choices)
        return verb.compare_nodes(result, reference, config, distances=self.readText("distances") == "1",
                                  regionNode=self.node("image") or self.node("mask") or self.node("fixed"),
                                  transformNode=self.node("transform"), **choices)

    def showResult(self, node) -> None:
        self._showTable(node)
        difference = node.GetNodeReference(DIFFERENCE_ROLE)
        if difference is not None:
            slicer.util.setSliceViewerLayers(background=difference)

    def clear(self) -> None:
        self._showTable(None)

    def onPlot(self, checked: bool = False) -> None:
        """Show the plots one after the other."""
        charts = charts_of(self._node)
        with slicer.util.tryWithErrorDisplay(_("The plot could not be shown.")):
            show_chart(charts[self._charts % len(charts)])
        self._charts += 1

    def onSave(self, checked: bool = False) -> None:
        """Ask for a file and write the table to it."""
        path = str(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save the comparison"),
                                                  f"{self._node.GetName()}.csv", _("Table (*.csv *.tsv)")) or "")
        if path:
            with slicer.util.tryWithErrorDisplay(_("The table could not be saved.")):
                slicer.util.saveNode(self._node, path)

    def _checkBox(self, key: str, text: str, tip: str):
        box = qt.QCheckBox(text)
        box.objectName, box.toolTip = f"compare{key.capitalize()}CheckBox", tip
        box.connect("clicked(bool)", lambda checked: self._onChecked(key, checked))
        self.form.addRow(box)
        return box

    def _onChecked(self, key: str, checked: bool) -> None:
        self.keep(key, "1" if checked else "")
        self.update()

    def _several(self) -> bool:
        return self.readText("cases") == "1" and len(self._pairs()) > 1

    def _folders(self) -> tuple[int, int]:
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        items = [hierarchy.GetItemByDataNode(self.node(key)) for key in ("result", "reference")]
        return hierarchy.GetItemParent(items[0]), hierarchy.GetItemParent(items[1])

    def _pairs(self) -> list:
        """The cases of both nodes' folders."""
        if self.kind not in (LABELS, TWO_VOLUMES) or None in (self.node("result"), self.node("reference")):
            return []
        folders = self._folders()
        return [] if folders[0] == folders[1] else verb.pairs_of(*folders)

    def _showTable(self, node) -> None:
        self._node, self._charts = node, 0
        for widget in (self._label, self.table, self._plot, self._save):
            widget.visible = node is not None
        if node is None:
            self._results.clear()
            return
        self._plot.visible = bool(charts_of(node))
        report = verbs.report_of(node)
        self._results.show(node, {}, (_SHOWN_OF_CASES if "cases" in report else _SHOWN).get(report.get("kind")))
        self._label.text = " ".join((_sentence(report), *report.get("warnings", ())))
        self._label.visible = bool(self._label.text)


def _sentence(report: dict) -> str:
    """What was compared where, and the mean of the figures."""
    parts = []
    if report.get("cases"):
        parts.append(_("{count} cases, the worst first.").format(count=report["cases"]))
    if report.get("region"):
        parts.append(_("True negatives counted in: {region}.").format(region=in_words(report["region"])))
    if report.get("mean", {}).get("dice") is not None:
        parts.append(_("Mean Dice {dice:.3f}.").format(dice=report["mean"]["dice"]))
    if "data_range" in report:
        parts.append(_("PSNR and SSIM for values from {low:.4g} to {high:.4g}.").format(
            low=report["data_range"][0], high=report["data_range"][1]))
    if "mean_mm" in report:
        parts.append(_("Mean {mean:.2f} mm, largest {largest:.2f} mm.").format(
            mean=report["mean_mm"], largest=report["max_mm"]))
    if report.get("resampled"):
        parts.append(_("Resampled: {what}.").format(what=report["resampled"]))
    return " ".join(parts)


def nodes_of(*kinds) -> tuple:
    """The node classes of several kinds: `meddl_slicer.sections.section`."""
    return tuple(one for kind in kinds for one in kind)


SEGMENTATIONS_AND_PROBABILITIES = nodes_of(LABEL_NODES, VOLUMES)
REGISTRATION_RESULTS = nodes_of(VOLUMES, TRANSFORM_NODES, LANDMARK_NODES)
