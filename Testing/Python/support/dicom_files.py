"""DICOM files for tests, written with pydicom: single slices, enhanced multi-frame images, compressed ones."""

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SPACING, DISTANCE = (1.25, 0.75), 2.5  # of rows and of columns; of slices
ORIGIN = np.array([-20.0, 15.0, 40.0])
ROW, COLUMN = np.array([0.8, 0.6, 0.0]), np.array([-0.6, 0.8, 0.0])
NORMAL = np.cross(ROW, COLUMN)


def stack(slices=6, seed=0, dtype=np.uint16):
    """Stored values, (slices, rows, columns)."""
    return np.random.default_rng(seed).integers(0, 1000, (slices, 7, 9)).astype(dtype)


def header(values, sop_class=MR, series="1.2.3.4", **elements):
    """What every image has; `elements` are further ones, by keyword."""
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.FrameOfReferenceUID = "1.2.3", series, "1.2.9"
    data_set.Modality, data_set.SeriesNumber, data_set.ImageType = "MR", 3, ["ORIGINAL", "PRIMARY", "M"]
    data_set.Rows, data_set.Columns = values.shape[-2:]
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.BitsAllocated = data_set.BitsStored = 8 * values.dtype.itemsize
    data_set.HighBit, data_set.PixelRepresentation = data_set.BitsStored - 1, int(values.dtype.kind == "i")
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.PixelData = values.tobytes()
    for keyword, value in elements.items():
        setattr(data_set, keyword, value)
    return data_set


def save(data_set, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    data_set.save_as(path, enforce_file_format=True)
    return path


def position(k, tilt=(0.0, 0.0, 0.0)):
    """Of slice k, LPS mm."""
    return (ORIGIN + k * (DISTANCE * NORMAL + np.array(tilt))).tolist()


def write_slices(folder, values, names="{}", places=None, tilt=(0.0, 0.0, 0.0), each=lambda k: {}, **elements):
    """A file for each slice; `each(k)` gives further elements of slice k, `elements` those of all."""
    for k, one in enumerate(values):
        place = k if places is None else places[k]
        facts = {"InstanceNumber": k + 1, "ImagePositionPatient": position(place, tilt),
                 "ImageOrientationPatient": [*ROW, *COLUMN], "PixelSpacing": list(SPACING), **elements, **each(k)}
        save(header(one, **facts), folder / f"{names.format(k)}.dcm")
    return folder


def write_enhanced(path, values, places, each=lambda n: {}, deflated=False, **elements):
    """One multi-frame file; frame n lies at `places[n]`; `each(n)` gives it further sequences of one item."""
    data_set = header(values, ENHANCED_MR, NumberOfFrames=len(values), **elements)
    data_set.SharedFunctionalGroupsSequence = [groups(
        PlaneOrientationSequence={"ImageOrientationPatient": [*ROW, *COLUMN]},
        PixelMeasuresSequence={"PixelSpacing": list(SPACING), "SliceThickness": 2.0})]
    data_set.PerFrameFunctionalGroupsSequence = [
        groups(PlanePositionSequence={"ImagePositionPatient": position(place)}, **each(n))
        for n, place in enumerate(places)]
    if deflated:
        data_set.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return save(data_set, path)


def groups(**sequences):
    """Functional groups: sequences of one item each, by keyword."""
    data_set = Dataset()
    for name, elements in sequences.items():
        item = Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        setattr(data_set, name, [item])
    return data_set


def compress(path, compressor="JPEGLS"):
    """Pack the pixels of a file, frame by frame, as GDCM does; all else stays."""
    from pydicom import dcmread

    data_set = dcmread(path)
    frames = data_set.pixel_array.reshape(-1, data_set.Rows, data_set.Columns)
    packed = []
    for frame in frames:
        place = path.with_name("one-frame.dcm")
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(place))
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(np.ascontiguousarray(frame)))
        one = dcmread(place)
        place.unlink()
        packed.append(b"".join(generate_fragments(one.PixelData)))
    data_set.PixelData = encapsulate(packed)
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    data_set.file_meta.TransferSyntaxUID = one.file_meta.TransferSyntaxUID
    return save(data_set, path)


def dicom_seeds(folder):
    """Small valid files of all kinds, and a folder of slices, each for itself: what a fuzzer starts from."""
    values, places = stack(4), range(4)
    return [
        write_slices(folder / "slices", values, SeriesDescription="T1", RescaleSlope=1.5, RescaleIntercept=-10),
        write_slices(folder / "slice", values[:1]) / "0.dcm",
        write_enhanced(folder / "enhanced" / "a.dcm", values, places),
        write_enhanced(folder / "deflated" / "a.dcm", values, places, deflated=True),
        write_enhanced(folder / "echoes" / "a.dcm", stack(4), (0, 0, 1, 1), lambda n: {
            "MREchoSequence": {"EffectiveEchoTime": 10.0 * (n % 2)}}),
        compress(write_enhanced(folder / "packed" / "a.dcm", values, places)),
        save(header(values, "1.2.840.10008.5.1.4.1.1.7.3", NumberOfFrames=4), folder / "captured" / "a.dcm")]
