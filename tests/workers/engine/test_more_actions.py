"""What the API accepts beside messages and properties: times, files, surveys, contacts, replies in their name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import redis

from tests.support.turns import finish, put_back
from workers import Attachment, Context, Event, Router, Ticket
from workers.engine.effect import EffectKind
from workers.engine.plan import decode_record
from workers.engine.steps import Call, Step
from workers.plugins.actions import PERMISSIONS
from workers.plugins.invoke import Inner
from workers.simulator import ApiFault
from workers.testing.desk import ACCOUNT, Crash, SimulatedDeployment

P = f"foxhooks:{{{ACCOUNT}}}:"
EVERYTHING = frozenset(("clerk", permission) for permission in PERMISSIONS)
Handle = Callable[[Ticket, Event, Context], None]


def clerk(handle: Handle) -> Router:
    router = Router("clerk")

    @router.on("contact-replied")
    def act(ticket: Ticket, event: Event, ctx: Context) -> None:
        handle(ticket, event, ctx)

    return router


class Desk:
    """An account whose handler acts when a contact replies."""

    def __init__(self, client: redis.Redis, handle: Handle, **config: Any) -> None:
        self.world = SimulatedDeployment(client, clerk(handle), **{"allow": EVERYTHING, **config})
        self.calls: list[Call] = []
        self.world.before = self.note
        self.number = 0

    def note(self, step: Step | Inner) -> None:
        """Note each write."""
        if isinstance(step, Call) and step.request.method == "POST":
            self.calls.append(step)

    def play(self, **draft: Any) -> "Desk":
        """Let a contact open a ticket and reply."""
        self.number = self.number or self.world.simulator.create_ticket("sam@bigcorp.example", **draft).id
        finish(self.world)
        self.world.simulator.contact_replies(self.number, "It is broken again.")
        finish(self.world)
        return self

    @property
    def ticket(self) -> dict[str, Any]:
        return dict(self.world.ticket(self.number))

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [call.request.body for call in self.calls]

    @property
    def dead(self) -> list[str]:
        """The reasons of all dead letters."""
        client: Any = self.world.client
        ids = client.zrange(f"{P}dead_letters", 0, -1)
        found = (client.hget(f"{P}dead_letter:{each.decode()}", "evidence") for each in ids)
        return [msgspec.json.decode(each)["reason"] for each in found]

    def attached(self) -> list[list[str]]:
        """Return the names of the files on each update that has any."""
        messages = [each["message"] for each in self.ticket["updates"] if each["message"]]
        return [[file["filename"] for file in each["attachments"]] for each in messages if each["attachments"]]


def timed(world: SimulatedDeployment) -> None:
    """Make every category require a time."""
    account = world.simulator.account
    account.categories = {key: {**each, "time_spent_mandatory": True} for key, each in account.categories.items()}


# Times


def test_times_are_sent_with_messages_and_properties(store: redis.Redis) -> None:
    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.set(priority="High", time_spent=3)
        ticket.note("One", time_spent=2)

    assert Desk(store, handle).play().ticket["time_spent"] == 5


def test_without_a_time_a_category_that_requires_one_refuses(store: redis.Redis) -> None:
    desk = Desk(store, lambda ticket, *_: ticket.note("One"))
    timed(desk.world)
    assert "time_spent" in desk.play().dead[0]


def test_the_default_time_of_the_account_is_used_where_one_is_required(store: redis.Redis) -> None:
    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.note("One")
        ticket.reply("Two", time_spent=4, status="In Progress")
        ticket.set(assignee="Lin Wu")

    desk = Desk(store, handle, default_time=1)
    timed(desk.world)
    desk.play()
    assert (desk.dead, desk.ticket["time_spent"]) == ([], 5)


def test_each_part_of_a_refused_call_reports_the_default_time(store: redis.Redis) -> None:
    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.note("One")
        ticket.set(status="Closed")

    desk = Desk(store, handle, default_time=2)
    timed(desk.world)
    desk.play(category=3)  # closing there needs a field that is empty
    assert [body.get("time_spent") for body in desk.bodies] == [2, 2, 2]
    assert desk.ticket["time_spent"] == 2


def test_no_default_time_is_reported_where_none_is_required(store: redis.Redis) -> None:
    desk = Desk(store, lambda ticket, *_: ticket.note("One"), default_time=1).play()
    assert desk.ticket["time_spent"] == 0


def test_a_time_without_anything_to_send_is_no_call(store: redis.Redis) -> None:
    desk = Desk(store, lambda ticket, *_: ticket.set(status=ticket.status.id or 1, time_spent=5)).play()
    assert desk.calls == []


# Emails and subscribers


def test_a_reply_has_a_subject_and_a_survey(store: redis.Redis) -> None:
    desk = Desk(store, lambda ticket, *_: ticket.reply("Done.", subject="Solved:\n4711", survey=True)).play()
    [body] = desk.bodies
    assert (body["subject"], body["send_survey"]) == ("Solved: 4711", True)


def test_staff_members_are_unsubscribed_if_they_are_subscribed(store: redis.Redis) -> None:
    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        if not ticket.subscribers:
            ticket.subscribe("Ada King", "Lin Wu")
        ticket.unsubscribe("ada king", "Lin Wu")

    desk = Desk(store, handle).play().play()
    assert [each["id"] for each in desk.ticket["subscribers"]] == [7]  # who subscribes others is subscribed, too
    assert [call.request.path.split("/")[-2] for call in desk.calls] == ["subscribe", "unsubscribe", "unsubscribe"]


# Contacts


def test_the_contact_is_changed_once_and_only_if_it_differs(store: redis.Redis) -> None:
    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.set_contact(name="Sam the Great", fields={"Plan": "Gold"})

    desk = Desk(store, handle).play().play()
    assert desk.world.simulator.account.contacts[1].name == "Sam the Great"
    assert [call.request.path for call in desk.calls] == ["/user/1/"]


def test_a_reply_as_contact_starts_no_handler(store: redis.Redis) -> None:
    seen: list[str] = []

    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        seen.append(event.matched[-1].text.strip())
        ticket.reply_as_contact("I wrote:\n<b> & more")

    desk = Desk(store, handle).play()
    newest = desk.ticket["updates"][-1]
    assert (newest["by"]["type"], newest["by"]["id"]) == ("user", 1)
    assert newest["message"]["html"] == "<div>I wrote:<br>&lt;b&gt; &amp; more</div>"
    assert seen == ["It is broken again."]


def test_without_grants_nothing_of_it_is_done(store: redis.Redis) -> None:
    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.reply_as_contact("I wrote")
        ticket.set_contact(name="Sam the Great")
        ticket.unsubscribe("Lin Wu")
        ticket.note("Only this.")

    desk = Desk(store, handle, allow=frozenset()).play()
    assert [call.request.path.split("/")[-2] for call in desk.calls] == ["staff_pvtnote"]


# Files


def test_files_are_attached_to_notes_replies_and_new_tickets(store: redis.Redis, tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("Terms of 2026")

    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        ticket.note("See the file.", attachments=[terms, ("log.txt", b"a\nb")])
        ticket.reply("Our terms.", attachments=[str(terms)], status="In Progress", notify=False)
        ctx.create_ticket(
            client=ticket.contact.id, subject="More", text="With a file.", category="Billing", attachments=[terms]
        )

    desk = Desk(store, handle).play()
    assert desk.dead == []
    assert desk.attached() == [["terms.txt", "log.txt"], ["terms.txt"]]
    assert desk.ticket["status"]["name"] == "In Progress"
    created = desk.world.ticket(desk.number + 1)["updates"][0]["message"]
    assert [file["filename"] for file in created["attachments"]] == ["terms.txt"]


def test_a_file_of_a_message_is_forwarded(store: redis.Redis, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"\x89PNG" * 100)

    def handle(ticket: Ticket, event: Event, ctx: Context) -> None:
        files = [file for update in ticket.history if update.message for file in update.message.attachments]
        if files:
            ticket.note("The photo again.", attachments=files[:1])
            ctx.on_ticket(2).note("The photo of ticket 1.", attachments=files[:1])
        else:
            ticket.note("A photo.", attachments=[photo])

    desk = Desk(store, handle)
    desk.world.simulator.create_ticket("mia@smallshop.example")  # number 1 is Mia's: ours is the second
    desk.number = 1
    desk.world.simulator.create_ticket("sam@bigcorp.example")
    desk.play().play()
    assert desk.attached() == [["photo.png"], ["photo.png"]]
    desk.number = 2
    assert desk.attached() == [["photo.png"]]
    assert desk.dead == []
    sizes = {file.content for file in desk.world.simulator.account.files.values()}
    assert sizes == {photo.read_bytes()}


def test_an_attachment_that_is_gone_becomes_a_dead_letter(store: redis.Redis) -> None:
    gone = Attachment(id=99, filename="x.txt", url="https://demo.happyfox.com/x")
    desk = Desk(store, lambda ticket, *_: ticket.note("See", attachments=[gone])).play()
    assert desk.dead == ["attachment 99 of ticket 1 does not exist any more"]


def test_a_file_that_was_deleted_after_the_decision_becomes_a_dead_letter(store: redis.Redis, tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("Terms of 2026")
    desk = Desk(store, lambda ticket, *_: ticket.note("See", attachments=[terms]))

    def before(step: Step | Inner) -> None:
        if getattr(step, "name", "") == "begin":
            terms.unlink(missing_ok=True)

    desk.world.before = before
    desk.play()
    assert len(desk.dead) == 1
    assert "terms.txt" in desk.dead[0] or "read" in desk.dead[0]


def test_the_content_of_files_is_not_kept_in_the_record(store: Any) -> None:
    desk = Desk(store, lambda ticket, *_: ticket.note("See", attachments=[("a.txt", b"secret words" * 9)])).play()
    records = [decode_record(store.get(key)) for key in store.keys(f"{P}record:*".replace("[", "\\["))]
    effects = [effect for record in records for effect in record.effects if effect.files]
    assert [(file.name, file.content) for effect in effects for file in effect.files] == [("a.txt", b"")]
    assert desk.attached() == [["a.txt"]]


# Interruptions

ACTIONS: dict[str, Handle] = {
    "reply as contact": lambda ticket, *_: ticket.reply_as_contact("I wrote this."),
    "contact": lambda ticket, *_: ticket.set_contact(name="Sam the Great", fields={"Plan": "Gold"}),
    "unsubscribe": lambda ticket, *_: ticket.unsubscribe("Lin Wu"),
    "files": lambda ticket, *_: ticket.note("See", attachments=[("a.txt", b"words")]),
    "time": lambda ticket, *_: ticket.set(priority="High", time_spent=5),
}


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("fault", ["before", "after", "crash"])
def test_each_is_done_once_whatever_happens_to_its_call(store: redis.Redis, name: str, fault: str) -> None:
    def end(disturbed: bool) -> dict[str, Any]:
        store.flushdb()
        desk = Desk(store, ACTIONS[name])
        desk.number = desk.world.simulator.create_ticket("sam@bigcorp.example").id
        account = desk.world.simulator.account
        account.put(replace(account.tickets[desk.number], subscribers=(2,)))
        desk.world.simulator.staff_updates(desk.number, status="Closed")
        finish(desk.world)
        crashed: list[int] = []

        def after(step: Step | Inner, result: Any) -> Any:
            writes = isinstance(step, Call) and step.request.method == "POST"
            if disturbed and fault == "crash" and writes and not crashed:
                crashed.append(1)
                raise Crash
            return result

        desk.world.after = after
        if disturbed and fault != "crash":
            desk.world.simulator.faults.add(ApiFault("cut", method="POST", before=fault == "before"))
        desk.play()
        contact = desk.world.simulator.account.contacts[1]
        updates = [(each["by"]["name"], each["message"] and each["message"]["text"]) for each in desk.ticket["updates"]]
        return {
            "updates": updates,
            "dead": desk.dead,
            "time": desk.ticket["time_spent"],
            "contact": (contact.name, contact.fields),
            "files": desk.attached(),
            "subscribers": desk.ticket["subscribers"],
        }

    assert end(disturbed=True) == end(disturbed=False)


#: One handler for each kind of effect that HappyFox may refuse, with all that it can carry.
OF_EACH_KIND: dict[str, Handle] = {
    "tags": lambda ticket, *_: ticket.add_tags("vip"),
    "note": lambda ticket, *_: ticket.note("See", time_spent=2, attachments=[("a.txt", b"words")]),
    "reply": lambda ticket, *_: ticket.reply(
        "Done.", subject="Solved", survey=True, cc=["mia@example.com"], time_spent=3, attachments=[("a.txt", b"words")]
    ),
    "properties": lambda ticket, *_: ticket.set(priority="High", time_spent=4),
    "contact reply": lambda ticket, *_: ticket.reply_as_contact(
        "I wrote this.", cc=["mia@example.com"], attachments=[("a.txt", b"words")]
    ),
    "contact": lambda ticket, *_: ticket.set_contact(name="Sam the Great", fields={"Plan": "Gold"}),
    "forward": lambda ticket, *_: ticket.forward("partner@example.com", subject="FYI", message="See below."),
    "subscribe": lambda ticket, *_: ticket.subscribe("Ada King"),
    "unsubscribe": lambda ticket, *_: ticket.unsubscribe("Ada King"),
    "create": lambda ticket, _, ctx: ctx.create_ticket(
        client=ticket.contact.id, subject="More", text="With a file.", category="Billing", attachments=[("a", b"b")]
    ),
    "move": lambda ticket, *_: ticket.move("Billing", note="Yours."),
    "delete": lambda ticket, *_: ticket.delete(),
}


@pytest.mark.parametrize("kind", get_args(EffectKind))
def test_a_replay_makes_the_same_call(store: redis.Redis, kind: str) -> None:
    """A replay, and an effect that a pause has held, would otherwise lose what is not passed on."""
    desk = Desk(store, OF_EACH_KIND[kind])
    desk.number = desk.world.simulator.create_ticket("sam@bigcorp.example").id
    if kind == "unsubscribe":
        account = desk.world.simulator.account
        account.put(replace(account.tickets[desk.number], subscribers=(1,)))
    desk.world.simulator.faults.add(ApiFault("status", method="POST", status=400, count=1))
    desk.play()
    put_back(desk.world)
    first, again = ((call.request.path, call.request.body, call.request.files) for call in desk.calls)
    assert again == first
