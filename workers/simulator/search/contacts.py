"""What the terms of a search ask of a contact (contacts article, 2)."""

from datetime import UTC, datetime

from workers.simulator.search.grammar import Term
from workers.simulator.world import Contact, World


def holds(world: World, contact: Contact, term: Term) -> bool:
    """Whether a term holds: parts of name, e-mail or phone, or a time since which the contact is new or changed.

    Free words are looked for in name, e-mail and phones (assumed). An unknown field matches nothing.
    """
    if not term.name:
        return all(_known(contact, word) for word in term.values)
    if term.name == "name":
        return any(value.lower() in contact.name.lower() for value in term.values)
    if term.name == "email":
        return any(value.lower() in (contact.email or "").lower() for value in term.values)
    if term.name == "phone":
        return any(_has_phone(contact, value) for value in term.values)
    if term.name in ("created_since", "updated_since"):
        at = contact.created_at if term.name == "created_since" else contact.updated_at
        since = _time(world, term.values[0] if term.values else "")
        return at is not None and since is not None and at >= since
    return False


def _known(contact: Contact, word: str) -> bool:
    return word in contact.name.lower() or word in (contact.email or "").lower() or _has_phone(contact, word)


def _has_phone(contact: Contact, wanted: str) -> bool:
    digits = _digits(wanted)
    return bool(digits) and any(digits in _digits(phone["number"]) for phone in contact.phones)


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))


def _time(world: World, value: str) -> float | None:
    """A day or a full time stamp, with slashes or dashes: the format is not documented."""
    try:
        moment = datetime.fromisoformat(value.replace("/", "-"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC).timestamp() - world.options.day_offset
    return moment.timestamp()
