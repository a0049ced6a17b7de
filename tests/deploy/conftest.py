"""The image's Python environment, built by the Dockerfile's own lines."""

from pathlib import Path

import pytest

from tests.support.deploy import build_image


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of the environment the image has; building it takes about half a minute."""
    return build_image(tmp_path_factory.mktemp("image"))
