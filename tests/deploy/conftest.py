"""Fixtures for the image, and for its Python environment alone."""

from pathlib import Path

import pytest

from tests.support.deploy import build_container, build_image


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what needs the image to `make e2e`."""
    for item in items:
        if {"image", "container"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of the image's environment. Building it takes about half a minute."""
    return build_image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of the image, built with buildah. Building it takes about a minute."""
    return build_container(tmp_path_factory.mktemp("container"))
