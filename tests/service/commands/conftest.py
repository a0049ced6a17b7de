"""The settings that commands find."""

from pathlib import Path

import pytest


@pytest.fixture
def web_settings(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is the current one, with a web process's settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", "acme")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")


@pytest.fixture
def worker_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's settings too."""
    monkeypatch.setenv("HAPPYFOX_URL", "https://acme.example")
    monkeypatch.setenv("HAPPYFOX_API_KEY", "test-key")
    monkeypatch.setenv("HAPPYFOX_AUTH_CODE", "test-code")
    monkeypatch.setenv("HAPPYFOX_STAFF_ID", "7")
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "quiet:router")
