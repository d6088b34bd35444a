"""ANTs through antspyx: SyN as it comes, SyN with cross-correlation, and rigid."""

import ants
import measure

SETTINGS = {
    "syn": {"type_of_transform": "SyN"},
    "syn-cc": {"type_of_transform": "SyN", "syn_metric": "CC", "syn_sampling": 4, "reg_iterations": (100, 60, 15)},
    "rigid": {"type_of_transform": "Rigid"},
}


def register(fixed, moving, folder, method, stage):
    fixed, moving = ants.image_read(fixed), ants.image_read(moving)
    with stage("all"):
        found = ants.registration(fixed, moving, outprefix=str(folder / "ants_"), random_seed=1, **SETTINGS[method])
    composed = ants.apply_transforms(fixed, moving, found["fwdtransforms"], compose=str(folder / "all_"))
    ants.image_write(ants.image_read(composed), str(folder / measure.FIELD))


if __name__ == "__main__":
    measure.run(register, ["antspyx"])
