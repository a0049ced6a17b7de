"""The result of a test's run: what handlers wanted, folded and given by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from workers.turns.plugin.intents import (
    AnyIntent,
    Create,
    Delete,
    Forward,
    Later,
    Move,
    NameOrId,
    Note,
    On,
    Reply,
    Set,
    Subscribe,
    Tags,
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the handlers of a router wanted, folded as the engine would.

    Messages are in HTML, as they would be sent. Tags that would change nothing are left out. `denied` maps a handler to
    the grants it lacks, as `FOXHOOKS_ALLOW=vip:reply`; what was denied stands nowhere else. `skipped` maps a handler
    that asked for this kind and did not run to the reason, `failed` one that raised to the exception; it wants nothing.
    `created` holds the members of tickets to be created, `on_tickets` what is wanted of other tickets, by their number.
    `effects` maps the name of each effect in another system to its `dry` value: nothing is called.
    `timers` maps the name of a timer that was set to its wait.
    """

    tags_added: frozenset[str] = frozenset()
    tags_removed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    properties: Mapping[str, NameOrId | None] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    moved: NameOrId | None = None
    forwards: tuple[Forward, ...] = ()
    subscribed: frozenset[NameOrId] = frozenset()
    deleted: bool = False
    created: tuple[Mapping[str, Any], ...] = ()
    on_tickets: Mapping[int, "Result"] = field(default_factory=dict)
    effects: Mapping[str, Any] = field(default_factory=dict)
    timers: Mapping[str, timedelta] = field(default_factory=dict)
    intents: tuple[AnyIntent, ...] = ()
    denied: Mapping[str, Sequence[str]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, Exception] = field(default_factory=dict)


def folded(intents: Sequence[AnyIntent], has: frozenset[str] | None = None) -> Result:
    """Folds as the engine does: the later value wins, equal notes are one, tags that change nothing are left out.

    `has` are the tags of the ticket, None when they are not known.
    """
    properties: dict[str, NameOrId | None] = {}
    fields: dict[str, Any] = {}
    tags: dict[str, bool] = {}
    for each in intents:
        if isinstance(each, Set):
            properties |= each.properties
            fields |= each.fields
        elif isinstance(each, Tags):
            tags |= dict.fromkeys(each.add, True) | dict.fromkeys(each.remove, False)
    return Result(
        tags_added=frozenset(tag for tag, added in tags.items() if added and (has is None or tag not in has)),
        tags_removed=frozenset(tag for tag, added in tags.items() if not added and (has is None or tag in has)),
        notes=tuple(dict.fromkeys(each.html for each in intents if isinstance(each, Note))),
        replies=tuple(each.html for each in intents if isinstance(each, Reply)),
        properties=properties,
        fields=fields,
        timers={each.name: timedelta(milliseconds=each.wait) for each in intents if isinstance(each, Later)},
        moved=next((each.category for each in reversed(intents) if isinstance(each, Move)), None),
        forwards=tuple(each for each in intents if isinstance(each, Forward)),
        subscribed=frozenset(staff for each in intents if isinstance(each, Subscribe) for staff in each.staff),
        deleted=any(isinstance(each, Delete) for each in intents),
        created=tuple(each.members for each in intents if isinstance(each, Create)),
        on_tickets={number: folded(wanted) for number, wanted in _others(intents).items()},
        intents=tuple(intents),
    )


def _others(intents: Sequence[AnyIntent]) -> dict[int, list[AnyIntent]]:
    wanted: dict[int, list[AnyIntent]] = {}
    for each in intents:
        if isinstance(each, On):
            wanted.setdefault(each.number, []).append(each.wanted)
    return wanted
