"""`meddl train superres`: the networks of super-resolution and denoising, on a CPU or a GPU, by the same command."""

import argparse
from pathlib import Path

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span

TRAINING_MAPS = (1, 12)
HELD_OUT_MAPS = (13, 16)
NETWORKS = ("through-plane", "edsr3d", "srcnn", "srresnet", "srgan", "denoiser", "autoencoder")
POOL, HELD_OUT_POOL, PATCHES_PER_VOLUME = 24, 4, 250
ADVERSARIAL_LEARNING_RATE = 1e-4
FINE_TUNING_RATE = 2e-4
HALVING = {"edsr3d": "EDSR3D", "srcnn": "SRCNN3D", "srresnet": "SRResNet3D"}
_HELD_OUT_SEED = 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0], help="what to train")
    parser.add_argument("--data", type=Path,
                        help="folder with labels.csv and heads/head_NN.nii.gz (01-12 train, 13-16 are held out)")
    parser.add_argument("--volumes", type=Path,
                        help="folder with sharp volumes of your own to learn from, beside --data or in its place; "
                             "without --data, the last fifth of them is held out")
    parser.add_argument("--pairs", type=Path,
                        help="folder with low and high: the same anatomy twice under one name, coarse and sharp "
                             "(voxels half as long; edsr3d, srcnn, srresnet) or noisy and clean (autoencoder); the "
                             "last fifth is held out, and the training goes on from the network that ships")
    parser.add_argument("--register", action="store_true", help="align each volume in high to the one in low first")
    parser.add_argument("--name", default=None,
                        help="what the model is called: it is then installed, and chosen by `meddl superres --model`")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for checkpoints, logs and the exported model; an unfinished run there is resumed")
    parser.add_argument("--from", dest="start", default=None,
                        help="a model to go on from: its identifier or its folder, or none (default: of srgan "
                             "superres-srresnet, in --out or installed; with --pairs the network that ships)")
    parser.add_argument("--hours", type=float, default=0.6, help="length of the training, in hours")
    parser.add_argument("--steps", type=int, default=300_000,
                        help="length of the training in steps, if that ends first")
    parser.add_argument("--batch", type=int, default=None, help="patches a step (default: the network's)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--id", default=None, help="identifier of the exported model (default: the network's)")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train a network and export the model.

    Returns:
        The folder with `card.json` and `weights.safetensors`; with a name, the model is installed too.

    Raises:
        InputError: neither label maps nor volumes are given, or a folder holds none.
        ModelError: the model to start from is another network.
        ModelNotFoundError: the model to start from is not there.
    """
    import torch

    from meddl.core.device import describe, select_device
    from meddl.models.formats.imported import identifier
    from meddl.models.store.store import ModelStore
    from meddl.training.loop import LoopOptions, train
    from meddl.training.superres.adversarial import train_adversarial
    from meddl.training.superres.cards import METADATA, export_network

    torch.manual_seed(arguments.seed)
    device = select_device(arguments.device)
    name = arguments.network
    adversarial = name == "srgan"
    task = _task(arguments, *_pools(arguments, device))
    before = _start(arguments, task)
    started = before != (0, 0.0)
    rate = ADVERSARIAL_LEARNING_RATE if adversarial else FINE_TUNING_RATE if started else task.learning_rate
    options = LoopOptions(steps=arguments.steps, hours=arguments.hours, learning_rate=rate, half_precision=False,
                          validate_minutes=min(2.0, arguments.hours * 4), keep_best=started and not adversarial)
    trainer = train_adversarial if adversarial else train
    network = trainer(task, arguments.out / name, options, device, span(on_progress, 0, 0.99)).eval()
    own = identifier(arguments.name) if arguments.name else None
    folder = export_network(arguments.out, name, arguments.id or own or METADATA[name].identifier, task, network,
                            _metadata_of_run(arguments, describe(device), before), arguments.name)
    if arguments.name:
        store = ModelStore()
        store.accept_license(store.install(folder).id)  # it is the user's own
    return folder


def _pools(arguments: argparse.Namespace, device):
    """The volumes to train on, and those to validate on."""
    import torch

    if arguments.pairs is not None:
        return _pair_pools(arguments, device)

    from meddl.synthesis import load_label_maps
    from meddl.training.superres.volume_pool import VolumePool, folder_sources, head_source, shape_source

    if arguments.data is None and arguments.volumes is None:
        raise InputError("Give label maps (--data), sharp volumes of your own (--volumes), or both; or "
                         "pairs of your own (--pairs).")
    sources, weights = [shape_source()], [0.4]
    if arguments.volumes is not None:
        own, measured = folder_sources(arguments.volumes, device, hold_out=arguments.data is None)
        sources.append(own)
        weights.append(1.0)
    if arguments.data is not None:
        sources.append(head_source(load_label_maps(arguments.data, *TRAINING_MAPS).to(device)))
        weights.append(0.6)
        measured = head_source(load_label_maps(arguments.data, *HELD_OUT_MAPS).to(device))
    pool = VolumePool(sources, weights, POOL, PATCHES_PER_VOLUME,
                      torch.Generator(device).manual_seed(arguments.seed + 1))
    held_out = VolumePool([measured], [1.0], HELD_OUT_POOL, 0, torch.Generator(device).manual_seed(_HELD_OUT_SEED))
    return pool, held_out


def _pair_pools(arguments: argparse.Namespace, device):
    """Pairs to train on, and pairs to validate with."""
    import torch

    from meddl.training.superres.pairs import PairPool, load_pairs

    if arguments.network not in (*HALVING, "autoencoder"):
        raise InputError(f"Pairs are for {', '.join(HALVING)} and autoencoder; got {arguments.network}.")
    if arguments.data is not None or arguments.volumes is not None:
        raise InputError("Give --pairs, or --data and --volumes, not both.")
    factor = 2 if arguments.network in HALVING else 1
    pairs = load_pairs(arguments.pairs, factor, arguments.register, device)
    measured = max(1, len(pairs) // 5)
    rng = torch.Generator(device).manual_seed(arguments.seed + 1)
    return PairPool(pairs[:-measured], factor, rng), PairPool(pairs[-measured:], factor, rng)


def _task(arguments: argparse.Namespace, pool, held_out):
    """The network of this name with its training task."""
    if arguments.pairs is not None:
        from meddl.training.superres.pairs import PairTask

        name = HALVING.get(arguments.network, "DenoisingAutoencoder3D")
        return PairTask(name, pool, held_out, arguments.batch or 4, 14 if arguments.network in HALVING else 28)
    from meddl.training.superres.tasks import ThroughPlaneTask
    from meddl.training.superres.volume_tasks import DenoisingTask, HalvingTask

    makers = {
        "through-plane": lambda **more: ThroughPlaneTask({}, pool, held_out, **more),
        "edsr3d": lambda **more: HalvingTask("EDSR3D", pool, held_out, **more),
        "srcnn": lambda **more: HalvingTask("SRCNN3D", pool, held_out, **more),
        "srresnet": lambda **more: HalvingTask("SRResNet3D", pool, held_out, **more),
        "srgan": lambda **more: HalvingTask("SRResNet3D", pool, held_out, **more),
        "denoiser": lambda **more: DenoisingTask("ResidualDenoiser3D", pool, held_out, **more),
        "autoencoder": lambda **more: DenoisingTask("DenoisingAutoencoder3D", pool, held_out, with_noise_map=False,
                                                    **more),
    }
    return makers[arguments.network](**({"batch": arguments.batch} if arguments.batch else {}))


def _start(arguments: argparse.Namespace, task):
    """Steps and hours that went into the weights that the task's network starts from."""
    from meddl.training.start import StartModel
    from meddl.training.superres.cards import METADATA

    place = arguments.start
    if place is None and arguments.pairs is not None:
        place = METADATA[arguments.network].identifier
    if place == "none":
        place = None
    elif place is None and arguments.network == "srgan":
        beside = arguments.out / "superres-srresnet"
        place = beside if beside.is_dir() else beside.name
    if place is None:
        return 0, 0.0
    model = StartModel(place)
    model.give(next(iter(model.card.networks)), task)
    return model.steps, model.hours


def _metadata_of_run(arguments: argparse.Namespace, device: str, before: tuple[int, float]):
    """What the card says about this training."""
    from meddl.training.superres.cards import TrainingRun

    data, licenses = [] if arguments.pairs else ["random shapes"], []
    command = f"meddl train superres --network {arguments.network}"
    if arguments.data is not None:
        data.append("random images of the SynthSeg label maps head_01 to head_12 (BBillot/SynthSeg); head_13 to "
                    "head_16 held out")
        licenses.append("Apache-2.0")
        command += " --data LABELMAPS"
    if arguments.volumes is not None:
        data.append("volumes of the user who trained it")
        licenses.append("as of those volumes")
        command += " --volumes VOLUMES"
    if arguments.pairs is not None:
        data.append("pairs of volumes of the user who trained it")
        licenses.append("as of those volumes")
        command += " --pairs PAIRS" + (" --register" if arguments.register else "")
    if arguments.start is not None:
        command += f" --from {Path(arguments.start).name}"
    command += f" --out RUN --hours {arguments.hours:g}"
    measured = "held-out synthetic volumes" if arguments.data is not None else "held-out volumes of the user"
    return TrainingRun("; ".join(data), ", ".join(licenses), command, device, before, measured)
