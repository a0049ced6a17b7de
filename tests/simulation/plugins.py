"""The handlers of the simulation. Messages name the updates they answer, so that no two are equal by chance."""

from dataclasses import replace

from workers import Context, Event, GiveUp, Router, Ticket

#: The grants of the routers.
ALLOW = frozenset(
    {
        *(("helper", "reply"), ("welcomer", "reply"), ("sorter", "move")),
        *(("scribe", "forward"), ("scribe", "subscribe"), ("reaper", "delete")),
    }
)

#: The handlers that an older version does not know.
NEWER = frozenset({"biller.bill"})

#: What handlers write into custom fields; people write other values.
OURS = ("seen", "9000")


def routers(excess: int) -> tuple[Router, ...]:
    """Return routers that read everything, answer contacts, write equal notes, and use every kind of action.

    If ``excess`` is not 0, one of them sometimes asks for this many calls at once.
    """
    usual = (_audit(), _helper(), _twin(), _clerk(), _sorter(), _scribe(), _closer(), _biller(), _greeter(), *_last())
    return (*usual, _welcomer(), _intruder(), _counter(), *([_hungry(excess)] if excess else []))


def _audit() -> Router:
    audit = Router("audit")

    @audit.on("ticket-created", "ticket-updated")
    def read(ticket: Ticket, event: Event) -> None:
        said = [change.update_id for change in event.changes if change.kind in ("ticket-created", "contact-replied")]
        if said:
            ticket.note(f"The contact has written {_rows(said)}.")

    return audit


def _helper() -> Router:
    helper = Router("helper")

    @helper.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply(f"Thank you for {_rows([change.update_id for change in event.matched])}.", status="In Progress")

    return helper


def _welcomer() -> Router:
    """Answer new tickets, and rules even if the contact never does."""
    welcomer = Router("welcomer")

    @welcomer.on("ticket-created", "smart-rule")
    def welcome(ticket: Ticket, event: Event) -> None:
        ticket.reply(f"We have your message {_rows_of(event)}.")

    return welcomer


def _intruder() -> Router:
    """Ask for what was never granted."""
    intruder = Router("intruder")

    @intruder.on("contact-replied")
    def intrude(ticket: Ticket, event: Event) -> None:
        ticket.reply(f"Nobody allowed this answer {_rows_of(event)}.")
        ticket.forward("secret@bigcorp.example", "Secret", "Nobody allowed this.")
        ticket.move("Billing")

    return intruder


def _hungry(calls: int) -> Router:
    """Ask for more calls than the loop guard allows."""
    hungry = Router("hungry")

    @hungry.on("assigned")
    def ask(ticket: Ticket, event: Event) -> None:
        for number in range(calls):
            ticket.note(f"Note {number} {_rows_of(event)}.")

    return hungry


def _twin() -> Router:
    twin = Router("twin")

    @twin.on("contact-replied", "smart-rule")
    def note(ticket: Ticket, event: Event) -> None:
        said = [change.update_id for change in event.changes if change.kind in ("ticket-created", "contact-replied")]
        ticket.note(f"The contact has written {_rows(said)}." if said else f"A rule fired {_rows_of(event)}.")

    return twin


def _clerk() -> Router:
    clerk = Router("clerk")

    @clerk.on("ticket-created", "status-changed", "tags-changed", "field-changed")
    def file(ticket: Ticket, event: Event) -> None:
        last = event.matched[-1]
        ticket.add_tags(f"clerk-{_mark(event)}")
        ticket.set(priority="High" if ticket.status.closed else "Low")
        if last.kind != "field-changed":
            ticket.set(fields={"Refund reason": f"seen {_mark(event)}"})

    return clerk


def _sorter() -> Router:
    sorter = Router("sorter")

    @sorter.on("priority-changed", "moved")
    def sort(ticket: Ticket, event: Event) -> None:
        fingerprint = _mark(event)
        ticket.move(
            "Billing" if ticket.category.name == "Orders" else "Orders",
            f"Sorted {fingerprint}" if ticket.id % 2 else "",
        )

    return sorter


def _scribe() -> Router:
    scribe = Router("scribe")

    @scribe.on("staff-replied", "assigned")
    def tell(ticket: Ticket, event: Event) -> None:
        ticket.subscribe("Lin Wu" if ticket.id % 2 else "Omar Haddad")
        if any(change.kind == "assigned" for change in event.matched):
            ticket.forward("archive@bigcorp.example", f"Assigned {_mark(event)}", "For your files.")

    return scribe


def _closer() -> Router:
    """Close tickets, which HappyFox refuses in the category Orders while the field Resolution is empty."""
    closer = Router("closer")

    @closer.on("note-added", "assigned")
    def close(ticket: Ticket, event: Event) -> None:
        ticket.set(status="Closed")

    return closer


def _biller() -> Router:
    biller = Router("biller")

    @biller.on("contact-replied", "assigned")
    def bill(ticket: Ticket, event: Event) -> None:
        ticket.set(fields={"Amount": 9_000_000 + (event.matched[-1].update_id or 0)})

    return biller


def _greeter() -> Router:
    """Act once on each ticket."""
    greeter = Router("greeter")

    @greeter.on("ticket-created", "contact-replied")
    def greet(ticket: Ticket, event: Event) -> None:
        ticket.note(f"Welcome, at {_mark(event)}.")

    greeter.handlers[:] = [replace(handler, once=True) for handler in greeter.handlers]
    return greeter


def _counter() -> Router:
    """Number the turns in which contacts write, across tickets."""
    counter = Router("counter")

    @counter.on("ticket-created", "contact-replied")
    def count(ticket: Ticket, event: Event, ctx: Context) -> None:
        number = ctx.store.count("turns")
        ctx.store.increment("turns")
        ctx.store.add("numbers", f"{number} ticket {ticket.id} {_mark(event)}")

    return counter


def _last() -> tuple[Router, Router]:
    """Return a handler that gives up or uses an unknown name, and one that deletes."""
    picky, reaper = Router("picky"), Router("reaper")

    @picky.on("status-changed", "contact-replied")
    def choose(ticket: Ticket, event: Event) -> None:
        update = event.matched[-1].update_id or 0
        if update % 11 == 0:
            raise GiveUp("hopeless")
        if update % 11 == 5:
            ticket.set(status="Nonsense")

    @reaper.on("tags-changed")
    def reap(ticket: Ticket, event: Event) -> None:
        if any(tag.startswith("spam") for change in event.matched for tag in change.added):
            ticket.delete()

    return picky, reaper


def _mark(event: Event) -> str:
    marks = [change.update_id or "".join(sorted(change.added)) or change.field for change in event.matched]
    return "-".join(map(str, marks))


def _rows_of(event: Event) -> str:
    return _rows([change.update_id for change in event.matched])


def _rows(ids: list[int | None]) -> str:
    return f"in {' and '.join(map(str, ids))} so far"
