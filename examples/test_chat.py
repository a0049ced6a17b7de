"""Tests of `chat.py`."""

from chat import router
from conftest import Service

from workers.testing import Desk, run, ticket


def test_an_urgent_ticket_is_posted_and_others_are_not() -> None:
    table = {"url": "https://chat.example/hook"}
    assert set(run(router, ticket(priority="High"), "ticket-created", settings=table).effects) == {"post"}
    assert run(router, ticket(priority="Low"), "ticket-created", settings=table).effects == {}


def test_it_is_posted_once_and_again_only_when_the_chat_said_that_it_was_not(desk: Desk, service: Service) -> None:
    service.answers = [(503, {}), (200, {})]
    desk.use(router, settings={"chat": {"url": service.url}})
    number = desk.simulator.create_ticket(subject="Fire & <b>smoke</b>", priority="Critical").id
    desk.advance("10m")
    said = {"text": f"Critical: Fire &amp; &lt;b&gt;smoke&lt;/b&gt; {desk.ticket(number).url}"}
    assert service.asked == [("POST", "/", said)] * 2


def test_when_the_worker_dies_right_after_the_post_it_is_not_posted_again(desk: Desk, service: Service) -> None:
    desk.use(router, settings={"chat": {"url": service.url}})
    desk.crash = True
    desk.simulator.create_ticket(priority="High")
    desk.advance("30m")
    assert len(service.asked) == 1
