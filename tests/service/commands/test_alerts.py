"""alerts: the list of those that are on, and a test message."""

from pathlib import Path

import pytest
import redis

from service.demo import free_ports
from tests.support.commands import refused, run, shown
from workers.alerts.watchman import Watchman
from workers.settings import load
from workers.store.keys import Keys

pytestmark = pytest.mark.usefixtures("web_settings")


def test_alerts_that_are_on_are_listed(store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("alerts").stdout == "No alert is on.\n"
    monkeypatch.setenv("SLACK", f"http://127.0.0.1:{free_ports(1)[0]}/")
    (tmp_path / "foxhooks.toml").write_text('[[alert]]\nwhen = "no-workers"\nto = "slack:env:SLACK"\n')
    store.set(Keys("acme").store_epoch, 1)
    environ = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "x" * 9, "SLACK": "http://127.0.0.1:9/"}
    Watchman(store, load("web", environ, tmp_path), "web-1").look()
    (state,) = shown("alerts")
    assert (state["when"], state.get("told", 0)) == ("no-workers", 0)
    assert "not yet: see the logs" in run("alerts").stdout


def test_a_test_message_says_where_it_could_not_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no [[alert]] is set" in refused("alerts", "--test")
    monkeypatch.setenv("SLACK", f"http://127.0.0.1:{free_ports(1)[0]}/key")
    (tmp_path / "foxhooks.toml").write_text('[[alert]]\nwhen = "no-workers"\nto = "slack:env:SLACK"\n')
    text = run("alerts", "--test", code=1).stdout
    assert "not sent: slack (SLACK): ConnectError" in " ".join(text.split())
    assert "/key" not in text
