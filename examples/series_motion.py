"""A 4D series: its motion taken out, and written as a table with one row for each frame.

    python examples/series_motion.py series.nii.gz corrected.nii.gz motion.csv --reference mean
"""

import argparse
import csv
from pathlib import Path

import meddl
from meddl.io import save_series, time_step


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", type=Path, help="a 4D file: NIfTI, NRRD or MetaImage")
    parser.add_argument("corrected", type=Path, help="the 4D file to write")
    parser.add_argument("table", type=Path, help="the CSV to write")
    parser.add_argument("--reference", default="0", help="a frame, from 0, or mean")
    given = parser.parse_args(argv)

    reference = given.reference if given.reference == "mean" else int(given.reference)
    found = meddl.register_series(meddl.load(given.series, component="all"), reference=reference)
    save_series(found.corrected, given.corrected, time_step(given.series))
    report = found.report
    with given.table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *(f"shift {axis} [mm]" for axis in "RAS"),
                         *(f"rotation about {axis} [degrees]" for axis in "RAS"), "framewise displacement [mm]"])
        for number, (shift, rotation, moved) in enumerate(zip(
                report["translation_mm"], report["rotation_deg"], report["framewise_displacement_mm"], strict=True)):
            writer.writerow([number, *shift, *rotation, moved])
    spread = report["temporal_sd"]
    print(f"temporal standard deviation: {spread['before']:.1f} -> {spread['after']:.1f}")


if __name__ == "__main__":
    main()
