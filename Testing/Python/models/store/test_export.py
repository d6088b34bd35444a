"""A model that was trained here is written for MedDL, nnU-Net and MONAI: they give its labels, and nothing private goes
along."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from labeled_phantoms import ball_case, write_folders
from places import BENCHMARKS
from trained_models import CT, MASKED, PRIVATE, Z_SCORE, put_model, turned_volume

import meddl
from meddl.cli import main
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError, ModelError
from meddl.measures.overlap import dice
from meddl.models.formats.nnunet.of_dynunet import as_plain_conv_unet
from meddl.models.store.export import FORMATS, export_model
from meddl.models.store.store import ModelStore
from meddl.networks import build_network
from meddl.training.supervised import plan
from meddl.training.supervised.plan import Topology, network_of

sys.path.insert(0, str(BENCHMARKS))
from models_peers import interpreter

EXACT = SegmentConfig(float32=True)
# Scores of random weights lie close together, and nnU-Net sums those of windows in half precision.
NEARLY_ALL = 0.999
REGIONS = {"kind": "regions", "values": [1, 2]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))


def files_of(place) -> dict[str, bytes]:
    """The content of an exported archive or folder, checkpoints as what is in them."""
    if place.is_file():
        with zipfile.ZipFile(place) as archive:
            return {entry.filename: archive.read(entry) for entry in archive.infolist()}
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def labels_of_bundle(folder, volume, tmp_path) -> np.ndarray:
    """What `monai.bundle` gives for a volume, by the bundle's own configuration, from file to file."""
    from monai.bundle import ConfigParser

    files = []
    (tmp_path / "images").mkdir(exist_ok=True)
    for channel in range(volume.channels):
        name = "volume.nii.gz" if volume.channels == 1 else f"volume_{channel:04d}.nii.gz"
        files.append(tmp_path / "images" / name)
        meddl.save(meddl.Volume.scalar(volume.data[channel], volume.affine), files[-1])
    sys.path.insert(0, str(folder))
    try:
        for name in [name for name in sys.modules if name == "scripts" or name.startswith("scripts.")]:
            del sys.modules[name]
        parser = ConfigParser()
        parser.read_config(folder / "configs" / "inference.json")
        parser.read_meta(folder / "configs" / "metadata.json")
        parser["bundle_root"], parser["dataset_dir"] = str(folder), str(tmp_path / "images")
        network = parser.get_parsed_content("network").eval()
        network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
        (batch,) = list(parser.get_parsed_content("dataloader"))
        with torch.no_grad():
            batch["pred"] = parser.get_parsed_content("inferer")(batch["image"].to("cpu"), network)
        from monai.data import decollate_batch

        (case,) = decollate_batch(batch)
        parser.get_parsed_content("postprocessing")(case)
    finally:
        sys.path.remove(str(folder))
    (written,) = (folder / "eval").iterdir()
    found = meddl.load(written)
    assert found.grid.same_as(volume.grid)
    return found.scalar_data


@pytest.mark.parametrize(("channels", "output", "spacing", "network"), [
    ((Z_SCORE,), None, (2.0, 1.5, 2.5), "nnunet"), ((CT,), None, (1.0, 1.0, 4.5), "dynunet"),
    ((MASKED, Z_SCORE), REGIONS, (2.0, 2.0, 2.0), "unet")], ids=["plain", "thick-slices", "regions"])
def test_a_monai_bundle_gives_our_labels_in_monai(tmp_path, channels, output, spacing, network):
    put_model(tmp_path / "source", channels=channels, output=output, spacing=spacing, network=network)
    volume = turned_volume(len(channels))
    exported = export_model("own", tmp_path / "bundle", "monai")
    assert exported.path == tmp_path / "bundle" and exported.notes == ()
    expected = meddl.segment(volume, "own", EXACT, device="cpu").labels
    found = labels_of_bundle(exported.path, volume, tmp_path)
    assert (found == expected).mean() >= 0.9999
    assert len(np.unique(expected)) == 3 and np.bincount(expected.ravel()).min() > 20


def test_a_bundle_is_one_for_monais_own_workflow(tmp_path):
    from monai.bundle import ConfigWorkflow

    put_model(tmp_path / "source")
    folder = export_model("own", tmp_path / "bundle", "monai").path
    workflow = ConfigWorkflow(str(folder / "configs" / "inference.json"), str(folder / "configs" / "metadata.json"),
                              workflow_type="inference", logging_file=False)
    workflow.initialize()
    assert type(workflow.parser.get_parsed_content("network_def")).__name__ == "DynUNet"
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert metadata["license"] == "CC BY 4.0"
    assert metadata["eval_metrics"] == {"mean Dice, Liver": 0.75, "mean Dice, Spleen": 0.75}
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background", "1": "Liver", "2": "Spleen"}


def test_dynunet_with_nnunets_normalization_is_nnunets_network():
    topology = Topology(((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
                        ((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)), (16, 16, 16))
    architecture, arguments = network_of("nnunet", topology, 2, 3)
    arguments["filters"] = [8, 16, 24, 32]
    ours = build_network(architecture, arguments).eval()
    plain, weights = as_plain_conv_unet(arguments, ours.state_dict())
    theirs = build_network("PlainConvUNet", plain).eval()
    theirs.load_state_dict(weights)
    image = torch.randn(1, 2, 16, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs(image), ours(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("channels", "output"), [((Z_SCORE,), None), ((CT, MASKED), REGIONS)])
def test_an_exported_nnunet_comes_back_as_the_model_that_it_was(tmp_path, channels, output):
    store = put_model(tmp_path / "source", channels=channels, output=output)
    folder = export_model("own", tmp_path / "nnunet", "nnunet").path
    assert {path.name for path in folder.iterdir()} == {"plans.json", "dataset.json", "fold_0"}
    card = store.import_model(folder, identifier="back")
    store.accept_license("back")
    assert card.license.weights == "CC BY 4.0"
    assert [label.name for label in card.labels] == ["Liver", "Spleen"]
    assert card.networks["fold_0"].architecture == "PlainConvUNet"
    volume = turned_volume(len(channels))
    first, second = (meddl.segment(volume, name, EXACT, device="cpu").labels for name in ("own", "back"))
    assert (first == second).mean() >= NEARLY_ALL


@pytest.mark.slow
@pytest.mark.skipif(interpreter("nnunet") is None, reason="no nnU-Net: see Testing/Benchmarks/models_peers.py")
@pytest.mark.parametrize(("channels", "output", "spacing"), [
    ((Z_SCORE,), None, (2.0, 1.5, 2.5)), ((CT, MASKED), REGIONS, (1.0, 1.0, 4.5))], ids=["plain", "regions"])
def test_nnunets_own_command_gives_our_labels(tmp_path, channels, output, spacing):
    put_model(tmp_path / "source", channels=channels, output=output, spacing=spacing)
    folder = export_model("own", tmp_path / "nnunet", "nnunet").path
    volume = turned_volume(len(channels))
    (found,) = labels_of_nnunet(folder, [volume], tmp_path)
    expected = meddl.segment(volume, "own", EXACT, device="cpu").labels
    assert (found == expected).mean() >= NEARLY_ALL
    assert np.bincount(expected.ravel()).min() > 20


@pytest.mark.slow
@pytest.mark.skipif(interpreter("nnunet") is None, reason="no nnU-Net: see Testing/Benchmarks/models_peers.py")
def test_a_trained_model_gives_the_same_labels_in_nnunet(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "FEATURES", (8, 16, 16, 16, 16, 16))
    images, labels = write_folders(tmp_path)
    meddl.train(images, labels, out=tmp_path / "run", name="balls", device="cpu", config=meddl.TrainConfig(
        steps=80, network="nnunet", patch_voxels=(16, 16, 16), batch=2, learning_rate=4e-3))
    folder = export_model("balls", tmp_path / "nnunet", "nnunet").path
    cases = [ball_case(seed) for seed in range(20, 26)]
    found = labels_of_nnunet(folder, [volume for volume, _ in cases], tmp_path / "new")
    same, overlap = [], []
    for (volume, truth), theirs in zip(cases, found, strict=True):
        ours = meddl.segment(volume, "balls", EXACT, device="cpu").labels
        same.append((ours == theirs).mean())
        overlap += dice(theirs, truth.data[0], (1, 2)).tolist()
    assert np.mean(same) >= 0.9999
    assert np.mean(overlap) > 0.6  # it has learned


def labels_of_nnunet(folder, volumes, place) -> list[np.ndarray]:
    """What nnU-Net's own command gives for volumes, from file to file."""
    (place / "nn_images").mkdir(parents=True)
    for number, volume in enumerate(volumes):
        for channel in range(volume.channels):
            meddl.save(meddl.Volume.scalar(volume.data[channel], volume.affine),
                       place / "nn_images" / f"case{number}_{channel:04d}.nii.gz")
    command = interpreter("nnunet").with_name("nnUNetv2_predict_from_modelfolder")
    places = {name: str(place / "none") for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    subprocess.run([command, "-i", place / "nn_images", "-o", place / "nn_labels", "-m", folder, "-f", "0", "-device",
                    "cpu", "-npp", "1", "-nps", "1"], check=True, env=os.environ | places, capture_output=True)
    found = [meddl.load(place / "nn_labels" / f"case{number}.nii.gz") for number in range(len(volumes))]
    assert all(one.grid.same_as(volume.grid) for one, volume in zip(found, volumes, strict=True))
    return [one.scalar_data for one in found]


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_private_is_in_what_is_exported(tmp_path, kind):
    put_model(tmp_path / "source")
    files = files_of(export_model("own", tmp_path / "out", kind).path)
    private = [*PRIVATE, str(tmp_path), str(Path.home())]
    for name, content in files.items():
        for text in private:
            assert text.encode() not in content, f"{text} in {name}"
            assert text not in name
    if kind == "zip":
        card = json.loads(files["card.json"])
        assert {entry["case"] for entry in card["accuracy"]} == {"case 1", "case 2"}
        assert card["training"]["data"].startswith("5 cases of 5 patients")
        with zipfile.ZipFile(tmp_path / "out.zip") as archive:
            assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_an_archive_installs_elsewhere_and_segments_alike(tmp_path, monkeypatch):
    put_model(tmp_path / "source")
    volume = turned_volume()
    expected = meddl.segment(volume, "own", EXACT, device="cpu").labels
    archive = export_model("own", tmp_path / "own.zip").path
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "other"))
    ModelStore().install(archive)
    ModelStore().accept_license("own")
    np.testing.assert_array_equal(meddl.segment(volume, "own", EXACT, device="cpu").labels, expected)


def test_labels_with_gaps_are_numbered_for_nnunet_and_told(tmp_path):
    put_model(tmp_path / "source", output={"kind": "classes", "values": [0, 3, 7]})
    exported = export_model("own", tmp_path / "nnunet", "nnunet")
    labels = json.loads((exported.path / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "Liver": 1, "Spleen": 2}
    assert exported.notes == ("nnU-Net numbers labels without gaps; it writes Liver 3 as 1, Spleen 7 as 2.",)


@pytest.mark.parametrize(("network", "kind", "words"), [
    ("dynunet", "nnunet", "no group normalization.*--network nnunet"), ("unet", "nnunet", "no network UNet"),
    ("segresnet", "nnunet", "no network SegResNet")])
def test_what_nnunet_does_not_have_is_said(tmp_path, network, kind, words):
    put_model(tmp_path / "source", network=network)
    with pytest.raises(ModelError, match=words):
        export_model("own", tmp_path / "out", kind)
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_models_in_ways_of_their_own_are_exported_as_archives_alone(tmp_path):
    for kind in ("nnunet", "monai"):
        with pytest.raises(ModelError, match="own way"):
            export_model("brain", tmp_path / kind, kind)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    put_model(tmp_path / "source")
    with pytest.raises(InputError, match="there already"):
        export_model("own", tmp_path / "full", "monai")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    with pytest.raises(InputError, match="zip, nnunet, monai"):
        export_model("own", tmp_path / "x", "onnx")


def test_the_shell_exports(tmp_path, capsys):
    put_model(tmp_path / "source", output={"kind": "classes", "values": [0, 1, 4]})
    assert main(["models", "export", "own", "--format", "nnunet", "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "out")
    assert "Spleen 4 as 2" in printed.err
    assert main(["models", "export", "own", "-o", str(tmp_path / "own")]) == 0
    assert (tmp_path / "own.zip").is_file()
    assert main(["models", "export", "nobody", "-o", str(tmp_path / "x")]) == 2
