"""A whole environment, and ways to load it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.settings import WHOLE, Loaded, Refused
from workers.settings import Part, SettingProblem, Settings, SettingsError, load


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Loads a whole environment with changes (None removes a variable), and a file if one is given."""

    def call(changes: Mapping[str, str | None] | None = None, toml: str | None = None, part: Part = "all") -> Settings:
        return load(part, changed(WHOLE, changes or {}), written(tmp_path, toml))

    return call


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """The problems of a whole environment with changes."""

    def call(
        changes: Mapping[str, str | None] | None = None, toml: str | None = None, part: Part = "all"
    ) -> list[SettingProblem]:
        with pytest.raises(SettingsError) as caught:
            load(part, changed(WHOLE, changes or {}), written(tmp_path, toml))
        return list(caught.value.problems)

    return call


def changed(environ: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**environ, **changes}.items() if value is not None}


def written(folder: Path, toml: str | None) -> Path:
    if toml is not None:
        (folder / "foxhooks.toml").write_text(toml, encoding="utf-8")
    return folder
