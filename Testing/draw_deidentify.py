"""Draws Resources/Screenshots/deidentify.png: the section *De-identify files* after a run, headers before and after.

    python Testing/draw_deidentify.py

Three slices of a sample head are written as DICOM, the head as NIfTI, with headers of a patient who does not exist. The
section of the panel de-identifies them, over the stand-in for Slicer's application; the fields are read from the files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Python"), str(ROOT / "Testing" / "Python" / "support")]

import host  # noqa: E402

host.install()

import nibabel  # noqa: E402
import numpy as np  # noqa: E402
import pydicom  # noqa: E402
from dicom_files import write_slices  # noqa: E402
from drawn_page import draw_page, draw_section, html_table  # noqa: E402
from PIL import Image  # noqa: E402

from meddl import samples  # noqa: E402

PICTURE = ROOT / "Resources" / "Screenshots" / "deidentify.png"
PANEL_WIDTH, SLICE_WIDTH, WIDTH, LONGEST = 420, 130, 990, 24
PATIENT = {"PatientName": "Doe^Jane", "PatientID": "4711-0815", "PatientBirthDate": "19610312", "PatientSex": "F",
           "StudyDate": "20240131", "AccessionNumber": "A-20240131-7", "InstitutionName": "City Hospital",
           "ReferringPhysicianName": "Roe^Richard", "StationName": "MR3", "SeriesDescription": "T1 Doe, follow-up"}
SHOWN = (*PATIENT, "StudyInstanceUID", "Modality", "PixelSpacing", "ImagePositionPatient", "PatientIdentityRemoved")
NIFTI = ("descrip", "aux_file", "db_name", "dim", "sform_code")
UIDS = {"StudyInstanceUID": "1.2.826.0.1.3680043.8.498.4711.1"}


def write_files(folder: Path) -> None:
    """The files of the patient."""
    head = samples.head_image("T1", 1.0)
    planes = np.flip(head.scalar_data[:, :, 100:103].transpose(2, 1, 0), 1).astype(np.uint16)
    write_slices(folder / "Doe_Jane", planes, "IM{:04d}", **PATIENT, **UIDS)
    image = nibabel.Nifti1Image(head.scalar_data.astype(np.int16), head.affine)
    for field, text in (("descrip", "Jane Doe, 2024-01-31"), ("aux_file", "4711-0815"), ("db_name", "Doe^Jane")):
        image.header[field] = text.encode()
    nibabel.save(image, folder / "doe_jane_t1.nii.gz")
    (folder / "letter.txt").write_text("Dear colleague, Mrs. Doe ...", encoding="utf-8")


def run_section(source: Path, target: Path, picture: Path) -> None:
    """De-identify in the panel, in the folder that both lie in, and draw its section."""
    os.chdir(source.parent)  # so that the picture shows no place of this machine
    module = host.load_module("MedDLSuperRes")
    section = module.widget.deidentify
    section.button.collapsed = False
    for key, place in (("source", source), ("target", target)):
        section._folders[key].setCurrentPath(place.name)
    section.ui.applyButton.click()
    host.wait_until(lambda: not section.run.running, 60)
    if host.errors():
        raise RuntimeError(str(host.errors()))
    draw_section(module, section, picture, PANEL_WIDTH)


def fields_of(path: Path) -> dict[str, str]:
    """What is shown of the header of a file; only what is there."""
    if path.suffix == ".gz":
        header = nibabel.load(path).header
        return {name: str(header[name].item().decode() if header[name].dtype.kind == "S"
                          else header[name].tolist()) for name in NIFTI}
    data_set = pydicom.dcmread(path)
    return {name: str(data_set.get(name)) for name in SHOWN if name in data_set}


def table(before: dict[str, str], after: dict[str, str]) -> str:
    """Fields before and after, those that have changed in color."""
    names = list(dict.fromkeys([*before, *after]))
    rows = [[name, *(_short(one.get(name, "–")) for one in (before, after))] for name in names]
    return html_table(("Field", "Before", "After"), rows,
                      ["same" if before.get(name) == after.get(name) else "gone" for name in names])


def _short(text: str) -> str:
    return "(empty)" if not text else text if len(text) <= LONGEST else text[:LONGEST - 1] + "…"


def draw_slice(path: Path, picture: Path) -> None:
    """The pixels of a DICOM file."""
    pixels = pydicom.dcmread(path).pixel_array.astype(float)
    Image.fromarray((255 * pixels / pixels.max()).astype(np.uint8)).save(picture)


def main() -> None:
    """Write, de-identify and draw."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source, target = folder / "scans", folder / "shared"
        source.mkdir()
        write_files(source)
        run_section(source, target, folder / "panel.png")
        slices = source / "Doe_Jane" / "IM0000.dcm", target / "series_0001" / "0001.dcm"
        volumes = source / "doe_jane_t1.nii.gz", target / "case_0001.nii.gz"
        tables = []
        for pair in (slices, volumes):
            tables.append(f"<h3>{' → '.join(str(path.relative_to(folder)) for path in pair)}</h3>"
                          + table(*map(fields_of, pair)))
        for number, path in enumerate(slices):
            draw_slice(path, folder / f"slice{number}.png")
        pictures = " ".join(f"<img src='{folder}/slice{number}.png' width='{SLICE_WIDTH}'>" for number in range(2))
        draw_page(f"<table><tr><td width='{PANEL_WIDTH + 20}'><p><img src='{folder}/panel.png'></p>"
                  f"<h3>Pixels before and after</h3><p>{pictures}</p></td><td>{''.join(tables)}</td></tr></table>",
                  PICTURE, WIDTH)
        os.chdir(ROOT)
    host.clear_scene()


if __name__ == "__main__":
    main()
