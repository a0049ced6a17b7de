"""What a change shows of an email and of a survey."""

from typing import Any

from workers import Event, Router, Ticket
from workers.testing import Desk


def test_a_change_has_the_answer_to_a_survey_and_so_has_the_ticket(desk: Desk) -> None:
    shown: list[Any] = []
    router = Router("csat")

    @router.on("ticket-updated")
    def see(ticket: Ticket, event: Event) -> None:
        found = [(change, change.survey) for change in event.matched if change.survey]
        shown.extend((change.kind, change.actor.kind, one.rating, one.comment) for change, one in found)
        if ticket.survey:
            ticket.note(f"rated {ticket.survey.rating}")

    desk.use(router)
    number = desk.simulator.create_ticket().id
    desk.advance("1m")
    desk.simulator.answer_survey(number, "Bad", "Too slow")
    desk.advance("1m")
    assert shown == [("ticket-updated", "contact", "Bad", "Too slow")]
    assert desk.notes(number) == ["rated Bad"]


def test_a_change_has_the_subject_and_the_copies_of_an_email(desk: Desk) -> None:
    shown: list[Any] = []
    router = Router("mail")

    @router.on("staff-replied", "contact-replied")
    def see(ticket: Ticket, event: Event) -> None:
        shown.extend((change.subject, change.cc) for change in event.matched)

    desk.use(router)
    number = desk.simulator.create_ticket().id
    desk.advance("1m")
    desk.simulator.staff_updates(number, text="Hello", cc="lee@bigcorp.example")
    desk.advance("1m")
    assert [cc for _, cc in shown] == [("lee@bigcorp.example",)]
