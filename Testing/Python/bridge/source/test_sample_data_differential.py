"""The stand-in for the Sample Data module does what Slicer's own does: same values, same errors, same files.

Needs SLICER_SOURCE: with it, the host loads Slicer's own module as `SampleData`.
"""

import contextlib
import hashlib
import importlib.util
import inspect
import os
import shutil
import tempfile
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import TESTS

pytestmark = pytest.mark.skipif(not os.environ.get("SLICER_SOURCE"), reason="needs SLICER_SOURCE")
STAND_IN = TESTS / "host" / "slicer_modules" / "SampleData" / "SampleData.py"
REGISTRIES = ("sampleDataSources", "sampleDataSourceCategories", "sampleDataUrlRewriteRules")

several = settings(max_examples=150, deadline=None, derandomize=True,
                   suppress_health_check=[HealthCheck.function_scoped_fixture])
maybe_text = st.sampled_from([None, "a", "b.nrrd"])
one_or_many = st.one_of(maybe_text, st.lists(maybe_text, max_size=2), st.lists(maybe_text, max_size=2).map(tuple))
flags = st.sampled_from([None, True, False])
sources = st.fixed_dictionaries({}, optional={
    "sampleName": st.sampled_from([None, "one", "two"]), "uris": one_or_many, "fileNames": one_or_many,
    "nodeNames": one_or_many, "checksums": one_or_many, "loadFiles": st.one_of(flags, st.lists(flags, max_size=2)),
    "thumbnailFileName": maybe_text, "loadFileTypes": one_or_many, "loadFileType": maybe_text,
    "loadFileProperties": st.sampled_from([{}, {"show": False}])})


@pytest.fixture(scope="module")
def both(installed_host):
    """(stand-in, Slicer's own)."""
    import SampleData

    assert Path(SampleData.__file__).is_relative_to(os.environ["SLICER_SOURCE"])
    spec = importlib.util.spec_from_file_location("SampleDataStandIn", STAND_IN)
    stand_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_in)
    return stand_in, SampleData


@contextlib.contextmanager
def nothing_registered():
    """No samples, categories and rules; those there were come back."""
    import slicer

    kept = {name: vars(slicer.modules).pop(name) for name in REGISTRIES if name in vars(slicer.modules)}
    try:
        yield
    finally:
        for name in REGISTRIES:
            vars(slicer.modules).pop(name, None)
        vars(slicer.modules).update(kept)


@contextlib.contextmanager
def empty_cache(**files):
    """An empty cache folder and scene; `files` lie in it."""
    import slicer

    manager, folder = slicer.mrmlScene.GetCacheManager(), Path(tempfile.mkdtemp())
    usual = manager.GetRemoteCacheDirectory()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manager.SetRemoteCacheDirectory(str(folder))
    clear_scene()
    try:
        yield folder
    finally:
        manager.SetRemoteCacheDirectory(usual)
        clear_scene()
        shutil.rmtree(folder)


def clear_scene():
    """Clear the scene without the parameter nodes of panels that other tests have left open.

    They stay when a scene is cleared, are reset, and each wrapper that Slicer ever made of one answers each change of
    another with a change: the tests here clear the scene too often for that. Open panels make new ones.
    """
    import slicer

    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        slicer.mrmlScene.RemoveNode(node)
    slicer.mrmlScene.Clear(0)


def outcome(function, *args, **kwargs):
    """What a call gives: its value, or the type of its error."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  whatever it is, it is compared
        return type(error)


def contents(source):
    """What a source holds, or an error as it is."""
    return source if isinstance(source, type) else vars(source)


def test_every_public_name_is_slicers_and_takes_the_same_arguments(both):
    stand_in, real = both
    for holder, of_slicer in ((stand_in, real), *((getattr(stand_in, name), getattr(real, name)) for name in (
            "SampleDataSource", "SampleDataLogic", "SampleDataWidget"))):
        for name, value in vars(holder).items():
            if name.startswith("_") and name != "__init__" or getattr(value, "__module__", "") != "SampleDataStandIn":
                continue
            assert hasattr(of_slicer, name), name
            static = [isinstance(inspect.getattr_static(place, name), staticmethod) for place in (holder, of_slicer)]
            assert static[0] == static[1], name
            if isinstance(value, (types.FunctionType, staticmethod)):
                assert str(inspect.signature(getattr(holder, name))) == str(
                    inspect.signature(getattr(of_slicer, name))), name


@several
@given(arguments=sources)
def test_a_source_holds_the_same_or_is_refused_alike(both, arguments):
    ours, slicers = (contents(outcome(module.SampleDataSource, **arguments)) for module in both)
    assert ours == slicers


@several
@given(first=sources, second=sources)
def test_sources_are_equal_alike(both, first, second):
    def compared(module):
        pair = [outcome(module.SampleDataSource, **arguments) for arguments in (first, second)]
        return outcome(lambda: pair[0] == pair[1])

    ours, slicers = map(compared, both)
    assert ours == slicers


@several
@given(steps=st.lists(st.tuples(st.sampled_from(["Custom", "x"]), sources), max_size=4),
       titles=st.lists(st.tuples(st.sampled_from(["Custom", "x"]), st.sampled_from(["one", "other"])), max_size=2))
def test_registration_ends_in_the_same_lists(both, steps, titles):
    def registered(module):
        import slicer

        logic = module.SampleDataLogic
        with nothing_registered():
            seen = [logic.sampleDataSourcesByCategory("x"), logic.categoryTitle("x")]
            seen += [outcome(logic.registerCustomSampleDataCategory, *title) for title in titles]
            seen += [outcome(logic.registerCustomSampleDataSource, category=category, **arguments)
                     for category, arguments in steps]
            found = slicer.modules.sampleDataSources
            seen += [{category: [vars(source) for source in list_of_one] for category, list_of_one in found.items()}]
            seen += [logic.categoryTitle("x"), len(logic.sampleDataSourcesByCategory())]
            seen += [outcome(logic.isSampleDataSourceRegistered, "x", wrong) for wrong in (None, "one")]
            return seen

    ours, slicers = map(registered, both)
    assert ours == slicers


def test_rules_of_addresses_are_kept_and_applied_alike(both):
    def rewritten(module):
        logic = module.SampleDataLogic
        with nothing_registered():
            before = logic.rewriteUrl("a")
            refused = outcome(logic.registerUrlRewriteRule, "none", "no function")
            logic.registerUrlRewriteRule("first", lambda url: url + "1")
            logic.registerUrlRewriteRule("second", lambda url: url + "2")
            logic.registerUrlRewriteRule("first", lambda url: url + "3")
            return before, refused, logic.rewriteUrl("a")

    ours, slicers = map(rewritten, both)
    assert ours == slicers == ("a", TypeError, "a32")


def checksum_of(content: bytes) -> str:
    return f"SHA256:{hashlib.sha256(content).hexdigest()}"


@several
@given(present=st.sampled_from([None, b"", b"old", b"new"]), offered=st.sampled_from([None, b"", b"new"]),
       checksum=st.sampled_from([None, checksum_of(b"new"), checksum_of(b"old"), "SHA256:abc", "no checksum",
                                 "CRC:12"]),
       force=st.booleans())
def test_a_file_comes_into_the_cache_alike(both, tmp_path, present, offered, checksum, force):
    source = tmp_path / "offered"
    source.unlink(missing_ok=True)
    if offered is not None:
        source.write_bytes(offered)

    def cached(module):
        with empty_cache(**({} if present is None else {"file": present})) as folder:
            found = outcome(module.SampleDataLogic().downloadFileIntoCache, source.as_uri(), "file", checksum, force)
            left = {path.name: path.read_bytes() for path in folder.iterdir()}
            return Path(found).name if isinstance(found, str) else found, left

    ours, slicers = map(cached, both)
    assert ours == slicers


@pytest.fixture(scope="module")
def offered(tmp_path_factory):
    """Files to download: a volume, one that is none, a scene, an archive."""
    from meddl.io import save
    from meddl.spatial.volume import Volume

    folder = tmp_path_factory.mktemp("offered")
    save(Volume.scalar(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)), folder / "volume.nrrd")
    (folder / "broken.nrrd").write_text("no image")
    (folder / "scene.mrml").write_text('<?xml version="1.0" encoding="UTF-8"?>\n<MRML version="Slicer4.4.0"></MRML>')
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("inside.txt", "content")
    return folder


files = st.tuples(st.sampled_from(["volume.nrrd", "broken.nrrd", "missing.nrrd", "scene.mrml", "archive.zip"]),
                  st.sampled_from([True, False]), st.sampled_from([None, "node"]), flags,
                  st.sampled_from([None, None, "VolumeFile", "SceneFile", "ZipFile", "NoSuchFile"]))


@settings(several, max_examples=120)
@given(chosen=st.lists(files, min_size=1, max_size=2), force=st.booleans())
def test_a_source_is_loaded_alike_and_its_custom_downloader_is_left_aside(both, offered, chosen, force):
    def loaded(module):
        import slicer

        def never(source):
            raise AssertionError("a custom downloader is for the button")

        source = module.SampleDataSource(
            uris=[(offered / name).as_uri() for name, *_ in chosen],
            fileNames=[name if named else None for name, named, *_ in chosen],
            nodeNames=[node for _, _, node, *_ in chosen], loadFiles=[load for *_, load, _ in chosen],
            loadFileTypes=[kind for *_, kind in chosen], customDownloader=never)
        with empty_cache() as folder:
            found = outcome(module.SampleDataLogic().downloadFromSource, source, forceDownload=force)
            if not isinstance(found, type):
                found = [described(one) for one in found]
            nodes = sorted(node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode"))
            storages = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLStorageNode")
            left = sorted(without_number(path) for path in folder.rglob("*"))
            return found, nodes, storages, left

    ours, slicers = map(loaded, both)
    assert ours == slicers


def described(found):
    """A node by class and name, the scene by its class, a path by its name without random part."""
    if isinstance(found, str):
        return without_number(Path(found))
    return found.GetClassName(), found.GetName() if found.IsA("vtkMRMLNode") else ""


def without_number(path: Path) -> str:
    """The name of a file, without the 32 digits that make it the only one."""
    stem, _, number = path.stem.rpartition("-")
    return f"{stem}-N{path.suffix}" if len(number) == 32 else path.name


@pytest.mark.parametrize("name", ["MedDLHeadT1", "nothing"])
def test_a_sample_is_found_by_its_name_alike(both, installed_host, name):
    import slicer

    installed_host.load_module("MedDLSeg")

    def found(module):
        with empty_cache():
            logic = module.SampleDataLogic()
            source = logic.sourceForSampleName(name)
            nodes = outcome(logic.downloadSamples, name)
            first = outcome(module.downloadSample, name)
            return (source is None, logic.categoryForSource(source) if source else None,
                    [node.GetName() for node in nodes], first if isinstance(first, type) else first.GetName(),
                    len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")))

    ours, slicers = map(found, both)
    assert ours == slicers


@pytest.mark.parametrize("custom", [True, False])
def test_the_button_alone_calls_a_custom_downloader(both, offered, custom):
    def clicked(module):
        import qt
        import slicer

        called = []
        with nothing_registered(), empty_cache():
            module.SampleDataLogic.registerCustomSampleDataSource(
                category="x", sampleName="one", uris=(offered / "volume.nrrd").as_uri(), fileNames="volume.nrrd",
                nodeNames="node", customDownloader=called.append if custom else None)
            panel = qt.QWidget()
            layout = qt.QVBoxLayout(panel)
            module.SampleDataWidget.setCategoriesFromSampleDataSources(
                layout, {"x": slicer.modules.sampleDataSources["x"]}, module.SampleDataLogic())
            button = slicer.util.findChild(panel, "onePushButton")
            button.click()
            nodes = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
            text = button.text
            panel.delete()
            return [source.sampleName for source in called], nodes, text

    ours, slicers = map(clicked, both)
    assert ours == slicers == ((["one"], [], "one") if custom else ([], ["node"], "one"))
