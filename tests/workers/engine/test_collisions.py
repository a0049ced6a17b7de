"""Collisions: if a person answers while we do, the person wins, and the history says so."""

from typing import Any

import msgspec
import pytest
import redis

from tests.support.commands import run
from tests.support.turns import finish
from workers import Event, Router, Ticket
from workers.simulator import LoggedCall
from workers.store.scripts import Script
from workers.testing.desk import ACCOUNT, SimulatedDeployment


def answering(world_of: list[SimulatedDeployment], while_deciding: Any = None) -> Router:
    router = Router("helper")

    @router.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        if while_deciding:
            while_deciding(world_of[0])
        ticket.reply("The robot answers.", status="In Progress")

    return router


def play(store: redis.Redis, while_deciding: Any = None, **config: Any) -> SimulatedDeployment:
    """Return a world in which a contact wrote after a colleague, and our handler answered."""
    worlds = list[SimulatedDeployment]()
    world = SimulatedDeployment(store, answering(worlds, while_deciding), **config)
    worlds.append(world)
    world.simulator.create_ticket()
    finish(world)
    world.simulator.staff_updates(1, staff=1, text="I am on it.")
    finish(world)
    world.simulator.contact_replies(1, "Hello?")
    finish(world)
    return world


def bodies(world: SimulatedDeployment) -> list[Any]:
    calls: list[LoggedCall] = [call for call in world.simulator.log if call.method == "POST"]
    return [call.body for call in calls]


@pytest.mark.parametrize("ids", [False, True])
def test_a_reply_carries_the_last_staff_message_that_we_know(store: redis.Redis, ids: bool) -> None:
    world = play(store, options={"message_ids": ids, "last_staff_message": "refuse" if ids else "ignore"})

    [sent] = bodies(world)
    [said] = [update for update in world.ticket(1)["updates"] if "I am on it." in str(update["message"])]
    assert sent["last_staff_message"] == (said["message"]["id"] if ids else said["update_id"])
    assert "The robot answers." in str(world.ticket(1)["updates"])


def test_a_reply_is_withheld_if_a_colleague_answered_first_and_the_history_says_so(
    store: redis.Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def colleague(world: SimulatedDeployment) -> None:
        world.now += 60_000
        world.simulator.staff_updates(1, staff=1, text="It works again.")

    world = play(store, colleague)

    assert bodies(world) == []
    lines = [msgspec.json.decode(line)["text"] for line in store.lrange(f"foxhooks:{{{ACCOUNT}}}:history:1", 0, -1)]
    said = next(line for line in lines if "withheld" in line)
    assert said.startswith("reply, status = In Progress: withheld, Ada King answered meanwhile (update ")
    for name, value in {"HAPPYFOX_ACCOUNT": ACCOUNT, "HAPPYFOX_WEBHOOK_SECRETS": "x", "REDIS_URL": valkey_url}.items():
        monkeypatch.setenv(name, value)
    assert " ".join(said.split()) in " ".join(run("explain", "1").stdout.split())


def test_a_private_note_of_a_colleague_does_not_withhold_a_reply(store: redis.Redis) -> None:
    def colleague(world: SimulatedDeployment) -> None:
        world.now += 60_000
        world.simulator.staff_updates(1, staff=1, text="Nobody answers this one.", private=True)

    assert "The robot answers." in str(play(store, colleague).ticket(1)["updates"])


def test_the_history_names_each_action_with_its_handler_and_its_permission(store: redis.Redis) -> None:
    key = f"foxhooks:{{{ACCOUNT}}}:history:1"
    assert len(bodies(play(store))) == 1
    allowed = str(store.lrange(key, 0, -1))
    store.flushdb()
    play(store, allow=frozenset())
    denied = str(store.lrange(key, 0, -1))

    assert "helper.answer decided: reply (allowed by FOXHOOKS_ALLOW=helper:reply), set" in allowed
    assert "helper.answer decided: nothing; reply denied, set FOXHOOKS_ALLOW=helper:reply" in denied


@pytest.mark.parametrize("does", [{"text": "It works again."}, {"status": 3}])
def test_a_colleagues_update_in_the_answer_to_our_own_write_counts(store: redis.Redis, does: dict[str, Any]) -> None:
    router = Router("helper")

    @router.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.add_tags("seen")
        ticket.reply("The robot answers.", status="In Progress")

    def before(step: Any) -> None:
        if isinstance(step, Script) and step.name == "begin" and not met:
            met.append(world.simulator.staff_updates(1, staff=1, **does))

    met = list[object]()
    world = SimulatedDeployment(store, router)
    world.simulator.create_ticket()
    finish(world)
    world.simulator.contact_replies(1, "Hello?")
    world.deliver()
    world.before = before
    world.work()

    ticket = world.ticket(1)
    assert "seen" in ticket["tags"]
    assert ("The robot answers." in str(ticket["updates"])) == ("text" not in does)
    assert ticket["status"]["name"] != "In Progress"
