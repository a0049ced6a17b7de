"""Authority is asked when it is used: a plan is carried out with the grants, the dry run and the account of today."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Thread
from typing import Any

import msgspec
import pytest
import redis

from tests.support.turns import P, dead_letters, finish, put_back
from workers import Context, Event, Retry, Router, Ticket
from workers.engine.steps import Call
from workers.errors import Unfit
from workers.happyfox.messages import Answer
from workers.settings import Origin
from workers.store.pauses import Pause, pause, resume
from workers.store.records import AccountRecords, replay
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment

GRANT = frozenset({("vip", "reply")})


def vip() -> Router:
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.note("VIP contact.")
        ticket.reply("Thank you.", status="In Progress")

    return router


def other() -> Router:
    router = Router("other")

    @router.on("ticket-created")
    def mark(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High")

    return router


def crashed_after(world: SimulatedDeployment, name: str) -> int:
    """Let the worker die after a step of the turn of a new ticket."""
    number = world.simulator.create_ticket().id
    world.deliver()

    def after(step: Any, result: Any) -> Any:
        if isinstance(step, Script) and step.name == name:
            raise Crash
        return result

    world.after = after
    with pytest.raises(Crash):
        world.work()
    world.after = lambda step, result: result
    world.now += world.lease
    return number


def messages(world: SimulatedDeployment, number: int) -> list[str]:
    updates = [update["message"] for update in world.ticket(number)["updates"][1:]]
    return [message["text"].strip() for message in updates if message]


def test_the_fix_names_the_setting_in_force_and_keeps_its_other_grants(store: redis.Redis) -> None:
    table = Origin("permissions", "foxhooks.toml", "accounts.demo", has_members=True)
    grants = frozenset({("vip", "move"), ("other", "reply")})
    world = SimulatedDeployment(store, vip(), allow=GRANT, grants_origin=table)
    crashed_after(world, "plan")
    world.config = replace(world.config, allow=grants)
    finish(world)

    lines = [msgspec.json.decode(line)["text"] for line in store.lrange(f"{P}history:1", 0, -1)]
    assert any("reply (allowed by [accounts.demo.permissions] vip in foxhooks.toml)" in line for line in lines)
    [dead_letter] = dead_letters(store).values()
    fix = 'set vip = ["move", "reply"] in [accounts.demo.permissions] of foxhooks.toml'
    assert dead_letter["reason"] == f"no longer allowed; {fix}"
    put_back(world)
    [dead_letter] = dead_letters(store).values()
    assert dead_letter["reason"] == f"no longer allowed; {fix}"


@pytest.mark.parametrize("step", ["plan", "finish"])
def test_a_reply_planned_under_a_grant_that_is_gone_is_not_sent(store: redis.Redis, step: str) -> None:
    world = SimulatedDeployment(store, vip())
    number = crashed_after(world, step)
    world.config = replace(world.config, allow=frozenset())
    finish(world)

    assert messages(world, number) == ["VIP contact."]
    assert world.ticket(number)["status"]["name"] == "New"
    [dead_letter] = dead_letters(store).values()
    assert dead_letter["reason"] == "no longer allowed; set FOXHOOKS_ALLOW=vip:reply"

    world.config = replace(world.config, allow=GRANT)
    put_back(world)
    assert messages(world, number) == ["VIP contact.", "Thank you."]
    assert world.ticket(number)["status"]["name"] == "In Progress"


def test_a_reply_in_doubt_is_not_sent_again_without_its_grant(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip())
    number = crashed_after(world, "begin")
    world.config = replace(world.config, allow=frozenset())
    finish(world)

    assert "Thank you." not in messages(world, number)


def test_other_handlers_parts_of_a_call_are_made_without_the_part_that_lost_its_grant(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip(), other())
    number = crashed_after(world, "plan")
    world.config = replace(world.config, allow=frozenset())
    finish(world)

    assert world.ticket(number)["priority"]["name"] == "High"
    assert (messages(world, number), world.ticket(number)["status"]["name"]) == (["VIP contact."], "New")


def test_the_properties_of_a_reply_without_a_grant_are_not_set(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip(), other(), allow=frozenset())
    number = world.simulator.create_ticket().id
    finish(world)

    assert messages(world, number) == ["VIP contact."]
    assert world.ticket(number)["status"]["name"] == "New"
    assert world.ticket(number)["priority"]["name"] == "High"


def test_a_plan_for_another_address_of_the_account_is_not_carried_out(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip())
    number = crashed_after(world, "plan")
    world.config = replace(world.config, site="https://other.example")
    finish(world)

    assert messages(world, number) == []
    assert all("was planned for" in dead_letter["reason"] for dead_letter in dead_letters(store).values())


OTHER = "https://other.example"


def elsewhere(world: SimulatedDeployment) -> None:
    """Give the account's name to another account, which has an old ticket with the same number."""
    world.now += 3_600_000
    world.config = replace(world.config, site=OTHER)


def test_what_a_pause_held_is_not_done_on_another_account(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip())

    def halt(step: Any) -> None:
        if getattr(step, "name", "") == "begin":
            world.before = lambda step: None
            world.store.run(pause(ACCOUNT, "account", "", Pause(world.now, "ada")))

    world.before = halt
    number = world.simulator.create_ticket().id
    finish(world)
    elsewhere(world)
    world.store.run(resume(ACCOUNT, "account", ""))
    finish(world)

    assert messages(world, number) == []
    assert {each["reason"] for each in dead_letters(store).values()} == {
        f"it was planned for https://demo.happyfox.com, and the account {ACCOUNT} is {OTHER} now; discard it, "
        "or correct HAPPYFOX_URL and replay it"
    }
    for name in dead_letters(store):
        world.store.run(replay(ACCOUNT, name))
    finish(world)
    assert messages(world, number) == []
    world.config = replace(world.config, site="https://demo.happyfox.com")
    for name in dead_letters(store):
        world.store.run(replay(ACCOUNT, name))
    finish(world)
    assert messages(world, number) == ["VIP contact.", "Thank you."]


def test_a_dead_letter_is_not_replayed_on_another_account(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, vip(), replies_per_contact=0)
    number = world.simulator.create_ticket().id
    finish(world)
    [held] = AccountRecords(world.client, ACCOUNT).dead_letters()
    elsewhere(world)
    world.store.run(replay(ACCOUNT, held.id))
    finish(world)

    assert messages(world, number) == ["VIP contact."]
    [dead_letter] = dead_letters(store).values()
    assert "it was planned for" in dead_letter["reason"]


def test_a_retry_is_not_made_on_another_account(store: redis.Redis) -> None:
    router, calls = Router("vip"), list[str]()

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        calls.append(event.kind)
        if len(calls) == 1:
            raise Retry("the CRM is down", after=60)
        ticket.reply("Thank you.")

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.deliver()
    world.work()
    elsewhere(world)
    finish(world)

    assert (messages(world, number), calls) == ([], ["ticket-created"])
    [dead_letter] = dead_letters(store).values()
    assert "it was planned for" in dead_letter["reason"]


def test_what_is_handed_over_is_not_done_on_another_account(store: redis.Redis) -> None:
    router = Router("vip")

    @router.on("ticket-created", when=lambda ticket: ticket.id > 1)
    def warn(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.on_ticket(1).reply("We work on it.")

    world = SimulatedDeployment(store, router)
    world.simulator.create_ticket()
    finish(world)
    world.simulator.create_ticket()
    world.deliver()
    lane = world.claim()
    assert lane is not None
    world.drive(lane)
    elsewhere(world)
    finish(world)

    assert messages(world, 1) == []
    [dead_letter] = dead_letters(store).values()
    assert "it was planned for" in dead_letter["reason"]


def test_timers_and_snapshots_of_another_account_are_forgotten(store: redis.Redis) -> None:
    router, seen = Router("vip"), list[tuple[str, ...]]()

    @router.on("ticket-created")
    def wait(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("2h", "remind")

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        ticket.reply("Are you still there?")

    @router.on("status-changed", "tags-changed", "contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        seen.append(tuple(change.kind for change in event.changes))

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    world.settle_down(most=60_000)
    world.simulator.staff_updates(number, staff=1, status="Closed")
    world.queued().clear()
    elsewhere(world)
    world.now += 3_600_000
    world.simulator.contact_replies(number, "Hello?")
    finish(world)

    assert (messages(world, number), seen) == (["Hello?"], [("contact-replied",)])


@pytest.mark.parametrize("write", ["note", "tags", "delete"])
def test_no_client_writes_in_a_handler(store: redis.Redis, write: str) -> None:
    router, raised = Router("sly"), list[str]()
    world = SimulatedDeployment(store, router)

    @router.on("ticket-created")
    def sneak(ticket: Ticket, event: Event, ctx: Context) -> None:
        from workers.happyfox.endpoints import Client

        client = Client(lambda request: world.answer(Call(request, "", 0)), staff_id=7)  # type: ignore[arg-type,return-value]
        writes: dict[str, Callable[[], object]] = {
            "note": lambda: client.private_note(ticket.id, text="Past the plan."),
            "tags": lambda: client.update_tags(ticket.id, add=["sly"]),
            "delete": lambda: client.delete_ticket(ticket.id),
        }
        assert client.ticket(ticket.id).id == ticket.id
        try:
            writes[write]()
        except Unfit as error:
            raised.append(str(error))

    world = SimulatedDeployment(store, router)
    number = world.simulator.create_ticket().id
    finish(world)

    [reason] = raised
    assert "in a handler, HappyFox only reads; use the methods of `ticket`" in reason
    assert (messages(world, number), world.ticket(number)["tags"]) == ([], "")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("where", ["thread", "pool", "effect"])
def test_no_client_writes_in_a_thread_of_a_handler(store: redis.Redis, where: str, dry_run: bool) -> None:
    router, raised = Router("sly"), list[str]()
    world = SimulatedDeployment(store, router, dry_run=dry_run)

    @router.on("ticket-created")
    def sneak(ticket: Ticket, event: Event, ctx: Context) -> None:
        from workers.happyfox.endpoints import Client

        client = Client(lambda request: world.answer(Call(request, "", 0)), staff_id=7)  # type: ignore[arg-type,return-value]

        def write() -> None:
            try:
                client.private_note(ticket.id, text="Past the plan.")
            except Unfit as error:
                raised.append(str(error))

        if where == "thread":
            thread = Thread(target=write)
            thread.start()
            thread.join()
        elif where == "pool":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(write).result()
        else:
            ctx.effect("write", write, dry=None)

    world = SimulatedDeployment(store, router, dry_run=dry_run)
    number = world.simulator.create_ticket().id
    finish(world)

    assert messages(world, number) == []
    assert all("in a handler, HappyFox only reads" in reason for reason in raised)
    assert len(raised) == (not (dry_run and where == "effect"))


def test_a_script_outside_of_handlers_writes(store: redis.Redis) -> None:
    from workers.happyfox.endpoints import Client

    world = SimulatedDeployment(store, vip())
    number = world.simulator.create_ticket().id
    client = Client(lambda request: world.answer(Call(request, "", 0)), staff_id=7)  # type: ignore[arg-type,return-value]
    client.private_note(number, text="From a script.")
    assert messages(world, number) == ["From a script."]


def closer() -> Router:
    """Return a router with notes before and after a reply that closes the ticket."""
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.note("First.")
        ticket.reply("Thank you.", status="Closed")
        ticket.note("Last.")

    return router


def noter() -> Router:
    router = Router("other")

    @router.on("ticket-created")
    def mark(ticket: Ticket, event: Event) -> None:
        ticket.set(priority="High")
        ticket.note("Seen.")

    return router


def remove_grant(world: SimulatedDeployment) -> None:
    world.config = replace(world.config, allow=frozenset())


def remove_grant_and_run_others_dry(world: SimulatedDeployment) -> None:
    world.config = replace(world.config, allow=frozenset(), dry_routers=frozenset({"other"}))


def run_dry(world: SimulatedDeployment) -> None:
    world.config = replace(world.config, dry_routers=frozenset({"vip"}))


def answer_as_a_colleague(world: SimulatedDeployment) -> None:
    world.simulator.staff_updates(1, staff=1, text="A colleague answers.")


def refuse_replies(world: SimulatedDeployment) -> None:
    answer = world.answer

    def refuse(step: Call) -> Any:
        if step.request.path.endswith("/staff_update/") and b"Thank you." in msgspec.json.encode(step.request.body):
            return Answer(400, {}, b'{"errors": {"text": ["Not today."]}}')
        return answer(step)

    world.answer = refuse  # type: ignore[method-assign]


def pause_and_remove_grant(world: SimulatedDeployment) -> None:
    world.store.run(pause(ACCOUNT, "router", "vip", Pause(world.now, "ada", False)))
    world.settle_down(60_000)
    remove_grant(world)
    world.store.run(resume(ACCOUNT, "router", "vip"))


STOPS = [
    remove_grant,
    remove_grant_and_run_others_dry,
    run_dry,
    answer_as_a_colleague,
    refuse_replies,
    pause_and_remove_grant,
]


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.__name__)
@pytest.mark.parametrize("others", [[], [noter], [other]], ids=["alone", "noter", "setter"])
def test_what_a_reply_sets_does_not_happen_without_it(
    store: redis.Redis, stop: Callable[[SimulatedDeployment], None], others: list[Callable[[], Router]]
) -> None:
    world = SimulatedDeployment(store, closer(), *(make() for make in others), allow=GRANT)
    number = crashed_after(world, "plan")
    stop(world)
    finish(world)

    assert "Thank you." not in messages(world, number)
    assert world.ticket(number)["status"]["name"] == "New"
    if others and "dry" not in stop.__name__.removeprefix("run_dry"):
        assert world.ticket(number)["priority"]["name"] == "High"


def setter() -> Router:
    """Return a router whose handler also sets something apart from its reply."""
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.note("First.")
        ticket.set(priority="High")
        ticket.reply("Thank you.", status="In Progress")
        ticket.set(fields={"Amount": 3})

    return router


@pytest.mark.parametrize("stop", [each for each in STOPS if "dry" not in each.__name__], ids=lambda stop: stop.__name__)
def test_what_a_handler_sets_apart_from_its_reply_does_not_share_the_reply_s_fate(
    store: redis.Redis, stop: Callable[[SimulatedDeployment], None]
) -> None:
    world = SimulatedDeployment(store, setter(), allow=GRANT)
    number = crashed_after(world, "plan")
    stop(world)
    finish(world)

    assert "Thank you." not in messages(world, number)
    assert (world.ticket(number)["status"]["name"], world.ticket(number)["priority"]["name"]) == ("New", "High")
    assert all(dead["effect"].get("set", {}).keys() <= {"status"} for dead in dead_letters(store).values())


def test_a_note_does_not_share_the_fate_of_what_its_handler_sets(store: redis.Redis) -> None:
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.note("VIP contact.")
        ticket.set(status="Closed")

    world = SimulatedDeployment(store, router, allow=GRANT)
    answer = world.answer

    def refuse(step: Call) -> Any:
        if b"status" in msgspec.json.encode(step.request.body):
            return Answer(400, {}, b'{"errors": {"status": ["Not today."]}}')
        return answer(step)

    world.answer = refuse  # type: ignore[method-assign]
    number = world.simulator.create_ticket().id
    finish(world)

    assert messages(world, number) == ["VIP contact."]
    assert [dead["effect"]["kind"] for dead in dead_letters(store).values()] == ["properties"]


def test_a_reply_and_what_is_set_apart_are_two_dead_letters_if_the_ticket_is_gone(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, setter(), allow=GRANT)
    number = crashed_after(world, "plan")
    before = world.simulator.account.tickets[number]
    world.simulator.account.remove(number)
    finish(world)
    assert len(dead_letters(store)) == 3

    world.simulator.account.put(before)
    for name in dead_letters(store):
        world.store.run(replay(ACCOUNT, name))
    finish(world)
    shown = world.ticket(number)
    assert messages(world, number) == ["First.", "Thank you."]
    assert (shown["status"]["name"], shown["priority"]["name"]) == ("In Progress", "High")


def test_what_a_reply_sets_happens_when_it_is_replayed_with_another_note(store: redis.Redis) -> None:
    world = SimulatedDeployment(store, closer(), noter(), allow=GRANT)
    number = crashed_after(world, "plan")
    remove_grant(world)
    finish(world)
    world.config = replace(world.config, allow=GRANT)
    put_back(world)

    assert messages(world, number) == ["First.", "Last.", "Seen.", "Thank you."]
    assert world.ticket(number)["status"]["name"] == "Closed"


@pytest.mark.parametrize("stop", [answer_as_a_colleague, remove_grant], ids=lambda stop: stop.__name__)
def test_what_others_set_happens_without_the_reply_that_carries_it(
    store: redis.Redis, stop: Callable[[SimulatedDeployment], None]
) -> None:
    world = SimulatedDeployment(store, vip(), other(), allow=GRANT)
    number = crashed_after(world, "plan")
    stop(world)
    finish(world)

    assert "Thank you." not in messages(world, number)
    assert (world.ticket(number)["status"]["name"], world.ticket(number)["priority"]["name"]) == ("New", "High")
