"""Each module's panel in the states that a user sees: chosen, running, done with doubts, every method and preset."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import slicer
from bridge_scene import add_volume, centered, opened, phantom
from sequence_nodes import sequence

from meddl.core.config import SuperResolveConfig
from meddl.jobs.summary import Row, registration_figures, super_resolution_figures
from meddl.models.store.store import ModelStore
from meddl.preparation.steps import STEPS, Crop, Normalize
from meddl.results import Segment, Segmentation
from meddl.series.config import DenoiseSeriesConfig
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import read_node
from meddl_slicer.mrml.tables import Column, create_summary_table, create_volume_table, fill_table
from meddl_slicer.panels.options import choices
from meddl_slicer.panels.report_text import registration_text, super_resolution_text
from meddl_slicer.runs import verbs
from meddl_slicer.sections.change.nodes import put_change
from meddl_slicer.sections.change.remote import ChangeResults
from meddl_slicer.sections.comparison.nodes import put_comparison
from meddl_slicer.sections.comparison.remote import LABELS, VOLUMES, Compared

WARNINGS = ("The mean confidence is only 0.41, where heads reach more than 0.60: the volume looks unlike a head.",
            "The brain reaches the edge of the volume.")
REGISTRATION = {"metric": {"name": "nmi", "before": 1.05, "after": 1.21}, "rotation_deg": 12.3,
                "translation_mm": [1.0, -20.5, 3.25], "seconds": {"alignment": 3.2, "deformation": 20.1},
                "peak_memory_mb": 812.0, "warnings": list(WARNINGS)}
SUPER_RESOLUTION = {"method": "network", "factors": [1, 1, 4], "spacing_mm": {"before": [1, 1, 4], "after": [1, 1, 1]},
                    "thickness_mm": 4.0, "residual_over_noise": 0.8, "seconds": {"network": 2.0}, "warnings": []}


def states(name: str):
    """Open a module, bring it into one state after the other, and yield what each is called."""
    widget = opened(name).widget
    ui = widget.ui
    for section in (ui.inputsCollapsibleButton, ui.outputsCollapsibleButton):
        section.collapsed = False
    ui.advancedCollapsibleButton.collapsed = True
    yield "nothing"
    affine = centered(np.diag([2.0, 2.0, 6.0]))
    nodes = [add_volume(phantom(), affine, f"Head of a volunteer, T{number}") for number in (1, 2)]
    ui.advancedCollapsibleButton.collapsed = False
    yield from {"MedDLSeg": _segmentation, "MedDLRegister": _registration, "MedDLSuperRes": _super_resolution}[name](
        widget, nodes)
    yield from _long_names(widget, nodes)
    for part in ("train", "explain"):
        if hasattr(widget, part):
            yield from _opened(getattr(widget, part), part)
    if hasattr(widget, "train") and hasattr(widget.train, "smaller"):
        yield from _shrunk(widget.train.smaller)
    if hasattr(widget, "landmarks"):
        yield from _located(widget.landmarks)
        yield from _opened(widget.landmarks.training, "train landmarks")
    if hasattr(widget, "classify"):
        yield from _opened(widget.classify.training, "train a classifier")
        yield from _classified(widget.classify, nodes[0])
    if hasattr(widget, "uncertainty"):
        yield from _uncertain(widget, nodes[0])
    if hasattr(widget, "change"):
        yield from _changed(widget, nodes)
    yield from _compared(widget, nodes)
    if hasattr(widget, "denoiseSeries"):
        yield from _denoised(widget.denoiseSeries)
        yield from _inpainted(widget.inpaint, nodes[0])
        yield from _synthesized(widget.synthesizeContrast, nodes[0])
    if hasattr(widget, "deidentify"):
        yield from _deidentified(widget.deidentify, nodes[0])
    if hasattr(widget, "prepare"):
        yield from _prepared(widget, nodes[0])


def _long_names(widget, nodes):
    """Volumes with names as files have them."""
    before = [node.GetName() for node in nodes]
    for number, node in enumerate(nodes):
        node.SetName(f"sub-0123_ses-20240131_acq-MPRAGEwithContrast_run-0{number}_T1w_defaced_N4corrected")
    widget.enter()
    yield "long names"
    for node, name in zip(nodes, before, strict=True):
        node.SetName(name)
    widget.enter()


def _opened(section, name: str):
    section.button.collapsed = False
    yield name
    section.button.collapsed = True


def _shrunk(section):
    """The section Smaller model before a run, and with the figures of one that was refused."""
    section.button.collapsed = False
    yield "smaller model"
    table = fill_table("My tumors small beside my-tumors", [Column("Figure", ["Mean Dice"]), Column("Before", [0.851])])
    verbs.keep_report(table, {"model": None, "warnings": [], "reading": "'my-tumors' was not shrunk: it loses 0.0213 "
                              "of the mean Dice, more than 0.01; more volumes or minutes may help. Nothing has "
                              "changed."})
    section.showResult(table)
    yield "model not made smaller"
    section.clear()
    section.button.collapsed = True


def _located(section):
    """The section Landmarks before a run, and after it."""
    section.button.collapsed = False
    yield "landmarks"
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Head of a volunteer, T1 landmarks")
    for number in range(3):
        node.AddControlPoint(number, 0, 0, f"P{number}")
    verbs.keep_report(node, {"warnings": ["PC was found with a confidence of only 0.21."]})
    section.showResult(node)
    yield "landmarks found"
    slicer.mrmlScene.RemoveNode(node)
    section.clear()
    section.button.collapsed = True


def _denoised(section):
    """The section Denoise a series without a sequence, with one, and after a run."""
    section.button.collapsed = False
    yield "no series"
    node = sequence([phantom()] * 2, np.diag([2.0, 2.0, 6.0, 1.0]), "Perfusion of a volunteer, 2024-01-31")
    section._selectors["sequence"].setCurrentNode(node)
    yield "series chosen"
    section._config.setConfig(DenoiseSeriesConfig(method="local-pca"))
    yield "series by components"
    section._config.setConfig(DenoiseSeriesConfig())
    verbs.keep_report(node, {
        "reading": "Noise of a frame: 12.34. Each frame is the mean of 2.1 to 14.3 frames, in terms of its noise.",
        "warnings": ["The noise differs by a factor of 2.3 over the volume: choose varying_noise for a map of it."]})
    section.showResult(node)
    yield "series denoised"
    slicer.mrmlScene.RemoveNode(node)
    section.clear()
    section.button.collapsed = True


def _inpainted(section, node):
    """The section Inpaint without a mask, with one, and after a run."""
    section.button.collapsed = False
    yield "nothing to inpaint"
    mask = add_volume((phantom() > 100).astype(np.uint8), name="Lesions of a volunteer, drawn by the first reader",
                      kind="vtkMRMLLabelMapVolumeNode")
    section._selectors["input"].setCurrentNode(node)
    section._selectors["mask"].setCurrentNode(mask)
    yield "mask chosen"
    verbs.keep_report(node, {
        "reading": "1234 voxels (1.23 ml, 0.2 % of the volume) were synthesized by a biharmonic fill; all others are "
                   "as they were.", "warnings": ["The volume is not symmetric as a head is: a biharmonic fill took the "
                                              "place of the other hemisphere."]})
    section.showResult(node)
    yield "inpainted"
    slicer.mrmlScene.RemoveNode(mask)
    section.clear()
    section.button.collapsed = True


def _synthesized(section, node):
    """The section Synthesize a contrast before and after a run."""
    section.button.collapsed = False
    section._selectors["volume"].setCurrentNode(node)
    yield "contrast chosen"
    verbs.keep_report(node, {"reading": "T2 synthesized, not measured; arbitrary units, 0 is black.", "warnings": [
        "This T2 was not measured: it is painted from labels and another contrast, and what the two do not share is "
        "invented. Diagnose and measure nothing in it."]})
    section.showResult(node)
    yield "contrast synthesized"
    section.clear()
    section.button.collapsed = True


def _classified(section, node):
    """The section Classify without a classifier, and after a run."""
    section.button.collapsed = False
    yield "no classifier"
    verbs.keep_report(node, {"reading": "Head of a volunteer, T1: unknown (likeliest of its classes: frontotemporal "
                             "dementia, 0.67).", "warnings": ["It is made for volumes of the head; this one seems to "
                                                              "show the chest."]})
    section.showResult(node)
    yield "classified"
    node.RemoveAttribute(verbs.REPORT_ATTRIBUTE)
    section.clear()
    section.button.collapsed = True


def _uncertain(widget, node):
    """The section Uncertainty after a run."""
    section = widget.uncertainty
    section.button.collapsed = False
    verbs.keep_report(node, {"reading": "Spread of the displacement over 8 runs, in mm: 0 where all agree.",
                             "spread_mm": {"mean": 0.123, "p95": 1.234, "max": 5.6}, "warnings": list(WARNINGS)})
    section._volumeNode = node
    section.showResult(node)
    yield "uncertainty"
    node.RemoveAttribute(verbs.REPORT_ATTRIBUTE)
    section.clear()
    section.button.collapsed = True


def _changed(widget, nodes):
    """The section Change between two dates, before and after a run."""
    section = widget.change
    section.button.collapsed = False
    yield "no two dates"
    labels = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Lesions of a volunteer, date {number}")
              for number in (1, 2)]
    for key, node in zip(("baseline", "followUp", "baselineLabels", "followUpLabels"), (*nodes, *labels), strict=True):
        section._selectors[key].setCurrentNode(node)
    yield "two dates chosen"
    volume, placement = read_node(nodes[0])
    flat = Volume(np.zeros(volume.data.shape, np.float32), volume.affine)
    row = {"structure": "Inferior vena cava and its branches", "baseline_ml": 1234.567, "follow_up_ml": 1345.678,
           "change_ml": 111.111, "change_percent": 9.0, "mean_z": 0.4}
    lesion = {"lesion": 1, "state": "not covered", "center_mm": [1.0, 2.0, 3.0], **row}
    report = {"threshold": 4.0, "noise_sd": 12.3, "warnings": list(WARNINGS), "seconds": {"total": 12.3},
              "reading": "Follow-up minus baseline in units of the noise. Beyond 4: 3.03 ml brighter and 2.23 ml "
                         "darker; Gaussian noise alone would bring 0.59 ml.", "device": "cpu",
              "lesion_states": {"new": 12, "grown": 3, "stable": 40, "shrunk": 2, "gone": 1, "not covered": 1}}
    lesions = Segmentation(np.ones(volume.shape, np.uint8), volume.affine, (Segment(1, "New", (1.0, 0.0, 0.0)),))
    found = ChangeResults(flat, flat, flat, None, None, np.eye(4), (row,), (lesion,), lesions, report)
    node = put_change(found, *nodes, placement)
    verbs.keep_report(node, report)
    section._onFinished(node)
    yield "two dates compared"
    section.button.collapsed = True


def _compared(widget, nodes):
    """The section Compare, before and after a run."""
    section = widget.compare
    section.button.collapsed = False
    yield "nothing to compare"
    labels = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Abdomen of a volunteer, reader {number}")
              for number in (1, 2)]
    offered = "vtkMRMLSegmentationNode" in section._selectors["reference"].nodeTypes
    for key, node in zip(("result", "reference"), labels if offered else nodes, strict=True):
        section._selectors[key].setCurrentNode(node)
    yield "chosen to compare"
    section.ui.applyButton.text = "Cancel"
    section.ui.progressBar.visible = True
    section.ui.stageLabel.text = "Comparing structure 12"
    yield "comparing"
    section.run._show_idle()
    names = ("Left kidney", "Inferior vena cava and its branches", "Liver")
    found = Compared(LABELS, [{"structure": name, "dice": 0.912, "iou": 0.84, "hd95_mm": 123.456} for name in names], {
        "kind": LABELS, "region": "grid", "mean": {"dice": 0.912}, "resampled": "prediction to the reference's grid",
        "warnings": ["Found in one of the two alone: Spleen."]}) if offered else Compared(VOLUMES, [
            {"mae": 123.4, "rmse": 12.5, "psnr_db": 31.2, "ssim": 0.951, "nmi": 1.21, "lncc": 0.8}], {
                "kind": VOLUMES, "data_range": (0, 1234.5), "warnings": [],
                "resampled": "volume to the reference's grid"})
    table = put_comparison(found, *(labels if offered else nodes))
    verbs.keep_report(table, found.report)
    section._onFinished(table)
    yield "compared"


def _deidentified(section, node):
    """The section De-identify files, before and after a run."""
    section.button.collapsed = False
    yield "no files to de-identify"
    verbs.keep_report(node, {"reading": "1 of 2 files were written without the patient.", "warnings": [
        "sub-0123_ses-20240131/report.pdf: It is no volume, segmentation or DICOM image."]})
    section.showResult(node)
    yield "files de-identified"
    node.RemoveAttribute(verbs.REPORT_ATTRIBUTE)
    section.clear()
    section.button.collapsed = True


def _prepared(widget, node):
    """The section Prepare with each kind of step."""
    widget.compare.button.collapsed = True
    section = widget.prepare
    section.button.collapsed = False
    section._selectors["volume"].setCurrentNode(node)
    section.setSteps(tuple(kind() for kind in STEPS.values()), 0)
    for row, name in enumerate(STEPS):
        section.list.setCurrentRow(row)
        yield f"prepare, {name}"
    section.setSteps((Normalize(method="match"), Crop(to="roi")), 0)
    section._row.visible = True
    yield "prepare, more inputs"


def _segmentation(widget, nodes):
    widget.ui.inputSelector.setCurrentNode(nodes[0])
    yield "chosen"
    widget.onDetails("details")
    yield "details of the model"
    widget.onDetails("details")
    yield from _running(widget)
    widget.run.end("The run failed: The memory of cpu was not enough. Crop or resample the volume.", failed=True)
    yield "failed"
    widget.run.end("")
    labels = ModelStore().card("brain").segments
    low = {segment.name: 0.31 if number % 5 == 0 else 0.91 for number, segment in enumerate(labels)}
    report = {"volumes_ml": {segment.name: 211.5 / (number + 1) for number, segment in enumerate(labels)},
              "confidence": low, "usual_confidence": {segment.name: (0.75, 0.96) for segment in labels}}
    found = Segmentation(np.ones((2, 2, 2), np.uint8), np.eye(4), labels, None, report)
    table = create_volume_table(found, "volumes")
    widget._results.show(table, report)
    widget.actions.show(table, (nodes[0], nodes[1], False))
    widget.banner.show("last run", "Warnings of the last run, 'Head of a volunteer, T1 segmentation'", WARNINGS)
    widget.ui.resultsCollapsibleButton.visible = True
    yield "done"


def _registration(widget, nodes):
    ui = widget.ui
    ui.fixedSelector.setCurrentNode(nodes[0])
    ui.movingSelector.setCurrentNode(nodes[1])
    ui.helpCollapsibleButton.collapsed = False
    for index in range(ui.presetComboBox.count):
        ui.presetComboBox.currentIndex = index
        if index == ui.presetComboBox.count - 1:  # no preset has this
            ui.presetComboBox.currentIndex = 0
            widget.form.setConfig(replace(widget.form.config, iterations=41))
            widget.onOptionsChanged()
        yield ui.presetComboBox.currentText
    ui.presetComboBox.currentIndex = 0
    yield from _running(widget)
    yield from _many(widget, "registrations", "T2 of a volunteer to T1 of a volunteer", registration_figures(
        {**REGISTRATION, "overlap": 0.98}))
    ui.reportBrowser.html = registration_text(REGISTRATION)
    _show_single(widget)
    widget.actions.show(pictured=(*nodes, False))
    widget.banner.show("last run", "Warnings of the last run, 'T2 to T1'", WARNINGS)
    ui.resultsCollapsibleButton.visible = True
    yield "done"


def _super_resolution(widget, nodes):
    ui = widget.ui
    ui.inputSelector.setCurrentNode(add_volume(phantom(), centered(np.eye(3)), "Head with small voxels"))
    yield "isotropic"
    ui.inputSelector.setCurrentNode(nodes[0])
    for index in range(len(choices(SuperResolveConfig)["method"])):
        ui.methodComboBox.currentIndex = index
        yield ui.methodComboBox.itemText(index)
    ui.methodComboBox.currentText = "Network"
    yield from _stacks(widget)
    yield from _running(widget)
    yield from _many(widget, "super-resolutions", "Head of a volunteer, T1 sharp", super_resolution_figures(
        SUPER_RESOLUTION))
    ui.reportBrowser.html = super_resolution_text(SUPER_RESOLUTION)
    _show_single(widget)
    widget.actions.show(pictured=(*nodes, True))
    widget.banner.show("last run", "Warnings of the last run, 'T1 sharp'", WARNINGS)
    ui.resultsCollapsibleButton.visible = True
    yield "done"


def _stacks(widget):
    """A further stack, thick along another direction, offered and chosen."""
    other = add_volume(phantom(), centered(np.diag([6.0, 2.0, 2.0])), "Head of a volunteer, sagittal")
    widget.showParameters()
    yield "further stack offered"
    widget.stacks._selectors[0].setCurrentNode(other)
    slicer.app.processEvents()
    yield "further stack chosen"
    slicer.mrmlScene.RemoveNode(other)
    widget.showParameters()


def _many(widget, kind: str, output: str, figures: dict):
    """All volumes of a folder, or all pairs: chosen and done, one of them failed."""
    for index in range(1, widget._scope.combo.count):
        widget._scope.combo.currentIndex = index
        yield widget._scope.combo.currentText
    rows = [Row("Head of a volunteer, T2", "done", 12.3, warnings=WARNINGS[:1], output=output, figures=figures),
            Row("Head of a volunteer, T3", "failed", error="'Head of a volunteer, T3' has no image.")]
    widget.showResult(create_summary_table(rows, (), f"Scene {kind}", result="Result"))
    yield "many done"
    widget._scope.combo.currentIndex = 0


def _show_single(widget) -> None:
    """The report of one run instead of the table of many."""
    widget.ui.resultsTable.visible, widget.ui.reportBrowser.visible = False, True
    widget.beforeAfter.setVisible(True)


def _running(widget):
    widget.run._task = SimpleNamespace(done=False, cancel=lambda: None)  # or what comes meanwhile would show it idle
    widget.run._show_running()
    widget.run._onProgress(0.4, "Registering the atlas label maps to the volume, 3 of 4")
    slicer.app.processEvents()
    yield "running"
    widget.run._task = None
    widget.run._show_idle()
