"""nnU-Net v2: models built by its own classes and written as its trainer does, run by its own predictor."""

import json
import time
from pathlib import Path

import model_run
import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

_PACKAGES = ["nnunetv2", "dynamic-network-architectures", "torch"]
_LEARNING_RATE = 3e-3


def build(spec_file, folder):
    """A model folder with plans.json, dataset.json and the folds."""
    spec, folder = json.loads(Path(spec_file).read_text(encoding="utf-8")), Path(folder)
    torch.set_num_threads(model_run.threads())
    labels, regions = spec["labels"], spec.get("regions")
    channels, folds = spec.get("channels", ["MR"]), spec.get("folds", 1)
    scheme = spec.get("scheme", "ZScoreNormalization")
    channels = ["CT"] if scheme == "CTNormalization" else channels
    stages, convs = len(spec["features"]), spec.get("convolutions", 2)
    network = ResidualEncoderUNet if spec.get("residual") else PlainConvUNet
    arguments = {
        "n_stages": stages, "features_per_stage": spec["features"], "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": spec.get("kernels", [[3, 3, 3]] * stages),
        "strides": spec.get("strides", [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)]),
        "n_blocks_per_stage" if spec.get("residual") else "n_conv_per_stage": [convs] * stages,
        "n_conv_per_stage_decoder": [convs] * (stages - 1), "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True}}
    transpose = spec.get("transpose", [0, 1, 2])
    resampling = {"resampling_fn_data": "resample_data_or_seg_to_shape",
                  "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
                  "resampling_fn_seg": "resample_data_or_seg_to_shape",
                  "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
                  "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                  "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0,
                                                         "force_separate_z": None}}
    intensities = {"mean": 80.0, "std": 160.0, "percentile_00_5": -600.0, "percentile_99_5": 450.0, "min": -1000.0,
                   "max": 1500.0, "median": 70.0}
    plans = {
        "dataset_name": "Dataset900_Bench", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "transpose_forward": transpose, "transpose_backward": [int(n) for n in np.argsort(transpose)],
        "original_median_spacing_after_transp": spec["spacing"],
        "original_median_shape_after_transp": spec["patch"], "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(n): intensities for n in range(len(channels))},
        "configurations": {"3d_fullres": resampling | {
            "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
            "patch_size": spec["patch"], "median_image_size_in_voxels": spec["patch"], "spacing": spec["spacing"],
            "normalization_schemes": [scheme] * len(channels),
            "use_mask_for_norm": [bool(spec.get("masked"))] * len(channels), "batch_dice": False,
            "architecture": {
                "network_class_name": f"dynamic_network_architectures.architectures.unet.{network.__name__}",
                "arch_kwargs": arguments,
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"]}}}}
    dataset = {"channel_names": {str(n): name for n, name in enumerate(channels)}, "labels": labels, "numTraining": 1,
               "file_ending": ".nii.gz"} | ({"regions_class_order": regions} if regions else {})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    classes = arguments | {"conv_op": nn.Conv3d, "norm_op": nn.InstanceNorm3d, "nonlin": nn.LeakyReLU}
    for fold in range(folds):
        torch.manual_seed(fold)
        made = network(input_channels=len(channels), num_classes=len(regions or labels), deep_supervision=True,
                       **classes)
        for module in made.modules():
            if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
                nn.init.kaiming_normal_(module.weight, a=1e-2)
        trained = _train(made, spec) if "train_seconds" in spec else {}
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save({
            "network_weights": made.state_dict(), "optimizer_state": {}, "grad_scaler_state": None,
            "logging": {"ema_fg_dice": [np.float64(trained.get("loss", 0.0))]}, "_best_ema": np.float64(0),
            "current_epoch": trained.get("steps", 0), "trainer_name": "nnUNetTrainer",
            "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": fold, "dataset_json": dataset},
            "inference_allowed_mirroring_axes": spec.get("mirror")}, folder / f"fold_{fold}" / "checkpoint_final.pth")


def _train(network, spec):
    """Seconds of processor time of training on the pairs that the specification names, z-scored, padded."""
    import SimpleITK as sitk  # noqa: N813

    pairs = []
    for image, label in spec["train_pairs"]:
        arrays = [sitk.GetArrayFromImage(sitk.ReadImage(file)).astype(np.float32) for file in (image, label)]
        arrays[0] = (arrays[0] - arrays[0].mean()) / max(arrays[0].std(), 1e-8)
        pads = [[(max(0, p - n) // 2, max(0, p - n) - max(0, p - n) // 2)
                 for p, n in zip(spec["patch"], array.shape, strict=True)] for array in arrays]
        pairs.append([np.pad(array, pad)[tuple(slice(0, p) for p in spec["patch"])]
                      for array, pad in zip(arrays, pads, strict=True)])
    random = np.random.default_rng(0)
    optimizer = torch.optim.Adam(network.parameters(), _LEARNING_RATE)
    network.train()
    started, steps, loss = time.process_time(), 0, None
    while time.process_time() - started < spec["train_seconds"]:
        chosen = [pairs[n] for n in random.integers(len(pairs), size=2)]
        axes = [axis for axis in range(3) if random.random() < 0.5]
        images, truths = (torch.from_numpy(np.stack([np.flip(pair[n], axes) for pair in chosen]))[:, None]
                          for n in (0, 1))
        scores = network(images)[0]
        fractions, truth = scores.softmax(1), nn.functional.one_hot(truths[:, 0].long(), scores.shape[1]).movedim(-1, 1)
        overlap = (fractions * truth).sum((0, 2, 3, 4)) * 2 + 1
        dice = overlap / (fractions.sum((0, 2, 3, 4)) + truth.sum((0, 2, 3, 4)) + 1)
        loss = nn.functional.cross_entropy(scores, truths[:, 0].long()) - dice[1:].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    return {"steps": steps, "loss": float(loss.detach())}


def predict_wide(folder, case, output):
    """The same with sums of windows in float32, where nnU-Net takes half precision: how far its rounding goes."""
    from types import SimpleNamespace

    from nnunetv2.inference import predict_from_raw_data

    wide = SimpleNamespace(**{**vars(torch), "half": torch.float32})
    predict_from_raw_data.torch = wide
    predict(folder, case, output)


def predict_bf16(folder, case, output):
    """The same with the network in bfloat16, as on a GPU or a CPU that has it."""
    with torch.autocast("cpu", torch.bfloat16):
        predict(folder, case, output)


def predict(folder, case, output):
    """Run a folder on files, stage by stage as `nnUNetPredictor.predict_single_npy_array` does."""
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(model_run.threads())
    run = model_run.Run(output)
    with run.stage("load"):
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(folder, None)
    for number, files in enumerate(model_run.subjects(case)):
        with run.stage("read"):
            image, properties = predictor.plans_manager.image_reader_writer_class().read_images(files)
        with run.stage("prepare"):
            preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
            data, _, properties = preprocessor.run_case_npy(
                image, None, properties, predictor.plans_manager, predictor.configuration_manager,
                predictor.dataset_json)
        with run.stage("network"):
            logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
        with run.stage("labels"):
            labels = convert_predicted_logits_to_segmentation_with_correct_shape(
                logits, predictor.plans_manager, predictor.configuration_manager, predictor.label_manager, properties,
                num_threads_torch=model_run.threads())
        run.write(number, np.asarray(labels).transpose(2, 1, 0))
    run.end(_PACKAGES)


if __name__ == "__main__":
    command, paths = model_run.arguments()
    {"build": build, "predict": predict, "predict-wide": predict_wide, "predict-bf16": predict_bf16}[command](*paths)
