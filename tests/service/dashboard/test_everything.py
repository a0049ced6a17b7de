"""All pages of an account with one of everything: they open, they lead on, and they escape what customers wrote."""

import re
from collections.abc import Iterator

import pytest
import redis

from tests.support.dashboard import Visitor, addresses, visiting, words
from tests.support.sample_store import SampleAccount
from tests.support.stores import untyped
from workers import GiveUp, Router, Ticket
from workers.store.client import Store
from workers.store.figures import pack
from workers.store.fleet import Presence, Process, RunningAccount, RunningHandler, RunningRouter
from workers.store.inbox import accept
from workers.store.records import AccountRecords
from workers.testing.desk import ACCOUNT, SimulatedDeployment

ROUTERS = (RunningRouter("quiet", (RunningHandler("quiet.stay", ("ticket-created",)),), ("reply",)),)


@pytest.fixture
def sample(store: redis.Redis) -> SampleAccount:
    account = SampleAccount(store)
    account.run()
    return account


@pytest.fixture
def visitor(valkey_url: str, sample: SampleAccount) -> Iterator[Visitor]:
    with visiting(valkey_url, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as olga:
        yield olga


def links(page: str) -> set[str]:
    """Return the addresses that a page leads to."""
    found = {link.replace("&amp;", "&") for link in re.findall(r'href="(/dashboard[^"#]*|\?[^"#]*)"', page)}
    return {link for link in found if "/static/" not in link}


def test_every_link_of_every_page_opens(visitor: Visitor) -> None:
    seen: dict[str, int] = {}
    waiting = addresses(ACCOUNT)
    while waiting:
        address = waiting.pop()
        if address not in seen:
            answer = visitor.get(address)
            seen[address] = answer.status_code
            base = address.partition("?")[0]
            waiting += [base + link if link.startswith("?") else link for link in links(answer.text)]
    assert {address: code for address, code in seen.items() if code != 200} == {}
    assert len(seen) > 40
    for part in ("/tickets/", "/dead/", "/events/", "lanes?state=timer"):
        assert any(part in address for address in seen), part


def test_the_story_of_a_ticket_says_what_happened_and_what_is_next(visitor: Visitor, sample: SampleAccount) -> None:
    text = words(visitor.get(f"/dashboard/{ACCOUNT}/tickets/{sample.tickets['settled']}"))
    assert "handler main.handle decided:" in text
    assert "action tag +seen: done" in text
    assert "reminder" in text or "remind" in text
    assert "is paused" in words(visitor.get(f"/dashboard/{ACCOUNT}/tickets/{sample.tickets['paused']}"))
    assert "No webhook received for ticket 999 yet." in words(visitor.get(f"/dashboard/{ACCOUNT}/tickets/999"))
    assert visitor.get(f"/dashboard/{ACCOUNT}/tickets/nothing").status_code == 400
    location = visitor.get(f"/dashboard/{ACCOUNT}/tickets?number=%2312").headers["location"]
    assert location == f"/dashboard/{ACCOUNT}/tickets/12"


def test_a_ticket_is_paused_resumed_and_looked_at(visitor: Visitor, sample: SampleAccount) -> None:
    number = sample.tickets["settled"]
    page = f"/dashboard/{ACCOUNT}/tickets/{number}"
    visitor.get(page)
    assert visitor.post(f"{page}/pause").headers["location"] == f"{page}?done=paused"
    assert "Handlers do not run: the ticket is paused" in words(visitor.get(page))
    assert visitor.post(f"{page}/resume").headers["location"] == f"{page}?done=resumed"
    before = untyped(sample.client).llen(sample.keys.lane(number))
    assert visitor.post(f"{page}/look").headers["location"] == f"{page}?done=looks"
    assert untyped(sample.client).llen(sample.keys.lane(number)) == before + 1
    assert visitor.post(f"/dashboard/{ACCOUNT}/tickets/999/pause").status_code == 404
    audit = words(visitor.get("/dashboard/audit?who=olga"))
    assert [audit.count(f"{what} ticket {number}") for what in ("pause", "resume", "look")] == [1, 1, 1]


def test_events_are_filtered(visitor: Visitor, sample: SampleAccount) -> None:
    def tickets(query: str) -> set[str]:
        page = visitor.get(f"/dashboard/{ACCOUNT}/events?{query}").text
        return set(re.findall(r'data-label="Ticket"><a href="/dashboard/demo/tickets/(\d+)"', page))

    everything, dead = tickets(""), str(sample.tickets["dead"])
    assert {dead, str(sample.tickets["waiting"])} < everything
    assert tickets(f"ticket={dead}") == {dead}
    assert dead in tickets("state=failed")
    assert str(sample.tickets["settled"]) not in tickets("state=failed")
    assert {str(sample.tickets[each]) for each in ("locked", "waiting")} < tickets("state=waiting") < everything
    assert tickets("source=schedule") < everything
    assert tickets("handler=main.handle") >= {dead}
    assert tickets("handler=nobody") == set()
    assert str(sample.tickets["quiet"]) in tickets("text=QUIET")
    assert visitor.get(f"/dashboard/{ACCOUNT}/events?since=nonsense").status_code == 400
    assert visitor.get(f"/dashboard/{ACCOUNT}/events?ticket=x").status_code == 400


def test_a_made_up_cursor_is_refused(visitor: Visitor) -> None:
    for path in (f"/{ACCOUNT}/events", "/audit"):
        for cursor in ("x", "x@y", "1@", "@", "9" * 400, "-1@x", "1-x@demo"):
            assert visitor.get(f"/dashboard{path}?cursor={cursor}").status_code in (200, 400), (path, cursor)
            assert visitor.get(f"/dashboard{path}?cursor={cursor}").status_code != 503
        assert visitor.get(f"/dashboard{path}?cursor=x@y").status_code == 400
    assert visitor.api(f"/accounts/{ACCOUNT}/events?cursor=x@y").status_code == 400


def test_a_body_is_for_operators(visitor: Visitor, valkey_url: str, sample: SampleAccount) -> None:
    [waiting] = [
        event.decode() for event in untyped(sample.client).lrange(sample.keys.lane(sample.tickets["waiting"]), 0, 0)
    ]
    assert "ticket_id" in visitor.get(f"/dashboard/{ACCOUNT}/events/{waiting}").text
    with visiting(valkey_url, "vera", HAPPYFOX_ACCOUNT=ACCOUNT) as vera:
        page = vera.get(f"/dashboard/{ACCOUNT}/events/{waiting}").text
        assert "ticket_id" not in page
        assert "Bodies are for operators." in page
        assert vera.get(f"/dashboard/{ACCOUNT}/events?text=a").status_code == 403


def test_routers_are_paused(visitor: Visitor, sample: SampleAccount) -> None:
    process = Process(
        name="w", part="worker", version="0", host="w", pid=1, accounts={ACCOUNT: RunningAccount(routers=ROUTERS)}
    )
    Presence(sample.client, process).beat()
    text = words(visitor.get(f"/dashboard/{ACCOUNT}/handlers"))
    assert "quiet paused" in text
    assert "may reply" in text
    assert "quiet.stay ticket-created" in text
    assert visitor.post(f"/dashboard/{ACCOUNT}/handlers/quiet/resume").headers["location"].endswith("?done=resumed")
    assert visitor.post(f"/dashboard/{ACCOUNT}/handlers/quiet/pause").headers["location"].endswith("?done=paused")
    assert visitor.post(f"/dashboard/{ACCOUNT}/handlers/other/pause").status_code == 404


def test_it_is_said_which_handlers_retry_and_which_routers_write(valkey_url: str, store: redis.Redis) -> None:
    counted = {"handler retrying crm.sync": 2, "write crm": 3, "write vip": 1, "call get limited": 4}
    Store(store).run(accept(ACCOUNT, [], 3600, None, pack(counted)))
    running = {ACCOUNT: RunningAccount(routers=ROUTERS)}
    Presence(store, Process(name="w", part="worker", version="0", host="w", pid=1, accounts=running)).beat()
    with visiting(valkey_url, "vera", HAPPYFOX_ACCOUNT=ACCOUNT) as vera:
        text = words(vera.get(f"/dashboard/{ACCOUNT}"))
        assert "crm.sync 2 in the last hour" in text
        assert "crm 3 (75 %) , vip 1 (25 %)" in text
        text = words(vera.get(f"/dashboard/{ACCOUNT}/budget"))
        assert "crm 3 75 % vip 1 25 %" in text
        assert re.search(r"Lockouts of the last 35 days Hour Calls refused \S+ \d\d:00 UTC 4 Who may use it", text)


HOSTILE = "<script>alert('x')</script>"


def test_what_customers_write_is_escaped(valkey_url: str, store: redis.Redis) -> None:
    router = Router("main")

    @router.on("ticket-created")
    def fail(ticket: Ticket) -> None:
        ticket.add_tags(f"tag {HOSTILE}")
        raise GiveUp(f"no contact sam@bigcorp.example {HOSTILE}")

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket(subject=f"subject {HOSTILE}").id
    world.deliver()
    world.settle_down()
    world.receive(b'{"ticket_id": %d, "subject": "%s"}' % (number, HOSTILE.encode()))
    [letter] = AccountRecords(store, ACCOUNT).dead_letters()
    [event] = untyped(store).lrange(f"foxhooks:{{{ACCOUNT}}}:lane:{number}", 0, 0)
    paths = [
        f"/tickets/{number}",
        f"/dead/{letter.id}",
        f"/events/{event.decode()}",
        f"/events?text={HOSTILE}",
        "/dead?error=<b>",
    ]
    for user in ("vera", "olga"):
        with visiting(valkey_url, user, HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
            for address in (*addresses(ACCOUNT), *(f"/dashboard/{ACCOUNT}{path}" for path in paths)):
                page = visitor.get(address).text
                assert "<script>" not in page, address
                assert "<b>" not in page, address
                if user == "vera":
                    assert "sam@bigcorp" not in page, address
    with visiting(valkey_url, "vera", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        assert "s***@bigcorp.example" in visitor.get(f"/dashboard/{ACCOUNT}/dead").text
    with visiting(valkey_url, "olga", HAPPYFOX_ACCOUNT=ACCOUNT) as visitor:
        assert "sam@bigcorp.example" in visitor.get(f"/dashboard/{ACCOUNT}/dead").text
