"""Training of super-resolution and denoising: each network learns, exports, and the export answers alike."""

import argparse

import numpy as np
import pytest
import torch

from meddl.core.errors import InputError, ModelError
from meddl.io import save
from meddl.models.cards import load_card
from meddl.models.own_models import find_method, list_own_models
from meddl.models.weights import load_into, load_weights
from meddl.networks import build_network
from meddl.networks.architectures.srresnet import PatchDiscriminator3D
from meddl.networks.cubic import cubic_twice
from meddl.spatial.volume import Volume
from meddl.training.config import SuperResTrainConfig
from meddl.training.log import TrainingLog
from meddl.training.superres import adversarial, command, train, volume_pool
from meddl.training.superres.tasks import ThroughPlaneTask, random_acquisition, thick_and_sharp
from meddl.training.superres.volume_pool import VolumePool
from meddl.training.superres.volume_tasks import DenoisingTask, Example, HalvingTask


def blobs(rng):
    """A cheap sharp volume."""
    coarse = torch.randn((1, 1, 24, 24, 24), generator=rng)
    return torch.nn.functional.interpolate(coarse, size=(96,) * 3, mode="trilinear").abs()[0, 0]


def pool(seed=0, count=2, patches_per_volume=0):
    return VolumePool([blobs], [1.0], count, patches_per_volume, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """A user's folder: sharp volumes, one with thick slices that cannot teach, and another file."""
    folder = tmp_path_factory.mktemp("volumes")
    rng = np.random.default_rng(0)
    for n in range(3):
        data = np.kron(rng.random((20, 18, 16)), np.ones((5, 5, 5))) * 900 - 300
        save(Volume.scalar(data.astype(np.float32), np.eye(4)), folder / f"v{n}.nii.gz")
    save(Volume.scalar(data.astype(np.float32), np.diag([1, 1, 4, 1.0])), folder / "thick.nii.gz")
    (folder / "notes.txt").write_text("no volume")
    return folder


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(train, "POOL", 2)
    monkeypatch.setattr(train, "HELD_OUT_POOL", 1)


def options(volumes, out, *more):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(["--volumes", str(volumes), "--out", str(out), "--device", "cpu", "--from", "none",
                              *more])


def networks_of(folder, run):
    """The exported network, and the one in the checkpoint."""
    card = load_card(folder / "card.json")
    spec = card.networks["network"]
    exported, kept = (build_network(spec.architecture, dict(spec.arguments)).eval() for _ in range(2))
    tensors = load_weights(folder / card.weights.file)
    load_into(exported, {name.removeprefix("network."): tensor.float() for name, tensor in tensors.items()})
    kept.load_state_dict(torch.load(run / "checkpoint.pt", weights_only=True)["average"])
    return card, exported.requires_grad_(False), kept.requires_grad_(False)


@pytest.mark.slow
def test_the_through_plane_network_learns_exports_resumes_and_is_started_from(volumes, quick, tmp_path):
    steps = ("--steps", "30", "--batch", "4")
    folder = command.run(options(volumes, tmp_path, *steps))
    card, exported, kept = networks_of(folder, tmp_path / "through-plane")
    image = torch.rand(1, 1, 20, 20)
    assert (exported(image, 2.5) - kept(image, 2.5)).abs().max() < 2e-3  # float16 weights
    curves = TrainingLog(tmp_path / "through-plane", ("step", "hours", "loss", "score")).curves()
    assert curves["score"][1][-1] > 0.1
    assert (card.id, card.task, card.training.steps) == ("superres-through-plane", "superres", 30)
    assert card.accuracy[0].value == pytest.approx(curves["score"][1][-1], abs=0.02)

    command.run(options(volumes, tmp_path, "--steps", "33", "--batch", "4"))
    assert torch.load(tmp_path / "through-plane" / "checkpoint.pt", weights_only=True)["step"] == 33
    again = command.run(options(volumes, tmp_path / "again", "--steps", "2", "--batch", "1", "--from", str(folder)))
    assert load_card(again / "card.json").training.steps == 35
    with pytest.raises(ModelError, match="EDSR3D"):
        command.run(options(volumes, tmp_path / "wrong", "--network", "edsr3d", "--from", str(folder)))


@pytest.mark.parametrize("name", ["edsr3d", "denoiser"])
def test_a_3d_network_learns_and_exports(name, volumes, quick, tmp_path):
    folder = command.run(options(volumes, tmp_path, "--network", name, "--steps", "20", "--batch", "2"))
    card, exported, kept = networks_of(folder, tmp_path / name)
    volume = (torch.rand(1, 1, 8, 9, 10),) + ((0.1,) if name == "denoiser" else ())
    assert (exported(*volume) - kept(*volume)).abs().max() < 5e-3
    assert card.accuracy[0].value > 0.05
    assert card.task == ("denoise" if name == "denoiser" else "superres")


def test_srgan_starts_from_srresnet_and_logs_both_losses(volumes, quick, tmp_path):
    few = ("--steps", "2", "--batch", "1")
    first = command.run(options(volumes, tmp_path, "--network", "srresnet", *few))
    without_start = vars(options(volumes, tmp_path, "--network", "srgan", *few)) | {"start": None}
    second = command.run(argparse.Namespace(**without_start))
    before, after = (load_weights(folder / "weights.safetensors") for folder in (first, second))
    changes = [float((after[name].float() - before[name].float()).abs().max()) for name in before]
    assert 0 < max(changes) < 2e-3  # two steps away, not a new start
    curves = TrainingLog(tmp_path / "srgan", ("step", "pixel", "adversarial", "features", "discriminator")).curves()
    assert all(len(values) >= 1 for _, values in curves.values())
    plot = (tmp_path / "srgan" / "log.png").read_bytes()
    card = load_card(second / "card.json")
    assert len(plot) > 1000 and (second / card.training.curves).read_bytes() == plot
    assert card.accuracy[0].sha256 == card.weights.sha256


def test_the_discriminator_tells_small_detail_from_none_whatever_the_intensities():
    """It sees what is added to the cubic spline, not the image: a few hundredths of the range are enough."""
    torch.manual_seed(0)
    given = torch.rand(8, 1, 4, 4, 4) + torch.arange(8.0).reshape(-1, 1, 1, 1, 1)
    detail = 0.03 * torch.randn(8, 1, 8, 8, 8)
    batch = Example(given, cubic_twice(given) + detail)
    shown, truth = adversarial._details(batch, cubic_twice(given))
    assert shown.abs().max() < 1e-3
    torch.testing.assert_close(truth.flatten(1).std(dim=1), torch.ones(8), rtol=1e-3, atol=0)
    discriminator = PatchDiscriminator3D(widths=(8,))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=4e-3)
    for _ in range(60):
        real, made = discriminator(truth)[0], discriminator(shown)[0]
        loss = (1 - real).relu().mean() + (1 + made).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1.5


def test_a_folder_without_sharp_volumes_is_refused(volumes, tmp_path):
    with pytest.raises(InputError, match=r"--data"):
        command.run(argparse.Namespace(**(vars(options(volumes, tmp_path)) | {"volumes": None})))
    save(Volume.scalar(np.zeros((9, 9, 9), np.float32), np.diag([1, 1, 4, 1.0])), tmp_path / "thick.nii.gz")
    with pytest.raises(InputError, match="thick.nii.gz"):
        command.run(options(tmp_path, tmp_path / "out"))


def test_held_out_volumes_of_a_folder_are_not_trained_on(volumes):
    own, measured = volume_pool.folder_sources(volumes, torch.device("cpu"), hold_out=True)
    rng = torch.Generator().manual_seed(0)
    trained, held_out = ({round(float(v), 2) for _ in range(6) for v in source(rng).unique()[:200]}
                         for source in (own, measured))
    assert len(trained & held_out) < 0.2 * len(held_out)


def test_a_pool_is_renewed_slowly_and_repeats_with_its_seed():
    first, second = (pool(3, patches_per_volume=4) for _ in range(2))
    before = first.volumes.clone()
    for _ in range(3):
        torch.testing.assert_close(first.patches(2, (5, 8, 9)), second.patches(2, (5, 8, 9)))
    changed = (first.volumes != before).flatten(1).any(dim=1)
    assert changed.tolist() == [True, False]
    assert first.patches(2, (5, 8, 9)).shape == (2, 5, 8, 9)


def test_volumes_of_a_pool_have_a_range_of_one_and_nothing_is_clipped():
    volume = pool().volumes[0]
    ordered = volume.flatten().sort().values
    assert abs(float(ordered[int(0.005 * len(ordered))])) < 0.05
    assert abs(float(ordered[int(0.995 * len(ordered))]) - 1) < 0.05
    assert volume.max() > 1


@pytest.mark.parametrize("factor", [1.5, 2.0, 2.7, 4.0])
def test_thick_slices_and_sharp_voxels_show_the_same_field_of_view(factor):
    ramp = torch.arange(96.0).double().expand(2, 3, 96)
    acquisition = random_acquisition(factor, torch.Generator().manual_seed(0))[1]
    thick, sharp = thick_and_sharp(ramp, acquisition, 12)
    assert thick.shape[-1] == 12
    assert sharp.shape[-1] == round(12 * factor)
    torch.testing.assert_close(thick.mean(-1), sharp.mean(-1), atol=1e-6, rtol=0)


def test_a_batch_holds_what_the_network_needs():
    task = ThroughPlaneTask({"channels": 8, "blocks": 1}, pool(), pool(1, count=1), batch=8)
    seen = set()
    for _ in range(12):
        batch = task.sample(0.0)
        seen.add(batch.factor)
        assert batch.thick.shape[0] == batch.thickness.shape[0] == 8
        assert task.network(batch.thick, batch.factor, batch.thickness).shape == batch.sharp.shape
    assert all(1.5 <= factor <= 4.5 for factor in seen)
    assert len(seen) > 4
    assert task.validate(task.network) == pytest.approx(0, abs=1e-6)  # untrained: cubic


def test_large_voxels_are_centered_on_the_sharp_ones():
    task = HalvingTask("SRCNN3D", pool(), pool(1, count=1), batch=2, size=6)
    batch = task.sample(0.0)
    assert batch.given.shape == (2, 1, 6, 6, 6)
    assert batch.wanted.shape == (2, 1, 12, 12, 12)
    assert task.validate(task.network) == pytest.approx(0, abs=1e-6)


def test_a_denoiser_is_told_about_how_much_noise_there_is():
    task = DenoisingTask("ResidualDenoiser3D", pool(), pool(1, count=1), batch=3, size=12)
    task.magnitude_fraction = 0.0
    ratios = []
    for _ in range(10):
        batch = task.sample(0.0)
        ratios += ((batch.given - batch.wanted).std(dim=(1, 2, 3, 4)) / batch.sigma.flatten()).tolist()
    assert 0.85 < min(ratios) < max(ratios) < 1.2
    task.magnitude_fraction = 1.0
    batch = task.sample(0.0)
    assert batch.given.min() >= 0
    assert abs(float((batch.given - batch.wanted).mean())) < 0.01  # the wanted is the mean of the magnitude
    assert task.validate(task.network) == pytest.approx(0, abs=1e-6)


class _Interrupted(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", ["through-plane", "denoiser"])
def test_a_training_that_was_killed_goes_on_to_the_same_weights(name, volumes, quick, tmp_path, monkeypatch):
    """Also where volumes of the pool were exchanged before."""
    monkeypatch.setattr(train, "PATCHES_PER_VOLUME", 6)
    torch.set_num_threads(1)
    words = ("--network", name, "--steps", "12", "--batch", "4")
    whole = load_weights(command.run(options(volumes, tmp_path / "whole", *words)) / "weights.safetensors")
    place, seen = tmp_path / "parts" / name / "checkpoint.pt", []

    def stop(fraction, message):
        if place.exists() and torch.load(place, weights_only=True)["step"] >= 6:
            seen.append(message)
            raise _Interrupted

    with pytest.raises(_Interrupted):
        command.run(options(volumes, tmp_path / "parts", *words), stop)
    resumed = load_weights(command.run(options(volumes, tmp_path / "parts", *words)) / "weights.safetensors")
    assert seen and whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_volumes_alone_go_on_from_the_network_that_ships_which_is_kept_where_none_is_better(volumes, quick, tmp_path,
                                                                                             monkeypatch):
    monkeypatch.setattr(train, "FINE_TUNING_RATE", 50.0)  # ruins it in one step
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    folder = train.train_superres(volumes, out=tmp_path / "run", name="mine", device="cpu",
                                  config=SuperResTrainConfig(network="srcnn", steps=3, batch=1, license="CC0-1.0"))
    card = load_card(folder / "card.json")
    assert card.license.weights == "CC0-1.0" and "--steps 3" in card.training.command
    curves = TrainingLog(tmp_path / "run" / "srcnn", ("step", "score")).curves()["score"]
    assert curves[0][0] == 0 and curves[1][0] > max(curves[1][1:])
    assert card.accuracy[0].value == pytest.approx(curves[1][0], abs=0.02)
    assert list_own_models("srcnn")[0].id == "mine" and not list_own_models("edsr3d")
    assert find_method(card) == "srcnn"
