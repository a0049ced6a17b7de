"""The image's Python environment, built by the Dockerfile's own lines."""

from pathlib import Path

import pytest

from tests.support.deploy import build_image


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of the environment the image has; built once, in about half a minute."""
    return build_image(tmp_path_factory.mktemp("image"))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that need the image in one xdist worker, so that it is built once."""
    for item in items:
        if "image" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("image"))
