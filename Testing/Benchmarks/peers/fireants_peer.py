"""FireANTs as a program on the CPU: an affine on two coarse levels, then greedy, both by local correlation (7^3)."""

import measure
import torch
from fireants.io.image import BatchedImages, Image
from fireants.registration.affine import AffineRegistration
from fireants.registration.greedy import GreedyRegistration

ITERATIONS = {"cc-200": [200, 100, 50], "cc-100": [100, 60, 15]}


def register(fixed, moving, folder, method, stage):
    torch.set_num_threads(measure.threads())
    images = [BatchedImages([Image.load_file(name, device="cpu")]) for name in (fixed, moving)]
    with stage("affine"):
        linear = AffineRegistration([4, 2], [200, 100], *images, loss_type="cc", cc_kernel_size=7,
                                    optimizer="Adam", optimizer_lr=3e-2, init_rigid="cof", progress_bar=False)
        linear.optimize()
    with stage("deformable"):
        search = GreedyRegistration([4, 2, 1], ITERATIONS[method], *images, loss_type="cc", cc_kernel_size=7,
                                    optimizer="Adam", optimizer_lr=0.5, smooth_grad_sigma=1.0, smooth_warp_sigma=0.5,
                                    init_affine=linear.get_affine_matrix().detach(), progress_bar=False)
        search.optimize()
    search.save_as_ants_transforms(str(folder / measure.FIELD))


if __name__ == "__main__":
    measure.run(register, ["fireants", "torch"])
