"""A call with an Idempotency-Key happens once, whatever is lost or killed in between."""

from typing import Any

import pytest
import redis

from tests.support.clients import ClientDesk, Killed, client
from workers.engine.steps import Call
from workers.errors import InDoubt
from workers.testing.desk import SimulatedDeployment

TRIAGE = client("triage", wait=600)
CREATION = {"email": "sam@bigcorp.example", "name": "Sam", "subject": "From a form", "text": "Help me", "category": 1}

#: Writes to ticket {n}; what follows is whether their answer is the ticket.
WRITES = [
    ("staff_pvtnote", {"staff": 1, "text": "a note that must not be doubled"}, True),
    ("staff_update", {"staff": 1, "text": "a reply that must not be doubled", "update_customer": True}, True),
    ("staff_update", {"staff": 1, "status": 2}, True),
    ("update_tags", {"staff_id": 1, "add": "vip,urgent"}, True),
    ("update_custom_fields", {"staff": 1, "t-cf-1": "blue"}, True),
    ("move", {"staff_id": 1, "target_category_id": 2}, False),
    ("subscribe", {"staff_id": 1, "data": [2]}, False),
    ("delete", {"staff_id": 1}, False),
]


@pytest.fixture
def desk(store: redis.Redis) -> ClientDesk:
    return ClientDesk(SimulatedDeployment(store))


def opened(desk: ClientDesk) -> int:
    return desk.world.simulator.create_ticket("sam@bigcorp.example", text="It burns").id


def losing(desk: ClientDesk, *, killed: bool, arrived: bool = True) -> None:
    """Let the next write be lost: the gateway is killed, or HappyFox's answer; before or after it arrived."""
    answer = desk.world.answer

    def lose(step: Call) -> Any:
        if step.request.method == "GET":
            return answer(step)
        desk.world.answer = answer  # type: ignore[method-assign]
        if arrived:
            answer(step)
        if killed:
            raise Killed
        return InDoubt("the answer was lost")

    desk.world.answer = lose  # type: ignore[method-assign]


def lost(desk: ClientDesk, path: str, body: Any, key: str = "k1") -> None:
    """Make a call that is lost."""
    try:
        reply = desk.call(TRIAGE, "POST", path, body, key=key)
    except Killed:
        return
    assert (reply.status, reply.result) == (504, "doubt")


def test_a_repeated_call_gets_the_same_answer(desk: ClientDesk) -> None:
    number = opened(desk)
    first = desk.note(TRIAGE, number, "once", key="k1")
    second = desk.note(TRIAGE, number, "once", key="k1")
    assert (first.status, first.body, first.content_type) == (second.status, second.body, second.content_type)
    assert (first.repeated, second.repeated) == (False, True)
    assert len(desk.writes()) == 1


def test_it_gets_the_same_refusal(desk: ClientDesk) -> None:
    number = opened(desk)
    body = {"staff": 1, "status": 99}
    first, second = (desk.call(TRIAGE, "POST", f"/ticket/{number}/staff_update/", body, key="k1") for _ in range(2))
    assert first.status == second.status == 400
    assert first.body == second.body
    assert len(desk.writes()) == 1


def test_the_answer_is_kept_for_a_day(desk: ClientDesk) -> None:
    number = opened(desk)
    desk.note(TRIAGE, number, "once", key="k1")
    lives = [desk.world.client.pttl(key) for key in desk.world.client.scan_iter("*client_key:*")]
    assert [0 < life <= 86_400_000 for life in lives] == [True]


def test_the_same_key_with_another_request_is_refused(desk: ClientDesk) -> None:
    number = opened(desk)
    desk.note(TRIAGE, number, "once", key="k1")
    reply = desk.note(TRIAGE, number, "something else", key="k1")
    assert reply.status == 422
    assert len(desk.writes()) == 1


def test_a_call_that_was_not_made_frees_its_key(desk: ClientDesk) -> None:
    number = opened(desk)
    desk.world.client.hset("foxhooks:{demo}:paused", "account", '{"since":1,"by":"ada"}')
    assert desk.note(TRIAGE, number, "not now", key="k1").status == 409
    desk.world.client.delete("foxhooks:{demo}:paused")
    assert desk.note(TRIAGE, number, "not now", key="k1").status == 200


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize(("path", "body", "shows_ticket"), WRITES)
def test_a_lost_write_happens_once(
    desk: ClientDesk, path: str, body: Any, shows_ticket: bool, killed: bool, arrived: bool
) -> None:
    number = opened(desk)
    losing(desk, killed=killed, arrived=arrived)
    lost(desk, f"/ticket/{number}/{path}/", body)

    again = desk.call(TRIAGE, "POST", f"/ticket/{number}/{path}/", body, key="k1")
    third = desk.call(TRIAGE, "POST", f"/ticket/{number}/{path}/", body, key="k1")

    assert again.status == third.status == 200
    assert again.body == third.body
    assert len(desk.writes()) == 1
    assert (b'"updates"' in again.body) == shows_ticket


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("several", [True, False])
def test_a_lost_creation_happens_once(desk: ClientDesk, several: bool, killed: bool, arrived: bool) -> None:
    body = [CREATION, {**CREATION, "subject": "Another one"}] if several else CREATION
    losing(desk, killed=killed, arrived=arrived)
    lost(desk, "/tickets/", body)

    again = desk.call(TRIAGE, "POST", "/tickets/", body, key="k1")

    assert again.status == 200
    assert len(desk.world.simulator.account.tickets) == 1 + several
    assert (b'"success":true' in again.body) == several


def test_a_call_that_may_still_land_is_not_repeated(desk: ClientDesk) -> None:
    number = opened(desk)
    losing(desk, killed=False, arrived=False)
    lost(desk, f"/ticket/{number}/staff_pvtnote/", WRITES[0][1])
    impatient = client("triage", wait=1)

    reply = desk.call(impatient, "POST", f"/ticket/{number}/staff_pvtnote/", WRITES[0][1], key="k1")

    assert (reply.status, reply.result) == (409, "doubt")
    assert 1 <= reply.retry <= 51
    assert desk.writes() == []


def test_a_forward_in_doubt_is_never_repeated(desk: ClientDesk) -> None:
    number = opened(desk)
    body = {"staff_id": 1, "to": "partner@example.com", "subject": "FYI", "message": "see below"}
    losing(desk, killed=False)
    lost(desk, f"/ticket/{number}/forward/", body)
    desk.world.now += 3_600_000
    reply = desk.call(TRIAGE, "POST", f"/ticket/{number}/forward/", body, key="k1")
    assert (reply.status, reply.result) == (409, "doubt")
    assert len(desk.writes()) == 1


def test_a_duplicate_waits_for_the_first_call(desk: ClientDesk) -> None:
    number = opened(desk)
    replies: list[Any] = []

    def meanwhile(step: Any, result: Any) -> Any:
        if isinstance(step, Call) and not replies:
            replies.append(desk.note(client("triage", wait=1), number, "once", key="k1"))
        return result

    desk.after = meanwhile
    assert desk.note(TRIAGE, number, "once", key="k1").status == 200
    [duplicate] = replies
    assert (duplicate.status, duplicate.retry) == (409, 1)
    assert len(desk.writes()) == 1


def test_the_email_of_a_call_that_did_not_happen_counts_once(desk: ClientDesk) -> None:
    number = opened(desk)
    losing(desk, killed=True, arrived=False)
    lost(desk, f"/ticket/{number}/staff_update/", WRITES[1][1])
    desk.call(TRIAGE, "POST", f"/ticket/{number}/staff_update/", WRITES[1][1], key="k1")
    writes = desk.world.client.lrange(f"foxhooks:{{demo}}:client_writes:{number}", 0, -1)
    assert len(writes) == 1
