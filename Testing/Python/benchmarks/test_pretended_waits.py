"""No loop waits for a GPU: the lines that do so more often for more windows, slices or steps are all known."""

import json
import subprocess
import sys

import pytest
from places import SUPPORT

pytestmark = pytest.mark.slow
# What an optimizer on the CPU asks for: value, overlap and gradient of a linear transform in one wait.
EVALUATION = "registration/linear/sampled_similarity.py"
CACHED = "networks/cubic.py"  # one matrix for each size of a block
DEFORMED = "registration/deformable/diffeomorphic.py"
GROWING = {
    "segment, head": {DEFORMED},  # the length of a flow, of each label map's registration
    "register, linear steps": {EVALUATION},
    "register, rotations": {EVALUATION},
    "register, symmetric steps": {DEFORMED},  # the length of a flow, every few steps
}
# Of each label map: itself, and the matrices of its registration.
UPLOADED = {"segment, head": {DEFORMED, "registration/images/smoothing.py", "segmentation/atlas/atlas_label_maps.py"}}
# Of a linear registration about thirty are its quality estimate.
MOST = {"segment, head": 60, "segment": 4, "register, deformable steps": 25, "register, symmetric steps": 45,
        "register": 75, "super_resolve, network": 10, "super_resolve, back-projection": 15, "super_resolve": 35}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(tmp_path_factory.mktemp("cache")))
        done = subprocess.run([sys.executable, str(SUPPORT / "pretended_waits.py")], capture_output=True, text=True,
                              check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def growing(little: dict, much: dict) -> dict:
    return {line: (little.get(line, 0), count) for line, count in much.items() if count > little.get(line, 0)}


def test_waits_do_not_grow_with_windows_slices_and_steps(found):
    for case, counts in found.items():
        files = {line.partition(":")[0] for line in growing(*counts["waits"])}
        assert files == GROWING.get(case, set()), (case, growing(*counts["waits"]))
        most = next(count for name, count in MOST.items() if case.startswith(name))
        assert sum(counts["waits"][1].values()) <= most, (case, counts["waits"][1])


def test_uploads_do_not_either(found):
    for case, counts in found.items():
        files = {line.partition(":")[0] for line in growing(*counts["uploads"])}
        assert files <= {EVALUATION, CACHED} | UPLOADED.get(case, set()), (case, growing(*counts["uploads"]))


def test_an_evaluation_of_a_linear_transform_waits_once_and_uploads_once(found):
    counts = found["register, linear steps"]
    more = [sum(growing(*counts[kind]).values(), ()) for kind in ("waits", "uploads")]
    assert len(more[0]) == 2 and more[0] == more[1] and more[0][1] > more[0][0]


def test_a_symmetric_registration_looks_every_few_steps(found):
    few, many = (sum(count for line, count in counts.items() if "_refine_level: _local_scalar_dense" in line)
                 for counts in found["register, symmetric steps"]["waits"])
    assert many - few == 2  # two levels, of two and of eight steps
