"""The search grammar against a filter that looks at each ticket as the API shows it."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.happyfox import Caller, FakeClock, multipart
from workers.simulator import Simulator

DAY = 86_400
STATUSES = ["New", "In Progress", "On Hold", "Closed"]
PRIORITIES = ["Low", "Medium", "High", "Critical"]
TAGS = ["vip", "VIP", "big deal"]
PRODUCTS = ["Printer", "Scanner", "Café machine ☕"]
REGIONS = ["North", "South", "East"]
PEOPLE = ["sam@bigcorp.example", "mia@smallshop.example", "jose@cafe.example"]
WORDS = ["fire", "printer", "Rota", "late"]

tickets = st.fixed_dictionaries(
    {
        "email": st.sampled_from(PEOPLE),
        "status": st.sampled_from(STATUSES),
        "priority": st.sampled_from(PRIORITIES),
        "tags": st.lists(st.sampled_from(TAGS), unique=True),
        "assignee": st.sampled_from([None, "Ada King", "Lin Wu"]),
        "due": st.none() | st.integers(-9, 9),
        "product": st.none() | st.sampled_from(PRODUCTS),
        "regions": st.lists(st.sampled_from(REGIONS), unique=True),
        "delivery": st.none() | st.integers(0, 3),
        "words": st.lists(st.sampled_from(WORDS), min_size=1),
        "replied": st.booleans(),
        "breaches": st.integers(0, 1),
        "file": st.booleans(),
    }
)


def account(drafts: list[dict[str, Any]]) -> Caller:
    """An account in which each ticket was made a day after the one before."""
    clock = FakeClock(1_700_000_000.0)
    api = Caller(Simulator(clock, gets=10**6, posts=10**6))
    simulator = api.simulator
    for draft in drafts:
        fields: dict[int | str, Any] = {"Product": draft["product"], "Regions": draft["regions"]}
        if draft["delivery"] is not None:
            fields["Delivery date"] = f"2023-12-0{draft['delivery'] + 1}"
        due = draft["due"]
        ticket = simulator.create_ticket(
            draft["email"],
            subject=" ".join(draft["words"]),
            priority=draft["priority"],
            assignee=draft["assignee"],
            tags=draft["tags"],
            fields=fields,
            due_date=None if due is None else (today(clock) + timedelta(due)).isoformat(),
        )
        clock.now += DAY / 2
        if draft["replied"]:
            simulator.staff_updates(ticket.id, text="On it.", status=draft["status"])
        else:
            simulator.staff_updates(ticket.id, status=draft["status"])
        simulator.breach(ticket.id, draft["breaches"])
        if draft["file"]:
            kind, body = multipart({"staff": "7"}, [("attachments", "a", "text/plain", b"x")])
            assert api.post(f"ticket/{ticket.id}/staff_pvtnote/", body, kind).status == 200
        clock.now += DAY / 2
    return api


def today(clock: FakeClock) -> date:
    return datetime.fromtimestamp(clock.now, UTC).date()


def field(ticket: dict[str, Any], name: str) -> Any:
    return next(one["value"] for one in ticket["custom_fields"] if one["name"] == name)


def day(stamp: str | None) -> str:
    return "" if stamp is None else stamp[:10].replace("-", "/")


def due(ticket: dict[str, Any], now: date, word: str) -> bool:
    if ticket["due_date"] is None:
        return False
    left = (date.fromisoformat(ticket["due_date"]) - now).days
    return {
        "today": left == 0,
        "yesterday": left == -1,
        "tomorrow": left == 1,
        "overdue": left < 0,
        "next 7 days": 0 <= left <= 7,
    }[word]


def said(ticket: dict[str, Any]) -> list[dict[str, Any]]:
    return [row["message"] for row in ticket["updates"] if row["message"]]


def several(name: str, known: list[str], have: Any) -> st.SearchStrategy[tuple[str, Any]]:
    """`name:"A","B"`: any of them."""
    some = st.lists(st.sampled_from(known), min_size=1, max_size=2)
    return some.map(
        lambda w: (f"{name}:" + ",".join(f'"{one}"' for one in w), lambda t, n: bool(set(w) & set(have(t))))
    )


def boolean(name: str, have: Any) -> st.SearchStrategy[tuple[str, Any]]:
    return st.booleans().map(lambda wanted: (f"{name}:{str(wanted).lower()}", lambda t, n: have(t) is wanted))


def dated(name: str, member: str, kinds: str) -> st.SearchStrategy[tuple[str, Any]]:
    days = [f"2023/11/{number}" for number in range(13, 24)]

    def term(kind: str, wanted: str) -> tuple[str, Any]:
        def holds(ticket: dict[str, Any], now: date) -> bool:
            have = day(ticket[member])
            order = (have > wanted) - (have < wanted)
            return have != "" and order in {"on": (0,), "before": (-1,), "after": (1,)}.get(
                kind, (0, -1) if kind == "on-or-before" else (0, 1)
            )

        return f'{name}-{kind}:"{wanted}"', holds

    return st.builds(term, st.sampled_from(kinds.split()), st.sampled_from(days))


EVERY = "on on-or-before on-or-after before after"
terms = st.one_of(
    several("status", STATUSES, lambda t: [t["status"]["name"]]),
    several("priority", PRIORITIES, lambda t: [t["priority"]["name"]]),
    several("tag", TAGS, lambda t: t["tags"].split(",")),
    several("Product", PRODUCTS, lambda t: [field(t, "Product")]),
    several("regions", REGIONS, lambda t: (field(t, "Regions") or "").split(", ")),
    several('"Delivery date"', ["12/01/2023", "12/03/2023"], lambda t: [_american(field(t, "Delivery date"))]),
    several("assignee", ["none", "Lin", "King", "lin@support.example"], lambda t: _assignee(t)),
    several("group", ["none", "any", "Big Corp"], lambda t: _groups(t)),
    several("contact", PEOPLE, lambda t: [t["user"]["email"]]),
    several("id", ["1", "DC00000002", "3", "4"], lambda t: [str(t["id"]), t["display_id"][1:]]),
    several("plan", ["GOLD", "free"], lambda t: _plan(t)),
    boolean("unresponded", lambda t: t["unresponded"]),
    boolean("breached", lambda t: t["sla_breaches"] > 0),
    boolean("has_attachments", lambda t: t["attachments_count"] > 0),
    st.sampled_from(["today", "yesterday", "tomorrow", "overdue", "next 7 days"]).map(
        lambda word: (f'duedate:"{word}"', lambda t, n: due(t, n, word))
    ),
    dated("created", "created_at", EVERY),
    dated("last-modified", "last_modified", "on-or-before on-or-after before after"),
    dated("last-staff-replied", "last_staff_reply_at", EVERY),
    dated("last-contact-replied", "last_user_reply_at", EVERY),
    st.sampled_from(WORDS).map(
        lambda word: (
            word.upper(),
            lambda t, n: word.lower() in (t["subject"] + "".join(m["text"] for m in said(t))).lower(),
        )
    ),
)


def _american(value: str | None) -> str | None:
    return None if value is None else f"{value[5:7]}/{value[8:]}/{value[:4]}"


def _assignee(ticket: dict[str, Any]) -> list[str]:
    staff = ticket["assigned_to"]
    return ["none"] if staff is None else ["any", staff["email"], staff["name"], *staff["name"].split()]


def _groups(ticket: dict[str, Any]) -> list[str]:
    groups = [group["name"] for group in ticket["user"]["contact_groups"]]
    return ["any", *groups] if groups else ["none"]


def _plan(ticket: dict[str, Any]) -> list[str]:
    value = next(one["value"] for one in ticket["user"]["custom_fields"] if one["name"] == "Plan")
    return ["GOLD"] if value == "Gold" else ["free"] if value == "Free" else []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(tickets, min_size=1, max_size=6), st.lists(st.lists(terms, min_size=1, max_size=3), min_size=1, max_size=8)
)
def test_a_search_finds_what_a_look_at_every_ticket_finds(
    drafts: list[dict[str, Any]], searches: list[list[tuple[str, Any]]]
) -> None:
    api = account(drafts)
    shown = api.got("tickets/", "sort=ticketa&size=50&show_updates=1")["data"]
    now = today(api.simulator.clock)  # type: ignore[arg-type]
    for search in searches:
        q = " ".join(text for text, _ in search)
        expected = {ticket["id"] for ticket in shown if all(holds(ticket, now) for _, holds in search)}
        found = api.simulator.handle(api.request("GET", "tickets/", query=_query(q))).body
        assert {one["id"] for one in _data(found)} == expected, q


def _query(q: str) -> str:
    return urlencode({"q": q, "size": 50, "status": "_all"})


def _data(body: bytes) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(body)["data"]
    return listed


@pytest.fixture
def api(clock: FakeClock) -> Caller:
    api = Caller(Simulator(clock))
    simulator = api.simulator
    simulator.create_ticket(due_date="2023-11-14", tags=["vip"], assignee="Lin Wu")
    simulator.create_ticket("mia@smallshop.example", category="Billing", due_date="2023-11-10", priority="High")
    simulator.breach(2)
    clock.now += DAY
    simulator.staff_updates(1, status="Closed")
    clock.now += DAY
    simulator.staff_updates(1, status="New")
    return api


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ('q=last-closed-on-or-after:"2023/11/15"', [1]),
        ('q=last-closed-on-or-before:"2023/11/14"', []),
        ('q=last-closed-on-or-before:"2023/11/15"&status=_pending', [1]),
        ("tag=vip", [1]),
        ("duedate=overdue", [1, 2]),
        ("breached=true", [2]),
        ("unresponded=false", []),
        ('priority="High","Low"', [2]),
        ("assignee=Lin+Wu", [1]),
        ("group=none", [2]),
        ("contact=mia@smallshop.example", [2]),
        ("id=2,DC00000001", [1, 2]),
        ("has_attachments=false&breached=false", [1]),
        ("category=1&category=2", [1, 2]),
        ("category=2", [2]),
        ("category=1&category=3", [1]),
        ("q=unknown-term:x", []),
        ("q=duedate:someday", []),
        ('q="vip+nothing"', []),
    ],
)
def test_filters_work_as_parameters_too(api: Caller, query: str, numbers: list[int]) -> None:
    assert sorted(ticket["id"] for ticket in api.got("tickets/", query)["data"]) == numbers


def test_whether_filters_work_as_parameters_is_a_switch(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, filters_as_parameters=False))
    api.simulator.create_ticket()
    assert len(api.got("tickets/", "tag=vip")["data"]) == 1


def test_the_zone_of_a_day_is_a_switch(clock: FakeClock) -> None:
    for offset, found in ((0.0, 0), (2 * 3600.0, 1)):
        api = Caller(Simulator(clock, day_offset=offset))  # it is 22:13 on the 14th
        api.simulator.create_ticket()
        assert len(api.got("tickets/", 'q=created-on:"2023/11/15"')["data"]) == found


def test_what_the_list_covers_without_a_status_is_a_switch(clock: FakeClock) -> None:
    for switch, numbers in (("_all", [1]), ("_pending", [])):
        api = Caller(Simulator(clock, unsaid_status=switch))
        api.simulator.create_ticket()
        api.simulator.staff_updates(1, status="Closed")
        assert [ticket["id"] for ticket in api.got("tickets/")["data"]] == numbers
        assert len(api.got("tickets/", "status=_all")["data"]) == 1


def test_a_key_may_see_the_categories_of_its_staff_member_alone(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, acts_as=4))
    api.simulator.world.staff = {**api.simulator.world.staff, 4: api.simulator.world.staff[4] | {"categories": [2]}}
    api.simulator.create_ticket()
    api.simulator.create_ticket(category="Billing")
    assert [ticket["id"] for ticket in api.got("tickets/")["data"]] == [2]
    assert api.get("ticket/1/").status == 404


def test_the_next_seven_days_begin_today_and_end_with_the_seventh(clock: FakeClock) -> None:
    api = Caller(Simulator(clock))
    for left in (-1, 0, 7, 8):
        api.simulator.create_ticket(due_date=(today(clock) + timedelta(left)).isoformat())
    found = api.got("tickets/", 'q=duedate:"next+7+days"&sort=ticketa')["data"]
    assert sorted(ticket["id"] for ticket in found) == [2, 3]
    found = api.got("tickets/", "q=duedate:overdue,today")["data"]
    assert sorted(ticket["id"] for ticket in found) == [1, 2]
