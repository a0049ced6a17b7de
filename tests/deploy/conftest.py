"""The image's Python environment, built by the Dockerfile's own lines."""

from pathlib import Path

import pytest

from tests.deploy import dockerfile


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of the environment the image has; built once, in about half a minute."""
    return dockerfile.build(tmp_path_factory.mktemp("image"))
