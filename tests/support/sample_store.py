"""A store with one of everything, kept as a file to prove that later versions can continue with it.

    python -m tests.support.sample_store

writes the file of `VERSION`. Run it when stored formats change before that version is released, and never after: the
files of released versions show what their workers stored. When a release is out, set `VERSION` to the next one.
"""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis

from tests.support import stores
from workers import Context, Event, GiveUp, Retry, Router, Ticket
from workers.alerts.watchman import KEPT, LEASE, AlertState
from workers.engine.steps import Call, Step
from workers.plugins.invoke import ExternalCall, Inner
from workers.store.client_calls import CallEnd, ClientLease, begin_call, finish_call, lease_for_client, reserve_key
from workers.store.client_figures import note_call
from workers.store.fleet import Presence, Process
from workers.store.inbox import accept, receive, unreadable
from workers.store.jobs import Job, Jobs
from workers.store.keys import ALERTS, WATCHMAN, WORKERS, Keys
from workers.store.pauses import Pause, pause
from workers.store.periodic import SWEEP, Changed, ClaimedTask, PageResult, TaskInterval, claim_task, end_page
from workers.store.recorder import learn, record_shape
from workers.store.refusals import Notes
from workers.store.storms import note_storm
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment
from workers.tickets.clients import ClientWrite
from workers.webhook import parse
from workers.webhook.shapes import shape_of

VERSION = "0.2.0"
FOLDER = Path(__file__).parents[1] / "samples" / "store"

#: What happens to the tickets, in their order; it is also their subject.
FATES = (
    "settled",
    "pending",
    "dead",
    "creating",
    "emails",
    "paused",
    "quiet",
    "unfinished",
    "external",
    "in doubt",
    "locked",
    "waiting",
)


def routers() -> tuple[Router, ...]:
    """Return handlers that do what the subject of a ticket says."""
    main, quiet = Router("main"), Router("quiet")

    @main.on("ticket-created")
    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        if ticket.subject == "pending":
            raise Retry("the CRM is down", after="1h")
        if ticket.subject == "emails":
            ticket.reply("The first of two emails.")
            ticket.reply("The second one.")
        if ticket.subject == "dead":
            raise GiveUp("the contact is unknown")
        if ticket.subject in ("creating", "in doubt"):
            ctx.create_ticket(client=ticket.contact.id, subject="pick-up", text="Please come.", category="Billing")
            if ticket.subject == "in doubt":
                return
        if ticket.subject == "external":
            ctx.effect("lead", lambda: {"id": 17}, landed=lambda: {"id": 17})
        ctx.store.increment("tickets")
        ctx.store.set("last", {"ticket": ticket.id})
        ctx.store.add("contacts", ticket.contact.email)
        ctx.choose("people", ["Ada King", "Lin Wu"])
        ticket.add_tags("seen")
        ticket.note(f"noted: {ticket.subject}")
        ticket.set(priority="High")
        ctx.later("2d", "remind", unless=["staff-replied"])

    @main.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        ticket.note("reminded")

    @main.every("1d", find='status:"On Hold"')
    def close(ticket: Ticket, event: Event) -> None:
        ticket.set(status="Closed")

    @quiet.on("ticket-created")
    def stay_quiet(ticket: Ticket, event: Event) -> None:
        if ticket.subject == "quiet":
            ticket.note("resumed")

    return main, quiet


class SampleAccount:
    """An account whose work has stopped in the middle of everything; ``tickets`` are the numbers by fate."""

    def __init__(self, client: redis.Redis) -> None:
        self.client, self.keys = client, Keys(ACCOUNT)
        self.world = SimulatedDeployment(
            client, *routers(), allow=frozenset({("main", "create"), ("main", "reply")}), unanswered_replies=1
        )
        self.tickets: dict[str, int] = {}

    def run(self) -> None:
        """Do one of everything, and crash the worker wherever that leaves work behind."""
        world = self.world
        on_hold = world.simulator.create_ticket(subject="on hold").id
        world.simulator.staff_updates(on_hold, status="On Hold", staff=1)
        world.simulator.take_deliveries()  # lost: only the schedule finds this ticket
        for fate in FATES[:5]:
            self._open(fate)
        world.settle_down(60_000)
        self.client.append(f"{self.keys.prefix}stats:new", b"\x80" * 32_768)  # empty maps: the next count stores all
        self._miss("settled")
        world.settle_down(60_000)
        self._refuse()
        for fate in FATES[5:7]:
            self._open(fate)
        world.store.run(pause(ACCOUNT, "ticket", str(self.tickets["paused"]), Pause(world.now, "ada on desk-1")))
        world.store.run(pause(ACCOUNT, "router", "quiet", Pause(world.now, "ada on desk-1")))
        world.settle_down(60_000)
        for fate in FATES[7:10]:
            self._open(fate)
        self._crash_in_turns()
        self._crash_in_a_schedule()
        self._write_as_client()
        world.simulator.gate.lock(world.clock.seconds())
        self._open("locked")
        world.work()
        world.now += 1_000
        self._miss("quiet")
        waiting = self._open("waiting")
        world.receive(b'{"ticket_id":%d}' % waiting)
        selection = Job(id="5e1ec7ed", kind="selection", by="ada", at=world.now, ids=("a-dead-letter",))
        Jobs(self.client, ACCOUNT).write(selection)
        Jobs(self.client, ACCOUNT).cancel(selection.id)
        world.store.beat(WORKERS, "desk-1-17-a1b2c3")
        Presence(
            self.client, Process(name="desk-1-17-a1b2c3", part="worker", version="0.2.0", host="desk-1", pid=17)
        ).beat()

        self.client.set(WATCHMAN, "desk-1-17-a1b2c3", px=LEASE)
        told = AlertState(when="dead-letters", account=ACCOUNT, text="2 dead letters", since=world.now, begun=True)
        self.client.hset(ALERTS, "dead-letters 0 demo", msgspec.json.encode(told))
        self.client.pexpire(ALERTS, KEPT)

    def work_on(self) -> None:
        """Let another worker do whatever is due within an hour and a half."""
        self.world.now += self.world.lease
        self.world.settle_down(3_600_000)
        self.world.run_tasks()
        self.world.settle_down(1_800_000)

    def _open(self, fate: str) -> int:
        self.tickets[fate] = self.world.simulator.create_ticket(subject=fate).id
        self.world.deliver()
        return self.tickets[fate]

    def _miss(self, fate: str) -> None:
        """Lose the delivery of a change, and let a sweep find it."""
        world, ticket = self.world, self.tickets[fate]
        world.simulator.staff_updates(ticket, priority=2, staff=1)
        world.simulator.take_deliveries()
        task = world.store.run(claim_task(ACCOUNT, "sweeper", 60_000, [TaskInterval(SWEEP, 1_000)]))
        assert isinstance(task, ClaimedTask)
        shown = PageResult(memo="{}", page=1, tickets=1, changed=(Changed(ticket),), opened=(ticket,))
        world.store.run(end_page(ACCOUNT, task, -1, shown, world.now, 604_800))

    def _refuse(self) -> None:
        """Get a delivery that cannot be read, one that teaches a host, and a wrong signature."""
        body = b'{"ticket_id":%d}' % self.tickets["settled"]
        arrivals = [unreadable("not JSON", b"?"), receive(parse(body), body, host="help.acme.example")]
        self.world.store.run(accept(ACCOUNT, arrivals, 604_800, {"bad-signature": 2}))
        shape = shape_of("delivery", {"ticket_id": 1, "event_type": "ticket-created"})
        self.world.store.run(record_shape(ACCOUNT, shape))
        self.world.store.run(learn(ACCOUNT, "contact", "requester", shape.digest))
        self.world.store.run(note_storm(ACCOUNT, 900, 3))
        notes = Notes()
        notes.cause(ACCOUNT, "quotes-there")
        notes.key(ACCOUNT, "a1b2")
        for command in notes.commands(self.world.now):
            self.client.execute_command(*command)  # type: ignore[no-untyped-call]
        self.world.settle_down(60_000)

    def _write_as_client(self) -> None:
        """Begin a client's write with an Idempotency-Key, and lose its answer."""
        run, now, ticket = self.world.store.run, self.world.now, self.tickets["settled"]
        run(reserve_key(ACCOUNT, "a1b2c3", "d4e5f6", "c1", 15_000))
        lease = run(lease_for_client(ACCOUNT, ticket, "c1", 15_000, ""))
        assert isinstance(lease, ClientLease)
        write = ClientWrite(number=lease.number, client="triage", at=now, updates=(1,), email=True)
        budget = self.world.governor.budget
        run(begin_call(ACCOUNT, lease, "client.c1-1", 15_000, budget, "normal", None, write, "a1b2c3", b"{}"))
        run(note_call(ACCOUNT, "triage", "doubt", "tried to tag", f"ticket {ticket}", "the answer was lost"))
        end = CallEnd(permit="client.c1-1", outcome="doubt", number=write.number, key="a1b2c3")
        run(finish_call(ACCOUNT, lease, end, self.world.governor.budget, 3_600_000))

    def _crash_in_turns(self) -> None:
        """Crash after the first write of a plan, an external effect and a creation, before any is recorded."""

        def after(step: Step | Inner, result: Any) -> Any:
            if isinstance(step, ExternalCall) or (isinstance(step, Call) and step.request.method != "GET"):
                raise Crash
            return result

        with self._dying(after):
            for _ in FATES[7:10]:
                with contextlib.suppress(Crash):
                    self.world.work()

    def _crash_in_a_schedule(self) -> None:
        """Crash after matches were found and before events were made of them."""

        def after(step: Step | Inner, result: Any) -> Any:
            if self.client.exists(f"{self.keys.prefix}matches:main.close"):
                raise Crash
            return result

        with self._dying(after), contextlib.suppress(Crash):
            self.world.run_tasks()

    @contextlib.contextmanager
    def _dying(self, after: Callable[[Step | Inner, Any], Any]) -> Iterator[None]:
        self.world.after = after
        try:
            yield
        finally:
            self.world.after = lambda step, result: result


def dump(client: redis.Redis) -> list[dict[str, Any]]:
    """Return every key with its type, its value and the milliseconds it has left."""
    untyped: Any = client
    read: dict[str, Callable[[bytes], Any]] = {
        "string": lambda key: _text(untyped.get(key)),
        "list": lambda key: [_text(value) for value in untyped.lrange(key, 0, -1)],
        "hash": lambda key: {name.decode(): _text(value) for name, value in sorted(untyped.hgetall(key).items())},
        "set": lambda key: sorted(member.decode() for member in untyped.smembers(key)),
        "zset": lambda key: {member.decode(): score for member, score in untyped.zrange(key, 0, -1, withscores=True)},
        "stream": lambda key: {name.decode(): _fields(fields) for name, fields in untyped.xrange(key)},
    }
    found = []
    for key in sorted(untyped.scan_iter(count=1000)):
        kind, left = untyped.type(key).decode(), untyped.pttl(key)
        entry = {"key": key.decode(), "type": kind, "value": read[kind](key)}
        found.append(entry if left < 0 else {**entry, "expires_in": left})
    return found


def restore(client: redis.Redis, entries: Sequence[dict[str, Any]]) -> None:
    """Write the keys of a dump into an empty store."""
    untyped: Any = client
    write: dict[str, Callable[[str, Any], Any]] = {
        "string": lambda key, value: untyped.set(key, _bytes(value)),
        "list": lambda key, value: untyped.rpush(key, *map(_bytes, value)),
        "hash": lambda key, value: untyped.hset(key, mapping={name: _bytes(each) for name, each in value.items()}),
        "set": lambda key, value: untyped.sadd(key, *value),
        "zset": untyped.zadd,
        "stream": lambda key, value: [untyped.xadd(key, fields, id=name) for name, fields in value.items()],
    }
    for entry in entries:
        write[entry["type"]](entry["key"], entry["value"])
        if "expires_in" in entry:
            untyped.pexpire(entry["key"], entry["expires_in"])


def _fields(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def _text(value: bytes) -> str | dict[str, str]:
    """Return a value as JSON can hold it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _bytes(shown: str | dict[str, str]) -> bytes:
    return shown.encode() if isinstance(shown, str) else base64.b64decode(shown["base64"])


def main() -> None:
    """Write the file of this version."""
    with stores.running("valkey") as url, redis.Redis.from_url(url) as client:
        sample = SampleAccount(client)
        sample.run()
        keys = dump(client)
    stored = {"version": VERSION, "now": sample.world.now, "keys": keys}
    path = FOLDER / f"{VERSION}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(stored, ensure_ascii=False, indent=2) + "\n")
    print(f"{path.relative_to(FOLDER.parents[2])}: {len(keys)} keys, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
