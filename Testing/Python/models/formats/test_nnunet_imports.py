"""nnU-Net models as users have them: from other systems, of other trainers, packed in other ways."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from nnunet_folder import checkpoint, write_nnunet

from meddl.core.errors import ModelError
from meddl.models.formats.nnunet.plans import configuration_named, network_of, steps_of
from meddl.models.formats.nnunet.reader import read_nnunet
from meddl.models.store.store import ModelStore
from meddl.networks import build_network

SMALL = (2, 4)


@pytest.fixture
def store(tmp_path):
    return ModelStore(shipped=tmp_path / "none", cache=tmp_path / "cache")


@pytest.fixture
def model(tmp_path):
    return write_nnunet(tmp_path / "data" / "nnUNetTrainer__nnUNetPlans__3d_fullres", features=SMALL, folds=(0, 1))


def packed(place: Path, files: dict[str, bytes | Path]) -> Path:
    """A zip of these files under these names, as they stand."""
    with zipfile.ZipFile(place, "w") as opened:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            opened.writestr(info, content.read_bytes() if isinstance(content, Path) else content)
    return place


def files_of(folder: Path, prefix: str = "") -> dict[str, bytes | Path]:
    return {prefix + file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}


def edited(place: Path, change) -> None:
    content = json.loads(place.read_text())
    change(content)
    place.write_text(json.dumps(content))


def folds(imported) -> list[str]:
    return list(imported.card["networks"])


def test_the_best_checkpoint_serves_where_there_is_no_final_one(model):
    for fold in (0, 1):
        place = model / f"fold_{fold}" / "checkpoint_final.pth"
        place.rename(place.with_name("checkpoint_best.pth"))
    imported = read_nnunet(model)
    assert folds(imported) == ["fold_0", "fold_1"] and "Weights of checkpoint_best.pth." in imported.notes
    with pytest.raises(ModelError, match=r"folds hold checkpoint_best.pth \(--checkpoint\)"):
        read_nnunet(model, checkpoint="checkpoint_latest.pth")


def test_a_checkpoint_is_chosen_by_name_and_folds_without_it_are_left_out(model, store):
    shutil.copyfile(model / "fold_1" / "checkpoint_final.pth", model / "fold_1" / "checkpoint_latest.pth")
    card = store.import_model(model, identifier="one", checkpoint="checkpoint_latest.pth")
    assert list(card.networks) == ["fold_1"]


def test_a_fold_or_its_checkpoint_is_enough(model, store):
    assert list(store.import_model(model / "fold_1", identifier="a").networks) == ["fold_1"]
    assert list(store.import_model(model / "fold_0" / "checkpoint_final.pth", identifier="b").networks) == ["fold_0"]


def test_zips_in_zips_are_opened_until_the_model_shows(model, store, tmp_path):
    inner = packed(tmp_path / "inner.zip", files_of(model, "deep/er/and/deeper/model/"))
    middle = packed(tmp_path / "middle.zip", {"a/weights.zip": inner, "a/notes.txt": b"x"})
    assert store.import_model(packed(tmp_path / "outer.zip", {"all.zip": middle}), identifier="one").id == "one"
    for n in range(8):
        middle = packed(tmp_path / f"{n}.zip", {f"{n}.zip": middle})
    with pytest.raises(ModelError, match="holds no model"):
        store.import_model(middle)


def test_validation_predictions_and_what_systems_add_are_left_out(model, store, tmp_path):
    more = {f"fold_0/validation/case_{n}.nii.gz": b"x" for n in range(1500)}
    more |= {f"fold_0/validation/case_{n}.json": b"x" for n in range(1500)}
    more |= {"__MACOSX/._plans.json": b"x", ".DS_Store": b"x", "fold_0/progress.png": b"x"}
    assert len(store.import_model(packed(tmp_path / "all.zip", files_of(model) | more), identifier="a").networks) == 2
    many = {f"{n}.txt": b"" for n in range(1500)}
    with pytest.raises(ModelError, match="a model holds a few"):
        store.import_model(packed(tmp_path / "many.zip", files_of(model) | many))


def test_a_zip_made_on_windows_has_folders_too_and_leads_out_of_none(model, store, tmp_path):
    names = {name.replace("/", "\\"): file for name, file in files_of(model, "Dataset/").items()}
    assert len(store.import_model(packed(tmp_path / "a.zip", names), identifier="one").networks) == 2
    for name in ("..\\out.json", "\\out.json", "C:\\out.json", "a\\..\\..\\out.json"):
        with pytest.raises(ModelError, match="outside its folder"):
            store.import_model(packed(tmp_path / "b.zip", names | {name: b"{}"}))


def test_a_byte_order_mark_and_channels_as_a_list_are_read(model):
    edited(model / "dataset.json", lambda content: content.update(channel_names=["T1 weighted"]))
    for name in ("plans.json", "dataset.json"):
        (model / name).write_bytes(b"\xef\xbb\xbf" + (model / name).read_bytes())
    assert read_nnunet(model).card["modality"] == ["T1 weighted"]


def saved(model: Path, change) -> None:
    place = model / "fold_0" / "checkpoint_final.pth"
    content = checkpoint(3, 1, False, 0, features=SMALL)
    change(content)
    torch.save(content, place)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_names_of_compiled_and_parallel_networks_are_understood(model, store, prefix):
    saved(model, lambda content: content.update(network_weights={
        prefix + name: tensor for name, tensor in content["network_weights"].items()}))
    assert store.import_model(model / "fold_0", identifier="one").id == "one"


@pytest.mark.parametrize(("trainer", "known"), [("Mine", False)] + [(name, True) for name in (
    "", "_250epochs", "NoMirroring", "_250epochs_NoMirroring", "DA5", "DiceCELoss_noSmooth", "Adam3en4",
    "Topk10LossLS01", "CosAnneal", "_onlyMirror01_1epoch", "NoDeepSupervision")])
def test_trainers_that_only_change_training_raise_no_doubt(model, trainer, known):
    saved(model, lambda content: content.update(trainer_name=f"nnUNetTrainer{trainer}"))
    notes = " ".join(read_nnunet(model, folds=("0",)).notes)
    assert ("may change more than its plans say" in notes) != known


def test_batch_normalization_is_known_by_its_weights(model, store):
    """nnUNetTrainerBN puts it where the plans say something else."""
    plans = json.loads((model / "plans.json").read_text())
    configuration = configuration_named(plans, "3d_fullres")
    name, arguments = network_of(configuration, 1, 3)
    network = build_network(name, arguments | {"norm": "batch", "norm_affine": True})
    last = len(SMALL) - 2
    weights = {key.replace("seg_layers.0.", f"seg_layers.{last}."): tensor
               for key, tensor in network.state_dict().items()}
    saved(model, lambda content: content.update(network_weights=weights, trainer_name="nnUNetTrainerBN"))
    card = store.import_model(model / "fold_0", identifier="one")
    assert card.networks["fold_0"].arguments["norm"] == "batch"
    assert not any("may change" in note for note in card.recipe.notes)


def test_resampling_by_pytorch_is_that_of_order_1(model):
    plans = json.loads((model / "plans.json").read_text())
    configuration = configuration_named(plans, "3d_fullres")
    by_torch = {"is_seg": False, "force_separate_z": False, "memefficient_seg_resampling": False}
    for what in ("data", "seg", "probabilities"):
        configuration[f"resampling_fn_{what}"] = "resample_torch_fornnunet"
        configuration[f"resampling_fn_{what}_kwargs"] = by_torch
    steps, _ = steps_of(plans, configuration, 3)
    resample = next(step["arguments"] for step in steps if step["name"] == "resample")
    assert (resample["order"], resample["separate"]) == (1, False)
    configuration["resampling_fn_data_kwargs"] = by_torch | {"mode": "area"}
    with pytest.raises(ModelError, match="mode area"):
        steps_of(plans, configuration, 3)


def test_pytorch_and_order_1_give_the_same_values():
    """What the claim rests on: both put voxels at the same points and hold the border."""
    from meddl.segmentation.imported.resize import resize

    image, shape = torch.randn(1, 9, 12, 7, generator=torch.Generator().manual_seed(0)), (13, 8, 15)
    expected = torch.nn.functional.interpolate(image[None], shape, mode="trilinear")[0]
    torch.testing.assert_close(resize(image[0], shape, order=1), expected[0], atol=1e-5, rtol=0)


PRESETS = {"M": [1, 3, 4, 6, 6, 6], "L": [1, 3, 4, 6, 6, 6], "XL": [1, 3, 4, 6, 6, 6, 6]}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_of_residual_encoders_are_read(model, preset):
    blocks = PRESETS[preset]
    stages = len(blocks)
    plans = json.loads((model / "plans.json").read_text())
    configuration = configuration_named(plans, "3d_fullres")
    arguments = configuration["architecture"]["arch_kwargs"]
    arguments.pop("n_conv_per_stage", None)
    arguments |= {"n_stages": stages, "features_per_stage": [2] * stages, "kernel_sizes": [[3, 3, 3]] * stages,
                  "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1), "n_blocks_per_stage": blocks,
                  "n_conv_per_stage_decoder": [1] * (stages - 1)}
    configuration["architecture"] = {"network_class_name": "dynamic_network_architectures.architectures.unet."
                                     "ResidualEncoderUNet", "arch_kwargs": arguments}
    name, built = network_of(configuration, 1, 3)
    assert (name, built["counts"]) == ("ResidualEncoderUNet", blocks)
    names = {key.split(".")[2] for key in build_network(name, built).state_dict() if key.startswith("encoder.stages.")}
    assert names == {str(n) for n in range(stages)}


@pytest.mark.parametrize("name", ["plans.pkl", "all/model_final_checkpoint.model.pkl"])
def test_the_first_version_is_named_as_such(store, tmp_path, name):
    place = tmp_path / "old" / "3d_fullres" / name
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x")
    with pytest.raises(ModelError, match="nnU-Net v1"):
        store.import_model(tmp_path / "old")
    with pytest.raises(ModelError, match="nnU-Net v1"):
        store.import_model(packed(tmp_path / "old.zip", files_of(tmp_path / "old")))


def test_a_message_names_five_tensors_at_most(model, store):
    saved(model, lambda content: content.update(network_weights={
        f"{name}x": tensor for name, tensor in content["network_weights"].items()}))
    with pytest.raises(ModelError, match="do not fit") as caught:
        store.import_model(model / "fold_0")
    missing = str(caught.value).split("missing: ")[1].split(";")[0]
    assert missing.count(",") == 4 and "more" in missing


def test_folders_of_any_letters_and_length_are_read_and_written(model, tmp_path):
    here = tmp_path / "Müller 患者 ☃"
    for _ in range(1 if os.name == "nt" else 4):  # Windows allows 260 characters, unless its settings say otherwise
        here = here / ("långt namn " * 4).strip()
    shutil.copytree(model, here / "模型")
    store = ModelStore(shipped=tmp_path / "none", cache=here / "кэш")
    assert store.import_model(here / "模型", identifier="one").id == "one"
    archive = packed(here / "модель.zip", files_of(model, "größe/"))
    assert store.import_model(archive, identifier="two").id == "two"
    store.verify("one")
    store.verify("two")
