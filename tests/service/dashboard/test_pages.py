"""The pages: what each shows of the store, and what its buttons do."""

import re

import pytest
import redis

from service.dashboard.pages import CLASSES
from tests.support.commands import take_in
from tests.support.dashboard import visiting, words
from tests.support.intake import P
from tests.support.processes import ROOT
from tests.support.stores import untyped
from workers.settings import Budget
from workers.store.audit import By
from workers.store.client import Store, store_time
from workers.store.fleet import Presence, Process, RunningAccount
from workers.store.keys import WORKERS, Keys
from workers.store.pauses import Pause, pause


def test_the_accounts_are_listed_with_their_state(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "vera") as visitor:
        assert "acme No worker runs: deliveries are stored and wait, no handler runs. 0" in words(
            visitor.get("/dashboard/")
        )
        seconds, _ = untyped(store).time()
        store.hset(WORKERS, "a-worker", seconds * 1000)
        take_in(store)
        text = words(visitor.get("/dashboard/"))
        assert "acme Works. 2 0 s 0 0 s ago" in text
        assert "1 worker alive." in text


def test_now_shows_what_waits(valkey_url: str, store: redis.Redis) -> None:
    take_in(store)
    with visiting(valkey_url, "vera") as visitor:
        text = words(visitor.get("/dashboard/acme"))
        assert "Due now Lanes 2 of 2 lanes Oldest waits" in text
        assert "accepted 2" in text
        assert "refused, bad-signature 2" in text


def test_the_account_is_paused_and_resumed(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "olga") as visitor:
        visitor.get("/dashboard/acme")
        done = visitor.post("/dashboard/acme/pause")
        assert done.headers["location"] == "/dashboard/acme?done=paused"
        text = words(visitor.get(done.headers["location"]))
        assert "Paused. New events are queued until you resume." in text
        assert "The account acme is paused since" in text
        assert "by olga: new events are queued." in text
        assert "Resume the account" in text
        assert visitor.post("/dashboard/acme/resume").headers["location"] == "/dashboard/acme?done=resumed"
        assert not store.hexists(P + "paused", "account")
        assert visitor.post("/dashboard/acme/resume").headers["location"] == "/dashboard/acme?done=not-paused"


def test_an_unknown_account_or_page_is_not_found(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as visitor:
        answer = visitor.get("/dashboard/acmee")
        assert (answer.status_code, "did you mean 'acme'?" in words(answer)) == (404, True)
        assert visitor.get("/dashboard/acme/nothing").status_code == 404
        assert visitor.get("/dashboard/acme/pause").status_code == 405
        assert visitor.post("/dashboard/acmee/pause").status_code == 404


def test_an_address_cannot_put_words_on_a_page(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as visitor:
        assert "Call this number" not in visitor.get("/dashboard/acme?done=Call this number").text


def test_a_sweep_begins_now(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "olga") as visitor:
        assert "A delivery has announced every change." in words(visitor.get("/dashboard/acme/completeness"))
        done = visitor.post("/dashboard/acme/sweep")
        assert done.headers["location"] == "/dashboard/acme/completeness?done=sweeps"
        assert "sweep account" in words(visitor.get("/dashboard/audit"))


def test_a_page_names_the_keys_that_it_cannot_read(valkey_url: str, store: redis.Redis) -> None:
    store.hset(P + "counts", "accepted", "junk")
    with visiting(valkey_url, "olga") as visitor:
        page, answer = visitor.get("/dashboard/acme"), visitor.api("/status")
    assert (page.status_code, answer.status_code) == (500, 500)
    assert f"What the key {P}counts has in the store cannot be read" in words(page)
    assert f"the key {P}counts has in the store" in answer.json()["error"]


def run_worker(store: redis.Redis) -> int:
    """Let a worker be alive; return the store's time (ms)."""
    budget = Budget(gets=1, posts=1, window=60.0, lockout=600.0, share=0.9, in_flight=8)
    process = Process(
        name="w", part="worker", version="1", host="h", pid=1, accounts={"acme": RunningAccount(budget=budget)}
    )
    Presence(store, process).beat()
    return store_time(store)


def test_the_first_line_names_the_handler_that_fails_and_leads_to_its_tickets(
    valkey_url: str, store: redis.Redis
) -> None:
    minute = run_worker(store) // 60_000
    store.hset(f"{P}stats:minute:{minute}", "handler retrying vip.reopen", 5)
    with visiting(valkey_url, "vera") as visitor:
        page, accounts = visitor.get("/dashboard/acme"), visitor.get("/dashboard/")
        assert "A handler fails: vip.reopen (5 of 5 runs) in the last hour. Correct it" in words(page)
        assert "Works." not in words(page)
        assert 'href="/dashboard/acme/events?handler=vip.reopen&amp;state=failed">Failed events</a>' in page.text
        assert "acme A handler fails: vip.reopen" in words(accounts)


@pytest.mark.parametrize("scope", [("account", ""), ("router", "vip"), ("ticket", "7")])
def test_a_pause_leads_to_the_page_that_ends_it(valkey_url: str, store: redis.Redis, scope: tuple[str, str]) -> None:
    now = run_worker(store)
    Store(store).run(pause("acme", *scope, Pause(now, "ada")))  # type: ignore[arg-type]
    page = {"account": "lanes?state=paused", "router": "handlers", "ticket": "tickets/7"}[scope[0]]
    with visiting(valkey_url, "vera") as visitor:
        text = visitor.get("/dashboard/acme").text
        assert f'href="/dashboard/acme/{page}">' in text
        assert "foxhooks resume" not in text


def test_no_time_is_promised_while_nobody_knows_it(valkey_url: str, store: redis.Redis) -> None:
    now = run_worker(store)
    take_in(store)
    with visiting(valkey_url, "vera") as visitor:
        assert "done in about" in words(visitor.get("/dashboard/acme"))
        store.hset(Keys("acme").gate, mapping={"state": "denied", "why": "denied", "until": str(now + 16_000)})
        text = words(visitor.get("/dashboard/acme"))
        assert "no calls are possible now" in text
        assert "done in about" not in text
        assert "waits until calls are possible" in words(visitor.get("/dashboard/acme/budget"))
        store.delete(Keys("acme").gate)
        Store(store).run(pause("acme", "account", "", Pause(now, "ada")))
        assert "for the end of the pause" in words(visitor.get("/dashboard/acme"))


def test_a_pause_is_shown_with_its_reason(valkey_url: str, store: redis.Redis) -> None:
    Store(store).run(pause("acme", "account", "", Pause(store_time(store), "ada"), By("ada", why="the CRM is down")))
    with visiting(valkey_url, "vera") as visitor:
        text = words(visitor.get("/dashboard/acme"))
    assert "by ada (the CRM is down)" in text[text.index("Pauses") :]
    assert "UTC by ada (the CRM is down): new events are queued" in text


def test_the_budget_lists_every_class_with_the_share_that_the_store_enforces(
    valkey_url: str, store: redis.Redis
) -> None:
    text = (ROOT / "workers" / "store" / "lua" / "permits.lua").read_text()
    (table,) = re.findall(r"local SHARES = {(.+?)}", text, re.DOTALL)
    enforced = {name.strip("[]'"): float(share) for name, share in re.findall(r"([\w\['\]-]+) = ([\d.]+)", table)}
    del enforced["first"]  # the first call of a turn, whatever its class is
    assert {name.replace("Clients, ", "client-").lower(): share for name, _, share in CLASSES} == enforced
    run_worker(store)
    with visiting(valkey_url, "vera") as visitor:
        assert all(name in words(visitor.get("/dashboard/acme/budget")) for name, _, _ in CLASSES)


def test_a_ticket_that_waits_for_a_pause_has_no_time(valkey_url: str, store: redis.Redis) -> None:
    store.zadd(Keys("acme").schedule, {"7": store_time(store) + 82_800_000})
    store.sadd(Keys("acme").waiting_for_resume, "7")
    with visiting(valkey_url, "vera") as visitor:
        text = words(visitor.get("/dashboard/acme/lanes?state=paused"))
    assert "7 when the pause ends" in text
    assert "in 22 h" not in text


def test_signatures_say_since_when_none_is_right(valkey_url: str, store: redis.Redis) -> None:
    now, keys = store_time(store), Keys("acme")
    store.hset(keys.refusals, mapping={"unknown": 4, "unknown@": now - 60_000})
    with visiting(valkey_url, "vera") as visitor:
        assert "Most likely another key, or a stranger guess" in words(visitor.get("/dashboard/acme/signatures"))
        store.hset(keys.counts, mapping={"refused:bad-signature": 4, "refused:bad-signature:at": now - 60_000})
        store.hset(keys.counts, mapping={"accepted": 9, "accepted:at": now - 3_700_000})
        text = words(visitor.get("/dashboard/acme/signatures"))
    assert "No delivery has been accepted for 1 h: the signing key is most likely wrong" in text
    assert "Most likely another key guess" in text


def test_the_headline_is_about_the_account_before_the_deployment(valkey_url: str, store: redis.Redis) -> None:
    now = run_worker(store)  # its version differs from that of the web process
    store.zadd(Keys("acme").schedule, {"7": now - 180_000})
    with visiting(valkey_url, "vera") as visitor:
        assert "acme 1 ticket is due, the oldest for 3 min" in words(visitor.get("/dashboard/"))
        assert "Processes have different versions" in words(visitor.get("/dashboard/acme"))
