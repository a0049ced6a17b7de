"""Pauses: no handler runs until they end; changes are handled then, once and in order, or were skipped."""

from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from tests.support.turns import finish, noting
from workers import Context, Event, Retry, Router, Ticket
from workers.engine import guards
from workers.engine.steps import Call
from workers.simulator import ApiFault
from workers.store.pauses import Pause, Scope, pause, resume
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment
from workers.tickets.change import Kind

P = f"foxhooks:{{{ACCOUNT}}}:"
KINDS: tuple[Kind, ...] = ("ticket-created", "contact-replied", "tags-changed")

EACH: list[tuple[Scope, str]] = [("account", ""), ("router", "audit"), ("ticket", "1")]


def audit(shown: list[str], name: str = "audit", fails: int = 0) -> Router:
    """Return a router that notes the texts it is shown."""
    router, left = Router(name), [fails]

    @router.on(*KINDS)
    def hear(ticket: Ticket, event: Event) -> None:
        if left[0]:
            left[0] -= 1
            raise Retry("not yet", after="60s")
        shown.extend(change.text.strip() or change.kind for change in event.matched)
        ticket.note(f"Heard {len(shown)}.")

    return router


def opened(store: redis.Redis, *routers: Router, **config: Any) -> SimulatedDeployment:
    world = SimulatedDeployment(store, *routers, **config)
    world.simulator.create_ticket(text="Hello")
    finish(world)
    return world


def halt(world: SimulatedDeployment, scope: Scope, name: str, skip: bool = False) -> bool:
    return world.store.run(pause(ACCOUNT, scope, name, Pause(world.now, "ada", skip)))


def write(world: SimulatedDeployment, *texts: str) -> None:
    """Write as the contact and work until nothing is due."""
    for text in texts:
        world.simulator.contact_replies(1, text)
        world.now += 3_000
        world.deliver()
        world.work()


def settle(world: SimulatedDeployment) -> None:
    for _ in range(40):
        world.now += 3_000
        world.deliver()
        try:
            world.work()
        except Crash:
            world.now += world.lease


def texts(world: SimulatedDeployment) -> list[str]:
    """Return the texts of our notes."""
    notes = [update["message"] for update in world.ticket(1)["updates"] if update["by"]["type"] == "staff"]
    return [note["text"].strip() for note in notes if note]


def history(store: Any) -> str:
    lines = [msgspec.json.decode(line)["text"] for line in store.lrange(f"{P}history:1", 0, -1)]
    return "\n".join(lines)


@pytest.mark.parametrize(("scope", "name"), EACH)
def test_changes_are_queued_and_handled_once_and_in_order_after_the_pause(
    store: redis.Redis, scope: Scope, name: str
) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))
    assert not halt(world, scope, name)
    write(world, "one", "two", "three")
    assert shown == ["Hello"]
    assert store.zcard(f"{P}schedule") == 1

    assert world.store.run(resume(ACCOUNT, scope, name))
    settle(world)

    assert shown == ["Hello", "one", "two", "three"]
    finish(world)
    assert store.zcard(f"{P}schedule") == store.scard(f"{P}waiting_for_resume") == 0


@pytest.mark.parametrize(("scope", "name"), EACH)
def test_changes_are_skipped_if_the_pause_says_so(store: redis.Redis, scope: Scope, name: str) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))
    halt(world, scope, name, skip=True)
    write(world, "one", "two")
    world.store.run(resume(ACCOUNT, scope, name))
    settle(world)
    write(world, "three")

    assert shown == ["Hello", "three"]
    assert "did" not in history(store)
    assert "skipped: the" in history(store)
    assert "paused since 2026-05-28 20:2" in history(store)


def test_only_the_paused_router_waits(store: redis.Redis) -> None:
    one, two = list[str](), list[str]()
    world = opened(store, audit(one), audit(two, "other"))
    halt(world, "router", "audit")
    write(world, "one", "two")
    assert (one, two) == (["Hello"], ["Hello", "one", "two"])
    assert "every handler of audit waiting: the router audit is paused since" in history(store)

    world.store.run(resume(ACCOUNT, "router", "audit"))
    settle(world)

    assert one == two


def test_only_the_paused_ticket_waits(store: redis.Redis) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))
    halt(world, "ticket", "1")
    world.simulator.create_ticket(text="Another")
    finish(world, hours=1)

    assert shown == ["Hello", "Another"]


@pytest.mark.parametrize("skips", [False, True])
def test_a_tag_pauses_its_ticket_until_it_is_removed(store: redis.Redis, skips: bool) -> None:
    shown = list[str]()
    world = opened(store, audit(shown), off_tag="foxhooks-off", off_skips=skips)
    world.simulator.staff_updates(1, staff=1, add_tags=["Foxhooks-Off"])
    settle(world)
    write(world, "one", "two")
    assert shown == ["Hello"]
    assert "the ticket is paused by its tag foxhooks-off" in history(store)

    world.simulator.staff_updates(1, staff=1, remove_tags=["Foxhooks-Off"])
    settle(world)

    assert shown == ["Hello", *([] if skips else ["tags-changed", "one", "two"]), "tags-changed"]


def test_the_tag_holds_a_plan_that_waited(store: redis.Redis) -> None:
    router = Router("audit")

    @router.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.note("Noted.")
        ticket.reply("Thank you.")

    world = opened(store, router, off_tag="foxhooks-off")
    world.simulator.faults.add(ApiFault("status", method="POST", status=429, count=1))
    world.simulator.contact_replies(1, "one")
    world.deliver()
    world.work()
    world.simulator.staff_updates(1, staff=1, add_tags=["foxhooks-off"])
    for _ in range(20):
        world.now += 60_000
        world.deliver()
        world.work()
    assert texts(world) == []
    assert "waits for the end of the pause, the ticket is paused by its tag foxhooks-off" in history(store)

    world.simulator.staff_updates(1, staff=1, remove_tags=["foxhooks-off"])
    finish(world)
    assert texts(world) == ["Noted.", "Thank you."]


def test_without_the_setting_the_tag_means_nothing(store: redis.Redis) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))
    world.simulator.staff_updates(1, staff=1, add_tags=["foxhooks-off"])
    settle(world)

    assert shown == ["Hello", "tags-changed"]


def test_pending_work_keeps_its_attempt_and_its_changes(store: redis.Redis) -> None:
    shown = list[str]()
    world = SimulatedDeployment(store, audit(shown, fails=2))
    world.simulator.create_ticket(text="Hello")
    world.deliver()
    world.work()
    halt(world, "ticket", "1")
    write(world, "one")
    world.now += 600_000
    world.work()
    assert shown == []

    world.store.run(resume(ACCOUNT, "ticket", "1"))
    finish(world)

    assert shown == ["Hello", "one"]
    assert not store.zcard(f"{P}dead_letters")


def test_nothing_is_lost_where_two_pauses_overlap(store: redis.Redis) -> None:
    one, two = list[str](), list[str]()
    world = opened(store, audit(one), audit(two, "other"))
    halt(world, "ticket", "1")
    write(world, "one")
    halt(world, "router", "audit", skip=True)
    write(world, "two")
    world.store.run(resume(ACCOUNT, "ticket", "1"))
    settle(world)
    assert (one, two) == (["Hello"], ["Hello", "one", "two"])

    write(world, "three")
    world.store.run(resume(ACCOUNT, "router", "audit"))
    settle(world)

    assert one == ["Hello", "one", "two"]


def test_a_ticket_paused_together_with_its_router_keeps_the_order(store: redis.Redis) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))
    halt(world, "router", "audit")
    write(world, "one")
    halt(world, "ticket", "1")
    write(world, "two")
    world.store.run(resume(ACCOUNT, "router", "audit"))
    write(world, "three")
    world.store.run(resume(ACCOUNT, "ticket", "1"))
    settle(world)

    assert shown == ["Hello", "one", "two", "three"]


@pytest.mark.parametrize(("scope", "name"), EACH)
@pytest.mark.parametrize("skip", [False, True])
def test_a_pause_holds_the_rest_of_a_plan_between_two_effects(
    store: redis.Redis, scope: Scope, name: str, skip: bool
) -> None:
    three = Router("audit")

    @three.on("contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        for number in range(3):
            ticket.note(f"Note {number}.")

    world = opened(store, three)

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Call) and step.request.method == "POST":
            halt(world, scope, name, skip)
        return result

    world.after = after
    write(world, "one")
    settle(world)
    assert texts(world) == ["Note 0."]
    assert "waits for the end of the pause" in history(store)

    world.after = lambda step, result: result
    world.store.run(resume(ACCOUNT, scope, name))
    settle(world)
    assert texts(world) == ["Note 0.", "Note 1.", "Note 2."]
    assert "audit.note decided: after the pause: private note" in history(store)


def test_a_pause_of_one_router_holds_only_its_part_of_an_effect(store: redis.Redis) -> None:
    routers = [Router("audit"), Router("other")]
    for router in routers:

        @router.on("contact-replied")
        def tag(ticket: Ticket, event: Event, router: str = router.name) -> None:
            ticket.add_tags(router)

    world = opened(store, *routers)

    def before(step: Any) -> None:
        if isinstance(step, Script) and step.name == "begin":
            halt(world, "router", "audit")

    world.before = before
    write(world, "one")
    settle(world)
    assert world.ticket(1)["tags"] == "other"

    world.before = lambda _: None
    world.store.run(resume(ACCOUNT, "router", "audit"))
    settle(world)
    assert set(world.ticket(1)["tags"].split(",")) == {"audit", "other"}


def test_a_plan_stored_before_a_crash_waits_for_the_end_of_a_pause(store: redis.Redis) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Script) and step.name == "plan":
            raise Crash
        return result

    world.simulator.contact_replies(1, "one")
    world.deliver()
    world.after = after
    with pytest.raises(Crash):
        world.work()
    world.after = lambda step, result: result
    halt(world, "ticket", "1")
    settle(world)
    assert texts(world) == ["Heard 1."]

    world.store.run(resume(ACCOUNT, "ticket", "1"))
    settle(world)
    assert texts(world) == ["Heard 1.", "Heard 2."]
    assert shown == ["Hello", "one"]


@pytest.mark.parametrize(("scope", "name"), EACH[1:])
def test_external_effects_are_not_repeated_after_a_crash_and_a_pause(
    store: redis.Redis, scope: Scope, name: str
) -> None:
    router, calls, given = Router("audit"), list[str](), list[str | None]()

    @router.on("contact-replied")
    def tell(ticket: Ticket, event: Event, ctx: Context) -> None:
        given.append(ctx.effect("crm-1", noting(calls, "called", "done")))
        ticket.note("Told.")

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Script) and step.name == "plan":
            raise Crash
        return result

    world = opened(store, router)
    world.simulator.contact_replies(1, "one")
    world.deliver()
    world.before = lambda step: after(step, None)
    with pytest.raises(Crash):
        world.work()
    world.before = lambda step: None
    halt(world, scope, name)
    settle(world)
    world.store.run(resume(ACCOUNT, scope, name))
    finish(world)

    assert (calls, given) == (["called"], ["done", "done"])
    assert str(world.ticket(1)["updates"]).count("Told.") == 2  # the text and the html of one note


def test_a_pause_that_ends_during_a_turn_is_noticed(store: redis.Redis) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))
    halt(world, "ticket", "1")
    world.simulator.contact_replies(1, "one")
    world.deliver()
    ended: list[bool] = []

    def before(step: Any) -> None:
        if isinstance(step, Script) and step.name == "settle" and not ended:
            ended.append(world.store.run(resume(ACCOUNT, "ticket", "1")))

    world.before = before
    world.work()

    assert ended == [True]
    assert shown == ["Hello", "one"]


@pytest.mark.parametrize("name", ["claim", "settle"])
def test_nothing_is_lost_when_workers_die(store: redis.Redis, name: str) -> None:
    shown = list[str]()
    world = opened(store, audit(shown))
    struck: list[str] = []

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Script) and step.name == name and len(struck) < 4:
            struck.append(step.name)
            raise Crash
        return result

    halt(world, "ticket", "1")
    world.after = after
    for text in ("one", "two", "three"):
        world.simulator.contact_replies(1, text)
        settle(world)
    world.store.run(resume(ACCOUNT, "ticket", "1"))
    finish(world)

    assert shown == ["Hello", "one", "two", "three"]


def test_paused_lanes_cost_no_reads(store: redis.Redis) -> None:
    world = opened(store, audit([]), off_tag="foxhooks-off")
    world.simulator.staff_updates(1, staff=1, add_tags=["foxhooks-off"])
    settle(world)
    halt(world, "router", "audit")
    world.store.run(resume(ACCOUNT, "router", "audit"))
    settle(world)
    before = len(world.simulator.log)
    for _ in range(10):
        world.now += 3_600_000
        world.work()

    assert len(world.simulator.log) == before


def test_too_many_queued_changes_become_a_dead_letter(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "MAX_QUEUED", 2)
    world = opened(store, audit([]))
    halt(world, "ticket", "1")
    write(world, "one", "two", "three")

    [dead_letter] = [
        msgspec.json.decode(untyped(store).hget(f"{P}dead_letter:{each.decode()}", "evidence"))
        for each in untyped(store).zrange(f"{P}dead_letters", 0, -1)
    ]
    assert (dead_letter["handler"], len(dead_letter["changes"])) == ("*", 3)
    assert "replay this when it is resumed" in dead_letter["reason"]


def test_pausing_or_resuming_twice_has_no_further_effect(store: redis.Redis) -> None:
    world = opened(store, audit([]))
    for scope, name in EACH:
        assert [halt(world, scope, name), halt(world, scope, name, skip=True)] == [False, True]
    assert store.hget(f"{P}paused", "tickets") == b"1"
    for scope, name in EACH:
        assert [world.store.run(resume(ACCOUNT, scope, name)) for _ in range(2)] == [True, False]

    assert store.hkeys(f"{P}paused") == [b"ended"]


def test_the_history_lists_queued_changes_when_handlers_get_them(store: redis.Redis) -> None:
    world = opened(store, audit([]), audit([], "other"))
    halt(world, "router", "audit")
    write(world, "one")
    assert "gets the queued changes" not in history(store)
    halt(world, "ticket", "1")
    world.store.run(resume(ACCOUNT, "router", "audit"))
    settle(world)
    assert "gets the queued changes" not in history(store)
    world.store.run(resume(ACCOUNT, "ticket", "1"))
    settle(world)

    assert "every handler of audit gets the queued changes: contact-replied by contact (update 3)" in history(store)


def test_a_handler_waiting_for_its_retry_is_not_reported_as_failed_again(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, audit([], fails=1))
    world.simulator.create_ticket(text="Hello")
    world.deliver()
    world.work()
    write(world, "one")

    assert history(store).count("audit.hear failed, will be retried:") == 1
    assert "audit.hear waiting: for its retry at 2026-05-28 20:2" in history(store)
