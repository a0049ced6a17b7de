"""Tickets that handlers create: once each, recognized as our own, and searched for if the answer was lost."""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from workers import Context, Event, Router, Ticket
from workers.engine.steps import Call
from workers.simulator import ApiFault
from workers.store.records import replay
from workers.testing import run, ticket
from workers.testing.desk import ACCOUNT, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"
GRANT = frozenset({("clerk", "create")})


def clerk(handle: Callable[[Ticket, Context], None]) -> Router:
    router = Router("clerk")

    @router.on("ticket-created")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        handle(ticket, ctx)

    return router


def follow_up(ticket: Ticket, ctx: Context) -> None:
    ctx.create_ticket(
        client=ticket.contact.id,
        subject="Follow-up <b>",
        text="Please call & ask\nfor it.",
        category="Billing",
        priority="High",
        assignee="Lin Wu",
        tags=("follow-up", "vip"),
        due_date="2026-12-31",
        fields={"Refund reason": "lost"},
    )


def opened(store: "redis.Redis", handle: Callable[[Ticket, Context], None], **config: Any) -> SimulatedDeployment:
    world = SimulatedDeployment(store, clerk(handle), **{"allow": GRANT, **config})
    world.simulator.create_ticket("sam@bigcorp.example", subject="Help")
    world.deliver()
    return world


def dead_letters(store: Any) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(store.hget(f"{P}dead_letter:{id.decode()}", "evidence"))
        for id in store.zrange(f"{P}dead_letters", 0, -1)
    ]


def trail(store: Any, number: int = 1) -> str:
    return "\n".join(line.decode() for line in store.lrange(f"{P}history:{number}", 0, -1))


def numbers(world: SimulatedDeployment) -> list[int]:
    return sorted(world.simulator.account.tickets)


def test_a_created_ticket_is_recognized_after_the_grant_was_taken_away(store: redis.Redis) -> None:
    seen = list[int]()

    def once(ticket: Ticket, ctx: Context) -> None:
        seen.append(ticket.id)
        if ticket.id == 1:
            follow_up(ticket, ctx)

    world = opened(store, once)
    world.work()
    world.config = dataclasses.replace(world.config, allow=frozenset())
    world.deliver()
    world.settle_down()

    assert (numbers(world), seen) == ([1, 2], [1])
    assert "foxhooks created this ticket" in trail(store, 2)


def test_a_created_ticket_has_everything_asked_for_with_its_text_escaped(store: redis.Redis) -> None:
    world = opened(store, follow_up)
    world.settle_down()

    made = world.ticket(2)
    assert made["user"]["email"] == "sam@bigcorp.example"
    assert (made["subject"], made["first_message"].split()) == (
        "Follow-up <b>",
        ["Please", "call", "&", "ask", "for", "it."],
    )
    assert [made[name]["name"] for name in ("category", "priority", "assigned_to")] == ["Billing", "High", "Lin Wu"]
    assert (made["tags"], made["due_date"]) == ("follow-up,vip", "2026-12-31")
    assert "lost" in str(made["custom_fields"])
    assert "Please call &amp; ask" in str(made["updates"])
    assert "create ticket in Billing: done (ticket 2)" in trail(store)


def test_a_ticket_that_we_created_starts_no_handler(store: redis.Redis) -> None:
    world = opened(store, follow_up)
    world.settle_down()
    world.deliver()
    world.settle_down()

    assert numbers(world) == [1, 2]
    assert "ticket-created" not in trail(store, 2)
    assert "foxhooks created this ticket" in trail(store, 2)


def test_it_starts_none_even_if_its_webhook_is_faster_than_the_answer(store: redis.Redis) -> None:
    def hurry(step: Any, result: Any) -> Any:
        if isinstance(step, Call) and step.request.path == "/tickets/" and step.request.method == "POST":
            world.deliver()
            lane = world.claim()
            assert lane is not None
            assert lane.ticket == 2
            world.drive(lane)
        return result

    world = opened(store, follow_up)
    world.after = hurry
    world.settle_down()

    assert numbers(world) == [1, 2]
    assert "foxhooks created this ticket" in trail(store, 2)


def test_an_equal_ticket_by_the_contact_is_new_once_ours_is_known_by_its_number(store: redis.Redis) -> None:
    world = opened(store, lambda ticket, ctx: follow_up(ticket, ctx) if ticket.id == 1 else ticket.add_tags("seen"))
    world.settle_down()
    world.simulator.create_ticket("sam@bigcorp.example", subject="Follow-up <b>", text="Please call & ask\nfor it.")
    world.deliver()
    world.settle_down()

    assert world.ticket(3)["tags"] == "seen"


def test_a_later_reply_of_its_contact_starts_handlers(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("ticket-created", "contact-replied")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        shown.append((ticket.id, event.kind))
        if ticket.id == 1:
            follow_up(ticket, ctx)

    shown: list[tuple[int, str]] = []
    world = SimulatedDeployment(store, router, allow=GRANT)
    world.simulator.create_ticket()
    world.deliver()
    world.settle_down()
    world.simulator.contact_replies(2, "Thank you.")
    world.deliver()
    world.settle_down()

    assert shown == [(1, "ticket-created"), (2, "contact-replied")]


def test_a_loop_of_tickets_created_one_from_another_is_stopped(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.create_ticket(client=ticket.contact.id, subject=f"After {ticket.id}", text="Call.", category="Billing")

    world = SimulatedDeployment(store, router, allow=GRANT)
    world.simulator.create_ticket()
    for number in range(1, 20):
        if number not in world.simulator.account.tickets:
            break
        world.simulator.contact_replies(number, "I am not here: this is my machine.")
        world.deliver()
        world.settle_down()

    assert numbers(world) == [1, 2, 3, 4, 5, 6]
    [dead_letter] = dead_letters(store)
    assert "5 in a row: that is a loop" in dead_letter["reason"]


def test_a_different_ticket_of_the_same_contact_is_new(store: redis.Redis) -> None:
    world = opened(store, lambda ticket, ctx: follow_up(ticket, ctx) if ticket.id == 1 else ticket.add_tags("seen"))
    world.simulator.create_ticket("sam@bigcorp.example", subject="Follow-up <b>", text="I want to say something else.")
    world.deliver()
    world.settle_down()

    assert [world.ticket(number)["tags"] for number in numbers(world)][1:] == ["seen", "follow-up,vip"]


@pytest.mark.parametrize("before", [False, True])
def test_a_creation_in_doubt_is_searched_for_before_it_is_repeated(store: redis.Redis, before: bool) -> None:
    world = opened(store, follow_up)
    world.simulator.faults.add(ApiFault("cut", method="POST", before=before))
    world.settle_down()

    assert (numbers(world), dead_letters(store)) == ([1, 2], [])


def test_a_creation_in_doubt_does_not_claim_another_ticket_of_the_same_turn(store: redis.Redis) -> None:
    def twice(ticket: Ticket, ctx: Context) -> None:
        follow_up(ticket, ctx)
        follow_up(ticket, ctx)

    def spoil_the_second(step: Any) -> None:
        if isinstance(step, Call) and step.request.path == "/tickets/" and step.request.method == "POST":
            calls.append(step)
            if len(calls) == 2:
                world.simulator.faults.add(ApiFault("cut", method="POST", before=True))

    calls: list[Call] = []
    world = opened(store, twice)
    world.before = spoil_the_second
    world.settle_down()

    assert (numbers(world), dead_letters(store)) == ([1, 2, 3], [])


def test_a_creation_in_doubt_does_not_claim_a_ticket_of_an_earlier_turn(store: redis.Redis) -> None:
    router = Router("clerk")

    @router.on("contact-replied")
    def file(ticket: Ticket, event: Event, ctx: Context) -> None:
        follow_up(ticket, ctx)

    world = SimulatedDeployment(store, router, allow=GRANT)
    world.simulator.create_ticket()
    for before in range(2):
        world.simulator.contact_replies(1, f"Reply {before}.")
        if before:
            world.simulator.faults.add(ApiFault("cut", method="POST", before=True))
        world.deliver()
        world.settle_down()

    assert (numbers(world), dead_letters(store)) == ([1, 2, 3], [])


def test_a_creation_that_fits_two_tickets_is_a_dead_letter(store: redis.Redis) -> None:
    def twin(ticket: Ticket, ctx: Context) -> None:
        world.simulator.create_ticket("sam@bigcorp.example", subject="Follow-up <b>", text="Please call & ask\nfor it.")
        follow_up(ticket, ctx)

    world = opened(store, twin)
    world.simulator.faults.add(ApiFault("cut", method="POST", before=False))
    world.settle_down()

    [dead_letter] = dead_letters(store)
    assert "may or may not have happened" in dead_letter["reason"]
    assert dead_letter["evidence"]["tickets"] == [3, 2]


def test_a_refused_creation_is_a_dead_letter_and_the_rest_goes_on(store: redis.Redis) -> None:
    def both(ticket: Ticket, ctx: Context) -> None:
        ctx.create_ticket(email="a@b.example", subject="x", text="y", category="Orders")  # its field is needed
        ticket.note("Went on.")

    world = opened(store, both)
    world.settle_down()

    assert numbers(world) == [1]
    assert dead_letters(store)[0]["evidence"] == {"fields": ["t-cf-6"]}
    assert "Went on." in str(world.ticket(1)["updates"])


def test_a_refused_creation_can_be_replayed(store: redis.Redis) -> None:
    world = opened(store, follow_up)
    world.simulator.faults.add(ApiFault("status", method="POST", status=400))
    world.settle_down()
    [dead_letter] = dead_letters(store)
    world.store.run(replay(ACCOUNT, dead_letter["id"]))
    world.settle_down()

    assert (numbers(world), dead_letters(store)) == ([1, 2], [])
    assert (world.ticket(2)["category"]["name"], world.ticket(2)["tags"]) == ("Billing", "follow-up,vip")


def test_without_permission_it_is_denied_with_the_line_to_add(store: redis.Redis) -> None:
    world = opened(store, follow_up, allow=frozenset())
    world.settle_down()

    assert numbers(world) == [1]
    assert "denied, set FOXHOOKS_ALLOW=clerk:create" in trail(store)


def test_an_unknown_category_is_an_error_of_the_handler(store: redis.Redis) -> None:
    world = opened(store, lambda ticket, ctx: ctx.create_ticket(client=1, subject="x", text="y", category="Nowhere"))
    world.settle_down()

    assert "no category 'Nowhere'" in dead_letters(store)[0]["reason"]


def test_a_dry_run_creates_nothing(store: redis.Redis) -> None:
    world = opened(store, follow_up, dry_run=True)
    world.settle_down()

    assert numbers(world) == [1]
    assert "create ticket in Billing: not sent (dry run)" in trail(store)


def test_a_ticket_is_created_although_its_origin_was_deleted_meanwhile(store: redis.Redis) -> None:
    def both(ticket: Ticket, ctx: Context) -> None:
        ticket.note("Creates another.")
        follow_up(ticket, ctx)
        del world.simulator.account.tickets[1]

    world = opened(store, both)
    world.settle_down()

    assert numbers(world) == [2]


@pytest.mark.parametrize(
    ("members", "cure"),
    [
        ({"subject": "x", "text": "y", "category": 1}, "has no contact"),
        ({"email": "a@b.example", "subject": " ", "text": "y", "category": 1}, "has no subject"),
        ({"email": "a@b.example", "subject": "x", "category": 1}, "the ticket is empty"),
        ({"email": "a@b.example", "subject": "x", "text": "y", "category": None}, "a name .str. or an id"),
        (
            {"email": "a@b.example", "subject": "x", "text": "y", "category": 1, "tags": ["a,b"]},
            "a tag contains a comma",
        ),
        ({"client": "a@b.example", "subject": "x", "text": "y", "category": 1}, "client is not an id"),
        ({"email": 5, "subject": "x", "text": "y", "category": 1}, "invalid e-mail address"),
    ],
)
def test_an_invalid_creation_is_refused_with_its_fix(members: dict[str, Any], cure: str) -> None:
    result = run(clerk(lambda ticket, ctx: ctx.create_ticket(**members)), ticket(), "ticket-created", allow=["create"])

    [error] = result.failed.values()
    with pytest.raises(type(error), match=cure):
        raise error


def test_the_test_kit_shows_the_tickets_to_create() -> None:
    result = run(
        clerk(
            lambda ticket, ctx: ctx.create_ticket(email="a@b.example", subject="x", text="1 < 2", category="Billing")
        ),
        ticket(),
        "ticket-created",
        allow=["create"],
    )

    assert [dict(each) for each in result.created] == [
        {"email": "a@b.example", "name": "a@b.example", "subject": "x", "html": "1 &lt; 2", "category": "Billing"}
    ]
