"""`meddl evaluate superres`: the gains are those of the method, tables and cards say the same."""

import argparse
import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.evaluation import superres
from meddl.io import save
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve


@pytest.fixture
def data(tmp_path):
    """A sharp volume in the place of a real one."""
    (tmp_path / "brain").mkdir()
    rng = np.random.default_rng(0)
    blobs = gaussian_filter(rng.normal(size=(40, 38, 36)), 2.0) > 0
    volume = 300 * gaussian_filter(blobs.astype(float), 0.6) + 100
    save(Volume.scalar(volume.astype(np.float32), np.eye(4)), tmp_path / "brain" / "chris_t1.nii.gz")
    return tmp_path


def options(data, *more):
    parser = argparse.ArgumentParser()
    superres.add_arguments(parser)
    return parser.parse_args(["--data", str(data), "--out", str(data / "out"), "--device", "cpu", *more])


def test_the_shipped_network_gains_over_cubic_and_the_tables_say_so(data):
    table = superres.run(options(data, "--model", "superres-through-plane"))
    figures = json.loads((data / "out" / "superres.json").read_text(encoding="utf-8"))
    gains = {gain["task"]: gain["gain_db"] for gain in figures["gains"]}
    assert set(gains) == {"x2", "x3", "x4"}
    assert min(gains.values()) > 1.0
    assert len(figures["sha256"]["superres-through-plane"]) == 64
    rows = table.read_text(encoding="utf-8").splitlines()
    assert rows[2] == f"| network, x2 | {gains['x2']:+.2f} | {gains['x2']:+.2f} |"


def test_cases_are_made_coarse_and_noisy_as_stated_and_cubic_is_the_floor(data):
    truth = superres._truths(data, 36)
    (case, (volume, axis)), = truth
    assert (case, axis, volume.shape) == ("chris_t1", 2, (36, 36, 36))
    noisy, target = superres._noisy(volume, 300.0, magnitude=False)
    assert np.std(noisy - target) == pytest.approx(superres.NOISE * 300, rel=0.02)
    task, coarse, floor, target, _ = superres._coarse(volume, {2: 3.0}, 300.0)
    assert (task, coarse.shape, floor.shape, target.shape) == ("x3", (36, 36, 12), (36, 36, 36), (36, 36, 36))
    np.testing.assert_allclose(coarse.spacing_mm, (1, 1, 3))
    made = super_resolve(coarse, SuperResolveConfig(method="cubic", keep_range=False), device="cpu").volume
    np.testing.assert_allclose(made.scalar_data, floor, atol=0.01)


def test_cards_get_the_figures_and_the_mean_and_keep_none_of_other_weights(tmp_path):
    card = tmp_path / "card.json"
    held_out = {"case": "held-out synthetic volumes", "structure": "whole volume", "metric": "m", "value": 1.0,
                "command": "train", "sha256": "ab"}
    earlier = [held_out | {"case": "held-out before", "sha256": "cd"}, held_out | {"case": "old"}]
    card.write_text(json.dumps({"weights": {"sha256": "ab"}, "accuracy": [held_out, *earlier]}))
    gains = [superres.Gain("m", "network", case, "x2", superres.OVER_CUBIC, value, 1.0)
             for case, value in (("a", 2.0), ("b", 3.0))]
    superres._update_card(card, gains, "meddl evaluate superres")
    rows = json.loads(card.read_text())["accuracy"]
    assert [(row["case"], row["value"]) for row in rows] == [
        ("held-out synthetic volumes", 1.0), ("a", 2.0), ("b", 3.0), ("mean", 2.5)]
    assert {row["sha256"] for row in rows} == {"ab"}


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="chris_t1"):
        superres.run(options(tmp_path))
