"""Actions for other tickets: performed in those tickets' own lanes, once, without starting handlers there."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from tests.support.stores import untyped
from workers import Context, Event, Router, Ticket
from workers.simulator import ApiFault
from workers.store.pauses import Pause, Scope, pause, resume
from workers.store.records import replay
from workers.testing import run, ticket
from workers.testing.desk import ACCOUNT, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"


def clerk(handle: Callable[[Ticket, Context], object]) -> Router:
    """Return a router whose handler runs for replies of contacts."""
    router = Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        handle(ticket, ctx)

    return router


def rest(world: SimulatedDeployment) -> None:
    """Work and deliver until nothing is left to do."""
    for _ in range(3):
        world.deliver()
        world.settle_down()


def desk(store: "redis.Redis", *routers: Router, snapshot: bool = True, **config: Any) -> SimulatedDeployment:
    """Return a world with three tickets, optionally seen before; the contact has replied on the first."""
    world = SimulatedDeployment(store, *routers, **config)
    for subject in ("One", "Two", "Three"):
        world.simulator.create_ticket(subject=subject)
    if snapshot:
        rest(world)
    else:
        world.simulator.take_deliveries()
    world.now += 600_000
    world.simulator.contact_replies(1, "Please look at the others too.")
    return world


def dead_letters(store: Any) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(store.hget(f"{P}dead_letter:{id.decode()}", "evidence"))
        for id in store.zrange(f"{P}dead_letters", 0, -1)
    ]


def history(store: Any, number: int) -> str:
    return "\n".join(line.decode() for line in store.lrange(f"{P}history:{number}", 0, -1))


def test_actions_are_performed_on_the_other_ticket_as_it_is_now(store: redis.Redis) -> None:
    def link(ticket: Ticket, ctx: Context) -> None:
        other = ctx.on_ticket(2)
        other.add_tags("linked")
        other.note(f"See {ticket.display_id}.")
        other.set(status="On Hold")
        ctx.on_ticket(3).add_tags("linked")
        ticket.note("Linked.")

    world = desk(store, clerk(link))
    rest(world)

    assert [world.ticket(number)["tags"] for number in (1, 2, 3)] == ["", "linked", "linked"]
    assert world.ticket(2)["status"]["name"] == "On Hold"
    assert f"See {world.ticket(1)['display_id']}." in str(world.ticket(2)["updates"])
    assert "clerk.file: tags, note, set on ticket 2: handed over to its lane" in history(store, 1)
    assert "clerk.file decided: from ticket 1: tags, note, set" in history(store, 2)


@pytest.mark.parametrize("snapshot", [False, True])
def test_they_start_no_handler_there_so_two_tickets_cannot_loop(store: redis.Redis, snapshot: bool) -> None:
    router, calls = Router("clerk"), []

    @router.on("ticket-updated")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        calls.append(ticket.id)
        ctx.on_ticket(3 - ticket.id).note(f"From {ticket.id}.")

    world = desk(store, router, snapshot=snapshot)
    calls.clear()
    rest(world)

    assert calls == [1]
    assert "From 1." in str(world.ticket(2)["updates"])


def test_a_handler_may_name_its_own_ticket_too(store: redis.Redis) -> None:
    world = desk(store, clerk(lambda ticket, ctx: ctx.on_ticket(ticket.id).add_tags("own")))
    rest(world)

    assert world.ticket(1)["tags"] == "own"
    assert "handed over" not in history(store, 1)


def test_actions_for_a_ticket_that_does_not_exist_are_dead_lettered(store: redis.Redis) -> None:
    world = desk(store, clerk(lambda ticket, ctx: ctx.on_ticket(99).add_tags("linked")))
    rest(world)

    [dead_letter] = dead_letters(store)
    assert dead_letter["reason"].startswith("HappyFox has no such ticket: it repeatedly answered 404")
    assert (dead_letter["handler"], dead_letter["origin"]) == ("clerk.file", 1)
    assert dead_letter["actions"] == [{"action": "tags", "add": ["linked"], "remove": []}]
    assert not store.zcard(f"{P}schedule")


def test_an_unknown_name_is_dead_lettered_there_and_can_be_replayed(store: redis.Redis) -> None:
    calls: list[int] = []

    def hold(ticket: Ticket, ctx: Context) -> None:
        calls.append(1)
        ctx.on_ticket(2).set(status="Parked")

    world = desk(store, clerk(hold))
    rest(world)
    [dead_letter] = dead_letters(store)
    company = world.simulator.account
    company.statuses = {**company.statuses, 9: {**company.statuses[3], "id": 9, "name": "Parked"}}
    world.now += 3_600_000
    world.store.run(replay(ACCOUNT, dead_letter["id"]))
    rest(world)

    assert "no status 'Parked'" in dead_letter["reason"]
    assert (world.ticket(2)["status"]["name"], dead_letters(store), calls) == ("Parked", [], [1])


def test_what_happyfox_refuses_is_dead_lettered_on_the_other_ticket(store: redis.Redis) -> None:
    world = desk(store, clerk(lambda ticket, ctx: ctx.on_ticket(2).note("Linked.")))
    world.simulator.faults.add(ApiFault("status", method="POST", status=400))
    rest(world)
    [dead_letter] = dead_letters(store)
    world.store.run(replay(ACCOUNT, dead_letter["id"]))
    rest(world)

    assert dead_letter["handler"] == "clerk.file"
    assert "Linked." in str(world.ticket(2)["updates"])
    assert dead_letters(store) == []


def test_the_routers_permissions_apply_there_too(store: redis.Redis) -> None:
    world = desk(store, clerk(lambda ticket, ctx: ctx.on_ticket(2).reply("Hello.")), allow=frozenset())
    rest(world)

    assert "Hello." not in str(world.ticket(2)["updates"])
    assert "denied, set FOXHOOKS_ALLOW=clerk:reply" in history(store, 1)


@pytest.mark.parametrize("config", [{"dry_run": True}, {"dry_routers": frozenset({"clerk"})}])
def test_a_dry_run_hands_over_nothing(store: redis.Redis, config: dict[str, Any]) -> None:
    world = desk(store, clerk(lambda ticket, ctx: ctx.on_ticket(2).add_tags("linked")), **config)
    rest(world)

    assert world.ticket(2)["tags"] == ""
    assert "from ticket 1" not in history(store, 2)
    assert "clerk.file: tags on ticket 2: not sent (dry run)" in history(store, 1)


def test_a_handler_that_fails_on_a_name_hands_over_nothing(store: redis.Redis) -> None:
    def both(ticket: Ticket, ctx: Context) -> None:
        ctx.on_ticket(2).add_tags("linked")
        ticket.set(status="Nowhere")

    world = desk(store, clerk(both))
    rest(world)

    assert world.ticket(2)["tags"] == ""
    assert len(dead_letters(store)) == 1


def test_actions_of_the_other_tickets_own_handlers_come_later(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        if ticket.id == 1:
            ctx.on_ticket(2).set(priority="High")
        else:
            ticket.set(priority="Low")

    world = desk(store, router)
    world.deliver()
    lane = world.claim()
    assert lane is not None
    world.drive(lane)
    world.simulator.contact_replies(2, "What about me?")
    rest(world)

    assert world.ticket(2)["priority"]["name"] == "Low"


@pytest.mark.parametrize(("scope", "name"), [("ticket", "2"), ("router", "clerk")])
def test_actions_wait_while_that_ticket_or_its_router_is_paused(store: redis.Redis, scope: Scope, name: str) -> None:
    world = desk(store, clerk(lambda ticket, ctx: ctx.on_ticket(2).add_tags("linked")))
    world.deliver()
    lane = world.claim()
    assert lane is not None
    world.drive(lane)
    world.store.run(pause(ACCOUNT, scope, name, Pause(world.now, "ada", skip=False)))
    world.now += 60_000
    world.work()
    waiting = world.ticket(2)["tags"]
    world.store.run(resume(ACCOUNT, scope, name))
    rest(world)

    assert (waiting, world.ticket(2)["tags"], dead_letters(store)) == ("", "linked", [])


def test_an_unusable_lane_affects_only_its_own_ticket(store: redis.Redis) -> None:
    def both(ticket: Ticket, ctx: Context) -> None:
        ctx.on_ticket(2).add_tags("linked")
        ctx.on_ticket(3).add_tags("linked")

    world = desk(store, clerk(both))
    store.set(f"{P}lane:2", "no list")
    rest(world)

    assert world.ticket(3)["tags"] == "linked"
    [dead_letter] = dead_letters(store)
    assert (dead_letter["reason"], dead_letter["handler"]) == ("requested by a turn of ticket 1", "clerk.file")


def test_one_run_may_act_on_at_most_two_hundred_tickets() -> None:
    def many(ticket: Ticket, ctx: Context) -> None:
        for number in range(1, 300):
            ctx.on_ticket(number).add_tags("linked")

    result = run(clerk(many), ticket(), "contact-replied")

    assert "at most 200 other tickets" in str(result.failed["clerk.file"])


@pytest.mark.parametrize("number", [0, -1, True, "12", None])
def test_a_wrong_ticket_number_is_reported_with_its_fix(number: Any) -> None:
    result = run(clerk(lambda ticket, ctx: ctx.on_ticket(number)), ticket(), "contact-replied")

    assert "the ticket's number is not a positive int" in str(result.failed["clerk.file"])


def test_the_test_kit_shows_actions_for_other_tickets() -> None:
    def link(ticket: Ticket, ctx: Context) -> None:
        ctx.on_ticket(12).note("See 1.")
        ctx.on_ticket(12).add_tags("linked")
        ctx.on_ticket(1).add_tags("own")

    result = run(clerk(link), ticket(id=1), "contact-replied")

    assert (result.tags_added, list(result.on_tickets)) == ({"own"}, [12])
    assert (result.on_tickets[12].notes, result.on_tickets[12].tags_added) == (("See 1.",), {"linked"})


def test_handed_over_actions_are_kept_however_long_they_wait(store: redis.Redis) -> None:
    world = desk(store, clerk(lambda ticket, ctx: ctx.on_ticket(2).add_tags("linked")))
    world.deliver()
    world.drive(world.claim() or pytest.fail("nothing is due"))
    (waiting,) = untyped(store).lrange(f"{P}lane:2", 0, -1)
    assert store.ttl(f"{P}event:{waiting.decode()}") == -1
    rest(world)

    assert "linked" in world.ticket(2)["tags"]
    assert 0 < store.pttl(f"{P}event:{waiting.decode()}") <= world.config.record_ttl
