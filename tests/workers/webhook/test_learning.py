"""Learning: what an unknown HappyFox calls things, from what its deliveries show."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from workers.webhook.bodies import UnreadableBody
from workers.webhook.delivery import NOTHING, Learned, read
from workers.webhook.learning import TICKETS, Learner

Body = dict[str, Any]


def other(ticket: int, kind: str = "created", **more: Any) -> Body:
    """Return a body in which nothing has a known name but the contact and the update."""
    link = f"https://acme.happyfox.com/staff/ticket/{ticket}"
    case = {"no": ticket, "order": ticket + 1, "reference": f"#AB{ticket:08d}", "link": link}
    body: Body = {"notification": {"word": f"ticket.{kind}"}, "case": case, "client_details": {"name": "Sam Reed"}}
    if kind == "updated":
        body["update"] = {"by": {"type": "requester", "name": "Sam Reed"}}
    return {**body, **more}


def taught(bodies: Iterable[Body]) -> Learned:
    """Return what bodies teach, one after the other."""
    learner, learned = Learner(), NOTHING
    for body in bodies:
        learned = msgspec.structs.replace(learned, **learner.observe(body, learned))
    return learned


def test_an_unknown_body_is_learned_from_ten_deliveries() -> None:
    bodies = [other(4711 + number // 2, ("created", "updated")[number % 2]) for number in range(10)]
    assert taught(bodies) == Learned("case.no", "notification.word", "requester")
    delivery = read(bodies[-1], learned=taught(bodies))
    assert (delivery.ticket, delivery.kind, delivery.actor) == (4715, "updated", "contact")


def test_a_ticket_number_needs_three_tickets_and_a_witness() -> None:
    assert not taught([other(1)] * 9).number
    assert not taught(map(other, range(1, TICKETS))).number
    assert taught(map(other, range(1, TICKETS + 1))).number == "case.no"
    assert not taught({"case": {"no": number}} for number in range(1, 9)).number


def test_a_number_that_differs_once_is_not_learned() -> None:
    moved = {"case": {"no": 7, "link": "https://acme.happyfox.com/staff/ticket/8"}}
    assert not taught([*map(other, (1, 2)), moved, *map(other, range(3, 9))]).number


def test_words_of_people_are_no_witnesses() -> None:
    told = [{"a": n, "subject": f"see https://acme.happyfox.com/staff/ticket/{n} and #AB{n:08d}"} for n in range(9)]
    named = [{"custom_fields": {"a": n}, "link": f"https://acme.happyfox.com/ticket/{n}"} for n in range(9)]
    assert taught([*told, *named]) == NOTHING


def test_what_is_known_comes_before_what_was_learned() -> None:
    learned = Learned("case.no", "word", "staff")
    body = {"ticket_id": 3, "case": {"no": 4}, "event_type": "ticket-updated", "word": "ticket-created"}
    delivery = read({**body, "update": {"by": {"type": "staff"}}}, learned=learned)
    assert (delivery.ticket, delivery.kind, delivery.actor) == (3, "updated", "staff")


def test_an_event_type_needs_both_kinds() -> None:
    body = {"client_details": {"name": "created"}}
    assert not taught({**body, "ticket_id": number, "state": "created"} for number in range(1, 9)).event
    kinds = [{**body, "ticket_id": number, "state": ("created", "updated")[number % 2]} for number in range(1, 9)]
    assert taught(kinds).event == "state"
    assert not taught([*kinds[:2], {"ticket_id": 9, "state": "Old"}, *kinds[2:]]).event


def test_a_type_that_others_have_too_is_not_learned() -> None:
    bodies = [{**other(number, "updated"), "ticket_id": number} for number in range(1, 9)]
    colleague = {**bodies[0], "update": {"by": {"type": "requester", "name": "Ada King"}}}
    assert taught(bodies).contact == "requester"
    assert not taught([colleague, *bodies]).contact


@pytest.mark.parametrize("value", [None, "", "none", -1, [], {}, {"no": None}, {"no": {"no": 1}}])
def test_a_body_without_what_was_learned_stays_unreadable(value: Any) -> None:
    with pytest.raises(UnreadableBody, match="ticket-number"):
        read({"case": value}, learned=Learned("case.no"))
