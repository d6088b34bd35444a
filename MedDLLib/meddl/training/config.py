"""The configurations of `meddl.train`, `train_superres`, `train_classifier` and `train_landmarks`.

A default is written here alone.
"""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option

SUPERRES_NETWORKS = ("through-plane", "edsr3d", "srcnn", "srresnet", "srgan", "denoiser", "autoencoder",
                     "series-denoiser")


@document_fields
@dataclass(frozen=True)
class TrainConfig(CheckedFields):
    """Configuration of `meddl.train`."""

    minutes: float = option(
        10.0, "Length of the training in minutes, without checks and preprocessing; steps take its place.",
        bounds=(0.01, None))
    steps: int | None = option(
        None, "Length of the training in steps: on one machine the same data, seed and steps give the same weights, "
        "also where the training was stopped and resumed.", bounds=(1, None))
    network: str = option(
        "dynunet", "Network, all from MONAI: dynunet (nnU-Net's with group normalization, deep supervision), nnunet "
        "(with nnU-Net's own normalization: it can be exported to nnU-Net), segresnet (residual) or unet (residual "
        "units).", choices=("dynunet", "nnunet", "segresnet", "unet"))
    start: str | None = option(
        None, "Model to fine-tune: identifier of an installed model, or a folder with its card. Its network and "
        "preprocessing are taken over; the last layer is replaced where the structures differ.")
    continue_from: str | None = option(
        None, "Model of yours to train on with further cases, as a round of active learning: it is fine-tuned, what it "
        "was validated with stays held out, and the card lists the Dice of each round.")
    freeze_encoder: bool = option(
        False, "Keep the encoder's weights of the model that is fine-tuned.")
    learning_rate: float | None = option(
        None, "Highest learning rate; if not given, 0.001.", bounds=(0, None))
    width: float | None = option(
        None, "Features of each stage of dynunet, nnunet and unet, relative to nnU-Net's; if not given, half of them "
        "on a CPU, where more steps are worth more, and all on a GPU.", bounds=(0.1, 4))
    patch_voxels: tuple[int, ...] = option(
        (), "Voxels of a patch along R, A, S; if not given, planned from the data.", bounds=(1, None))
    batch: int | None = option(
        None, "Patches a step, of all processes together; if not given, planned from patch and memory.",
        bounds=(1, None))
    processes: int = option(
        1, "Processes of this machine that share each batch, each on a GPU of its own where there are; the weights are "
        "those of one process, up to rounding.", bounds=(1, 64))
    fold: int = option(
        0, "Which of the folds of patients is validated with: the same data and seed give the same folds.",
        bounds=(0, None))
    folds: int = option(
        5, "Number of folds: one of so many patients is validated with.", bounds=(2, None))
    patience: int | None = option(
        None, "Early stopping: end after so many validations without a better Dice.", bounds=(1, None))
    seed: int = option(0, "Seed of everything random.", bounds=(0, None))
    contrast: str = option(
        "own", "Contrast of the volumes that are segmented later: own (as the data set's) or any: intensities are "
        "exchanged at random in training, so that painted T1 give a model for other sequences, in far more steps.",
        choices=("own", "any"))
    generate: int = option(
        0, "Images to generate before the training and to train on beside your own: your label maps, turned, rendered "
        "in the look of your images by a conditional GAN (SPADE), which is trained on them first; 0 for none.",
        bounds=(0, 10_000))
    generate_steps: int = option(
        400, "Steps of the training of that GAN.", bounds=(1, None))
    ignore_value: int | None = option(
        None, "Label value of voxels that do not count, where the data set does not name it.",
        bounds=(1, 65535))
    painted_slices: bool = option(
        False, "Only painted slices count, where slices were painted one by one with gaps between them.")
    leave_out: bool = option(
        False, "Train without the cases that the checks found errors in.")
    patient: str | None = option(
        None, "Regular expression whose first group in a case's name is its patient; if not given, sub-X, or what "
        "stands before _ses-, _visit, _tp.")
    license: str = option(
        "not stated", "License of the weights, as you choose it; it stands in the model's card.")


@document_fields
@dataclass(frozen=True)
class SuperResTrainConfig(CheckedFields):
    """Configuration of `meddl.train_superres`."""

    network: str = option(
        "through-plane", "Network: through-plane (thick slices, by any factor), edsr3d, srcnn or srresnet (voxels half "
        "as long along every axis), srgan (the same with synthesized texture), denoiser (conditioned on the noise "
        "level), autoencoder (denoising) or series-denoiser (recurrent, for `meddl denoise-series`).",
        choices=SUPERRES_NETWORKS)
    minutes: float = option(
        10.0, "Length of the training in minutes; steps take its place.", bounds=(0.01, None))
    steps: int | None = option(
        None, "Length of the training in steps: on one machine the same data, seed and steps give the same weights, "
        "also where the training was stopped and resumed.", bounds=(1, None))
    start: str | None = option(
        None, "Model to go on from: its identifier or its folder, or none; if not given, the network that ships for "
        "volumes and pairs of your own, none for label maps.")
    register: bool = option(
        False, "Align each sharp volume of a pair to the coarse or noisy one first (rigid).")
    batch: int | None = option(None, "Patches a step; if not given, the network's.", bounds=(1, None))
    seed: int = option(0, "Seed of everything random.", bounds=(0, None))
    license: str = option(
        "not stated", "License of the weights of a model of your own volumes, as you choose it; it stands in the "
        "model's card.")


@dataclass(frozen=True)
class VolumeTrainConfig(CheckedFields):
    """What the trainings on single volumes have in common."""

    minutes: float = option(
        5.0, "Length of the training in minutes, without checks and preprocessing; steps take its place.",
        bounds=(0.01, None))
    steps: int | None = option(
        None, "Length of the training in steps: on one machine the same data, seed and steps give the same weights, "
        "also where the training was stopped and resumed.", bounds=(1, None))
    spacing_mm: float | None = option(
        None, "Voxel size that the network sees, in mm; if not given, such that a volume of the data fits.",
        bounds=(0.05, 20))
    learning_rate: float | None = option(
        None, "Highest learning rate; if not given, 0.001, and 0.0005 from a model.", bounds=(0, None))
    fold: int = option(
        0, "Which of the folds of patients is validated with: the same data and seed give the same folds.",
        bounds=(0, None))
    folds: int = option(
        5, "Number of folds: one of so many patients is validated with.", bounds=(2, None))
    patience: int | None = option(
        None, "Early stopping: end after so many validations without better weights.", bounds=(1, None))
    seed: int = option(0, "Seed of everything random.", bounds=(0, None))
    leave_out: bool = option(
        False, "Train without the cases that the checks found errors in.")
    patient: str | None = option(
        None, "Regular expression whose first group in a volume's name is its patient, where no table names it; if not "
        "given, sub-X, or what stands before _ses-, _visit, _tp.")
    license: str = option(
        "not stated", "License of the weights, as you choose it; it stands in the model's card.")


@document_fields
@dataclass(frozen=True)
class ClassifierTrainConfig(VolumeTrainConfig):
    """Configuration of `meddl.train_classifier`."""

    network: str = option(
        "resnet", "Network, both small ones of MONAI: resnet or densenet.", choices=("resnet", "densenet"))
    start: str | None = option(
        None, "Model to start from: recognition, which ships and knows heads, or a classifier of yours. Its network "
        "and voxel size are taken over; the last layer is new where the classes differ.")
    batch: int = option(8, "Volumes a step, each class as often as another.", bounds=(2, 256))


@document_fields
@dataclass(frozen=True)
class LandmarkTrainConfig(VolumeTrainConfig):
    """Configuration of `meddl.train_landmarks`."""

    minutes: float = option(
        10.0, "Length of the training in minutes, without checks and preprocessing; steps take its place.",
        bounds=(0.01, None))
    network: str = option(
        "dynunet", "Network, all from MONAI: dynunet (plain convolutions), segresnet (residual) or unet (residual "
        "units).", choices=("dynunet", "segresnet", "unet"))
    sigma_mm: float | None = option(
        None, "Standard deviation of the Gaussian about a landmark in mm; if not given, 1.5 voxels.",
        bounds=(0.1, 50))
    batch: int = option(2, "Patches a step.", bounds=(1, 256))
