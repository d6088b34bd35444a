"""Slicer's own DICOM SEG export, its Python part from SLICER_SOURCE, on results of MedDL.

What it is in C++ is imitated: the DICOM database, as a list of files. The last step needs the package dcmqi, as
Slicer ships it.
"""

import importlib.util
import json
import os
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, host, nodes  # noqa: F401
from dicom_studies import item_of, segments_of, with_a_voxel_each

from meddl.models.store.store import ModelStore
from meddl_slicer.mrml import segmentations

SOURCE = os.environ.get("SLICER_SOURCE")
pytestmark = pytest.mark.skipif(not SOURCE, reason="needs a work tree of Slicer's source in SLICER_SOURCE")


@pytest.fixture(scope="module")
def plugin():
    """DICOMSegmentationPlugin.py of Slicer; of its base classes, which need a browser of files, only the names."""
    library = types.ModuleType("DICOMLib")
    library.DICOMLoadable, library.DICOMPlugin = type("DICOMLoadable", (), {}), type("DICOMPlugin", (), {})
    core = types.ModuleType("vtkSegmentationCorePython")
    core.vtkSegmentationConverter, core.vtkOrientedImageData = (
        slicer.vtkSegmentationConverter, slicer.vtkOrientedImageData)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "DICOMLib", library)
        patch.setitem(sys.modules, "vtkSegmentationCorePython", core)
        path = Path(SOURCE) / "Modules/Scripted/DICOMPlugins/DICOMSegmentationPlugin.py"
        spec = importlib.util.spec_from_file_location("DICOMSegmentationPlugin", path)
        source = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(source)
        yield source


class Database:
    """The part of Slicer's DICOM database that export asks: which file holds an image, and a value of it."""

    def __init__(self, files):
        self._files = files

    def fileForInstance(self, uid):
        return self._files.get(uid, "")

    def fileValue(self, path, tag):
        import SimpleITK

        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(path)
        reader.ReadImageInformation()
        return reader.GetMetaData(tag.replace(",", "|")).strip()


@pytest.fixture
def from_dicom(clean, data_folder, monkeypatch):
    """A volume of a real series, as Slicer has it after it was loaded: with its images, known to the database."""
    import SimpleITK

    folder = data_folder / "field" / "dicom" / "duplicate_files"
    names = [name for name in SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)) if "(1)" not in name]
    database = Database({})
    uids = [database.fileValue(name, "0008,0018") for name in names]
    monkeypatch.setattr(slicer, "dicomDatabase", Database(dict(zip(uids, names))), raising=False)
    image = SimpleITK.ReadImage(names)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    node = add_volume(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1.0]) @ affine, "CT")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    return node


def segmented(node):
    """Two structures in the volume, with the names and codes that a run with the model `brain` gives them."""
    labels = np.zeros(nodes.volume_from_node(node).shape, np.uint8)
    labels[2:6, 3:6, 1:4] = 17
    labels[-6:-2, -5:-2, 3:5] = 53
    card = ModelStore().card("brain")
    found = with_a_voxel_each([s for s in card.segments if s.value in (17, 53)], "brain")
    return segmentations.create_segmentation_node(
        replace(found, labels=labels, affine=nodes.affine_of_node(node)), node)


def test_export_is_offered_where_the_images_are_known(plugin, from_dicom, monkeypatch):
    monkeypatch.setattr(slicer, "qSlicerDICOMExportable", lambda: types.SimpleNamespace(setTag=lambda *_: None),
                        raising=False)
    node = segmented(from_dicom)
    exporter = plugin.DICOMSegmentationPluginClass.__new__(plugin.DICOMSegmentationPluginClass)
    exporter.loadType = "DICOMSegmentation"
    assert len(exporter.examineForExport(item_of(node))) == 1
    monkeypatch.setattr(slicer, "dicomDatabase", Database({}))
    assert exporter.examineForExport(item_of(node)) == []


def test_every_segment_of_brain_passes_and_keeps_its_codes(plugin, clean):
    card = ModelStore().card("brain")
    found = with_a_voxel_each(card.segments, "brain")
    node = segmentations.create_segmentation_node(found, add_volume(found.labels.astype(np.int16), np.eye(4)))
    exporter = plugin.DICOMSegmentationExporter(node)
    ids = exporter.getSegmentIDs(node)
    assert exporter.getNonEmptySegmentIDs(ids) == ids and len(ids) == len(card.labels)
    written = {entry["SegmentLabel"]: entry for (entry,) in exporter.generateJSON4DcmSEGExport(ids)}
    for label in card.labels:
        entry, terms = written[label.name], label.terminology
        for part, key in (("category", "SegmentedPropertyCategoryCodeSequence"),
                          ("type", "SegmentedPropertyTypeCodeSequence"),
                          ("modifier", "SegmentedPropertyTypeModifierCodeSequence")):
            code = entry.get(key) and [entry[key][name] for name in ("CodingSchemeDesignator", "CodeValue",
                                                                     "CodeMeaning")]
            assert code == (terms[part] or None)
        assert entry["SegmentAlgorithmType"] == "AUTOMATIC" and entry["SegmentAlgorithmName"] == "MedDL brain"
        assert "AnatomicRegionSequence" not in entry
    exporter.cleanup()


def test_the_exported_file_has_the_patient_the_study_and_the_labels(plugin, from_dicom, tmp_path, monkeypatch):
    dcmqi = pytest.importorskip("dcmqi", reason="needs the package dcmqi, which Slicer ships")
    import SimpleITK

    programs = Path(dcmqi.__file__).parent / "bin"
    monkeypatch.setattr(plugin.DICOMPlugin, "_dcmqi_binary", staticmethod(lambda name: str(programs / name)),
                        raising=False)
    node = segmented(from_dicom)
    exporter = plugin.DICOMSegmentationExporter(node)
    exporter.export(str(tmp_path), "seg.dcm", {})
    exporter.cleanup()
    database, source = slicer.dicomDatabase, slicer.dicomDatabase.fileForInstance(
        from_dicom.GetAttribute("DICOM.instanceUIDs").split()[0])
    for tag in ("0010,0020", "0010,0010", "0020,000d"):  # patient and study
        assert database.fileValue(str(tmp_path / "seg.dcm"), tag) == database.fileValue(source, tag)
    subprocess.run([programs / "segimage2itkimage", "--inputDICOM", tmp_path / "seg.dcm", "--outputDirectory",
                    tmp_path, "--prefix", "back", "--outputType", "nrrd"], check=True, capture_output=True)
    figures = json.loads((tmp_path / "back-meta.json").read_text())
    names = [entry["SegmentLabel"] for (entry,) in figures["segmentAttributes"]]
    assert sorted(names) == sorted(segment.GetName() for segment in segments_of(node))
    for number, name in enumerate(names, 1):
        image = SimpleITK.ReadImage(str(tmp_path / f"back-{number}.nrrd"))
        identifier = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        expected = slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, from_dicom)
        assert (SimpleITK.GetArrayFromImage(image) > 0).sum() == (expected > 0).sum() > 0
