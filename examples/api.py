"""Use HappyFox from a script: each function is a typical use. Set HAPPYFOX_URL and the key, then run this file."""

from datetime import date
from pathlib import Path

from workers.happyfox import HappyFox, search, search_contacts


def overdue(hf: HappyFox) -> list[str]:
    """Return the overdue tickets with their assignees.

    ``all_tickets`` reads every page and misses nothing, even if tickets come and go meanwhile.
    """
    found = hf.all_tickets(status="_pending", q=search(duedate="overdue"))
    return [f"{ticket.display_id} {ticket.assignee.name if ticket.assignee else 'nobody'}" for ticket in found]


def report_printer(hf: HappyFox, photo: Path) -> int:
    """Create a ticket with a picture: names become ids, the file is streamed."""
    ticket = hf.create_ticket(
        {
            "name": "Sam Reed",
            "email": "sam@bigcorp.example",
            "subject": "Printer on fire",
            "text": "It smells, too.",
            "category": hf.names.category("Default Category"),
            "priority": hf.names.priority("High"),
            "tags": ["printer", "vip"],
            "fields": hf.names.ticket_fields({"Product": "Printer", "Delivery date": date(2026, 3, 1)}),
        },
        files=[photo],
    )
    return ticket.id


def answer(hf: HappyFox, number: int) -> str:
    """Reply and set status and assignee in one call, which makes one update."""
    ticket = hf.staff_update(
        number,
        html="<p>We are on it.</p>",
        update_customer=True,
        status=hf.names.status("In Progress"),
        assignee=hf.names.staff_member("lin@support.example"),
    )
    hf.private_note(number, text="Bring the extinguisher.", alert="s")
    return ticket.status.name


def save_attachments(hf: HappyFox, number: int, folder: Path) -> list[Path]:
    """Save all attachments of a ticket; expired links are renewed.

    Each goes into its own folder: many are called image.png, and a download overwrites a file of the same name.
    """
    ticket, saved = hf.ticket(number), []
    for file in [file for row in ticket.history if row.message for file in row.message.attachments]:
        own = folder / str(file.id)
        own.mkdir(parents=True, exist_ok=True)
        saved.append(hf.download(ticket, file, own))
    return saved


def import_contacts(hf: HappyFox, people: list[tuple[str, str]]) -> list[str]:
    """Create many contacts, add them to a group, and return who was refused and why."""
    made = hf.create_or_edit_all_contacts([{"name": name, "email": email} for name, email in people], reset=True)
    group = hf.create_contact_group("Conference", description="Met in March")
    hf.add_all_contacts_to_group(group.id, [each.id for each in made if each.id is not None])
    return [f"{people[each.index][1]}: {each.problems[0][1]}" for each in made if not each.ok]


def rename(hf: HappyFox, email: str, name: str) -> str:
    """Change only the name of a contact; ``create_or_edit_contact`` would reset its custom fields."""
    (contact,) = hf.contacts(q=search_contacts(email=email))
    return hf.edit_contact(contact.id, name=name).name


def equipment(hf: HappyFox, owner: int) -> str:
    """Create an asset of the first type for a contact, then rename it."""
    kind = hf.asset_types().items[0]
    asset = hf.create_asset(kind.id, name="Dock", display_id="D-0001", contact_ids=[owner])
    return hf.update_asset(asset.id, name="Dock, black", display_id=asset.display_id).name


def last_week(hf: HappyFox) -> dict[str, float]:
    """Return how many replies each staff member wrote last week, from the first report."""
    report = hf.reports().items[0]
    people = hf.staff_activity(report.id, period_type="str", period="l7d")
    return {person.name: person.numbers["no_of_replies"] for person in people}


def articles(hf: HappyFox) -> dict[str, list[str]]:
    """Return the titles of the knowledge base by section."""
    return {section.name: [article.name for article in section.articles] for section in hf.sections()}


if __name__ == "__main__":
    with HappyFox.from_env() as happyfox:
        for line in overdue(happyfox):
            print(line)
