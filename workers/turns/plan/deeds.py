"""Deeds: effects taken apart into what each handler wanted done, for holding one plan against another. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from workers.turns.deciding.replaying import AGAIN, HANDED
from workers.turns.plan.effects import Effect, split
from workers.turns.plan.plan import Plan, Record


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a handler wanted done: on which ticket, when (ms), in plain words, with the text of a message."""

    handler: str
    ticket: int
    at: int
    words: str
    text: str = ""

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What makes two deeds the same, whatever their turns."""
        return self.handler, self.ticket, self.words.casefold(), self.text


def deeds(record: Record, plan: Plan | Record, *, values: bool) -> Iterator[Deed]:
    """Takes apart what a plan for a record's turn, or the record itself, did, into what each handler wanted.

    What was only brought about there, replayed or wanted by another ticket's turn, is left out. With ``values`` a
    custom field's value is a part of it; without the account's lists it cannot be compared.
    """
    ran = [verdict for verdict in plan.verdicts if verdict.state == "decided"]
    brought = {verdict.handler for verdict in ran if verdict.reason.startswith((AGAIN, HANDED))}
    brought -= {verdict.handler for verdict in ran if not verdict.reason.startswith((AGAIN, HANDED))}
    for effect in plan.effects:
        for part in split(effect):
            for words, text in _things(part, values):
                if part.handlers[0] not in brought:
                    yield Deed(part.handlers[0], record.number, record.at, words, text)
    for each in plan.handed:
        wanted = msgspec.json.encode(each.intents).decode()
        yield Deed(each.handler, record.number, record.at, each.words, wanted)
    for handler, entries in plan.foreign.items():
        for name, entry in entries.items():
            if entry.turn == record.turn:
                yield Deed(handler, record.number, record.at, f"effect {name}")


def _things(part: Effect, values: bool) -> Iterator[tuple[str, str]]:
    bare = msgspec.structs.replace(part, add=(), remove=(), set={}, fields={})
    if bare.words:
        yield bare.words, part.text
    yield from ((f"tag +{tag}", "") for tag in part.add)
    yield from ((f"tag -{tag}", "") for tag in part.remove)
    sole = Effect(sort="properties", names=part.names)
    yield from ((msgspec.structs.replace(sole, set={name: value}).words, "") for name, value in part.set.items())
    for name, value in part.fields.items():
        yield msgspec.structs.replace(sole, fields={name: value}).words + (f" = {value}" if values else ""), ""
