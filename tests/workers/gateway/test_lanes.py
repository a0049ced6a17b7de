"""A client's write holds its ticket's lane, and the engine knows whose update it is."""

from typing import Any

import pytest
import redis

from tests.support.clients import ClientDesk, client
from tests.support.turns import P
from workers import Event, Router, Ticket
from workers.gateway.steps import ClientStep, Wait
from workers.store.lanes import ClaimedLane, NothingDue, claim
from workers.store.pauses import Pause, pause, resume
from workers.store.permits import Grant
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, SimulatedDeployment

TRIAGE = client("triage")


class Watching:
    """A router that keeps the changes that it was shown."""

    def __init__(self, act: bool = False) -> None:
        self.router = Router("watch")
        self.seen: list[tuple[str, str, str]] = []

        @self.router.on("ticket-created", "ticket-updated")
        def watch(ticket: Ticket, event: Event) -> None:
            self.seen += [(change.kind, change.actor.kind, change.actor.name) for change in event.matched]
            if act:
                ticket.note(f"seen {len(self.seen)}")


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.fixture
def desk(store: redis.Redis, watching: Watching) -> ClientDesk:
    return ClientDesk(SimulatedDeployment(store, watching.router))


def opened(desk: ClientDesk) -> int:
    """Open a ticket that the engine has handled."""
    number = desk.world.simulator.create_ticket("sam@bigcorp.example").id
    desk.world.deliver()
    desk.world.settle_down()
    return number


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("staff_pvtnote", {"staff": 1, "text": "seen by triage"}, "note-added"),
        ("staff_pvtnote", {"staff": 7, "text": "as foxhooks' own staff member"}, "note-added"),
        ("staff_update", {"staff": 1, "html": "<p>We are on it.</p>", "update_customer": True}, "staff-replied"),
        ("staff_update", {"staff": 7, "priority": 3}, "priority-changed"),
        ("staff_update", {"staff": 1, "status": 2}, "status-changed"),
        ("update_tags", {"staff_id": 7, "add": "vip"}, "tags-changed"),
        ("update_tags", {"add": "vip"}, "tags-changed"),
        ("move", {"staff_id": 1, "target_category_id": 2}, "moved"),
        ("user_reply", {"user": 1, "text": "It burns again."}, "contact-replied"),
    ],
)
def test_the_engine_knows_a_clients_update(
    desk: ClientDesk, watching: Watching, path: str, body: dict[str, Any], kind: str
) -> None:
    number = opened(desk)
    if "user" in body:
        body = {**body, "user": desk.world.ticket(number)["user"]["id"]}
    watching.seen.clear()

    assert desk.call(TRIAGE, "POST", f"/ticket/{number}/{path}/", body).status == 200
    desk.world.deliver()
    desk.world.settle_down()

    assert (kind, "client", "triage") in watching.seen
    assert {actor for _, actor, _ in watching.seen} == {"client"}


def test_it_knows_it_even_if_the_gateway_dies_before_the_answer(desk: ClientDesk, watching: Watching) -> None:
    number = opened(desk)
    watching.seen.clear()

    class Killed(BaseException):
        pass

    def kill(step: Any, result: Any) -> Any:
        if getattr(step, "name", "") == "client_finish" or (hasattr(step, "request") and step.request.method == "POST"):
            raise Killed
        return result

    desk.after = kill
    with pytest.raises(Killed):
        desk.note(TRIAGE, number, "the last words of a gateway")
    desk.world.deliver()
    desk.world.settle_down()

    assert watching.seen == [("note-added", "client", "triage")]
    assert desk.world.client.hlen(f"{P}leases") == 0


def test_a_created_ticket_is_a_clients(desk: ClientDesk, watching: Watching) -> None:
    body = {"email": "sam@bigcorp.example", "name": "Sam", "subject": "From a form", "text": "Help", "category": 1}
    assert desk.call(TRIAGE, "POST", "/tickets/", body).status == 200
    desk.world.deliver()
    desk.world.settle_down()
    assert watching.seen == [("ticket-created", "client", "triage")]


def test_two_programs_that_answer_each_other_stop(store: redis.Redis) -> None:
    watching = Watching(act=True)
    desk = ClientDesk(SimulatedDeployment(store, watching.router))
    number = desk.world.simulator.create_ticket("sam@bigcorp.example").id
    for turn in range(40):
        desk.world.deliver()
        desk.world.settle_down(20_000)
        desk.note(TRIAGE, number, f"an answer to note {turn} of foxhooks")
    assert len(watching.seen) < 12


def test_a_client_waits_while_a_worker_has_the_lane(desk: ClientDesk) -> None:
    number = desk.world.simulator.create_ticket().id
    desk.world.deliver()
    lane = desk.world.claim()
    assert isinstance(lane, ClaimedLane)

    reply = desk.note(client("triage", wait=2), number, "too early")

    assert (reply.status, reply.result) == (429, "limited")
    assert reply.retry >= 1
    assert desk.writes() == []


def test_a_client_waits_for_the_end_of_a_stored_plan(desk: ClientDesk) -> None:
    number = opened(desk)
    desk.world.client.hset(f"{P}turn:{number}", "plan", "{}")

    def end(step: Any, result: Any) -> Any:
        if isinstance(step, Wait) and len(desk.waits) == 3:
            desk.world.client.hdel(f"{P}turn:{number}", "plan")
        return result

    desk.after = end
    assert desk.note(TRIAGE, number, "at last").status == 200
    assert len(desk.waits) == 3


def test_no_worker_claims_a_lane_that_a_client_has(desk: ClientDesk) -> None:
    number = opened(desk)
    claims: list[object] = []

    def look(step: Any, result: Any) -> Any:
        if hasattr(step, "request"):
            desk.world.simulator.contact_replies(number, "and another thing")
            desk.world.deliver()
            claims.append(desk.world.store.run(claim(desk.world.config.claim, f"w{len(claims)}")))
        return result

    desk.after = look
    assert desk.note(TRIAGE, number, "noted").status == 200
    assert all(isinstance(each, NothingDue) for each in claims)
    assert desk.world.claim() is not None  # the reply that came meanwhile is due at once


def test_a_lane_keeps_its_timer_and_its_pending_work(desk: ClientDesk) -> None:
    number = opened(desk)
    desk.world.client.zadd(f"{P}schedule", {str(number): desk.world.now + 90_000})
    desk.note(TRIAGE, number, "noted")
    assert desk.world.client.zscore(f"{P}schedule", str(number)) == desk.world.now + 90_000


def test_a_pause_holds_writes_and_no_reads(desk: ClientDesk) -> None:
    number = opened(desk)
    for scope, name in (("account", ""), ("ticket", str(number))):
        desk.world.store.run(pause(ACCOUNT, scope, name, Pause(desk.world.now, "ada")))  # type: ignore[arg-type]
        reply = desk.note(TRIAGE, number, "not now")
        assert (reply.status, reply.result) == (409, "held")
        assert "is paused since 2026-05-28 20:26 UTC by ada" in reply.why
        assert desk.call(TRIAGE, "GET", f"/ticket/{number}/").status == 200
        desk.world.store.run(resume(ACCOUNT, scope, name))  # type: ignore[arg-type]
    assert desk.writes() == []
    assert desk.note(TRIAGE, number, "now").status == 200


def test_the_tag_that_pauses_a_ticket_holds_writes(store: redis.Redis) -> None:
    desk = ClientDesk(SimulatedDeployment(store, off_tag="foxhooks-off"))
    number = desk.world.simulator.create_ticket(tags=["Foxhooks-Off"]).id
    reply = desk.note(TRIAGE, number, "not here")
    assert (reply.status, reply.result) == (409, "held")
    assert desk.writes() == []


def test_a_dry_run_holds_writes(store: redis.Redis) -> None:
    desk = ClientDesk(SimulatedDeployment(store, dry_run=True))
    number = desk.world.simulator.create_ticket().id
    assert desk.note(TRIAGE, number, "not really").status == 409
    assert desk.call(TRIAGE, "GET", f"/ticket/{number}/").status == 200
    assert desk.writes() == []


def test_a_call_that_waits_for_long_gets_into_better_classes(desk: ClientDesk) -> None:
    ticket, asked = opened(desk), []

    def refuse(step: ClientStep, result: Any) -> Any:
        if isinstance(step, Script) and step.name == "permit":
            asked.append(step.args[3])
            return Grant(3_000, "budget") if len(asked) < 6 else result
        return result

    desk.after = refuse
    assert desk.call(client("report", priority="bulk"), "GET", f"/ticket/{ticket}/").status == 200
    assert asked == [f"client-{each}" for each in ("bulk", "bulk", "normal", "normal", "interactive", "interactive")]
