"""A fixture for the image's Python environment, built with the lines of the Dockerfile."""

from pathlib import Path

import pytest

from tests.support.deploy import build_image


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of the image's environment. Building it takes about half a minute."""
    return build_image(tmp_path_factory.mktemp("image"))
