"""What programs of version 0.1.0 import is still there under its old name."""

import importlib
import pickle

import pytest

from meddl.core.old_names import MOVED


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
