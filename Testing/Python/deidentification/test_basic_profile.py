"""De-identified DICOM files against what is known without the package that does it: the profile's attributes as the
standard lists them, the dictionary of pydicom, and real files of many scanners and transfer syntaxes."""

import io
import re
import warnings
from pathlib import Path

import pydicom
import pytest
from dicom_files import header, save, stack
from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence

import meddl
from meddl.core.errors import MedDLError

SECRET = "Zaphod"
# Of PS3.15, table E.1-1, attributes of text that the basic profile removes, empties or replaces.
PROFILE = (Path(__file__).parent.parent / "support" / "basic_profile.txt").read_text(encoding="utf-8").split()
NAMED = [word for word in PROFILE if tag_for_keyword(word) is not None and dictionary_VR(word) != "SQ"]
TEXT = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "CS"}
DATES = {"DA": "19700501", "DT": "19700501123456", "TM": "112233", "AS": "052Y"}
OF_STANDARD = "1.2.840.10008."


def value_of(vr: str) -> str:
    return DATES.get(vr, SECRET if vr in TEXT else "")


def elements(dataset):
    """All elements, also those within sequences."""
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from elements(item)


def without_pixels(path) -> bytes:
    dataset = pydicom.dcmread(path)
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        dataset.pop(keyword, None)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def deidentify(dataset, folder) -> tuple[Dataset, bytes]:
    save(dataset, folder / "a.dcm")
    meddl.deidentify(folder / "a.dcm", folder / "b.dcm")
    return pydicom.dcmread(folder / "b.dcm"), without_pixels(folder / "b.dcm")


def fill(dataset, keywords):
    for keyword in keywords:
        setattr(dataset, keyword, value_of(dictionary_VR(keyword)))
    return dataset


def test_every_attribute_of_the_standards_list_has_lost_its_value(tmp_path):
    assert len(NAMED) > 130
    dataset = fill(header(stack(1)), NAMED)
    dataset.ConceptCodeSequence = Sequence([fill(Dataset(), NAMED)])
    inner = Dataset()
    inner.DerivationCodeSequence = Sequence([fill(Dataset(), NAMED)])
    dataset.AnatomicRegionSequence = Sequence([inner])
    found, content = deidentify(dataset, tmp_path)
    for element in elements(found):
        if element.keyword in NAMED:
            assert str(element.value) != value_of(element.VR), element.keyword
    for secret in (SECRET, "19700501", "112233", "052Y"):
        assert secret.encode() not in content


def test_no_name_or_date_of_the_whole_dictionary_is_left(tmp_path):
    dataset, filled = header(stack(1)), 0
    for tag, (vr, *_rest) in DicomDictionary.items():
        if tag >> 16 not in (0, 2, 4, 0xfffe) and vr in ("PN", "DA", "DT"):
            dataset.add_new(tag, vr, value_of(vr))
            filled += 1
    assert filled > 150
    found, content = deidentify(dataset, tmp_path)
    left = sorted({element.keyword for element in found if element.VR in ("PN", "DA", "DT")
                   and str(element.value) == value_of(element.VR)})
    assert left == [] and SECRET.encode() not in content and b"19700501" not in content


def test_private_attributes_and_names_go_at_every_depth_of_every_sequence(tmp_path):
    dataset = header(stack(1))
    for tag, (vr, *_rest) in DicomDictionary.items():
        if vr == "SQ" and tag >> 16 not in (0, 2, 4, 0xfffe):
            inner, outer = Dataset(), Dataset()
            for item in (inner, outer):
                item.PatientName, item.OperatorsName, item.StudyDate = SECRET, SECRET, "19700501"
                item.private_block(0x0099, SECRET, create=True).add_new(1, "LO", SECRET)
            outer.add_new(0x00089215, "SQ", Sequence([inner]))
            dataset.add_new(tag, "SQ", Sequence([outer]))
    found, content = deidentify(dataset, tmp_path)
    assert not [element for element in elements(found) if element.tag.is_private]
    assert SECRET.encode() not in content and b"19700501" not in content


def test_uids_are_new_and_alike_across_series_also_where_one_image_refers_to_another(tmp_path):
    names = [f"1.2.3.4.{n}" for n in range(4)]
    for n, name in enumerate(names):
        data = header(stack(1), series=f"1.2.3.{n // 2}", SOPInstanceUID=name)
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = data.SOPClassUID, names[0]
        data.ReferencedImageSequence = Sequence([reference])
        save(data, tmp_path / "in" / f"{n}.dcm")
    rows = meddl.deidentify(tmp_path / "in", tmp_path / "out")
    found = [pydicom.dcmread(row.target) for row in rows]
    assert len({one.StudyInstanceUID for one in found}) == len({one.FrameOfReferenceUID for one in found}) == 1
    assert [one.SeriesInstanceUID == found[0].SeriesInstanceUID for one in found] == [True, True, False, False]
    assert len({one.SOPInstanceUID for one in found}) == 4
    for one in found:
        for element in elements(one):
            if element.VR == "UI":
                assert not re.fullmatch(r"1\.2\.[39](\..*)?", str(element.value)), element.keyword
            if element.keyword == "ReferencedSOPInstanceUID":
                assert element.value == found[0].SOPInstanceUID


def real_files() -> list[Path]:
    """Images of pydicom's own tests: CT, MR, US, NM, SEG, RT dose; compressed, big-endian, implicit, deflated."""
    folder, found = Path(pydicom.__file__).parent / "data" / "test_files", []
    for path in sorted(folder.glob("*.dcm")):
        try:
            dataset = pydicom.dcmread(path)
            if "PixelData" in dataset and len(list(elements(dataset))) > 30:
                found.append(path)
        except (InvalidDicomError, ValueError, KeyError, NotImplementedError):
            continue
    return found


def telling_values(dataset) -> set[str]:
    """Names, identifiers, dates, places and UIDs long enough not to be there by chance."""
    found = set()
    for element in elements(dataset):
        texts = [str(one) for one in element.value] if element.VM > 1 else [str(element.value)]
        named = element.VR in ("PN", "DA", "DT") or element.keyword in NAMED and element.VR in TEXT - {"CS"}
        if named or element.VR == "UI" and element.keyword.endswith("InstanceUID"):
            found |= {text for text in texts if len(text) >= 6 and not text.startswith(OF_STANDARD)}
    made_by = str(dataset.get("Manufacturer"))  # is kept, and a station is called so too
    return {text for text in found if text not in made_by}


@pytest.mark.filterwarnings("ignore")
def test_real_files_of_many_kinds_keep_their_pixels_and_nothing_that_names(tmp_path):
    done, secrets = 0, 0
    for path in real_files():
        target = tmp_path / path.name
        try:
            meddl.deidentify(path, target)
        except MedDLError:
            assert not target.exists()
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before, after, content = pydicom.dcmread(path), pydicom.dcmread(target), without_pixels(target)
            assert after.PixelData == before.PixelData, path.name
            assert (after.Rows, after.Columns) == (before.Rows, before.Columns)
            assert not [element for element in elements(after) if element.tag.is_private], path.name
            words = telling_values(before)
        if "Deflated" not in before.file_meta.TransferSyntaxUID.name:
            assert not [word for word in words if word.encode("latin-1", "replace") in content], path.name
        done, secrets = done + 1, secrets + len(words)
    assert done > 25 and secrets > 200
