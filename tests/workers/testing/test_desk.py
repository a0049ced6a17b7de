"""The help desk for tests of plug-ins: real engine, real store, a clock controlled by the test."""

import pytest

from workers import Context, Event, Retry, Router, Ticket
from workers.simulator import Simulator
from workers.testing import Clock, Desk


def vip() -> Router:
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("vip")
        ticket.note("Answer within the hour.")
        ticket.set(priority="High")

    @router.on("contact-replied", when=lambda ticket: "vip" in ticket.tags)
    def thank(ticket: Ticket, event: Event) -> None:
        ticket.reply("Thank you, we are on it again.")

    return router


@pytest.mark.parametrize("crash", [False, True])
def test_actions_happen_once_wherever_the_worker_crashes(desk: Desk, crash: bool) -> None:
    desk.use(vip(), allow=["vip:reply"])
    desk.crash = crash
    number = desk.simulator.create_ticket("sam@bigcorp.example").id
    desk.advance("2m")
    desk.simulator.contact_replies(number, "Any news?")
    desk.advance("2m")

    assert desk.notes(number) == ["Answer within the hour."]
    assert desk.replies(number) == ["Thank you, we are on it again."]
    assert desk.ticket(number).tags == {"vip"}
    assert desk.ticket(number).priority.name == "High"


def test_with_crash_the_worker_crashes_before_the_plan_and_after_each_write(desk: Desk) -> None:
    ran: list[int] = []
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        ran.append(ticket.id)
        ticket.note("Answer within the hour.")

    desk.use(router)
    desk.crash = True
    number = desk.simulator.create_ticket().id
    desk.advance("5m")
    assert ran == [number, number]
    assert desk.notes(number) == ["Answer within the hour."]


def test_a_side_effect_outside_ctx_effect_happens_twice(desk: Desk) -> None:
    called: list[str] = []
    router = Router("chat")

    @router.on("ticket-created")
    def tell(ticket: Ticket, event: Event) -> None:
        called.append(ticket.subject)

    desk.use(router)
    desk.crash = True
    desk.simulator.create_ticket(subject="Help")
    desk.advance("1m")
    assert called == ["Help", "Help"]


def test_time_passes_only_when_the_test_advances_it(desk: Desk, clock: Clock, simulator: Simulator) -> None:
    asked: list[float] = []
    router = Router("slow")

    @router.on("ticket-created")
    def wait(ticket: Ticket, event: Event) -> None:
        asked.append(desk.now.timestamp())
        if len(asked) < 3:
            raise Retry("not yet", after="1h")
        ticket.add_tags("done")

    desk.use(router)
    number = simulator.create_ticket().id
    before = clock.now
    desk.advance("90m")
    assert len(asked) == 2
    assert desk.ticket(number).tags == frozenset()
    desk.advance("1h")
    assert len(asked) == 3
    assert desk.ticket(number).tags == {"done"}
    assert (clock.now - before).total_seconds() == 2.5 * 3600


def test_settings_are_checked_as_at_the_start_of_a_worker(desk: Desk) -> None:
    from workers.handlers.auto_tag import router

    desk.use(router, settings={"auto-tag": {"match": [{"text": "refund", "tags": ["refund"]}]}})
    number = desk.simulator.create_ticket(text="A refund, please.").id
    desk.advance("1m")
    assert desk.ticket(number).tags == {"refund"}
    with pytest.raises(ValueError, match="auto-tag: no setting 'matches'"):
        desk.use(router, settings={"auto-tag": {"matches": []}})


def test_timers_and_schedules_use_the_clock_of_the_test(desk: Desk) -> None:
    router = Router("waits")

    @router.on("ticket-created")
    def begin(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.later("2h", "remind", unless=["staff-replied"])

    @router.on("later", name="remind")
    def remind(ticket: Ticket, event: Event) -> None:
        ticket.note("Nobody has answered.")

    @router.every("1d", find="tag:late", older_than="1d")
    def nudge(ticket: Ticket, event: Event) -> None:
        ticket.note("Late.")

    desk.use(router)
    desk.crash = True
    one, other = desk.simulator.create_ticket().id, desk.simulator.create_ticket(tags=("late",)).id
    desk.advance("1h")
    desk.simulator.staff_updates(other, text="Here I am.", staff=1)
    desk.advance("90m")
    assert (desk.notes(one), desk.notes(other)) == (["Nobody has answered."], [])
    desk.advance("2d")
    assert (desk.notes(one), desk.notes(other)) == (["Nobody has answered."], ["Late."])
