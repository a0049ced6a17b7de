"""The page Alerts: what is on, what people are told of, and a test message."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.demo import free_ports
from tests.support.dashboard import Visitor, visiting, words
from workers.alerts.watchman import Watchman
from workers.settings import load
from workers.store.audit import read_audit
from workers.store.keys import Keys

ALERT = '[[alert]]\nwhen = "no-workers"\nto = "slack:env:SLACK"\n'


@pytest.fixture
def path() -> str:
    return "/dashboard/alerts"


@pytest.fixture
def slack() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}/key"


@pytest.fixture
def admin(valkey_url: str, store: redis.Redis, slack: str, tmp_path: Path) -> Iterator[Visitor]:
    file = tmp_path / "foxhooks.toml"
    file.write_text(ALERT)
    with visiting(valkey_url, "ada", FOXHOOKS_CONFIG=str(file), SLACK=slack) as visitor:
        yield visitor


def test_alerts_that_are_on_are_shown(admin: Visitor, store: redis.Redis, tmp_path: Path, path: str) -> None:
    text = words(admin.get(path))
    assert "No alert is on." in text
    assert "no-workers every account slack (SLACK)" in text
    store.set(Keys("acme").store_epoch, 1)
    environ = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "x" * 9, "SLACK": "http://127.0.0.1:9/"}
    Watchman(store, load("web", environ, tmp_path), "web-1").look()
    text = words(admin.get(path))
    assert "no-workers No worker runs: deliveries are stored and wait, no handler runs." in text
    assert "not yet: see the logs" in text
    [alert] = admin.api("/alerts").json()["items"]
    assert (alert["when"], alert["text"][:14]) == ("no-workers", "no worker runs")


def test_an_admin_sends_a_test_message(admin: Visitor, store: redis.Redis, slack: str, path: str) -> None:
    admin.get(path)
    answer = admin.post(path)
    assert "Not sent: slack (SLACK): ConnectError." in words(answer)
    assert slack not in answer.text
    [line] = read_audit(store, ["acme"]).items
    assert (line.who, line.what, line.object) == ("ada", "test alerts", "every address")
    assert admin.post(path, headers={"origin": "http://elsewhere"}).status_code == 403


def test_others_cannot_send_one(valkey_url: str, store: redis.Redis, path: str) -> None:
    with visiting(valkey_url, "olga") as visitor:
        text = words(visitor.get(path))
        assert "No alert is set here." in text
        assert "Send a test message" not in text
        assert visitor.post(path).status_code == 403
        assert read_audit(store, ["acme"]).items == ()
    with visiting(valkey_url, "ada") as visitor:
        visitor.get(path)
        assert visitor.post(path).status_code == 400
