"""ConvexAdam with its published settings. It has no affine of its own: SimpleITK's, by mutual information, comes
first and counts in the time."""

import measure
import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from convexAdam.convex_adam_MIND import convex_adam_pt


def affine(fixed, moving):
    start = sitk.CenteredTransformInitializer(fixed, moving, sitk.AffineTransform(3),
                                              sitk.CenteredTransformInitializerFilter.GEOMETRY)
    search = sitk.ImageRegistrationMethod()
    search.SetMetricAsMattesMutualInformation(32)
    search.SetMetricSamplingStrategy(search.RANDOM)
    search.SetMetricSamplingPercentage(0.2, seed=1)
    search.SetInterpolator(sitk.sitkLinear)
    search.SetOptimizerAsGradientDescent(1.0, 200, 1e-6, 10)
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetShrinkFactorsPerLevel([4, 2, 1])
    search.SetSmoothingSigmasPerLevel([2, 1, 0])
    search.SetInitialTransform(start, inPlace=True)
    search.Execute(fixed, moving)
    return start


def register(fixed, moving, folder, method, stage):
    torch.set_num_threads(measure.threads())
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(measure.threads())
    fixed, moving = (sitk.ReadImage(name, sitk.sitkFloat32) for name in (fixed, moving))
    with stage("affine"):
        linear = affine(fixed, moving)
    with stage("deformable"):
        aligned = sitk.Resample(moving, fixed, linear)
        # arrays along i, j, k; displacements in voxels along them
        found = convex_adam_pt(*(torch.from_numpy(sitk.GetArrayFromImage(image).transpose(2, 1, 0).copy())
                                 for image in (fixed, aligned)), device=torch.device("cpu"), dtype=torch.float32)
    steps = np.reshape(fixed.GetDirection(), (3, 3)) * fixed.GetSpacing()
    field = sitk.GetImageFromArray((found @ steps.T).transpose(2, 1, 0, 3).astype(np.float32), isVector=True)
    field.CopyInformation(fixed)
    sitk.WriteImage(field, str(folder / measure.FIELD))
    matrix = np.eye(4)
    whole = sitk.AffineTransform(linear)
    matrix[:3, :3] = np.reshape(whole.GetMatrix(), (3, 3))
    center = np.array(whole.GetCenter())
    matrix[:3, 3] = np.array(whole.GetTranslation()) + center - matrix[:3, :3] @ center
    return matrix.tolist()


if __name__ == "__main__":
    measure.run(register, ["convexAdam", "torch", "SimpleITK"])
