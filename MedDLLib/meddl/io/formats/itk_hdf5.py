"""ITK's transforms as HDF5 files with compressed single-precision displacements, which SimpleITK cannot write.

The groups and data sets are those of ITK's HDF5TransformIO: TransformGroup/N with TransformType,
TransformFixedParameters and TransformParameters; where there are several, number 0 is the composite and has none.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from meddl.io.itk import sitk

_COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
_CHUNK = 1 << 20  # numbers that are packed at once


def is_available() -> bool:
    """Whether h5py is installed."""
    return importlib.util.find_spec("h5py") is not None


def write(transform: sitk.Transform, file: str | Path) -> None:
    """Write an affine transform, a displacement field, or a composite of such.

    Raises:
        OSError: the file cannot be written.
    """
    import h5py

    parts = [transform]
    if transform.GetTransformEnum() == sitk.sitkComposite:
        composite = sitk.CompositeTransform(transform)
        parts += [composite.GetNthTransform(n) for n in range(composite.GetNumberOfTransforms())]
    with h5py.File(file, "w") as out:
        for number, part in enumerate(parts):
            group = out.create_group(f"TransformGroup/{number}")
            kind = part.GetTransformEnum()
            if kind == sitk.sitkDisplacementField:
                field = sitk.DisplacementFieldTransform(part)
                vectors = sitk.GetArrayViewFromImage(field.GetDisplacementField()).astype(np.float32).ravel()
                group.create_dataset("TransformParameters", data=vectors, chunks=(min(len(vectors), _CHUNK),),
                                     **_COMPRESSION)
            name, precision = part.GetName(), "float" if kind == sitk.sitkDisplacementField else "double"
            text = np.array([f"{name}_{precision}_3_3"], dtype=object)
            group.create_dataset("TransformType", data=text, dtype=h5py.string_dtype("ascii"))
            if kind == sitk.sitkComposite:
                continue
            group.create_dataset("TransformFixedParameters", data=np.array(part.GetFixedParameters()))
            if kind != sitk.sitkDisplacementField:
                group.create_dataset("TransformParameters", data=np.array(part.GetParameters()))
