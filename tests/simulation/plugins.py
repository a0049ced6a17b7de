"""The handlers of the simulation. Messages say which rows they answer, so that no two intents are alike by chance."""

from workers import Event, Router, Ticket


def routers() -> tuple[Router, ...]:
    """Four routers that read everything, answer contacts, write equal notes and change properties."""
    audit, helper, twin, clerk = Router("audit"), Router("helper"), Router("twin"), Router("clerk")

    @audit.on("ticket-created", "ticket-updated")
    def read(ticket: Ticket, event: Event) -> None:
        said = [change.update_id for change in event.changes if change.kind in ("ticket-created", "contact-replied")]
        if said:
            ticket.note(f"The contact has written {_rows(said)}.")

    @helper.on("contact-replied")
    def answer(ticket: Ticket, event: Event) -> None:
        ticket.reply(f"Thank you for {_rows([change.update_id for change in event.matched])}.", status="In Progress")

    @twin.on("contact-replied", "smart-rule")
    def note(ticket: Ticket, event: Event) -> None:
        said = [change.update_id for change in event.changes if change.kind in ("ticket-created", "contact-replied")]
        ticket.note(f"The contact has written {_rows(said)}." if said else f"A rule fired {_rows_of(event)}.")

    @clerk.on("ticket-created", "status-changed", "tags-changed", "field-changed")
    def file(ticket: Ticket, event: Event) -> None:
        last = event.matched[-1]
        ticket.add_tags(f"clerk-{_mark(event)}")
        ticket.set(priority="High" if ticket.status.closed else "Low")
        if last.kind != "field-changed":
            ticket.set(fields={"Refund reason": f"seen {_mark(event)}"})

    return audit, helper, twin, clerk


def _mark(event: Event) -> str:
    told = [change.update_id or "".join(sorted(change.added)) or change.field for change in event.matched]
    return "-".join(map(str, told))


def _rows_of(event: Event) -> str:
    return _rows([change.update_id for change in event.matched])


def _rows(ids: list[int | None]) -> str:
    return f"in {' and '.join(map(str, ids))} so far"
