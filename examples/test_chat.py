"""Tests of `chat.py`."""

from chat import router
from conftest import Service

from workers.testing import Desk, run, ticket


def test_an_urgent_ticket_is_posted_and_others_are_not() -> None:
    table = {"url": "https://chat.example/hook"}
    assert set(run(router, ticket(priority="High"), "ticket-created", settings=table).effects) == {"post"}
    assert run(router, ticket(priority="Low"), "ticket-created", settings=table).effects == {}


def test_a_post_is_repeated_only_if_the_chat_rejected_it(desk: Desk, service: Service) -> None:
    service.answers = [(503, {}), (200, {})]
    desk.use(router, settings={"chat": {"url": service.url}})
    number = desk.simulator.create_ticket(subject="Fire & <b>smoke</b>", priority="Critical").id
    desk.advance("10m")
    said = {"text": f"Critical: Fire &amp; &lt;b&gt;smoke&lt;/b&gt; {desk.ticket(number).url}"}
    assert service.asked == [("POST", "/", said)] * 2


def test_a_crash_after_the_post_does_not_post_again(desk: Desk, service: Service) -> None:
    desk.use(router, settings={"chat": {"url": service.url}})
    desk.crash = True
    desk.simulator.create_ticket(priority="High")
    with desk.failing():  # without `landed`, nobody can know whether the post arrived
        desk.advance("30m")
    assert len(service.asked) == 1
