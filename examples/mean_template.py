"""A template: the mean of several heads of one contrast in intensity and in shape.

    python examples/mean_template.py a.nii.gz b.nii.gz c.nii.gz --out template

The folder gets template.nii.gz and for each head the transform from the template to it, as ITK and Slicer read it.
"""

import argparse
from pathlib import Path

import meddl
from meddl.core.config import REGISTER_PRESETS


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--preset", default="Deformable", choices=["Rigid", "Affine", "Deformable"])
    parser.add_argument("--rounds", type=int, default=4, help="how often the heads are registered to their mean")
    given = parser.parse_args(argv)

    found = meddl.build_template([meddl.load(head) for head in given.heads], REGISTER_PRESETS[given.preset],
                                 rounds=given.rounds)
    given.out.mkdir(parents=True, exist_ok=True)
    meddl.save(found.image, given.out / "template.nii.gz")
    for head, transform in zip(given.heads, found.maps, strict=True):
        transform.save(given.out / f"{head.name.split('.')[0]}.h5")
    for number, one in enumerate(found.report["rounds"], 1):
        print(f"round {number}: the shape changed by {one['shape_change_mm']:.2f} mm on average")


if __name__ == "__main__":
    main()
