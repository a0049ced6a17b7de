"""Rules in whole turns: the real engine, a real store, the simulated HappyFox, a virtual clock."""

from pathlib import Path

import redis

from workers.plugins.router import Router
from workers.rules.file import load
from workers.settings import Grants
from workers.testing.desk import SimulatedDeployment

RULES = """
[[rule]]
name = "refunds"
on = ["ticket-created", "contact-replied"]
when.text = 'refund|chargeback'
when.not_tag = "refund"
add_tags = ["refund"]
note = "Refund request from {{ ticket.contact.name }}: {{ ticket.subject }}"
set.status = "In Progress"

[[rule]]
name = "spam"
on = "ticket-created"
when.subject = '\\bwin\\b'
set.status = "No such status"

[[rule]]
name = "answer"
on = "contact-replied"
reply = "Thank you."
"""


def rules(tmp_path: Path, text: str = RULES) -> Router:
    (tmp_path / "rules.toml").write_text(text)
    return load(tmp_path / "rules.toml", Grants(frozenset({("rules", "reply")})))


def test_a_rule_with_once_acts_on_a_ticket_only_once(store: redis.Redis, tmp_path: Path) -> None:
    text = '[[rule]]\nname = "hello"\non = "contact-replied"\nonce = true\nnote = "Greeted."'
    world = SimulatedDeployment(store, rules(tmp_path, text))
    number = world.simulator.create_ticket().id
    for reply in ("One", "Two", "Three"):
        world.now += 60_000
        world.simulator.contact_replies(number, reply)
        world.deliver()
        world.settle_down()

    rows = world.ticket(number)["updates"]
    assert sum("Greeted." in row["message"]["text"] for row in rows if row["message"]) == 1


def test_a_turn_without_changes_does_not_mention_rules_that_acted(store: redis.Redis, tmp_path: Path) -> None:
    text = '[[rule]]\nname = "hello"\non = "ticket-created"\nonce = true\nnote = "Greeted."'
    world = SimulatedDeployment(store, rules(tmp_path, text))
    world.simulator.create_ticket()
    world.deliver()
    world.work()
    world.deliver()

    echo = world.settle_down()[-1].plan
    assert echo
    assert (echo.changes, echo.verdicts) == ((), ())


def test_a_rule_changes_the_ticket_and_every_rule_has_a_reason(store: redis.Redis, tmp_path: Path) -> None:
    world = SimulatedDeployment(store, rules(tmp_path))
    number = world.simulator.create_ticket(subject="<script>x</script>", text="I want a REFUND").id
    world.deliver()
    (result,) = world.work()
    assert result.plan
    assert {verdict.handler: (verdict.state, verdict.reason) for verdict in result.plan.verdicts} == {
        "rules.refunds": ("decided", "tags, note, set"),
        "rules.spam": ("skipped", "subject does not match \\bwin\\b"),
        "rules.answer": ("skipped", "not triggered by this event"),
    }
    ticket = world.ticket(number)
    assert ticket["tags"] == "refund"
    assert ticket["status"]["name"] == "In Progress"
    note = next(
        row["message"]["html"] for row in ticket["updates"] if (row["message"] or {}).get("message_type") == "p"
    )
    assert note == "Refund request from Sam Reed: &lt;script&gt;x&lt;/script&gt;"


def test_changes_by_rules_do_not_start_rules(store: redis.Redis, tmp_path: Path) -> None:
    text = RULES.replace('on = "contact-replied"', 'on = ["contact-replied", "ticket-updated"]')
    world = SimulatedDeployment(store, rules(tmp_path, text))
    number = world.simulator.create_ticket(text="refund").id
    world.settle_down()
    rows = len(world.ticket(number)["updates"])
    world.settle_down()
    assert len(world.ticket(number)["updates"]) == rows
    replies = [row for row in world.ticket(number)["updates"] if "Thank you." in str(row["message"])]
    assert replies == []


def test_a_rule_with_an_unknown_name_does_not_affect_others(store: redis.Redis, tmp_path: Path) -> None:
    world = SimulatedDeployment(store, rules(tmp_path))
    number = world.simulator.create_ticket(subject="You win", text="a refund").id
    world.deliver()
    (result,) = world.work()
    assert [(letter.handler, "No such status" in letter.reason) for letter in result.dead_letters] == [
        ("rules.spam", True)
    ]
    assert world.ticket(number)["tags"] == "refund"


def test_without_the_grant_a_reply_is_left_out(store: redis.Redis, tmp_path: Path) -> None:
    world = SimulatedDeployment(
        store, rules(tmp_path, RULES.replace("contact-replied", "ticket-created")), allow=frozenset()
    )
    world.simulator.create_ticket(text="hello")
    world.deliver()
    (result,) = world.work()
    assert result.plan
    (answer,) = [verdict for verdict in result.plan.verdicts if verdict.handler == "rules.answer"]
    assert (answer.denied, answer.grant) == (("reply",), "FOXHOOKS_ALLOW=rules:reply")
    assert result.plan.effects == ()


CLOCK = """
[[rule]]
name = "stale"
every = "1d"
find = "tag:waits"
older_than = "14d"
when.not_tag = "keep"
set.status = "Closed"
once = true
"""


def test_a_scheduled_rule_runs_for_the_tickets_its_search_finds(store: redis.Redis, tmp_path: Path) -> None:
    world = SimulatedDeployment(store, rules(tmp_path, CLOCK))
    old, kept = (world.simulator.create_ticket(tags=("waits", *more)).id for more in ((), ("keep",)))
    world.now += 15 * 86_400_000
    young = world.simulator.create_ticket(tags=("waits",)).id
    world.simulator.take_deliveries()
    world.run_tasks()
    results = world.work()

    assert [world.ticket(number)["status"]["name"] for number in (old, kept, young)] == ["Closed", "New", "New"]
    reasons = {result.plan.ticket["id"]: result.plan.verdicts[0].reason for result in results if result.plan}
    assert reasons == {old: "set", kept: "tag is keep, which is excluded"}


TURNS = """
[[rule]]
name = "questions"
on = "ticket-created"
when.subject = "question"
set.assignee = { choose = ["Ada King", "Lin Wu"] }

[[rule]]
name = "orders"
on = "ticket-created"
when.subject = "order"
set.assignee = { choose = ["ada king", "LIN WU"] }
"""


def test_people_take_turns_also_over_several_rules(store: redis.Redis, tmp_path: Path) -> None:
    world = SimulatedDeployment(store, rules(tmp_path, TURNS))
    numbers = [world.simulator.create_ticket(subject=each).id for each in ("question", "question", "question", "order")]
    world.deliver()
    world.settle_down()
    assert [world.ticket(number)["assigned_to"]["name"] for number in numbers] == [
        "Ada King",
        "Lin Wu",
        "Ada King",
        "Lin Wu",
    ]
