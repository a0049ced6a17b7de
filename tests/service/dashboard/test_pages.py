"""The pages: what each shows of the store, and what its buttons do."""

import pytest
import redis

from tests.support.commands import take_in
from tests.support.dashboard import visiting, words
from tests.support.intake import P
from tests.support.stores import untyped
from workers.store.keys import WORKERS


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


def test_the_twenty_first_live_page_is_refused(
    valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.dashboard.live.MOST", 0)
    with visiting(valkey_url, "ada") as visitor:
        answer = visitor.get("/dashboard/acme/live")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


def test_a_stream_shows_the_page_and_ends(valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.dashboard.live.LONGEST", 0)
    take_in(store)
    with visiting(valkey_url, "vera") as visitor:
        for path in ("/dashboard/live", "/dashboard/acme/live", "/dashboard/acme/tickets/3/live"):
            answer = visitor.get(path)
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.text.startswith("retry: 2000\n\ndata: ")
        assert "waiting event" in words(answer)


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
