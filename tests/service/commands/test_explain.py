"""explain: what a turn did, and what it would have done."""

from pathlib import Path

import pytest
import redis

from service.reading.tickets import MOST_RECORDS, read_turns
from tests.support.commands import printed, refused, run, shown, wrong
from workers import Context, Event, Retry, Router, Ticket
from workers.engine.context import Sweep
from workers.handlers import auto_tag
from workers.store.audit import By
from workers.store.client import Store, store_time
from workers.store.inbox import accept, receive
from workers.store.keys import Keys
from workers.store.pauses import Pause, pause, resume
from workers.store.records import AccountRecords, discard
from workers.testing import Desk
from workers.testing.desk import ACCOUNT, SimulatedDeployment
from workers.webhook import parse

vip = Router("vip")


@vip.on("ticket-created")
def greet(ticket: Ticket, event: Event) -> None:
    ticket.add_tags("vip")
    ticket.note("VIP contact: answer within the hour.")
    ticket.set(priority="High")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    ("dry", "lines"),
    [
        (
            True,
            (
                "dry run   tag +vip: not sent (dry run), for vip.greet",
                "dry run   private note, priority = High: not sent (dry run), for vip.greet",
                'message   "VIP contact: answer within the hour."',
            ),
        ),
        (
            False,
            (
                "action    tag +vip: done (update 2), for vip.greet",
                "action    private note, priority = High: done (update 3), for vip.greet",
                'message   "VIP contact: answer within the hour."',
            ),
        ),
    ],
)
def test_every_effect_is_shown_with_its_actions(store: redis.Redis, dry: bool, lines: tuple[str, ...]) -> None:
    world = SimulatedDeployment(store, vip, dry_run=dry)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()

    output = run("explain", str(number)).stdout
    assert [line for line in lines if line not in output] == []


def test_several_emails_in_one_turn_are_pointed_out_with_their_handlers(store: redis.Redis) -> None:
    clerk = Router("clerk")

    @clerk.on("ticket-created")
    def welcome(ticket: Ticket, event: Event) -> None:
        ticket.reply("We have your request.")

    @clerk.on("ticket-created")
    def promise(ticket: Ticket, event: Event) -> None:
        ticket.reply("We answer today.")

    world = SimulatedDeployment(store, clerk, allow=frozenset({("clerk", "reply")}))
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    attention = "attention 2 emails were sent in this turn, by clerk.welcome, clerk.promise"
    assert attention in " ".join(run("explain", str(number)).stdout.split())


def test_a_ticket_may_be_named_by_its_display_id(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    assert shown("explain", f"#DC{number:08}")["turns"] == shown("explain", str(number))["turns"] != []
    assert "is no ticket" in wrong("explain", "#DC")
    for command in (("events",), ("dead", "list")):
        assert shown(*command, "--ticket", f"DC{number:08}") == shown(*command, "--ticket", str(number))


def test_it_shows_who_paused_replayed_and_discarded(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    ada = By("ada", why="asked by Sam")
    world.store.run(pause(ACCOUNT, "ticket", str(number), Pause(world.now, "ada"), ada))
    world.store.run(pause(ACCOUNT, "ticket", str(number + 10), Pause(world.now, "ada"), ada))
    world.client.zadd(Keys(ACCOUNT).dead_letters, {"n1": 1})
    world.client.hset(Keys(ACCOUNT).dead_letter("n1"), mapping={"ticket": number, "at": 1, "evidence": "{}"})
    world.store.run(discard(ACCOUNT, "n1", ada))
    text = run("explain", str(number)).stdout
    assert "person  ada: pause (asked by Sam)" in text
    assert "person  ada: discard dead letter n1 (asked by Sam)" in text
    assert [each["what"] for each in shown("explain", str(number))["people"]] == ["pause", "discard"]


def test_an_included_handler_says_why_it_did_not_run(desk: Desk) -> None:
    match = [{"text": "refund", "tags": ["refund"]}, {"priority": "High", "tags": ["high"]}]
    desk.use(auto_tag.router, settings={"auto-tag": {"match": match}})
    number = desk.simulator.create_ticket(text="Hello", priority="Low").id
    desk.advance("1m")

    output = run("explain", str(number)).stdout
    reason = "match 1: text does not match refund; match 2: priority is Low, expected High"
    assert f"handler   auto-tag.tag skipped: {reason}" in output


def test_handlers_that_were_not_triggered_share_a_line(store: redis.Redis) -> None:
    router = Router("crew")
    for name in ("first", "second"):

        def moved(ticket: Ticket, event: Event) -> None: ...

        moved.__name__ = name
        router.on("moved")(moved)

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("new")

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()

    output = " ".join(run("explain", str(number)).stdout.split())
    assert "handler crew.greet decided: tags handler crew.first, crew.second: not triggered by this event" in output


def test_timers_are_shown_and_are_not_in_the_backlog(store: redis.Redis) -> None:
    router = Router("wait")

    @router.on("ticket-created")
    def begin(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("2h", "remind", unless=["staff-replied"])
        ctx.later("3d", "close")

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        ticket.note("Nobody has answered.")

    @router.on("later", name="close")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.set(status="Closed")

    world = SimulatedDeployment(store, router)
    world.now = store_time(store)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()

    output = run("explain", str(number)).stdout
    assert "wait.begin decided: later" in output
    assert "timer remind of wait: due 20" in output
    assert "Timer remind of wait: due in 1 h, unless staff-replied comes first." in output
    assert "Timer close of wait: due in 2 d." in output
    assert "No events waiting." in output
    (first, _) = shown("explain", str(number))["now"]["timers"]
    assert (first["router"], first["name"], first["unless"]) == ("wait", "remind", ["staff-replied"])

    output = run("status").stdout
    assert "waiting       no events" in output
    assert "1 ticket waiting for a timer only, first due in 1 h" in output


def test_effects_in_other_systems_and_on_other_tickets_are_shown(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.effect("crm-1", lambda: {"row": 7})
        ctx.create_ticket(client=ticket.contact.id, subject="Call", text="Call them.", category="Billing")
        ctx.on_ticket(5).note("See here.")

    world = SimulatedDeployment(store, router, allow=frozenset({("clerk", "create")}))
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()

    output = run("explain", str(number)).stdout
    assert "clerk.file decided: create ticket (allowed by FOXHOOKS_ALLOW=clerk:create), note on ticket 5" in output
    assert "external      clerk.file effect crm-1: done" in output
    assert "other ticket  clerk.file: note on ticket 5: handed over to its lane" in output
    assert "action        create ticket in Billing: done (ticket 2)" in output
    record = shown("explain", str(number))["turns"][0]["record"]
    assert record["external"]["clerk.file"]["crm-1"]["value"] == {"row": 7}
    assert record["handovers"][0]["ticket"] == 5


def test_text_by_customers_cannot_control_the_terminal(desk: Desk) -> None:
    desk.use(auto_tag.router)
    evil = "\x1b]0;owned\x07[red]Kim[/red] <script>alert(1)</script>"
    number = desk.simulator.create_ticket("kim@example.org", name=evil).id
    desk.advance("1m")

    output = run("explain", str(number)).stdout
    assert " ]0;owned [red]Kim[/red] <script>alert(1)</script>" in output
    assert "\x1b]" not in output


def test_pending_work_is_shown_with_what_it_waits_for(store: redis.Redis) -> None:
    def output() -> str:
        return run("explain", "1").stdout

    router, fails = Router("sick"), [True]

    @router.on("ticket-created")
    def fail(ticket: Ticket, event: Event) -> None:
        if fails[0]:
            raise Retry("not yet", after="40s")

    world = SimulatedDeployment(store, router)
    world.now = store_time(store)
    world.simulator.create_ticket()
    world.deliver()
    assert "1 waiting event, next turn" in output()
    world.store.run(pause(ACCOUNT, "account", "", Pause(world.now, "ada")))
    assert "1 waiting event, next turn when the account is resumed." in output()
    world.store.run(resume(ACCOUNT, "account", ""))
    world.work()
    assert "1 change for sick.fail: next attempt in 3" in output()
    world.store.run(pause(ACCOUNT, "ticket", "1", Pause(world.now, "ada")))
    world.simulator.contact_replies(1, "Hello?")
    world.now += 3_000
    world.deliver()
    world.work()
    last = output()
    assert "1 change for sick.fail: queued until the pause ends." in last
    assert "1 change for every handler: queued until the pause ends." in last
    assert "in 23 h" not in last


def test_events_are_found_by_kind_and_a_misspelled_kind_is_refused(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip)
    world.simulator.create_ticket()
    world.deliver()
    world.work()
    world.simulator.contact_replies(1, "Hello?")
    world.now += 3_000
    world.deliver()
    world.work()

    def found(kind: str) -> set[str]:
        return {" ".join(each["changes"]) for each in shown("events", "--kind", kind)}

    assert found("contact-replied") == found("ticket-updated") == {"contact-replied"}
    assert found("ticket-created") == {"ticket-created"}
    assert "no kind 'contct-replied'; did you mean 'contact-replied'?" in wrong("events", "--kind", "contct-replied")
    text = run("events", "--kind", "contact-replied").stdout
    assert all(word in text for word in ("received", ACCOUNT, "webhook", "settled", "contact-replied"))


def test_a_ticket_without_webhooks_and_an_unknown_account_are_refused() -> None:
    assert refused("explain", "9") == "foxhooks: No webhook received for ticket 9 yet."
    assert "there is no account 'nobody'" in refused("explain", "9", "--account", "nobody")


@pytest.mark.parametrize(
    ("state", "why", "words"),
    [
        ("locked", "limited", "1 waiting event, locked out until 14:32 UTC."),
        ("locked", "clock", "1 waiting event, the store's clock or server changed, next turn at 14:32 UTC."),
        ("denied", "denied", "1 waiting event, HappyFox rejected the API key, next turn at 14:32 UTC."),
        (
            *("unreachable", "unreachable"),
            "1 waiting event, HappyFox does not answer since 14:32 UTC, next turn at 14:32 UTC.",
        ),
    ],
)
def test_a_ticket_that_waits_for_the_end_of_a_lockout_says_so(
    store: redis.Redis, state: str, why: str, words: str
) -> None:
    with Store(store) as scripts:
        scripts.run(accept(ACCOUNT, [receive(parse(b'{"ticket_id": 3}'), b"3")], 3600))
    assert "No event of it was processed yet.\n1 waiting event, next turn now." in run("explain", "3").stdout

    day = 86_400_000
    until = store_time(store) // day * day + day + 52_350_000  # tomorrow at 14:32:30
    store.hset(Keys(ACCOUNT).gate, mapping={"state": state, "why": why, "until": until, "since": until})
    assert words in run("explain", "3").stdout
    assert shown("explain", "3")["now"]["no_calls_until"] // 60_000 == until // 60_000


@pytest.mark.parametrize("lost", ["deleted", "of the wrong type"])
def test_a_ticket_without_its_history_is_explained_by_its_records(store: redis.Redis, lost: str) -> None:
    world = SimulatedDeployment(store, vip)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    store.delete(Keys(ACCOUNT).history(number))
    if lost != "deleted":
        store.set(Keys(ACCOUNT).history(number), "what is this")

    assert "action    tag +vip: done" in run("explain", str(number)).stdout


def test_only_the_newest_records_are_searched_for_a_ticket_without_a_history(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    keys, records = Keys(ACCOUNT), AccountRecords(store, ACCOUNT)
    store.delete(keys.history(number))
    (turn,) = (turn.turn for turn in read_turns(records, number))
    for copy in range(MOST_RECORDS):
        store.zadd(keys.turns, {f"newer-{copy}": store_time(store) + copy})
    assert list(read_turns(records, number)) == []
    store.zrem(keys.turns, "newer-0")
    assert [found.turn for found in read_turns(records, number)] == [turn]


def test_a_ticket_of_which_only_the_snapshot_is_left_is_not_unknown(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.settle_down()
    store.delete(Keys(ACCOUNT).history(number), Keys(ACCOUNT).turns)

    assert "What happened to it is not stored any more." in run("explain", str(number)).stdout
    assert "No webhook received" in refused("explain", "99")


def test_a_key_of_the_wrong_type_is_named(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip)
    number = world.simulator.create_ticket().id
    world.deliver()
    lane = Keys(ACCOUNT).lane(number)
    store.delete(lane)
    store.set(lane, "what is this")

    assert f"What the key {lane} has in the store cannot be read" in printed("explain", str(number))


def test_explain_says_which_changes_a_sweep_has_found_and_how_late(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip, sweep=Sweep(60_000, 1_000))
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()
    world.simulator.staff_updates(number, staff=1, status="On Hold")
    world.simulator.take_deliveries()
    world.now += 7_200_000
    world.run_tasks()
    world.work()
    text = " ".join(run("explain", str(number)).stdout.split())
    assert "received sweep: updated" in text
    assert "On Hold (update 4), learned 2 h later by a sweep" in text
    assert text.count("by a sweep") == 1
