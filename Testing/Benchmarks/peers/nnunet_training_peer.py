"""nnU-Net v2 trained by its own classes for so many minutes of processor time, then run on files.

    nnunet_training_peer.py RAW RESULTS TEST PREDICTED MINUTES

RAW holds DatasetNNN_NAME in nnU-Net's raw layout, TEST the images. Fingerprint, plan, preprocessing, network, loss,
optimizer, augmentation and the polynomial learning rate are nnU-Net's own; the rate follows the part of the time that
is over in the place of the epochs. Label maps go to PREDICTED, figures to PREDICTED/run.json.
"""

import json
import os
import resource
import sys
import time
from importlib import metadata
from pathlib import Path

RAW, RESULTS, TEST, PREDICTED = map(Path, sys.argv[1:5])
MINUTES = float(sys.argv[5])
PREPROCESSED = RESULTS / "preprocessed"
os.environ |= {"nnUNet_raw": str(RAW), "nnUNet_preprocessed": str(PREPROCESSED), "nnUNet_results": str(RESULTS),
               "nnUNet_n_proc_DA": "1", "nnUNet_compile": "f"}

CONFIGURATION, PLANS, FOLD = "3d_fullres", "nnUNetPlans", 0


def processor_seconds():
    """Of this process and of those that it has ended, all threads."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def prepare(number):
    """nnU-Net's fingerprint, plan and preprocessing, in one process each."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    extract_fingerprints([number], num_processes=1, check_dataset_integrity=False)
    plan_experiments([number])
    preprocess([number], PLANS, (CONFIGURATION,), (1,))


def train(name):
    """The trainer after the time, and the loss of each step."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plans = json.loads((PREPROCESSED / name / f"{PLANS}.json").read_text(encoding="utf-8"))
    dataset = json.loads((RAW / name / "dataset.json").read_text(encoding="utf-8"))
    trainer = nnUNetTrainer(plans | {"continue_training": False}, CONFIGURATION, FOLD, dataset,
                            device=torch.device("cpu"))
    os.environ |= {"nnUNet_n_proc_DA": "0"}  # patches are drawn in this process, whose time is counted
    trainer.initialize()
    trainer.set_deep_supervision_enabled(True)
    batches, _ = trainer.get_dataloaders()
    trainer.network.train()
    begin, losses = processor_seconds(), []
    seconds = 60 * MINUTES - begin
    while (done := (processor_seconds() - begin) / seconds) < 1:
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - done) ** 0.9
        losses.append(float(trainer.train_step(next(batches))["loss"]))
    base = Path(trainer.output_folder_base)
    for file, content in (("plans.json", plans), ("dataset.json", dataset)):
        (base / file).write_text(json.dumps(content), encoding="utf-8")
    trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    return trainer, losses


def predict(folder):
    """Segment the test images with nnU-Net's own predictor, without mirrored windows, as ours does."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), perform_everything_on_device=False,
                                allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(folder, (FOLD,), "checkpoint_final.pth")
    predictor.predict_from_files_sequential(str(TEST), str(PREDICTED), save_probabilities=False, overwrite=True)


def main():
    """Everything, with the clock."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    (name,) = [path.name for path in RAW.iterdir()]
    begin = time.perf_counter()
    prepare(int(name[len("Dataset"):].split("_")[0]))
    prepared = processor_seconds()
    trainer, losses = train(name)
    plan = trainer.configuration_manager
    figures = {"seconds": time.perf_counter() - begin, "processor_seconds": processor_seconds(),
               "prepare_processor_seconds": prepared, "steps": len(losses), "losses": losses[::10],
               "patch": list(plan.patch_size), "batch": plan.batch_size, "version": metadata.version("nnunetv2")}
    predict(trainer.output_folder_base)
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (PREDICTED / "run.json").write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
