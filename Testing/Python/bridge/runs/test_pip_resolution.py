"""pip itself adds what MedDL needs beside each torch, and touches nothing that is installed."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from meddl.core.paths import resources_folder
from meddl_slicer.runs.packages.pip_constraints import pins

REQUIREMENTS = resources_folder() / "requirements.txt"
# As Slicer 5.12 ships them.
SLICERS_OWN = {"numpy": "2.4.6", "SimpleITK": "2.5.5", "scipy": "1.17.1", "vtk": "9.5.0", "packaging": "25.0",
               "pydicom": "3.0.2"}
# What MONAI's releases ask for, and what an index without this machine's network offers.
OFFERED = (
    ("monai", "1.4.0", ("numpy<2.0,>=1.24", "torch>=1.9")),
    ("monai", "1.5.2", ("numpy<3.0,>=1.24", "torch>=2.4.1")),
    ("monai", "1.6.1", ("numpy<3.0,>=1.24", "torch>=2.8.0")),
    ("torch", "2.13.0", ()), ("torch", "2.5.1", ()), ("numpy", "2.5.0", ()), ("numpy", "1.26.4", ()),
    ("jsonschema", "4.26.0", ("attrs>=22.2.0",)), ("attrs", "26.1.0", ()), ("safetensors", "0.8.0", ()),
    ("einops", "0.8.2", ()), ("PyYAML", "6.0.3", ()),
)
MONAI_FOR = {"2.5.1": "1.5.2", "2.7.1": "1.5.2", "2.8.0": "1.6.1", "2.13.0": "1.6.1"}
TORCHES = [f"{version}{build}" for version in MONAI_FOR for build in ("", "+cpu", "+cu126")]


def wheel(folder, name, version, requires=()):
    """Write an empty package with this metadata; returns its file."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = "\n".join([f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
                          *(f"Requires-Dist: {text}" for text in requires), ""])
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{stem}.dist-info/METADATA", metadata)
        file.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def pip(python, *args, **more):
    """Run pip without the settings of this machine, except how to reach its index."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PIP_CONSTRAINT", "PIP_FIND_LINKS")}
    return subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *map(str, args)], check=False, text=True,
                          capture_output=True, env={**environment, "PIP_CONFIG_FILE": os.devnull}, **more)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A folder with the packages of OFFERED."""
    folder = tmp_path_factory.mktemp("index")
    for one in OFFERED:
        wheel(folder, *one)
    return folder


class Slicer:
    """A Python with Slicer's own packages and a torch, of which there is the metadata alone."""

    def __init__(self, folder):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        self.python = folder / "bin" / "python" if os.name == "posix" else folder / "Scripts" / "python.exe"
        ask = "import sys; print([path for path in sys.path if path.endswith('-packages')][0])"
        self._place = Path(subprocess.run([self.python, "-c", ask], capture_output=True, text=True,
                                          check=True).stdout.strip())
        self._wheels = folder / "wheels"
        self._wheels.mkdir()
        self.put(*SLICERS_OWN.items())

    def put(self, *packages):
        """Let these versions of packages be installed, in place of others."""
        for name, version in packages:
            for earlier in self._place.glob(f"{name}-*.dist-info"):
                shutil.rmtree(earlier)
            with zipfile.ZipFile(wheel(self._wheels, name, version)) as file:
                file.extractall(self._place)

    def constraints(self):
        """A file as `pip_constraints` would write it there."""
        path = self._wheels.parent / "constraints.txt"
        path.write_text("".join(f"{pin}\n" for pin in pins(distributions(path=[str(self._place)]))))
        return path

    def would_install(self, *options, timeout=60):
        """What pip would install, by name; None where it finds no way, with its words."""
        done = pip(self.python, "install", "--quiet", "--dry-run", "--report", "-", "-r", REQUIREMENTS, *options,
                   timeout=timeout)
        if done.returncode:
            return None, done.stderr
        found = json.loads(done.stdout)["install"]
        return {one["metadata"]["name"].lower(): one["metadata"]["version"] for one in found}, ""


@pytest.fixture(scope="module")
def slicers_python(tmp_path_factory):
    """One such Python for all tests."""
    return Slicer(tmp_path_factory.mktemp("slicer") / "python")


@pytest.mark.parametrize("torch", TORCHES)
def test_the_monai_that_fits_the_torch_is_chosen_and_the_torch_stays(slicers_python, index, torch):
    slicers_python.put(("torch", torch))
    options = "--no-index", "--find-links", index
    found, words = slicers_python.would_install("-c", slicers_python.constraints(), *options)
    assert found is not None, words
    assert found["monai"] == MONAI_FOR[torch.partition("+")[0]]
    assert not {"torch", *map(str.lower, SLICERS_OWN)} & set(found)


def test_without_constraints_the_torch_would_be_replaced(slicers_python, index):
    slicers_python.put(("torch", "2.5.1+cu126"))
    found, _ = slicers_python.would_install("--no-index", "--find-links", index)
    assert found["torch"] == "2.13.0"


def test_a_conflict_is_an_error_and_changes_nothing(slicers_python, index):
    slicers_python.put(("torch", "2.4.0+cu126"))
    found, words = slicers_python.would_install("-c", slicers_python.constraints(), "--no-index", "--find-links", index)
    assert found is None
    assert "conflict" in words.lower()


@pytest.fixture(scope="module")
def newest_torch(slicers_python):
    """The newest release on PyPI; the tests are skipped where it cannot be reached."""
    done = pip(slicers_python.python, "index", "versions", "torch", "--retries", "0", "--timeout", "10")
    found = re.match(r"torch \((\S+)\)", done.stdout)
    if found is None:
        pytest.skip(f"PyPI cannot be reached: {done.stderr.strip().splitlines()[-1:]}")
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize("build", ["+cpu", "+cu126"])
@pytest.mark.parametrize("version", ["2.5.1", "2.7.1", "2.8.0", "newest"])
def test_what_pypi_offers_can_be_added_beside_each_torch(slicers_python, newest_torch, version, build):
    slicers_python.put(("torch", (newest_torch if version == "newest" else version) + build))
    found, words = slicers_python.would_install("-c", slicers_python.constraints())
    assert found is not None, words
    assert {"monai", "safetensors", "jsonschema", "einops", "pyyaml"} <= set(found)
    assert not {"torch", *map(str.lower, SLICERS_OWN)} & set(found)
