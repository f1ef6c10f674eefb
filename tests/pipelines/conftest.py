"""Ray is imported with the settings of nrray in every test of this folder."""

from pathlib import Path

import pytest

import nrray.pipelines.on_ray  # noqa: F401
from tests.pipelines.training_support import make_annotated_archive


@pytest.fixture(scope="session")
def annotated_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_annotated_archive(tmp_path_factory.mktemp("annotated"))
