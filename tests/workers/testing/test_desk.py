"""The help desk for tests of plug-ins: real engine, real store, a clock controlled by the test."""

from datetime import UTC, datetime

import pytest

from workers import Context, Event, GiveUp, Retry, Router, Ticket
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


def failing(error: Exception | None = None, status: str = "New") -> Router:
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event) -> None:
        if error:
            raise error
        ticket.set(status=status)

    return router


def test_what_a_handler_raises_fails_the_test(desk: Desk) -> None:
    desk.use(failing(LookupError("no such plan")))
    desk.simulator.create_ticket()
    with pytest.raises(LookupError, match="no such plan") as caught:
        desk.advance("1m")
    assert "raised by vip.greet on ticket 1; expect it with `with desk.failing():`" in caught.value.__notes__
    assert caught.traceback[-1].name == "greet"


@pytest.mark.parametrize("error", [GiveUp("never"), None])
def test_a_dead_letter_fails_the_test_and_says_why(desk: Desk, error: Exception | None) -> None:
    desk.use(failing(error, status="Nwe"))
    desk.simulator.create_ticket()
    with pytest.raises((AssertionError, GiveUp), match="never" if error else r"vip.greet: .*'Nwe'.*New"):
        desk.advance("1m")


def test_a_test_can_expect_a_failure(desk: Desk) -> None:
    desk.use(failing(LookupError("no such plan")))
    number = desk.simulator.create_ticket().id
    with desk.failing(LookupError):
        desk.advance("2h")
    desk.advance("2h")
    [dead] = desk.dead
    assert (dead.ticket, dead.handler) == (number, "vip.greet")
    assert dead.reason.startswith("LookupError at test_desk.py:")
    assert dead.evidence["traceback"][-1].startswith("tests/workers/testing/test_desk.py:")
    assert dead.evidence["traceback"][-1].endswith(" in greet")


def test_only_the_expected_kind_of_failure_is_expected(desk: Desk) -> None:
    desk.use(failing(LookupError("no such plan")))
    desk.simulator.create_ticket()
    with pytest.raises(LookupError), desk.failing(ValueError):
        desk.advance("1m")


def test_an_expected_failure_must_happen(desk: Desk) -> None:
    desk.use(vip())
    desk.simulator.create_ticket()
    with pytest.raises(AssertionError, match="no handler failed"), desk.failing():
        desk.advance("1m")


def test_a_retry_is_no_failure(desk: Desk) -> None:
    desk.use(failing(Retry("later", after="1m")))
    desk.simulator.create_ticket()
    desk.advance("2m")
    assert desk.dead == []


def test_a_desk_explains_and_has_the_lines_that_handlers_logged(desk: Desk) -> None:
    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket, event: Event, ctx: Context) -> None:
        ctx.log.info("greeted %s", ticket.contact.name, ticket=3, language="de")
        ctx.log.warning("slow")
        ticket.add_tags("vip")

    desk.use(router)
    number = desk.simulator.create_ticket().id
    desk.advance("1m")
    assert [tuple(line) for line in desk.log] == [
        ("info", f"greeted {desk.ticket(number).contact.name}", {"ticket": 3, "language": "de"}),
        ("warning", "slow", {}),
    ]
    assert desk.explain(number) == desk.explain()
    assert "vip.greet decided: tags" in desk.explain(number)


def test_a_desk_begins_at_noon_of_a_monday_and_goes_to_any_time(desk: Desk) -> None:
    assert f"{desk.now:%A %Y-%m-%d %H:%M %Z}" == "Monday 2026-01-05 12:00 UTC"
    desk.at("17:30")
    assert f"{desk.now:%d %H:%M}" == "05 17:30"
    desk.at("09:00")
    assert f"{desk.now:%d %H:%M}" == "06 09:00"
    desk.at("2026-03-02 09:00 Europe/Berlin")
    assert f"{desk.now:%m-%d %H:%M}" == "03-02 08:00"
    desk.at(datetime(2026, 3, 2, 8, 30, tzinfo=UTC))
    with pytest.raises(ValueError, match="is in the past: it is 2026-03-02 08:30 UTC"):
        desk.at("2026-03-02 08:29")
    with pytest.raises(ValueError, match="has no time zone"):
        desk.at(datetime(2026, 3, 2))


def test_the_work_of_the_time_in_between_is_done(desk: Desk) -> None:
    desk.use(vip())
    number = desk.simulator.create_ticket().id
    desk.at("13:00")
    assert desk.notes(number) == ["Answer within the hour."]


def test_misspelled_grants_are_refused_with_the_nearest_name(desk: Desk) -> None:
    with pytest.raises(ValueError, match="unknown permission 'replly'; did you mean 'reply'"):
        desk.use(vip(), allow=["vip:replly"])
    with pytest.raises(ValueError, match="'vp', which is not a router here; did you mean 'vip'"):
        desk.use(vip(), allow=["vp:reply"])


def test_settings_of_an_unknown_router_are_refused(desk: Desk) -> None:
    with pytest.raises(ValueError, match="settings has 'vpi', which is not a router here; did you mean 'vip'"):
        desk.use(vip(), settings={"vpi": {}})
