"""Values of configurations: what is refused as one is made, and what `help` says."""

import numpy as np
import pytest

import meddl
from meddl.core.config import (
    REGISTER_PRESETS,
    RegisterConfig,
    SegmentConfig,
    SuperResolveConfig,
    registration_config,
)
from meddl.core.errors import InputError


@pytest.mark.parametrize("wrong", [
    {"deformable_levels_mm": (4.0, -1.0)}, {"deformable_iterations": ()}, {"deformable_iterations": (0, 0)},
    {"deformable_iterations": (1.5,)}, {"correlation_radius_voxels": 0}, {"step_voxels": 0.0}, {"step_voxels": 2.0},
    {"field_smoothing_voxels": -1.0}, {"gradient_smoothing_voxels": float("nan")}, {"convergence_threshold": -1.0},
    {"transform_type": "spline"}, {"metric": "ssd"}, {"levels_mm": ()}, {"samples": 1}, {"search_rotations": -1},
    {"symmetric": "yes"}, {"iterations": True}, {"iterations": 2.5}, {"levels_mm": 4.0}, {"metric": None},
    {"landmark_weight": None}, {"levels_mm": ("a",)}])
def test_impossible_values_of_a_registration_are_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        RegisterConfig(**wrong)


@pytest.mark.parametrize(("config_class", "wrong"), [
    (SuperResolveConfig, {"axis": 3}), (SuperResolveConfig, {"axis": -1}), (SuperResolveConfig, {"axis": "k"}),
    (SuperResolveConfig, {"method": "magic"}), (SuperResolveConfig, {"factor": float("inf")}),
    (SuperResolveConfig, {"adversarial_strength": 2.0}), (SuperResolveConfig, {"keep_type": 1}),
    (SegmentConfig, {"modality": "PET"}), (SegmentConfig, {"atlas_label_maps": -1}),
    (SegmentConfig, {"overlap": "half"}), (SegmentConfig, {"structures": (1.5,)}), (SegmentConfig, {"structures": 4})])
def test_impossible_values_of_the_other_verbs_are_refused_by_name(config_class, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        config_class(**wrong)


def test_a_refusal_names_the_choices_and_the_closest_one():
    with pytest.raises(InputError, match=r"metric is one of auto, nmi, mi, lncc, mind; got 'ncc'. Similar: lncc"):
        RegisterConfig(metric="ncc")
    with pytest.raises(InputError, match="samples is at least 100; got 5"):
        RegisterConfig(samples=5)
    with pytest.raises(InputError, match="step_voxels is 0.001 to 0.5; got 2"):
        RegisterConfig(step_voxels=2)


def test_values_of_the_same_meaning_are_taken():
    config = RegisterConfig(levels_mm=[8, np.float32(4)], samples=np.int64(500), metric="NMI", symmetric=np.bool_(True))
    assert config == RegisterConfig(levels_mm=(8.0, 4.0), samples=500, metric="nmi", symmetric=True)
    assert type(config.samples) is int and type(config.symmetric) is bool
    assert SegmentConfig(modality="ct").modality == "CT"
    assert SegmentConfig(structures="liver, left kidney", folds=(0, 1)) == SegmentConfig(
        structures=("liver", "left kidney"), folds=("0", "1"))


@pytest.mark.parametrize("name", ["Deformable multi-modal", "deformable multi-modal", "DEFORMABLE_MULTI-MODAL",
                                  "deformable-multi-modal"])
def test_a_preset_is_found_in_any_case(name):
    assert RegisterConfig.from_preset(name) == REGISTER_PRESETS["Deformable multi-modal"]
    assert RegisterConfig.from_preset(name, bins=16, stall=0.0).bins == 16


def test_a_preset_that_is_not_there_is_answered_with_the_closest_one():
    with pytest.raises(InputError, match="Similar: Deformable"):
        RegisterConfig.from_preset("deformabel")
    with pytest.raises(InputError, match="configuration or a preset"):
        registration_config(RegisterConfig(), "rigid")
    with pytest.raises(InputError, match="`config` is a meddl.RegisterConfig; got str"):
        registration_config("deformable", None)


@pytest.mark.parametrize("config_class", [SegmentConfig, RegisterConfig, SuperResolveConfig])
def test_help_has_every_field_with_its_text(config_class):
    text = " ".join(config_class.__doc__.split())
    for name, field in config_class.__dataclass_fields__.items():
        assert f"{name} (default {field.default!r}): {' '.join(field.metadata['help'].split())}" in text
        assert all(choice in text for choice in field.metadata.get("choices", ()))


def test_a_verb_refuses_what_is_no_configuration():
    volume = meddl.Volume.scalar(np.zeros((4, 4, 4)), np.eye(4))
    for verb, arguments in ((meddl.segment, (volume, "brain")), (meddl.register, (volume, volume)),
                            (meddl.super_resolve, (volume,))):
        with pytest.raises(InputError, match="`config` is a meddl"):
            verb(*arguments, {"metric": "mi"})
