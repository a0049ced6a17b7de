"""The functions in the store write everything or nothing: a call that fails has changed no key.

Each function is called in a store with one of everything, once for each key that could have the wrong type, and with
lists that are far too long. Its answer is an error, and then all keys are as before, or it has done its work.
"""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import msgspec
import pytest
import redis

from tests.support.lanes import LaneAccount, P
from tests.support.stores import copy, untyped
from workers.store import periodic, records
from workers.store.audit import By, note
from workers.store.client_calls import (
    CallEnd,
    ClientLease,
    begin_call,
    finish_call,
    forget_key,
    lease_for_client,
    release_lease,
    reserve_key,
)
from workers.store.client_figures import note_call
from workers.store.erasure import forget
from workers.store.inbox import Arrival, accept, receive, unreadable
from workers.store.lanes import (
    ClaimedLane,
    Emails,
    EventForOther,
    HeldEmail,
    ReadPermit,
    Settlement,
    begin,
    claim,
    done,
    due,
    park,
    renew,
    set_poison_mark,
    settle,
    store_external,
    store_plan,
)
from workers.store.memory import doubt, notice
from workers.store.pauses import Pause, pause, resume
from workers.store.recorder import learn, record_shape, refuse
from workers.store.scripts import MODULES, Script, library
from workers.store.storms import note_storm
from workers.tickets.clients import ClientWrite
from workers.webhook import parse
from workers.webhook.shapes import shape_of

DAY = 86_400_000
ADA = By("ada")
LIVES = {"snapshot": DAY, "record": DAY, "dead_letter": DAY}
ADDRESS = "a1b2"
READ = ReadPermit("read-n1", "answered", 5)


def state(*members: str) -> bytes:
    """Return what the plan of a turn changes of the state of routers."""
    changes: list[dict[str, Any]] = [
        {"entry": "main:counter:open", "by": "2"},
        {"entry": "main:value:last", "value": "[1]"},
        {"entry": "main:value:old", "delete": True},
        {"entry": "main:set:seen", "add": members, "remove": ["b", *members[1:]]},
    ]
    reads = [["main:counter:open", "version", ""], *(["main:set:seen", f"m:{member}", ""] for member in members)]
    changes = [{"keep": DAY, **change} for change in changes]
    return msgspec.json.encode({"turn": "n1", "reads": reads, "changes": changes})


TASK = "auto.close"
OTHER = 77
MANY = 9_000
EMAIL = msgspec.json.encode({"handler": "auto.reply"}).decode()


def delivery(number: int, text: str = "x") -> Arrival:
    body = msgspec.json.encode({"ticket_id": number, "text": text})
    return receive(parse(body), body, host="acme.happyfox.com")


def settlement(lane: ClaimedLane, **changed: Any) -> Settlement:
    """Return a settlement with something in each field."""
    values = {
        "handled": tuple(event.id for event in lane.events),
        "recheck": 5_000,
        "settling": 2_000,
        "retry": lane.now + 1_000,
        "timer": lane.now + 2_000,
        "timed": True,
        "paused": 0,
        "dead_letters": {"n1.main": EMAIL},
        "held": (HeldEmail("held-1", EMAIL, "n1.0", EMAIL),),
        "created": (("n1.0", 88),),
        "for_others": (EventForOther("n1.on.0", OTHER, EMAIL),),
        "history": ("one", "two"),
        "saved": 2,
        "permit": READ.id,
        "outcome": READ.outcome,
        "age": READ.age,
        "lives": LIVES,
    }
    return Settlement(lane=lane.name, token=lane.token, turn=lane.turn, **{**values, **changed})


class Account(LaneAccount):
    """An account with one of everything, and ticket 1 claimed."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        run, store = self.store.run, client
        self.event(3, "normal")
        ended = settle("acme", settlement(self._claim()), b"{}", b"record", b"[]", self.config, None)
        assert run(ended)[0]
        (quarantined,) = run(accept("acme", [unreadable("not JSON", b"?")], keep=3600))
        self.unreadable = quarantined.event
        run(pause("acme", "ticket", "5", Pause(self.now, "ada")))
        run(pause("acme", "router", "auto", Pause(self.now, "ada")))
        self.task = run(periodic.claim_task("acme", "w1", 60_000, [periodic.TaskInterval(TASK, DAY)]))
        assert isinstance(self.task, periodic.ClaimedTask)
        store.rpush(f"{P}matches:{TASK}", "3", "4", str(OTHER))
        run(records.announce_creation("acme", "n9.0", b"{}", 3))
        run(records.store_list("acme", "staff", b"[]"))
        self.event(2, "normal")
        self.event(1, "interactive")
        self.lane = self._claim()
        leased = run(lease_for_client("acme", 8, "c1", 60_000, ""))
        assert isinstance(leased, ClientLease)
        self.leased = leased
        run(reserve_key("acme", "d1", "r1", "c1", 60_000))
        email = Emails((ADDRESS,), 5)
        run(begin(self.lane, "0", "p1", 20_000, self.config.budget, "normal", 0, (), 0, ["main"], email))
        run(doubt("acme", ADA))

    def _claim(self) -> ClaimedLane:
        claimed = self.claim()
        assert isinstance(claimed, ClaimedLane)
        return claimed

    def calls(self) -> Iterator[Script[Any]]:
        """Yield a call of each function that writes."""
        lane, budget, task = self.lane, self.config.budget, self.task
        assert isinstance(task, periodic.ClaimedTask)
        yield self.governor.permit("post", "p2", "normal", 20_000)
        yield self.governor.release("post", "p1", "limited", 5)
        yield self.governor.close_gates()
        yield notice("acme")
        yield doubt("acme", ADA)
        yield due(self.config, 10)
        yield claim(self.config, "again")
        yield claim(self.config, lane.turn)
        yield renew("acme", 60_000, [(lane.name, lane.token)])
        yield store_plan(lane, b"{}", 3, budget, READ, state("a"))
        yield set_poison_mark(lane, "main")
        yield begin(lane, "1", "p3", 20_000, budget, "normal", 0, ("x",), 0, ["main"], Emails((ADDRESS, "c3"), 5))
        yield done(lane, "0", b'{"state":"refused"}', "p1", "limited", 5, 0, budget)
        yield store_external(lane, "main", "lead", b"{}", b"{}", before_call=True)
        yield park(lane, 1_000, budget, READ, "waits", DAY)
        yield settle("acme", settlement(lane), b"{}", b"record", b"[]", self.config, "next")
        yield settle("acme", settlement(lane, quiet=True, handled=()), b"{}", b"", b"", self.config, "next")
        yield accept(
            "acme", [delivery(1), delivery(9), delivery(9, "y"), unreadable("no", b"?!")], 3600, {"bad-signature": 1}
        )
        yield records.replay("acme", "n1.main")
        yield records.replay("acme", "held-1")
        yield records.discard("acme", "n1.main")
        yield pause("acme", "ticket", "1", Pause(self.now, "ada"))
        yield resume("acme", "router", "auto")
        yield records.store_list("acme", "staff", b"[1]")
        yield records.announce_creation("acme", "n1.1", b"{}", 3)
        yield periodic.claim_task("acme", "w2", 60_000, [periodic.TaskInterval("new", DAY)])
        yield periodic.add_matches("acme", task, 60_000, 1, [7, 8], True, 100)
        yield periodic.enqueue_matches("acme", task, 60_000, 100, 3600)
        yield periodic.release_task("acme", task, -1, "done", ["a finding"])
        changed = (periodic.Changed(9, 5_000), periodic.Changed(1))
        shown = periodic.PageResult(memo="{}", page=2, tickets=50, changed=changed, opened=(9,), closed=(1,))
        yield periodic.end_page("acme", task, 1_000, shown, self.now, 3600)
        yield periodic.hurry_task("acme", TASK)
        yield note_storm("acme", 900, 3)
        yield record_shape("acme", shape_of("delivery", {"ticket_id": 3}))
        yield learn("acme", "number", "case.no", "abc")
        yield refuse("acme", "number", ADA)
        yield forget("acme", 2, True)
        yield records.discard_quarantined("acme", self.unreadable, ADA)
        yield note("acme", ADA, "read", "ticket 12")
        yield lease_for_client("acme", 9, "c2", 60_000, "")
        yield release_lease("acme", self.leased)
        write = ClientWrite(number=self.leased.number, client="triage", at=self.now)
        emails = Emails((ADDRESS,), 5)
        yield begin_call("acme", self.leased, "client.c1-1", 20_000, budget, "normal", emails, write, "d1", b"{}")
        end = CallEnd(permit="client.c1-1", outcome="answered", write=write, key="d1", answer=b"x", line="done")
        yield finish_call("acme", self.leased, end, budget, DAY)
        yield reserve_key("acme", "d2", "r2", "c2", 60_000)
        yield forget_key("acme", "d1", "c1")
        yield note_call(
            "acme", "triage", "denied", "was denied: read", "ticket 12", "allow tickets:read", "read ticket 12"
        )


#: Functions that write nothing.
READ_ONLY = {
    *(
        "read_arrivals",
        "read_open",
        "read_emails",
        "read_state",
        "read_figures",
        "read_snapshots",
        "read_lists",
        "read_creations",
    ),
    *("forecast", "backlog"),
}

#: The functions of `foxhooks store move`, which only a person runs, and which continue where they stopped.
MOVES = {"move_account", "move_ticket", "move_keys", "move_rest"}


@pytest.fixture
def account(store: redis.Redis) -> Account:
    return Account(store)


def put_back(client: Any, before: dict[bytes, bytes]) -> None:
    """Restore a copy, without lifetimes."""
    with client.pipeline(transaction=False) as batch:
        batch.flushall()
        for key, dump in before.items():
            batch.restore(key, 0, dump)
        batch.execute()


#: Return a digest of everything in the store.
DIGEST = """
local digest = ''
local keys = redis.call('KEYS', '*')
table.sort(keys)
for _, key in ipairs(keys) do digest = redis.sha1hex(digest .. key .. redis.call('DUMP', key)) end
return digest
"""


def digest(client: Any) -> bytes:
    found: bytes = client.eval(DIGEST, 0)
    return found


def spoil(client: Any, key: str) -> Iterator[None]:
    """Give a key wrong types, one after the other."""
    kind = client.type(key).decode()
    wrong: dict[str, Callable[[], Any]] = {
        "string": lambda: client.set(key, "wrong"),
        "list": lambda: client.rpush(key, "wrong"),
        "set": lambda: client.sadd(key, "wrong"),
    }
    for name, put in wrong.items():
        if name != kind:
            client.delete(key)
            put()
            yield


def run(account: Account, call: Script[Any]) -> None:
    """Run a call without reading its answer."""
    account.store.run(msgspec.structs.replace(call, read=lambda raw: raw))


def failed(account: Account, call: Script[Any]) -> bool:
    """Run a call; return whether its answer was an error."""
    try:
        run(account, call)
    except RuntimeError:
        return True
    return False


def used(account: Account, call: Script[Any]) -> list[str]:
    """Run a call and return the names of all keys that it uses."""
    found: set[str] = set()
    with untyped(account.client).monitor() as monitor:
        run(account, call)
        account.client.echo("that is all")
        for seen in monitor.listen():
            if "that is all" in seen["command"]:
                return sorted(found - {P})
            found |= {word for word in seen["command"].split() if word.startswith(P) and "\\" not in word}
    raise AssertionError


def test_every_function_that_writes_is_called_here(account: Account) -> None:
    known = set(re.findall(r"register\('(\w+)'", library().text))
    assert {call.name for call in account.calls()} == known - READ_ONLY - MOVES


def test_each_call_works_while_all_keys_are_right(account: Account) -> None:
    before = copy(account.client)
    for call in account.calls():
        run(account, call)
        assert copy(account.client) != before or call.name in ("due", "notice", "renew")
        put_back(account.client, before)


@pytest.mark.redis
def test_each_call_works_in_a_cluster(cluster_url: str) -> None:
    with redis.Redis.from_url(cluster_url) as client:
        account = Account(client)
        for call in account.calls():
            run(account, call)


@pytest.mark.parametrize("part", range(4))
def test_a_key_of_the_wrong_type_leaves_no_half_of_a_call(account: Account, part: int) -> None:
    client, before, halves = untyped(account.client), copy(account.client), []
    for call in [*account.calls()][part::4]:
        keys = used(account, call)
        put_back(client, before)
        for key in keys:
            for _ in spoil(client, key):
                spoilt = digest(client)
                if failed(account, call) and digest(client) != spoilt:
                    halves.append(f"{call.name}: {key}")
                put_back(client, before)
    assert sorted(set(halves)) == []


def long_calls(account: Account) -> Iterator[Script[Any]]:
    """Yield a call of each function that takes a list, with far too many elements."""
    lane, task = account.lane, account.task
    assert isinstance(task, periodic.ClaimedTask)
    names = tuple(f"n{n}" for n in range(MANY))
    more: dict[str, Any] = {
        "handled": names,
        "left": names,
        "history": names,
        "dead_letters": dict.fromkeys(names, EMAIL),
        "held": tuple(HeldEmail("held-1", EMAIL, name, EMAIL) for name in names),
        "created": tuple((name, n) for n, name in enumerate(names)),
        "for_others": tuple(EventForOther(name, n, EMAIL) for n, name in enumerate(names)),
    }
    for name, value in more.items():
        yield settle("acme", settlement(lane, **{name: value}), b"{}", b"r", b"[]", account.config, "next")
    yield store_plan(lane, b"{}", 3, account.config.budget, READ, state(*names))
    yield accept("acme", [delivery(n) for n in range(1, MANY)], 3600, dict.fromkeys(names, 1))
    yield renew("acme", 60_000, [(str(n), f"{n}-x") for n in range(MANY)])
    yield begin(lane, "1", "p3", 20_000, account.config.budget, "normal", 0, names, 0, names, Emails(names, 5))
    yield periodic.add_matches("acme", task, 60_000, 1, [*range(1, MANY)], True, MANY)
    yield periodic.claim_task("acme", "w2", 60_000, [periodic.TaskInterval(name, DAY) for name in names])
    yield periodic.release_task("acme", task, -1, "done", names)
    yield records.read_creations("acme", range(MANY))
    yield records.read_snapshots("acme", range(MANY))
    yield records.read_lists("acme", names)


def test_no_list_is_too_long(account: Account) -> None:
    before = copy(account.client)
    for call in long_calls(account):
        run(account, call)
        put_back(account.client, before)


def test_the_history_keeps_the_last_lines_of_a_very_long_turn(account: Account) -> None:
    lines = tuple(f"line {n}" for n in range(MANY))
    account.store.run(settle("acme", settlement(account.lane, history=lines), b"", b"", b"", account.config, None))
    kept = untyped(account.client).lrange(f"{P}history:1", 0, -1)
    assert [line.decode() for line in kept] == [*lines[-200:]]


def test_arguments_that_are_too_many_too_few_or_no_numbers_change_nothing(account: Account) -> None:
    before, unchanged, wrong = copy(account.client), digest(account.client), []
    for call in account.calls():
        args = [*call.args]
        numbers = [n for n, value in enumerate(args) if isinstance(value, int)]
        broken = [args[:-1], [*args, *["x"] * MANY], *([*args[:n], "soon", *args[n + 1 :]] for n in numbers)]
        for each in broken:
            if failed(account, msgspec.structs.replace(call, args=each)) and digest(account.client) != unchanged:
                wrong.append(f"{call.name} with {len(each)} arguments")
            put_back(account.client, before)
    assert wrong == []


def test_nothing_of_unknown_length_is_unpacked() -> None:
    folder = files("workers.store").joinpath("lua")  # `access` writes nothing
    texts = [folder.joinpath(f"{name}.lua").read_text("utf-8") for name in MODULES if name != "access"]
    found = [each for text in texts for each in re.findall(r"(?<![.\w])unpack\((.*)", text)]
    bounded = ("redis.call('HMGET'", "ARGV, first, first + 9)", "fields))", "lines, math.max(1, #lines - HISTORY_LINES")
    assert [each for each in found if not each.startswith(bounded)] == []
