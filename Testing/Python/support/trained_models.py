"""Models as a training leaves them, in the store: one with random weights, fast to make, whose labels are everywhere;
one that has learned balls."""

import json

import numpy as np
import torch
from labeled_phantoms import ball_case, put

import meddl
from meddl.models.formats.imported import label_entries
from meddl.models.store.store import ModelStore
from meddl.models.weights import save_weights
from meddl.networks import build_network
from meddl.spatial.volume import Volume
from meddl.training.supervised.plan import NETWORK, Topology, network_of

PRIVATE = ("Jane Doe", "jane_doe_0007", "2026-05-03", "/data/jane")
CT = {"scheme": "ct", "lower": -50.0, "upper": 250.0, "mean": 80.0, "std": 60.0}
Z_SCORE = {"scheme": "z-score", "masked": False}
MASKED = {"scheme": "z-score", "masked": True}


def put_model(folder, identifier: str = "own", *, network: str = "nnunet", channels=(Z_SCORE,), spacing=(2.0, 1.5, 2.5),
              output: dict | None = None, names=("Liver", "Spleen")) -> ModelStore:
    """Write a model into `folder` and install it; its card names cases, a date and paths."""
    output = {"kind": "classes", "values": [0, 1, 2]} if output is None else output
    topology = Topology(((1, 1, 1), (2, 2, 1), (2, 2, 2)), ((3, 3, 1), (3, 3, 3), (3, 3, 3)), (16, 20, 12))
    torch.manual_seed(3)
    architecture, arguments = network_of(network, topology, len(channels), len(output["values"]))
    if "filters" in arguments:
        arguments["filters"] = [8, 16, 24]
    built = build_network(architecture, arguments)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    weights = built.state_dict()
    (folder / identifier).mkdir(parents=True)
    inputs = [f"T{n + 1}" for n in range(len(channels))]
    values = [value for value in output["values"] if value]
    steps = [{"name": "crop_nonzero"}, {"name": "normalize", "arguments": {"channels": list(channels)}},
             {"name": "resample", "arguments": {"spacing_mm": list(spacing), "order": 3}}]
    stated = save_weights({f"{NETWORK}.{name}": tensor for name, tensor in weights.items()},
                          folder / identifier / "weights.safetensors")
    recipe = {"inputs": inputs, "orientation": "RAS", "steps": steps, "networks": [NETWORK], "notes": [],
              "windows": {"patch_voxels": list(topology.patch), "overlap": 0.5, "placement": "even",
                          "weighting": "gaussian", "sigma_scale": 0.125},
              "output": output | {"interpolation": "linear", "nearest_axis": "auto", "anisotropy": 3.0}}
    accuracy = [{"case": case, "structure": name, "metric": "Dice", "value": 0.75, "command": "meddl train"}
                for case in (PRIVATE[0], PRIVATE[1]) for name in names]
    card = {
        "id": identifier, "version": "1.0.0", "name": "Own model", "task": "segmentation", "description": "Own.",
        "modality": inputs, "labels": label_entries(dict(zip(values, names, strict=True))), "recipe": recipe,
        "networks": {NETWORK: {"architecture": architecture, "arguments": arguments, "spacing_mm": min(spacing),
                               "patch_voxels": list(topology.patch)}},
        "license": {"code": "Apache-2.0", "weights": "CC BY 4.0"}, "weights": stated,
        "source": {"name": "Trained with MedDL", "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": "5 cases of 5 patients: 4 to train on, 1 to validate with", "data_license": "own",
                     "steps": 9, "command": "meddl train segmentation", "date": PRIVATE[2]},
        "accuracy": accuracy, "intended_use": "Research.", "limits": "None.", "citation": ""}
    (folder / identifier / "card.json").write_text(json.dumps(card))
    store = ModelStore()
    store.install(folder / identifier)
    store.accept_license(identifier)
    return store


def turned_volume(channels: int = 1, seed: int = 0) -> Volume:
    """Smooth noise with an empty border and a hole, its axes in another order and reversed, slightly oblique."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    shape = (30, 27, 41)
    data = np.stack([400 * gaussian_filter(random.standard_normal(shape), 2) + 60 for _ in range(channels)])
    for axis in range(1, 4):
        data[(slice(None),) * axis + (slice(0, 3),)] = 0
    data[:, 12:15, 12:15, 20:23] = 0
    angle = np.deg2rad(7)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, -1.2, 0], [0, 0, 1.1], [-2.1, 0, 0]])
    affine[:3, 3] = (31, -20, 7)
    return Volume(data.astype(np.float32), affine)


def train_balls(folder) -> None:
    """Train and install the model "balls", in some seconds, on eight volumes that are written into `folder`."""
    for n in range(8):
        put(folder, f"case_{n}", *ball_case(n))
    torch.set_num_threads(1)
    meddl.train(folder / "images", folder / "labels", out=folder / "run", name="balls", device="cpu",
                config=meddl.TrainConfig(steps=60, network="unet", patch_voxels=(16, 16, 16), batch=2,
                                         learning_rate=4e-3, width=0.5))


def large_balls(seed: int, times=(3, 3, 2)) -> tuple[Volume, Volume]:
    """A volume with many balls and its label map, so large that its time is that of the network."""
    image, labels = (np.tile(one.data, (1, *times)) for one in ball_case(seed))
    return Volume(image, np.eye(4)), Volume(labels, np.eye(4))
