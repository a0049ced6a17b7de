"""A veto keeps later handlers from running on the same event."""

import pytest
import redis

from tests.support.turns import finish
from workers import Context, Event, Retry, Router, Ticket
from workers.testing import Desk, run, ticket
from workers.testing.desk import SimulatedDeployment


def guard(reason: str = "spam", fail: bool = False) -> Router:
    router = Router("guard")

    @router.on("ticket-created", when=lambda ticket: "lottery" in ticket.subject)
    def check(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.add_tags("spam")
        ctx.veto(reason)
        if fail:
            raise Retry("later")

    return router


def answering(name: str = "answer") -> Router:
    router = Router(name)

    @router.on("ticket-created", "contact-replied")
    def note(ticket: Ticket, event: Event) -> None:
        ticket.note(f"{name}: {event.matched[-1].kind}")

    return router


def test_later_handlers_do_not_run_and_earlier_ones_do(desk: Desk) -> None:
    desk.use(answering("before"), guard(), answering())
    spam, fine = (desk.simulator.create_ticket(subject=subject).id for subject in ("The lottery", "Help"))
    desk.advance("1m")
    assert (desk.notes(spam), desk.ticket(spam).tags) == (["before: ticket-created"], {"spam"})
    assert desk.notes(fine) == ["before: ticket-created", "answer: ticket-created"]
    assert "answer.note skipped: vetoed by guard.check: spam" in desk.explain(spam)


def test_the_next_event_is_not_vetoed(desk: Desk) -> None:
    desk.use(guard(), answering())
    number = desk.simulator.create_ticket(subject="The lottery").id
    desk.advance("1m")
    desk.simulator.contact_replies(number, "I mean it")
    desk.advance("1m")
    assert desk.notes(number) == ["answer: contact-replied"]


def test_the_veto_of_a_handler_that_fails_does_not_count(desk: Desk) -> None:
    desk.use(guard(fail=True), answering())
    number = desk.simulator.create_ticket(subject="The lottery").id
    desk.advance("1s")
    assert desk.notes(number) == ["answer: ticket-created"]


@pytest.mark.parametrize(("dry", "noted"), [("guard", True), ("answer", False)])
def test_a_router_in_dry_run_vetoes_nothing_that_is_live(store: redis.Redis, dry: str, noted: bool) -> None:
    world = SimulatedDeployment(store, guard(), answering(), dry_routers=frozenset({dry}))
    number = world.simulator.create_ticket(subject="The lottery").id
    finish(world)
    assert ("answer: ticket-created" in str(world.ticket(number)["updates"])) is noted


def test_the_test_kit_knows_vetoes() -> None:
    router = guard()

    @router.on("ticket-created")
    def never(ticket: Ticket, event: Event) -> None:
        ticket.note("never")

    result = run(router, ticket(subject="The lottery"), "ticket-created")
    assert result.skipped == {"guard.never": "vetoed by guard.check: spam"}
    assert (result.notes, result.tags_added) == ((), {"spam"})
