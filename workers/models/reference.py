"""Statuses, priorities, categories: what an account calls its states (KB 1039, KB 360)."""

from dataclasses import dataclass

from workers.models.values import mapping, number, text


@dataclass(frozen=True, slots=True)
class Named:
    """Anything with an id and a name; ``id`` is None where HappyFox tells only the name."""

    id: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Status(Named):
    """A ticket's status; ``closed`` is true for those with the behaviour "completed"."""

    closed: bool


def named(raw: object) -> Named:
    """Reads ``{id, name}``, or a bare name."""
    if isinstance(raw, str):
        return Named(None, raw)
    members = mapping(raw)
    return Named(number(members.get("id")), text(members.get("name")))


def status(raw: object) -> Status:
    """Reads a status; without a behaviour it counts as open."""
    thing = named(raw)
    return Status(thing.id, thing.name, text(mapping(raw).get("behavior")) == "completed")
