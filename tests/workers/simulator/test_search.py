"""Search compared with a filter over each ticket as the API shows it; sort order and periods."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.happyfox import Caller, FakeClock, multipart
from workers.simulator import Simulator
from workers.simulator.search import SORTS, Term, parse_search, parse_values


@pytest.mark.parametrize(
    ("q", "terms"),
    [
        ("", []),
        ("fire Printer", [Term("", ("fire",)), Term("", ("printer",))]),
        ('"fire printer"', [Term("", ("fire", "printer"))]),
        ('status:"In Progress","New" tag:a,b', [Term("status", ("In Progress", "New")), Term("tag", ("a", "b"))]),
        ('"Field 2":"value 2" Field1:x', [Term("Field 2", ("value 2",)), Term("Field1", ("x",))]),
        ("contact: x", [Term("", ("contact:",)), Term("", ("x",))]),
        ('created-on:"2019/01/25"', [Term("created-on", ("2019/01/25",))]),
        ("id:DC00000001,2", [Term("id", ("DC00000001", "2"))]),
    ],
)
def test_a_search_is_parsed_into_terms(q: str, terms: list[Term]) -> None:
    assert parse_search(q) == terms


words = st.text("abcXYZ019 -/é", min_size=1).filter(lambda word: word == word.strip())


@given(st.lists(st.tuples(words, st.lists(words, min_size=1)), max_size=4))
def test_quoted_terms_are_parsed_unchanged(terms: list[tuple[str, list[str]]]) -> None:
    q = " ".join(f'"{name}":' + ",".join(f'"{value}"' for value in several) for name, several in terms)
    assert parse_search(q) == [Term(name, tuple(several)) for name, several in terms]


@given(st.text())
def test_any_text_can_be_parsed(q: str) -> None:
    parse_search(q)
    parse_values(q)


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
    """Return an account in which each ticket was created a day after the previous one."""
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


def messages_of(ticket: dict[str, Any]) -> list[dict[str, Any]]:
    return [update["message"] for update in ticket["updates"] if update["message"]]


def any_of(name: str, known: list[str], have: Any) -> st.SearchStrategy[tuple[str, Any]]:
    """Return terms such as `name:"A","B"`, which match a ticket with any of the values."""

    def term(wanted: list[str]) -> tuple[str, Any]:
        quoted = ",".join(f'"{value}"' for value in wanted)
        return f"{name}:{quoted}", lambda ticket, _now: bool(set(wanted) & set(have(ticket)))

    return st.lists(st.sampled_from(known), min_size=1, max_size=2).map(term)


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


COMPARISONS = "on on-or-before on-or-after before after"
terms = st.one_of(
    any_of("status", STATUSES, lambda t: [t["status"]["name"]]),
    any_of("priority", PRIORITIES, lambda t: [t["priority"]["name"]]),
    any_of("tag", TAGS, lambda t: t["tags"].split(",")),
    any_of("Product", PRODUCTS, lambda t: [field(t, "Product")]),
    any_of("regions", REGIONS, lambda t: (field(t, "Regions") or "").split(", ")),
    any_of('"Delivery date"', ["12/01/2023", "12/03/2023"], lambda t: [_american(field(t, "Delivery date"))]),
    any_of("assignee", ["none", "Lin", "King", "lin@support.example"], _assignee),
    any_of("group", ["none", "any", "Big Corp"], _groups),
    any_of("contact", PEOPLE, lambda t: [t["user"]["email"]]),
    any_of("id", ["1", "DC00000002", "3", "4"], lambda t: [str(t["id"]), t["display_id"][1:]]),
    any_of("plan", ["GOLD", "free"], _plan),
    boolean("unresponded", lambda t: t["unresponded"]),
    boolean("breached", lambda t: t["sla_breaches"] > 0),
    boolean("has_attachments", lambda t: t["attachments_count"] > 0),
    st.sampled_from(["today", "yesterday", "tomorrow", "overdue", "next 7 days"]).map(
        lambda word: (f'duedate:"{word}"', lambda t, n: due(t, n, word))
    ),
    dated("created", "created_at", COMPARISONS),
    dated("last-modified", "last_modified", "on-or-before on-or-after before after"),
    dated("last-staff-replied", "last_staff_reply_at", COMPARISONS),
    dated("last-contact-replied", "last_user_reply_at", COMPARISONS),
    st.sampled_from(WORDS).map(
        lambda word: (
            word.upper(),
            lambda t, n: word.lower() in (t["subject"] + "".join(m["text"] for m in messages_of(t))).lower(),
        )
    ),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(tickets, min_size=1, max_size=6), st.lists(st.lists(terms, min_size=1, max_size=3), min_size=1, max_size=8)
)
def test_a_search_finds_the_same_as_checking_every_ticket(
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


def test_the_time_zone_of_search_days_is_a_switch(clock: FakeClock) -> None:
    for offset, found in ((0.0, 0), (2 * 3600.0, 1)):
        api = Caller(Simulator(clock, day_offset=offset))  # it is 22:13 on the 14th
        api.simulator.create_ticket()
        assert len(api.got("tickets/", 'q=created-on:"2023/11/15"')["data"]) == found


def test_the_default_status_of_the_list_is_a_switch(clock: FakeClock) -> None:
    for switch, numbers in (("_all", [1]), ("_pending", [])):
        api = Caller(Simulator(clock, default_status=switch))
        api.simulator.create_ticket()
        api.simulator.staff_updates(1, status="Closed")
        assert [ticket["id"] for ticket in api.got("tickets/")["data"]] == numbers
        assert len(api.got("tickets/", "status=_all")["data"]) == 1


def test_a_key_may_see_only_the_categories_of_its_staff_member(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, acts_as=4))
    api.simulator.account.staff = {
        **api.simulator.account.staff,
        4: api.simulator.account.staff[4] | {"categories": [2]},
    }
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


KEYS: dict[str, Any] = {
    "category": lambda t: t["category"]["id"],
    "subject": lambda t: t["subject"].lower(),
    "status": lambda t: t["status"]["order"],
    "priority": lambda t: t["priority"]["order"],
    "update": lambda t: t["last_updated_at"],
    "create": lambda t: t["created_at"],
    "assignee": lambda t: (t["assigned_to"] or {"name": ""})["name"],
    "last_modified": lambda t: t["last_modified"],
    "ticket": lambda t: t["id"],
    "client": lambda t: t["user"]["id"],
    "due": lambda t: t["due_date"] or "9999",
    "unresponded": lambda t: not t["unresponded"],
}


@pytest.fixture
def sortable(clock: FakeClock) -> Caller:
    sortable = Caller(Simulator(clock))
    for number in range(8):
        clock.now += 60
        sortable.simulator.create_ticket(
            ("jose@cafe.example", "mia@smallshop.example", "sam@bigcorp.example")[number % 3],
            subject=f"{'bAcDeF'[number % 6]} {number}",
            category=1 + number % 2,
            priority=1 + number % 4,
            assignee=(None, "Lin Wu", "Ada King")[number % 3],
            due_date=(None, "2024-01-05", "2023-12-31", "2024-02-01")[number % 4],
        )
    for number in (2, 5, 7):
        clock.now += 60
        sortable.simulator.staff_updates(number, text="x", status="Closed" if number == 5 else "On Hold")
    sortable.simulator.staff_updates(1, private=True, text="a note moves only last_modified")
    return sortable


def test_there_are_22_sort_codes() -> None:
    assert len(SORTS) == 22


@pytest.mark.parametrize("code", sorted(SORTS))
def test_each_sort_code_sorts_by_its_property(sortable: Caller, code: str) -> None:
    descending = code.endswith("d") and code != "unresponded"
    name = code if code in KEYS else code[:-1]
    keys = [KEYS[name](ticket) for ticket in sortable.got("tickets/", f"sort={code}&size=50")["data"]]
    assert keys == sorted(keys, reverse=descending)
    assert len(set(map(str, keys))) > 1
    assert len(keys) == 8


def test_a_search_ignores_the_sort_code(sortable: Caller) -> None:
    listed = sortable.got("tickets/", "sort=ticketa&q=unresponded:true")["data"]
    assert [ticket["id"] for ticket in listed] == [8, 6, 4, 3, 1]


@pytest.fixture
def people(clock: FakeClock) -> Caller:
    simulator = Simulator(clock)
    clock.now += 86_400
    Caller(simulator).posted("user/2/", {"phones": [{"number": "+1 123 123 1234"}]})
    Caller(simulator).posted("users/", {"name": "Adam Reed", "email": "adam@new.example"})
    return Caller(simulator)


@pytest.mark.parametrize(
    ("q", "ids"),
    [
        ("", [1, 2, 3, 4]),
        ("name:reed", [1, 4]),
        ("name:reed+email:adam@new.example", [4]),
        ('name:"Sam+Reed"', [1]),
        ("phone:11231231234", [2]),
        ("phone:x", []),
        ("email:EXAMPLE", [1, 2, 3, 4]),
        ("created_since:2023/11/15", [4]),
        ("created_since:2023-11-15", [4]),
        ('created_since:"2023-11-14+22:13:20"', [1, 2, 3, 4]),
        ("updated_since:2023-11-15T00:00:00Z", [2]),
        ("updated_since:soon", []),
        ("reed+adam", [4]),
        ("smallshop", [2]),
        ("5550100", [1]),
        ("colour:red", []),
    ],
)
def test_a_search_finds_contacts(people: Caller, q: str, ids: list[int]) -> None:
    assert [contact["id"] for contact in people.got("users/", f"q={q}")["data"]] == ids


@pytest.fixture
def reported(clock: FakeClock) -> Caller:
    """Created: ticket 1 last month, 2 six days ago, 3 seven days ago (closed yesterday), 4 today."""
    reported = Caller(Simulator(clock))
    now = clock.now
    simulator = reported.simulator
    for ago in (20, 6, 7, 0):
        clock.now = now - ago * DAY
        simulator.create_ticket(category="Billing" if ago == 7 else 1)
    clock.now = now - DAY
    simulator.staff_updates(3, status="Closed", assignee="Lin Wu")
    clock.now = now
    simulator.staff_updates(2, text="x")
    simulator.staff_updates(1, text="x", private=True)
    simulator.contact_replies(3, "x")
    return reported


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4]),
        ("period_date_range_type=tod", [4]),
        ("period_date_range_type=l7d", [2, 4]),
        ("period_date_range_type=mtd", [2, 3, 4]),
        ("period_date_range_type=ytd", [1, 2, 3, 4]),
        ("period_date_range_type=pm", [1]),
        ("period_date_range_type=sr&period_start=2023-11-07&period_end=2023-11-08", [2, 3]),
        ("period_date_range_type=sr&period_start=2023-11-07", [1, 2, 3, 4]),
        ("period_date_range_type=l7d&period_type=as", [3]),
        ("period_date_range_type=tod&period_type=str", [2]),
        ("period_date_range_type=tod&period_type=cur", [3, 4]),
        ("period_date_range_type=tod&period_type=prs", [1]),
        ("period_date_range_type=tod&period_type=srp", [1, 2]),
        ("period_date_range_type=l7d&period_type=cl", [3]),
    ],
)
def test_a_period_selects_tickets_by_events_within_it(reported: Caller, query: str, numbers: list[int]) -> None:
    rows = reported.got("report/1/tabulardata/", f"sort_key=ticket&{query}")["rows"]
    assert [row["id"] for row in rows] == numbers


def test_a_report_filters_tickets(reported: Caller) -> None:
    assert [row["id"] for row in reported.got("report/2/tabulardata/")["rows"]] == [3]
