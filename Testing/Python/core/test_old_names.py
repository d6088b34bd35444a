"""Names of version 0.1.0, of modules and of configuration fields, still work."""

import argparse
import importlib
import pickle
from dataclasses import fields, replace

import pytest

from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig, old_names
from meddl.core.old_names import MOVED
from meddl.core.progress import early_stop_of, span
from meddl.models.recipes import parse_recipe
from meddl.spatial.transform import Transform
from meddl.synthesis.config import SynthesisConfig
from meddl.training.segmentation.train import add_arguments


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_is_the_module_of_today(old):
    now = importlib.import_module(MOVED[old])
    assert importlib.import_module(old) is now
    assert now.__name__ == now.__spec__.name == MOVED[old]


def test_what_came_by_an_old_name_is_what_came_by_the_new_one():
    import meddl.core.errors
    from meddl.config import REGISTER_PRESETS, SegmentConfig
    from meddl.errors import InputError
    from meddl.volume import Volume

    assert (SegmentConfig, InputError, Volume) == (meddl.SegmentConfig, meddl.core.errors.InputError, meddl.Volume)
    assert pickle.loads(pickle.dumps(REGISTER_PRESETS["Deformable"])) == REGISTER_PRESETS["Deformable"]


OF_0_1_0 = {
    SegmentConfig: {"atlas_heads": 2},
    RegisterConfig: {"transform": "affine", "capture": "off", "start": "given", "landmark_reach_mm": 5.0, "stall": 0.5},
    SynthesisConfig: {"prior_share": 0.1, "anisotropic_share": 0.2, "crop_share": 0.3, "stripped_share": 0.4,
                      "dark_background_share": 0.5, "clip_share": 0.6, "mirror_share": 0.7},
}


@pytest.mark.parametrize("config_class", [*OF_0_1_0, SuperResolveConfig])
def test_old_names_stand_for_fields_of_today_and_are_none_themselves(config_class):
    names = old_names(config_class)
    assert set(names) == set(OF_0_1_0.get(config_class, {}))
    assert not set(names) & {field.name for field in fields(config_class)}


@pytest.mark.parametrize("config_class", OF_0_1_0)
def test_a_configuration_is_made_changed_and_read_by_its_old_names(config_class):
    values = OF_0_1_0[config_class]
    config = config_class(**values)
    assert config == config_class(**{old_names(config_class)[name]: value for name, value in values.items()})
    assert config == replace(config_class(), **values) == pickle.loads(pickle.dumps(config))
    assert {name: getattr(config, name) for name in values} == values


def test_an_unknown_name_is_refused():
    with pytest.raises(TypeError, match="stop"):
        RegisterConfig(stop=1)


def test_a_callback_ends_early_by_its_old_name():
    def on_progress(fraction, message): ...

    on_progress.enough = lambda: True
    assert early_stop_of(on_progress)() and span(on_progress, 0, 1).should_stop()


def test_a_recipe_of_an_old_card_is_read():
    recipe = {"inputs": ["MR"], "orientation": None, "steps": [], "networks": ["one"],
              "windows": {"patch_voxels": [8, 8, 8], "sigma_share": 0.2}, "output": {"kind": "classes", "values": [1]}}
    assert parse_recipe(recipe).windows.sigma_scale == 0.2


def test_an_option_of_training_is_taken_by_its_old_name():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    required = ["--data", "labelmaps", "--out", "run"]
    assert parser.parse_args(required).locator_fraction == 0.1
    assert parser.parse_args([*required, "--locator-share", "0"]).locator_fraction == 0


def test_transforms_have_their_old_methods():
    assert Transform.flattened is Transform.flatten and Transform.exchanged is Transform.exchange
