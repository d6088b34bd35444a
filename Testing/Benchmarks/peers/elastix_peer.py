"""elastix through SimpleITK-SimpleElastix: rigid, affine and a B-spline of 10 mm with mutual information, or rigid."""

import measure
import SimpleITK as sitk  # noqa: N813


def register(fixed, moving, folder, method, stage):
    fixed, moving = (sitk.ReadImage(name, sitk.sitkFloat32) for name in (fixed, moving))
    with stage("all"):
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(measure.threads())
        engine = sitk.ElastixImageFilter()
        engine.LogToConsoleOff()
        engine.SetOutputDirectory(str(folder))
        engine.SetFixedImage(fixed)
        engine.SetMovingImage(moving)
        maps = sitk.VectorOfParameterMap()
        for kind in ("rigid",) if method == "rigid" else ("rigid", "affine", "bspline"):
            values = sitk.GetDefaultParameterMap(kind, 4, 10.0)
            values["AutomaticTransformInitialization"] = ["true"]
            maps.append(values)
        engine.SetParameterMap(maps)
        engine.Execute()
    inner = sitk.TransformixImageFilter()
    inner.LogToConsoleOff()
    inner.SetOutputDirectory(str(folder))
    inner.SetMovingImage(moving)
    inner.SetTransformParameterMap(engine.GetTransformParameterMap())
    inner.ComputeDeformationFieldOn()
    inner.Execute()
    sitk.WriteImage(sitk.Cast(inner.GetDeformationField(), sitk.sitkVectorFloat32), str(folder / measure.FIELD))


if __name__ == "__main__":
    measure.run(register, ["SimpleITK-SimpleElastix"])
