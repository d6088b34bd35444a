"""Fixtures of the tests of the store of models."""

import pytest
from model_files import model_archive, model_folder

from meddl.models.store.store import ModelStore


@pytest.fixture
def store(tmp_path):
    (tmp_path / "shipped").mkdir()
    return ModelStore(tmp_path / "shipped", tmp_path / "cache" / "Models")


@pytest.fixture
def folder(tmp_path):
    return model_folder(tmp_path / "source", size=200_000)


@pytest.fixture
def archive(tmp_path, folder):
    return model_archive(tmp_path / "tiny.zip", folder)
