"""An nnU-Net v2 model of your own: imported once, then run on a volume without nnU-Net.

    python examples/own_nnunet_model.py nnUNetTrainer__nnUNetPlans__3d_fullres ct.nii.gz labels.nii.gz --id liver
"""

import argparse
from pathlib import Path

import meddl
from meddl.models.store.store import ModelStore


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the trained model's folder or zip archive")
    parser.add_argument("volume", type=Path)
    parser.add_argument("labels", type=Path, help="the file to write: .nii.gz, .nrrd, .mha or .seg.nrrd")
    parser.add_argument("--id", default="own", help="the name that the model gets here")
    given = parser.parse_args(argv)

    card = ModelStore().import_model(given.model, identifier=given.id)
    ModelStore().accept_license(card.id)  # it is your own model
    found = meddl.segment(meddl.load(given.volume), card.id)
    meddl.save_segmentation(found, given.labels)
    for name, ml in found.report["volumes_ml"].items():
        print(f"{name}: {ml:.2f} ml")


if __name__ == "__main__":
    main()
