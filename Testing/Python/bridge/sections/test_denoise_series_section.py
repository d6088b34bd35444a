"""The section Denoise a series, clicked through, and the verb on sequence nodes, by the real networks in the worker."""

import numpy as np
import pytest
import qt
import slicer
from bridge_scene import finished, opened, process_events
from sequence_nodes import sequence
from series_phantoms import AFFINE, noisy, still

import host
import meddl
from meddl.core.errors import InputError
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.sequences import browser_of, volumes_from_sequence
from meddl_slicer.runs import estimates, verbs


def frames(count=4, shape=(24, 20, 12)):
    return noisy(np.stack([still(shape)] * count))


@pytest.fixture
def section(clean):
    section = opened("MedDLSuperRes").widget.denoiseSeries
    section.button.collapsed = False
    qt.QSettings().remove("MedDL/Estimates")
    yield section
    qt.QSettings().remove("MedDL/Estimates")
    section.button.collapsed = True


def test_a_sequence_is_denoised_in_one_click_and_shown_in_step(section):
    node = sequence(frames(), AFFINE, "perfusion")
    assert not section.ui.applyButton.enabled and "Choose a sequence" in section.ui.applyButton.toolTip
    section._selectors["sequence"].setCurrentNode(node)
    assert section.ui.statusLabel.text.startswith("4 frames")
    process_events(lambda: "About" in section.ui.statusLabel.text, limit=120)
    seconds, megabytes = section.guess()()
    assert 0.2 < seconds < 30 and 600 < megabytes < 800 and "GB" in section.ui.statusLabel.text
    section.ui.applyButton.click()
    finished(section, limit=120)
    assert not host.errors()
    (made,) = [one for one in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if one is not node]
    assert made.GetName() == "perfusion denoised" and made.GetIndexName() == "time"
    assert [made.GetNthIndexValue(n) for n in range(4)] == ["0", "2.5", "5", "7.5"]
    assert browser_of(node) is browser_of(made) is not None
    expected = meddl.denoise_series(Volume(frames(), AFFINE), device="cpu").volume.data
    found = np.concatenate([one.data for one in volumes_from_sequence(made)])
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert qt.QSettings().value(f"MedDL/Estimates/denoiseSequence:recurrent on {estimates.device().split(' ')[0]}")
    assert "Each frame is the mean of" in section.readingLabel.text
    assert len(verbs.report_of(made)["frames_averaged"]) == 4
    np.testing.assert_array_equal(np.concatenate([one.data for one in volumes_from_sequence(node)]), frames())


def test_options_are_kept_and_an_output_is_filled_again(section):
    node, output = sequence(frames(), AFFINE, "perfusion"), sequence(frames(2), AFFINE, "filled")
    section._selectors["sequence"].setCurrentNode(node)
    section._selectors["output"].setCurrentNode(node)
    assert "overwrite" in section.ui.applyButton.toolTip
    section._selectors["output"].setCurrentNode(output)
    section.keepConfig(meddl.DenoiseSeriesConfig(passes="forward", spatial=False))
    section.update()
    assert section._config.config == meddl.DenoiseSeriesConfig(passes="forward", spatial=False)
    section.ui.applyButton.click()
    finished(section, limit=120)
    assert output.GetNumberOfDataNodes() == 4 and verbs.report_of(output)["passes"] == "forward"


def test_a_run_is_cancelled_and_nothing_is_left(section):
    node = sequence(frames(6, (64, 64, 32)), AFFINE, "long")
    section._selectors["sequence"].setCurrentNode(node)
    section.ui.applyButton.click()
    process_events(lambda: section.ui.progressBar.value > 3, limit=120)
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running, limit=60)
    assert [one.GetName() for one in slicer.util.getNodesByClass("vtkMRMLSequenceNode")] == ["long"]


def test_frames_of_different_grids_are_refused(clean):
    node = sequence(frames(2), AFFINE)
    other = sequence(frames(1, (10, 10, 10)), AFFINE)
    node.SetDataNodeAtValue(other.GetNthDataNode(0), "9")
    host.load_module("MedDLSuperRes")
    logic = slicer.util.getModuleLogic("MedDLSuperRes")
    with pytest.raises(InputError, match="Frame 2 lies on another grid"):
        logic.denoiseSequence(node, device="cpu")
    with pytest.raises(InputError, match="is the input"):
        logic.denoiseSequence(node, outputSequence=node)
