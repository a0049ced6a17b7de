"""Attachments are stored unchanged, up to 25 MB, and have links that expire and work once."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.happyfox import AUTH, Caller, FakeClock, Files
from workers.simulator import ApiFault, Hook, Simulator
from workers.simulator.ticket_endpoints import ATTACHMENT_LIMIT

TICKET = {"client": "1", "subject": "S", "text": "T", "category": "1"}
UPLOADS: list[tuple[str, dict[str, str]]] = [
    ("tickets/", TICKET),
    ("ticket/1/staff_update/", {"staff": "7", "html": "see file"}),
    ("ticket/1/staff_pvtnote/", {"staff": "7", "html": "see file"}),
    ("ticket/1/user_reply/", {"user": "1", "text": "see file"}),
]


@pytest.fixture
def simulator(simulator: Simulator) -> Simulator:
    simulator.create_ticket()
    return simulator


def attachments(ticket: Any) -> list[dict[str, Any]]:
    return [one for update in ticket["updates"] if update["message"] for one in update["message"]["attachments"]]


def upload(api: Caller, files: Files) -> Any:
    response = api.upload("ticket/1/staff_update/", {"staff": "7"}, files)
    assert response.status == 200, response.body
    return json.loads(response.body)


@pytest.mark.parametrize(("path", "members"), UPLOADS)
def test_every_message_accepts_files_and_returns_them_unchanged(
    api: Caller, path: str, members: dict[str, str]
) -> None:
    files = [
        ("attachments", "Zoë & co/1?.pdf", "application/pdf", b"%PDF\r\n\x00\xff--B\r\n"),
        ("attachments", "a.eml", "message/rfc822", b"Subject: x\r\n\r\n.\r\n"),
    ]
    response = api.upload(path, members, files)
    assert response.status == 200, response.body
    shown = attachments(json.loads(response.body))
    assert [one["filename"] for one in shown] == ["Zoë & co/1?.pdf", "a.eml"]
    for one, (_, _, kind, content) in zip(shown, files, strict=True):
        download = api.follow(one["url"])
        assert (download.status, download.body, download.headers["Content-Type"]) == (200, content, kind)


def test_a_forward_accepts_new_files_and_those_of_the_ticket(api: Caller) -> None:
    upload(api, [("attachments", "a.txt", "text/plain", b"x")])
    body = {"staff_id": 7, "to": "x@y.example", "subject": "s", "ticket_attachments": [1]}
    assert api.post("ticket/1/forward/", body).status == 200
    refused = api.refused("ticket/1/forward/", body | {"ticket_attachments": [99]})
    assert refused["error"][0]["field"] == "ticket_attachments"
    members = {"staff_id": "7", "to": "x@y.example", "subject": "s"}
    assert api.upload("ticket/1/forward/", members, [("attachments", "b", "text/plain", b"y")]).status == 200


def test_files_under_another_name_are_ignored_by_a_lenient_simulator(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, strict=False))
    api.simulator.create_ticket()
    assert attachments(upload(api, [("attachment", "a", "text/plain", b"x")])) == []


def test_a_link_works_once_and_a_new_read_has_a_new_one(api: Caller) -> None:
    upload(api, [("attachments", "a.txt", "text/plain", b"x")])
    (first,), (second,) = (attachments(api.got("ticket/1/")) for _ in range(2))
    assert first["url"] != second["url"]
    assert [api.follow(first["url"]).status for _ in range(2)] == [200, 403]
    assert api.follow(second["url"]).status == 200


def test_a_link_expires_after_five_minutes(api: Caller, clock: FakeClock) -> None:
    upload(api, [("attachments", "a.txt", "text/plain", b"x")])
    early, late = (attachments(api.got("ticket/1/"))[0]["url"] for _ in range(2))
    clock.now += 300
    assert api.follow(early).status == 200
    clock.now += 1
    assert api.follow(late).status == 403
    assert api.follow(attachments(api.got("ticket/1/"))[0]["url"]).status == 200


def test_a_link_uses_no_budget_and_refuses_credentials(api: Caller, simulator: Simulator) -> None:
    url = attachments(upload(api, [("attachments", "a.txt", "text/plain", b"x")]))[0]["url"]
    refused = api.follow(url, {"authorization": AUTH})
    assert (refused.status, refused.headers["Content-Type"]) == (400, "application/xml")
    assert api.follow(url).status == 200
    assert simulator.gate.used("get", simulator.clock()) == 0
    assert not simulator.log[-1].counted


@pytest.mark.parametrize(
    "change", [("serial=", "serial=1"), ("signature=", "signature=0"), ("/1/", "/2/"), ("?", "?x=")]
)
def test_a_forged_link_is_refused(api: Caller, change: tuple[str, str]) -> None:
    upload(api, [("attachments", name, "text/plain", b"x") for name in "ab"])
    url = attachments(api.got("ticket/1/"))[0]["url"]
    assert api.follow(url.replace(*change)).status == 403


def test_the_lifetime_of_links_is_a_switch(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, link_seconds=900, link_uses=0, relative_links=True, links_refuse_credentials=False))
    api.simulator.create_ticket()
    url = attachments(upload(api, [("attachments", "a b.txt", "text/plain", b"x")]))[0]["url"]
    assert url.startswith("/attachments/1/a%20b.txt?")
    clock.now += 899
    assert [api.follow(url, {"authorization": AUTH}).status for _ in range(3)] == [200] * 3


def test_a_fault_can_affect_a_download(api: Caller, simulator: Simulator) -> None:
    url = attachments(upload(api, [("attachments", "a.txt", "text/plain", b"x")]))[0]["url"]
    simulator.faults.add(ApiFault("status", path="attachments/*"))
    assert [api.follow(url).status for _ in range(2)] == [500, 200]


def test_a_fork_keeps_files_and_uses_its_own_links(api: Caller, simulator: Simulator) -> None:
    url = attachments(upload(api, [("attachments", "a.txt", "text/plain", b"x")]))[0]["url"]
    assert Caller(simulator.fork()).follow(url).status == 200
    assert api.follow(url).status == 200


def test_links_use_the_simulators_address(api: Caller, simulator: Simulator) -> None:
    simulator.listens_at("http://127.0.0.1:4711")
    simulator.reset()
    simulator.create_ticket()
    shown = attachments(upload(api, [("attachments", "a", "text/plain", b"x")]))
    assert shown[0]["url"].startswith("http://127.0.0.1:4711/attachments/1/a?")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, ATTACHMENT_LIMIT + 5), min_size=1, max_size=3), st.sampled_from(UPLOADS))
def test_attachments_over_25_mb_together_are_all_refused(sizes: list[int], call: tuple[str, dict[str, str]]) -> None:
    api = Caller(Simulator(FakeClock()))
    api.simulator.create_ticket()
    before = dict(api.simulator.account.tickets)
    path, members = call
    files = [("attachments", f"{i}", "application/octet-stream", bytes(size)) for i, size in enumerate(sizes)]
    response = api.upload(path, members, files)
    if sum(sizes) <= ATTACHMENT_LIMIT:
        assert [len(one.content) for one in api.simulator.account.files.values()] == sizes
        assert len(attachments(json.loads(response.body))) == len(sizes)
    else:
        assert (response.status, json.loads(response.body)["error"][0]["field"]) == (400, "attachments")
        assert (api.simulator.account.tickets, dict(api.simulator.account.files)) == (before, {})


def test_the_exact_limit_is_allowed_and_one_byte_more_is_not(api: Caller) -> None:
    for size, status in ((ATTACHMENT_LIMIT, 200), (ATTACHMENT_LIMIT + 1, 400)):
        response = api.upload(
            "ticket/1/user_reply/", {"user": "1", "text": "x"}, [("attachments", "a", "b/c", bytes(size))]
        )
        assert response.status == status


@given(st.binary(max_size=60).filter(lambda content: b"\r\n--B" not in b"\r\n" + content))
def test_any_bytes_are_returned_unchanged(content: bytes) -> None:
    api = Caller(Simulator(FakeClock()))
    api.simulator.create_ticket()
    url = attachments(upload(api, [("attachments", "a", "text/plain", content)]))[0]["url"]
    assert api.follow(url).body == content


def test_a_webhook_carries_a_link_that_works(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, [Hook("http://hooks.example/", "k", shape="rest")]))
    assert api.upload("tickets/", TICKET, [("attachments", "a", "text/plain", b"x")]).status == 200
    delivered = json.loads(api.simulator.take_deliveries()[0].body)
    assert api.follow(attachments(delivered)[0]["url"]).body == b"x"
