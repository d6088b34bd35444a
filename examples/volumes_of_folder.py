"""A folder of heads to a CSV of volumes: a row for each head, a column for each structure, in ml.

    python examples/volumes_of_folder.py scans volumes.csv --structures "left hippocampus" "right hippocampus"

The labels lie in a folder beside the CSV. A job that was stopped goes on where it was.
"""

import argparse
import csv
from pathlib import Path

import meddl


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="NIfTI, NRRD or MetaImage files, or folders of DICOM series")
    parser.add_argument("table", type=Path, help="the CSV to write")
    parser.add_argument("--structures", nargs="+", help="columns; all structures of the model if not given")
    parser.add_argument("--model", default="brain")
    given = parser.parse_args(argv)

    summary = meddl.segment_many(given.folder, given.table.with_suffix(""), given.model)
    columns = given.structures or summary.structures
    with given.table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["head", *columns, "warnings"])
        for row in summary.rows:
            writer.writerow([row.case, *(row.volumes_ml.get(name, "") for name in columns),
                             " ".join(row.warnings) or row.error])
    print(f"{given.table}: {summary.counts['done']} segmented, {summary.counts['kept']} kept, "
          f"{summary.counts['failed']} failed")


if __name__ == "__main__":  # the job's processes import this file, too
    main()
