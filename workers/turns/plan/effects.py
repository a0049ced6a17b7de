"""Effects: the API writes that intents are folded into, and the marks by which their rows are known."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any, Literal

import msgspec

from workers.events.mark import Mark
from workers.events.words import words

#: An effect's sort. Messages carry the properties of the turn; ``properties`` is a staff update without message.
Sort = Literal["tags", "note", "reply", "properties", "forward", "subscribe", "create", "move", "delete"]


class Effect(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One API write, names already resolved to ids.

    ``handler`` wanted the message, the move and so on; ``owners`` maps each tag (``+x``, ``-x``), property and field
    (``#12``) to the handler that wanted it. ``set`` holds properties, ``fields`` custom fields by id, ``names`` what
    the account calls the ids in it, by property, field (``#12``), ``category`` or staff member (``@7``). ``dry`` tells
    that all who wanted it run dry. ``draft`` holds the members of a ticket to be created beside its subject and words.
    """

    sort: Sort
    handler: str = ""
    owners: Mapping[str, str] = {}
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    set: Mapping[str, int | str | None] = {}
    fields: Mapping[str, Any] = {}
    html: str = ""
    alert: int | str | None = None
    notify: bool = False
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    last_staff_message: int | None = None
    category: int = 0
    to: tuple[str, ...] = ()
    subject: str = ""
    staff: tuple[int, ...] = ()
    names: Mapping[str, str] = {}
    dry: bool = False
    draft: Mapping[str, Any] = {}

    @property
    def handlers(self) -> tuple[str, ...]:
        """Everyone who wanted a part of it, in order."""
        return tuple(dict.fromkeys(name for name in (self.handler, *self.owners.values()) if name))

    @property
    def words(self) -> str:
        """What it does, in plain words, without what customers or handlers wrote."""
        parts: list[str] = []
        if self.sort in ("note", "reply", "forward", "delete"):
            parts.append({"note": "private note", "forward": "forward", "delete": "delete"}.get(self.sort, "reply"))
        parts += [f"tag +{tag}" for tag in self.add] + [f"tag -{tag}" for tag in self.remove]
        parts += [f"{name} = {self._value(name, value)}" for name, value in self.set.items()]
        parts += [f"field {self.names.get(f'#{identity}', identity)}" for identity in self.fields]
        if self.sort == "move":
            parts.append(f"move to category {self.names.get('category', self.category)}")
        if self.sort == "create":
            parts.append(f"create ticket in {self.names.get('category', self.category)}")
        if self.staff:
            parts.append("subscribe " + ", ".join(self.names.get(f"@{one}", str(one)) for one in self.staff))
        return ", ".join(parts)

    def _value(self, name: str, value: int | str | None) -> str:
        return "none" if value is None else self.names.get(name, str(value))

    @property
    def values(self) -> dict[str, str]:
        """The properties it sets, as they are remembered: an id or a day as text, empty when cleared."""
        return {name: "" if value is None else str(value) for name, value in self.set.items()}

    @property
    def text(self) -> str:
        """The words of its message without markup, for whoever may read the ticket; never for logs."""
        return unescape(re.sub(r"<[^>]+>", "", self.html)).strip()


def mark(effect: Effect, staff: int) -> Mark | None:
    """Gives the look of the row that an effect makes, None for effects that leave no row (KB 1039)."""
    if effect.sort in ("note", "reply"):
        return Mark("staff", staff, False, effect.sort, words(effect.html), effect.values)
    if effect.sort in ("tags", "properties"):
        return Mark("staff", staff, effect.sort == "tags", "", (), effect.values)
    if effect.sort == "move":
        said = words(effect.html)
        return Mark("staff", staff, False, "note" if said else "", said, {"category": str(effect.category)})
    return None


def left_out(wanted: Effect, effect: Effect) -> tuple[str, ...]:
    """Names the properties and fields (``#12``) of an effect that what is sent of it leaves out."""
    fields = {f"#{identity}" for identity in wanted.fields.keys() - effect.fields.keys()}
    return tuple(sorted((wanted.set.keys() - effect.set.keys()) | fields))


def less(effect: Effect, without: tuple[str, ...]) -> Effect:
    """Gives what is left of an effect without those."""
    if not without:
        return effect
    return msgspec.structs.replace(
        effect,
        set={name: value for name, value in effect.set.items() if name not in without},
        fields={identity: value for identity, value in effect.fields.items() if f"#{identity}" not in without},
    )


def split(effect: Effect) -> tuple[Effect, ...]:
    """Takes a folded effect apart by handler, for when HappyFox refuses the whole: the message's part comes first."""
    parts: list[Effect] = []
    for name in effect.handlers:
        own = {key for key, owner in effect.owners.items() if owner == name}
        part = msgspec.structs.replace(
            effect,
            owners={key: name for key in effect.owners if key in own},
            add=tuple(tag for tag in effect.add if f"+{tag}" in own),
            remove=tuple(tag for tag in effect.remove if f"-{tag}" in own),
            set={key: value for key, value in effect.set.items() if key in own},
            fields={key: value for key, value in effect.fields.items() if f"#{key}" in own},
        )
        if name != effect.handler:
            sort: Sort = "tags" if effect.sort == "tags" else "properties"
            part = msgspec.structs.replace(
                part,
                sort=sort,
                handler="",
                html="",
                alert=None,
                notify=False,
                cc=(),
                bcc=(),
                last_staff_message=None,
            )
        parts.append(part)
    return tuple(parts)
