"""greedy through picsl_greedy: WNCC and NMI after an affine, and rigid."""

import measure
import numpy as np
import SimpleITK as sitk  # noqa: N813
from picsl_greedy import Greedy3D

METRICS = {"wncc": "WNCC 2x2x2", "nmi": "NMI"}
# The affine of both methods and the rigid one look for shared information. Where it starts: at the volumes' centers, or
# for rigid maps at the headers' alignment, or from a thousand random rotations.
LINEAR = "-a -dof {dof} -m NMI -n 100x50x10 "
STARTS = {"rigid": "-ia-identity", "rigid-search": "-ia-image-centers -search 1000 any 20"}


def register(fixed, moving, folder, method, stage):
    greedy = Greedy3D()
    fixed, moving = (sitk.ReadImage(name, sitk.sitkFloat32) for name in (fixed, moving))
    common = f"-d 3 -threads {measure.threads()} -V 0 -i fixed moving "
    linear = LINEAR.format(dof=6 if method.startswith("rigid") else 12) + STARTS.get(method, "-ia-image-centers")
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as quiet, stage("linear"):
        greedy.execute(common + linear + " -o linear", fixed=fixed, moving=moving, linear=None, out=quiet)
    matrix = np.array(greedy["linear"])  # RAS
    if method in METRICS:
        with log.open("a", encoding="utf-8") as quiet, stage("deformable"):
            greedy.execute(f"{common} -m {METRICS[method]} -n 100x50x10 -it linear -o warp", warp=None, out=quiet)
        sitk.WriteImage(sitk.Cast(greedy["warp"], sitk.sitkVectorFloat32), str(folder / measure.FIELD))
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    return (flip @ matrix @ flip).tolist()


if __name__ == "__main__":
    measure.run(register, ["picsl_greedy"])
