"""Dicom folders for tests."""

import SimpleITK as sitk


def put_dicom(folder, uid: str, slices: int, description: str = "", number: str = "1") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(slices):
        image = sitk.Image([6, 5], sitk.sitkInt16) + k
        for key, value in {"0020|000e": uid, "0008|0018": f"{uid}.{k}", "0020|0032": f"0\\0\\{3 * k}",
                           "0020|0037": "1\\0\\0\\0\\1\\0", "0020|0013": str(k), "0008|103e": description,
                           "0020|0011": number, "0020|000d": "1.2.3", "0008|0060": "MR",
                           "0020|0052": f"{uid}.99"}.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}-{k}.dcm"))
        writer.Execute(image)
