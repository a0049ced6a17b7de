"""Live pages: what their streams carry, and how many may be open."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import redis

from service.dashboard.live import PER_SESSION, PER_USER
from tests.support.commands import take_in
from tests.support.dashboard import PASSWORD, served, visiting, words

LIVE = "/dashboard/acme/live"


@contextmanager
def session(url: str, user: str) -> Iterator[httpx.Client]:
    """Let a user log in."""
    with httpx.Client(base_url=url, trust_env=False) as http:
        csrf = re.findall(r'name="csrf" value="(.+?)"', http.get("/dashboard/login").text)[0]
        http.post("/dashboard/login", data={"user": user, "password": PASSWORD, "csrf": csrf})
        yield http


def test_nobody_alone_takes_all_live_pages(valkey_url: str, store: redis.Redis) -> None:
    read: list[Iterator[bytes]] = []
    with served(valkey_url) as url, ExitStack() as streams:

        def watch(http: httpx.Client) -> int:
            answer = streams.enter_context(http.stream("GET", LIVE))
            if answer.status_code == 200:
                read.append(answer.iter_raw())  # to drop it would end the stream
                next(read[-1])  # it counts from its first words
            return answer.status_code

        for _ in range(PER_USER // PER_SESSION):
            ada = streams.enter_context(session(url, "ada"))
            assert {watch(ada) for _ in range(PER_SESSION)} == {200}
            refused = ada.get(LIVE)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
            assert refused.text.startswith("Too many live pages are open by this session.")
            assert ada.get("/dashboard/acme").status_code == 200
        refused = streams.enter_context(session(url, "ada")).get(LIVE)
        assert refused.text.startswith("Too many live pages are open by this user.")
        assert watch(streams.enter_context(session(url, "vera"))) == 200


def test_a_live_page_that_is_closed_makes_room(valkey_url: str, store: redis.Redis) -> None:
    with served(valkey_url) as url, session(url, "ada") as ada:
        for _ in range(2 * PER_SESSION):
            with ada.stream("GET", LIVE) as answer:
                assert answer.status_code == 200
                next(answer.iter_raw())


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
