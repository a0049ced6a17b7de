"""The audit log: each action writes its line itself, and a page never loses or repeats one."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.support.stores import untyped
from workers.store.audit import LONGEST_WHY, STEP, AuditLine, By, note, read_audit
from workers.store.client import Store
from workers.store.erasure import Eraser, forget
from workers.store.inbox import accept, receive, unreadable
from workers.store.keys import Keys
from workers.store.memory import doubt
from workers.store.pages import UnknownCursor
from workers.store.pauses import Pause, Scope, pause, resume
from workers.store.records import discard, discard_quarantined, replay
from workers.store.scripts import Script
from workers.webhook import parse

ADA = By("ada", "operator", "dashboard 10.0.0.1", "status renamed")
KEYS = Keys("acme")


def lines(store: redis.Redis, **filters: Any) -> tuple[AuditLine, ...]:
    return read_audit(store, ["acme"], **filters).items


def dead_letter(store: redis.Redis, name: str, ticket: int = 7) -> None:
    store.zadd(KEYS.dead_letters, {name: 1})
    store.hset(KEYS.dead_letter(name), mapping={"v": 1, "at": 1, "ticket": ticket, "evidence": "{}"})


def quarantined(run: Store) -> str:
    (found,) = run.run(accept("acme", [unreadable("not JSON", b"?")], keep=3600))
    return found.event


@pytest.mark.parametrize("why", ["status renamed", ""])
@pytest.mark.parametrize(
    ("act", "what", "about", "after"),
    [
        (lambda by: replay("acme", "n1.main", by), "replay", "dead letter n1.main", "ticket 7"),
        (lambda by: discard("acme", "n1.main", by), "discard", "dead letter n1.main", ""),
        (lambda by: forget("acme", 3, True, by), "forget", "ticket 3", ""),
        (lambda by: doubt("acme", by), "store restored", "account", "1 times in doubt"),
        (lambda by: note("acme", by, "read", "ticket 12"), "read", "ticket 12", ""),
    ],
)
def test_what_a_person_does_has_its_line(
    store: redis.Redis, act: Callable[[By], Script[object]], what: str, about: str, after: str, why: str
) -> None:
    dead_letter(store, "n1.main")
    with Store(store) as run:
        run.run(accept("acme", [receive(parse(b'{"ticket_id":3}'), b'{"ticket_id":3}')], keep=3600))
        run.run(act(By("ada", "operator", "dashboard 10.0.0.1", why)))
    (line,) = lines(store)
    assert (line.who, line.role, line.origin, line.why) == ("ada", "operator", "dashboard 10.0.0.1", why)
    assert (line.what, line.object, line.after) == (what, about, after)
    assert line.at > 1


@pytest.mark.parametrize(("scope", "name"), [("account", ""), ("router", "vip"), ("ticket", "7")])
def test_a_pause_and_its_end_have_what_was_before(store: redis.Redis, scope: Scope, name: str) -> None:
    with Store(store) as run:
        run.run(pause("acme", scope, name, Pause(5, "ada"), ADA))
        run.run(pause("acme", scope, name, Pause(6, "ada", skip=True), ADA))
        run.run(resume("acme", scope, name, ADA))
        run.run(resume("acme", scope, name, ADA))
    found = [(each.what, "skip" in each.before, "skip" in each.after) for each in lines(store)]
    assert found == [("resume", True, False), ("pause", False, True), ("pause", False, False)]
    assert {each.object for each in lines(store)} == {f"{scope} {name}".strip()}


def test_a_repeated_call_of_a_lost_answer_has_one_line(store: redis.Redis) -> None:
    dead_letter(store, "n1.main")
    scripts: list[Script[Any]] = [
        replay("acme", "n1.main", ADA),
        pause("acme", "ticket", "7", Pause(5, "ada"), ADA),
    ]
    with Store(store) as run:
        for script in scripts:
            run.run(script)
            run.run(script)
    assert [each.what for each in lines(store)] == ["pause", "replay"]


def test_a_delivery_in_quarantine_that_is_dropped_or_read_has_its_line(store: redis.Redis) -> None:
    with Store(store) as run:
        for replayed in (False, True):
            event = quarantined(run)
            assert run.run(discard_quarantined("acme", event, ADA, replayed=replayed))
            assert not run.run(discard_quarantined("acme", event, ADA, replayed=replayed))
    assert [each.what for each in lines(store)] == ["replay", "discard"]


def test_nothing_is_done_by_somebody_who_cannot_be_read(store: redis.Redis) -> None:
    dead_letter(store, "n1.main")
    with Store(store) as run, pytest.raises(RuntimeError, match="does not say who does it"):
        run.run(Script("discard", "acme", ["n1.main", "?"], bool))
    assert store.exists(KEYS.dead_letter("n1.main"))


def test_the_log_expires_and_has_a_greatest_length(store: redis.Redis) -> None:
    with Store(store) as run:
        run.run(note("acme", By("ada", why="x" * 2 * LONGEST_WHY), "read", "ticket 1"))
    (line,) = lines(store)
    assert len(line.why) == LONGEST_WHY
    assert 399 * 86_400_000 < untyped(store).pttl(KEYS.audit) <= 400 * 86_400_000


def fill(store: redis.Redis, accounts: dict[str, int]) -> None:
    for account, count in accounts.items():
        with store.pipeline(transaction=False) as batch:
            for n in range(count):
                fields: Any = {"at": n, "who": ("ada", "bob")[n % 2], "what": "read", "object": f"ticket {n}"}
                batch.xadd(Keys(account).audit, fields, id=f"{n + 1}-1")
            batch.execute()


@pytest.mark.parametrize("most", [1, 7, 50])
def test_pages_of_several_accounts_lose_and_repeat_nothing(store: redis.Redis, most: int) -> None:
    fill(store, {"acme": 20, "beta": 30})
    found, cursor = [], ""
    while True:
        page = read_audit(store, ["acme", "beta"], cursor=cursor, most=most)
        found += [(each.at, each.account) for each in page.items]
        if not page.next:
            break
        cursor = page.next
    every = [(n, account) for account, count in (("acme", 20), ("beta", 30)) for n in range(count)]
    assert found == sorted(every, key=lambda each: (-each[0], each[1]))


@pytest.mark.parametrize("cursor", ["rubbish", "12@acme", "@", "+@acme"])
def test_a_cursor_of_another_list_is_refused(store: redis.Redis, cursor: str) -> None:
    with pytest.raises(UnknownCursor, match="begin again without --cursor"):
        read_audit(store, ["acme"], cursor=cursor)


def test_lines_are_filtered_before_they_are_paged(store: redis.Redis) -> None:
    fill(store, {"acme": STEP + 3})
    (line,) = lines(store, about="ticket 1", who="BOB", most=1)
    assert line.object == "ticket 199"
    (line,) = lines(store, about="ticket 1", who="BOB", since=1, most=1)
    assert line.object == "ticket 199"
    assert len(lines(store, who="ada", most=9_999)) == (STEP + 4) // 2
    assert len(lines(store, since=STEP)) == 3
    assert lines(store, what="pause") == ()


def test_a_reason_that_quotes_an_address_is_erased_with_it(store: redis.Redis) -> None:
    with Store(store) as run:
        run.run(note("acme", By("ada", why="Sam <sam@bigcorp.example> asked"), "read", "ticket 1"))
        run.run(note("acme", By("ada", why="tidy up"), "read", "ticket 2"))
        eraser = Eraser(run, "acme", ADA)
        eraser.erase(eraser.find([], ["sam@bigcorp.example"]).items)
    assert [each.object for each in lines(store)] == ["ticket 2"]
