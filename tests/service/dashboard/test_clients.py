"""The page Clients: what programs may do through the gateway, what they did, and what they were denied."""

import redis

from tests.support.dashboard import visiting, words
from workers.store.client import Store
from workers.store.client_figures import note_call
from workers.store.fleet import Presence, Process, RunningClient

PAGE = "/dashboard/acme/clients"
REPORTING = RunningClient(name="reporting", allow=("tickets:read",), priority="bulk", categories=("Billing", 4))


def test_no_client_is_explained(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "vera") as visitor:
        assert "[clients.NAME]" in words(visitor.get(PAGE))
        assert visitor.api("/accounts/acme/clients").json() == {"items": []}


def test_permissions_calls_and_denials_are_shown(valkey_url: str, store: redis.Redis) -> None:
    gateway = Process(name="g", part="gateway", version="0", host="g", pid=1, clients=(REPORTING,))
    Presence(store, gateway).beat()
    with Store(store) as opened:
        opened.run(note_call("acme", "reporting", "done", "read", "ticket 1"))
        opened.run(note_call("acme", "reporting", "denied", "reply", "ticket 1", denial="<b>needs tickets:reply"))
        opened.run(note_call("acme", "gone", "done", "read", "ticket 2"))
    with visiting(valkey_url, "vera") as visitor:
        answer = visitor.get(PAGE)
        text = words(answer)
        assert "reporting tickets:read only in Billing, 4 bulk 2" in text
        assert "ago <b>needs tickets:reply" in text
        assert "<b>" not in answer.text
        assert "gone not in a running gateway" in text
        gone, reporting = visitor.api("/accounts/acme/clients").json()["items"]
        assert (gone["name"], gone["settings"]) == ("gone", None)
        assert reporting["settings"]["allow"] == ["tickets:read"]
        assert reporting["figures"]["calls"] == {"done": 1, "denied": 1}
