"""Custom fields with their values (KB 1039, KB 579)."""

from dataclasses import dataclass

from workers.models.values import items, mapping, number, text


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A custom field on a ticket or contact; ``value`` is what a person reads, several choices joined by a comma.

    ``told`` is what can be held against a value that was sent: the ids of choices, else the value as it came.
    """

    id: int
    name: str
    value: str
    told: object = None


def field_values(raw: object) -> list[FieldValue]:
    """Reads the list of custom fields of a ticket or contact; those without an id are left out."""
    found = []
    for item in map(mapping, items(raw)):
        identity = number(item.get("id"))
        if identity is not None:
            value = item.get("value")
            told = item.get("value_id") or value
            found.append(FieldValue(identity, text(item.get("name")), readable(value), told))
    return found


def readable(value: object) -> str:
    """Gives a field's value as one text, so that two reads of one value compare equal."""
    if isinstance(value, list):
        return ", ".join(readable(part) for part in value)
    if isinstance(value, dict):
        return readable(value.get("text", value.get("name", value.get("value"))))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text(value).strip()
