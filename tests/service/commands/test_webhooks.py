"""webhooks: what a person sees of refused signatures, keys, hosts and misdirected requests; the same in status."""

from pathlib import Path

import pytest
import redis

from service.commands.webhooks import describe_misdirected
from service.reading.webhooks import Problem, problems, shared_keys
from tests.support.commands import KEYS, printed, refused, run, shown, take_in
from tests.support.stores import untyped
from workers.settings import Settings, load
from workers.store.client import store_time
from workers.store.refusals import Misdirected, Noted, Notes
from workers.webhook.signature import label_of

pytestmark = pytest.mark.usefixtures("web_settings")

NEW, OLD = label_of(b"new-secret"), label_of(b"test-secret")


def note(store: redis.Redis, *, at: int | None = None) -> None:
    """Note a refused signature, the use of a key, and a misdirected request."""
    notes = Notes()
    notes.cause("acme", "quotes-there")
    notes.key("acme", OLD)
    notes.misdirected("unknown-account", "POST /webhooks/acmee")
    for command in notes.commands(at or store_time(store)):
        store.execute_command(*command)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("command", ["status", "webhooks"])
def test_refused_and_misdirected_requests_are_shown(store: redis.Redis, command: str) -> None:
    note(store)
    text = printed(command)
    assert "signature refused: the key in HappyFox has quotes around it (1 delivery, last 0 s ago)" in text
    assert "Not received: 1 request for an account that is not configured here, last 0 s ago." in text
    assert "POST /webhooks/acmee, 0 s ago; did you mean /webhooks/acme?" in text


def test_the_programs_get_the_same(store: redis.Redis) -> None:
    note(store)
    found = shown("status")
    assert found["misdirected"]["examples"].keys() == {"POST /webhooks/acmee"}
    assert found["accounts"][0]["webhooks"]["causes"]["quotes-there"]["count"] == 1
    assert shown("webhooks")["accounts"]["acme"] == found["accounts"][0]["webhooks"]


def test_status_leaves_out_what_is_old_or_in_order(store: redis.Redis) -> None:
    note(store, at=store_time(store) - 2 * 86_400_000)
    text = run("status").stdout
    assert "signature refused" not in text
    assert "signing key" not in text
    assert "signature refused" in run("webhooks").stdout


def test_status_says_which_of_several_keys_was_used(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "new-secret,test-secret")
    note(store)
    text = printed("status")
    assert f"key 1 ({NEW}), not used in the last 30 days" in text
    assert f"key 2 ({OLD}), last used 0 s ago" in text
    assert "-secret" not in text


def test_a_key_that_is_not_in_the_settings_is_shown_by_its_label(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(store)
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "new-secret")
    assert f"another key ({OLD}), last used 0 s ago" in printed("status")


def test_status_points_to_the_quarantine(store: redis.Redis) -> None:
    take_in(store)
    assert "1. See `foxhooks dead list --quarantine`." in printed("status")


def test_learned_hosts_are_shown_and_forgotten(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPPYFOX_URL", "https://acme.happyfox.com")
    assert "links lead to acme.happyfox.com (from the settings)" in printed("webhooks")
    now = store_time(store)
    untyped(store).hset(KEYS.hosts, mapping={"help.acme.example": now, "wrong.example": now - 7_200_000})
    text = printed("status")
    assert "wrong.example (learned 2 h ago), help.acme.example (learned 0 s ago)" in text
    assert run("webhooks", "--forget-host", "wrong.example").stdout.startswith("Forgotten: wrong.example.")
    assert untyped(store).hkeys(KEYS.hosts) == [b"help.acme.example"]
    assert "no such host" in refused("webhooks", "--forget-host", "wrong.example")


@pytest.mark.parametrize(
    ("example", "end"),
    [
        ("POST /foxhooks/webhooks/acme", "remove the part before /webhooks from the URL, or let the proxy remove it"),
        ("POST /webhooks/acmee/created", "did you mean /webhooks/acme/created?"),
        ("POST /webhooks/nobody", "the URL is /webhooks/ACCOUNT"),
        ("POST /", "the URL is /webhooks/ACCOUNT"),
        ("PUT /webhooks/acme", ""),
    ],
)
def test_a_misdirected_request_gets_a_suggestion(example: str, end: str) -> None:
    found = Misdirected({"unknown-path": Noted(1, 0)}, {example: 0})
    assert list(describe_misdirected(found, ["acme", "beta"], 0))[1] == f"  {example}, 0 s ago{end and f'; {end}'}"


TWO_ACCOUNTS = """
[accounts.acme]
webhook_secrets = ["one-secret", "two-secret"]
[accounts.beta]
webhook_secrets = ["two-secret"]
"""


def test_accounts_that_share_a_key_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text(TWO_ACCOUNTS)
    (found,) = shared_keys(load("web", {}, tmp_path))
    assert (found.is_error, "acme and beta share a signing key" in found.text) == (False, True)
    assert "two-secret" not in found.text + found.fix


@pytest.fixture
def settings(tmp_path: Path, valkey_url: str) -> Settings:
    environ = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "test-secret", "REDIS_URL": valkey_url}
    return load("web", environ, tmp_path)


def found_now(store: redis.Redis, settings: Settings) -> list[Problem]:
    return list(problems(store, settings, store_time(store)))


def test_a_proven_cause_is_an_error_until_a_delivery_is_accepted(store: redis.Redis, settings: Settings) -> None:
    assert found_now(store, settings) == []
    note(store, at=store_time(store) - 1000)
    refused, misdirected = found_now(store, settings)
    assert (refused.is_error, misdirected.is_error) == (True, False)
    assert "quotes" in refused.text
    take_in(store)
    assert [each.is_error for each in found_now(store, settings)] == [False, False, False]


def test_a_cause_that_a_stranger_can_make_is_a_warning(store: redis.Redis, settings: Settings) -> None:
    notes = Notes()
    notes.cause("acme", "unknown")
    for command in notes.commands(store_time(store)):
        store.execute_command(*command)  # type: ignore[no-untyped-call]
    assert [each.is_error for each in found_now(store, settings)] == [False]
