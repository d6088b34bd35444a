"""Everything that the console offers works without main window, layout manager and views.

Each test is a script of its own, run as by `Slicer --no-main-window --python-script`.
"""

import os
import subprocess
import sys
import textwrap

import pytest
from places import LIBRARY, SUPPORT, TESTS

from meddl.core.paths import resources_folder

BEGIN = """
import numpy as np
import slicer

from bridge_scene import add_volume, centered, phantom
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl_slicer.runs import sample_data, tasks, verbs

segment = slicer.util.getModuleLogic("MedDLSeg")
register = slicer.util.getModuleLogic("MedDLRegister")
sharpen = slicer.util.getModuleLogic("MedDLSuperRes")
"""
# Quick functions in the worker in place of networks.
STUBS = """
from pathlib import Path

import bridge_scene
from bridge_cards import install_card
from meddl.worker import Worker

install_card(Path(os.environ["MEDDL_CACHE"]), "dim")
verbs.SEGMENT, verbs.REGISTER = "bridge_targets:threshold", "bridge_targets:known_bend"
slicer.modules.meddlWorker = Worker(allowed=(*tasks.ALLOWED, "bridge_targets."),
                                    paths=[Path(bridge_scene.__file__).parent])
"""


@pytest.fixture
def run(tmp_path):
    """Run the lines of a script; its output. Fails where the script does."""

    def run_lines(lines: str, blocked: tuple[str, ...] = ()) -> str:
        script = tmp_path / "script.py"
        block = "import os, sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
        script.write_text(block + textwrap.dedent(lines), encoding="utf-8")
        environment = {**_environment(), "MEDDL_CACHE": str(tmp_path)}
        ended = subprocess.run([sys.executable, str(SUPPORT / "headless_slicer.py"), str(script)], env=environment,
                               capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout

    return run_lines


def _environment() -> dict:
    paths = [str(SUPPORT), str(TESTS), str(LIBRARY), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "QT_QPA_PLATFORM": "offscreen"}


def test_samples_load_where_there_is_no_view_and_nothing_installed_but_what_slicer_ships(run):
    if not (resources_folder() / "Samples" / "head_labels.nii.gz").is_file():
        pytest.skip("the sample head is not in Resources/MedDL/Samples")
    run("""
        import SampleData
        import slicer

        from meddl_slicer.runs import sample_data

        assert slicer.util.mainWindow() is None
        assert slicer.app.layoutManager() is None
        assert slicer.app.commandOptions().noMainWindow is True
        for name in ("Slice", "SliceComposite", "View", "Layout"):
            assert not slicer.util.getNodesByClass(f"vtkMRML{name}Node"), name
        for name, sample in sample_data.SAMPLES.items():
            nodes = SampleData.downloadSamples(name)
            assert [node.GetName() for node in nodes] == list(sample.nodes), name
            assert all(slicer.util.arrayFromVolume(node).std() > 50 for node in nodes), name
        assert sample_data.load("T1").GetName().startswith("MedDLHeadT1")
        """, blocked=("torch", "monai", "safetensors", "jsonschema", "einops", "yaml", "nibabel"))


def test_every_verb_of_the_console_makes_its_nodes(run):
    run(BEGIN + STUBS + """
head = add_volume(phantom(), centered(np.eye(3)), "head")
shown = []
node = segment.segment(head, "dim", config=SegmentConfig(confidence=True), show3D=True, onPreview=shown.append)
assert node.GetSegmentation().GetNumberOfSegments() == 3
assert node.GetNodeReference(verbs.TABLE_ROLE) and node.GetNodeReference(verbs.CONFIDENCE_ROLE)

tree = slicer.mrmlScene.GetSubjectHierarchyNode()
folder = tree.CreateFolderItem(tree.GetSceneItemID(), "cohort")
for number in range(2):
    tree.SetItemParent(tree.GetItemByDataNode(add_volume(phantom(), centered(np.eye(3)), f"head {number}")), folder)
assert segment.segmentBranch(folder, "dim").GetTable().GetNumberOfRows() == 2

from sequence_nodes import sequence

frames = sequence([phantom(), phantom()], centered(np.eye(3)))
assert segment.segmentSequence(frames, "dim").GetNumberOfDataNodes() == 2

from meddl_slicer.mrml.registration_nodes import RegistrationOutputs, companions, undo

moving = add_volume(phantom(), centered(np.eye(3)), "moving")
wished = RegistrationOutputs(inverse=True, jacobian=True, checkerboard=True, difference=True, showGrid=True,
                             applyToMoving=True)
node = register.register(head, moving, outputs=wished, warp=True)
assert node.GetNodeReference(verbs.WARPED_ROLE).GetImageData() is not None
assert moving.GetParentTransformNode() is node
assert len(companions(node)) >= 5
undo(node)
assert moving.GetParentTransformNode() is None

from meddl.core.errors import Cancelled

verbs.SEGMENT = "bridge_targets:slow_threshold"
task = segment.segment(head, "dim", wait=False)
task.cancel()
try:
    task.result()
except Cancelled:
    pass
else:
    raise AssertionError("a cancelled run had a result")
verbs.SEGMENT = "bridge_targets:threshold"
assert segment.segment(head, "dim", wait=False).result(60).GetSegmentation().GetNumberOfSegments() == 3
tasks.close_worker()
""")


def test_the_real_registration_of_a_sequence_and_the_real_super_resolution(run):
    run(BEGIN + """
from sequence_nodes import QUICK, drifting

motion = register.registerSequence(drifting(), config=QUICK)
assert motion.GetNumberOfDataNodes() == 3
assert motion.GetNodeReference(verbs.WARPED_ROLE).GetNumberOfDataNodes() == 3

thick = add_volume(phantom(), centered(np.diag([1.0, 1.0, 3.0])), "thick")
sharp = sharpen.superResolve(thick, config=SuperResolveConfig(method="back-projection"), device="cpu")
assert abs(sharp.GetSpacing()[2] - 1.0) < 0.01
tasks.close_worker()
""")
