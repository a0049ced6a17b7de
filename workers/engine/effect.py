"""An effect: one call of a plan, as it is stored. It is folded from the actions of one or several handlers."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from workers.plugins.actions import (
    ContactReply,
    Create,
    Delete,
    Forward,
    Move,
    Reply,
    SetContact,
    Subscribe,
    Unsubscribe,
)
from workers.plugins.arguments import AttachedFile
from workers.tickets.snapshot import Fingerprint
from workers.tickets.text import plain_text, words

#: Messages carry the properties that the turn sets; ``properties`` is a staff update without a message.
EffectKind = Literal[
    "tags", "note", "reply", "properties", "contact reply", "contact", "forward", "subscribe", "unsubscribe", "create",
    "move", "delete",
]  # fmt: skip

#: The permission of each kind of effect that needs one.
PERMISSION_OF: Mapping[str, str] = {
    "reply": Reply.needs,
    "contact reply": ContactReply.needs,
    "contact": SetContact.needs,
    "forward": Forward.needs,
    "subscribe": Subscribe.needs,
    "unsubscribe": Unsubscribe.needs,
    "create": Create.needs,
    "move": Move.needs,
    "delete": Delete.needs,
}

#: The kinds of effects that carry a message or delete the ticket, as shown to people.
KIND_NAMES = {
    "note": "private note",
    "reply": "reply",
    "contact reply": "reply as contact",
    "forward": "forward",
    "delete": "delete",
}


#: The kinds of effects that may send email.
EMAIL_KINDS = ("reply", "contact reply", "forward", "create")


class Held(msgspec.Struct, frozen=True):
    """An email that a brake holds back; see ``brakes``."""

    dead_letter: str
    """The dead letter that holds it, together with others of the same ticket or address."""
    reason: str


class Effect(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One API write for one or more actions; names are resolved to ids."""

    kind: EffectKind
    handler: str = ""
    """The handler of a message, a move and so on; empty for tags and properties, see ``owners``."""
    owners: Mapping[str, str] = {}
    """The handler of each tag (``+x``, ``-x``), property and field (``#12``)."""
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    set: Mapping[str, int | str | None] = {}
    """Properties."""
    fields: Mapping[str, Any] = {}
    """Custom fields by id."""
    html: str = ""
    alert: int | str | None = None
    notify: bool = False
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    last_staff_message: int | None = None
    time_spent: int = 0
    """Minutes that it adds to those of the ticket."""
    default_time: int = 0
    """Minutes for each of its parts that has none, because its category requires them."""
    files: tuple[AttachedFile, ...] = ()
    survey: bool = False
    contact: int = 0
    """The contact that is changed, or in whose name a reply is."""
    category: int = 0
    to: tuple[str, ...] = ()
    subject: str = ""
    staff: tuple[int, ...] = ()
    """Staff members to subscribe or unsubscribe."""
    names: Mapping[str, str] = {}
    """The names of ids, by property, field (``#12``), ``category`` or staff member (``@7``)."""
    dry: bool = False
    """Whether all its handlers run dry."""
    draft: Mapping[str, Any] = {}
    """Members of a ticket to create, except subject, text and category; or of a contact."""
    parts: tuple[str, ...] = ()
    """The properties and fields (``#12``) that are a part of its reply; what else it carries is not."""
    by_person: bool = False
    """Whether a person asked for it by a replay; see ``replayed`` for what it carries besides."""
    replayed: tuple[str, ...] = ()
    """The tags, properties and fields, named as in ``owners``, that a person asked for by a replay."""
    addresses: tuple[str, ...] = ()
    """The keys of the addresses that get it as an email."""
    uncounted: bool = False
    """Whether the email does not count for its addresses, because a colleague takes part in the conversation."""
    held: Held | None = None
    """Set if a brake holds the email."""
    maybe_since: int = 0
    """Since when it may have been done (ms), in a time that the store has lost; 0 if it certainly was not."""

    @property
    def permission(self) -> str:
        """The permission that its handler needs, or an empty string."""
        return PERMISSION_OF.get(self.kind, "")

    @property
    def handlers(self) -> tuple[str, ...]:
        """The handlers that asked for any part of it, in order."""
        return tuple(dict.fromkeys(name for name in (self.handler, *self.owners.values()) if name))

    @property
    def summary(self) -> str:
        """A description without any text that customers or handlers wrote."""
        parts = [KIND_NAMES[self.kind]] if self.kind in KIND_NAMES else []
        parts += [f"{spent} min spent"] if (spent := self.time_spent or self.default_time) else []
        parts += [f"{len(self.files)} attachment{'s' if len(self.files) > 1 else ''}"] if self.files else []
        parts += ["with a survey"] if self.survey else []
        parts += [f"tag +{tag}" for tag in self.add] + [f"tag -{tag}" for tag in self.remove]
        parts += [
            f"{name} = {'none' if value is None else self.names.get(name, value)}" for name, value in self.set.items()
        ]
        parts += [f"field {self.names.get(f'#{field_id}', field_id)}" for field_id in self.fields]
        if self.kind == "move":
            parts.append(f"move to category {self.names.get('category', self.category)}")
        if self.kind == "create":
            parts.append(f"create ticket in {self.names.get('category', self.category)}")
        if self.kind == "contact":
            shown = [*(name for name in self.draft if name != "fields"), *self.draft.get("fields", {})]
            parts.append("contact " + ", ".join(self.names.get(f"contact#{each}", each) for each in shown))
        if self.staff:
            parts.append(
                f"{self.kind} " + ", ".join(self.names.get(f"@{member}", str(member)) for member in self.staff)
            )
        return ", ".join(parts)

    @property
    def property_values(self) -> dict[str, str]:
        """The properties it changes, as in a snapshot: an id or a day as text, "" if cleared."""
        values = {name: "" if value is None else str(value) for name, value in self.set.items()}
        return {**values, "category": str(self.category)} if self.kind == "move" else values

    @property
    def sends_email(self) -> bool:
        """Whether HappyFox mails it to somebody, as far as the call says."""
        named = self.notify or self.survey or self.to or self.cc or self.bcc
        return self.kind in ("reply", "contact reply", "forward") and bool(named)

    @property
    def text(self) -> str:
        """Its message without markup, for people who may read the ticket; never for logs."""
        return plain_text(self.html).strip()


def fingerprint(effect: Effect, staff: int) -> Fingerprint | None:
    """Return what the effect's update will look like; None if it makes no update (KB 1039)."""
    if effect.kind in ("note", "reply"):
        return Fingerprint(
            "staff", staff, message=effect.kind, words=words(effect.html), changes=effect.property_values
        )
    if effect.kind == "contact reply":
        return Fingerprint("contact", effect.contact, message="reply", words=words(effect.html))
    if effect.kind in ("tags", "properties"):
        return Fingerprint("staff", staff, anonymous=effect.kind == "tags", changes=effect.property_values)
    if effect.kind == "move":
        note = words(effect.html)
        return Fingerprint("staff", staff, message="note" if note else "", words=note, changes=effect.property_values)
    return None


def omitted_parts(planned: Effect, sent: Effect) -> tuple[str, ...]:
    """Name the properties and fields (``#12``) of a planned effect that are not sent."""
    fields = {f"#{field_id}" for field_id in planned.fields.keys() - sent.fields.keys()}
    return tuple(sorted((planned.set.keys() - sent.set.keys()) | fields))


def omit_parts(effect: Effect, names: tuple[str, ...]) -> Effect:
    """Return the effect without these properties and fields (``#12``)."""
    return replace(
        effect,
        set={name: value for name, value in effect.set.items() if name not in names},
        fields={field_id: value for field_id, value in effect.fields.items() if f"#{field_id}" not in names},
    )


def split_actions(effect: Effect) -> tuple[Effect, ...]:
    """Split an effect into what must happen together.

    First its message with what is a part of it, if it has one, then for each handler what else it set.
    """
    rest = Effect(
        kind="tags" if effect.kind == "tags" else "properties",
        names=effect.names,
        dry=effect.dry,
        maybe_since=effect.maybe_since,
        default_time=effect.default_time,
    )
    others = {key: owner for key, owner in effect.owners.items() if key not in effect.parts}
    first = [_part(effect, effect, dict.fromkeys(effect.parts, effect.handler))] if effect.handler else []
    owned = [{key: owner for key, owner in others.items() if owner == each} for each in dict.fromkeys(others.values())]
    rests = [replace(rest, by_person=set(owners) <= set(effect.replayed)) for owners in owned]
    if rests and not first:
        rests[0] = replace(rests[0], time_spent=effect.time_spent)
    return (*first, *(_part(effect, each, owners) for each, owners in zip(rests, owned, strict=True)))


def _part(effect: Effect, base: Effect, owners: Mapping[str, str]) -> Effect:
    """Return ``base`` with what these owners have of an effect."""
    return replace(
        base,
        owners=owners,
        replayed=tuple(key for key in effect.replayed if key in owners),
        add=tuple(tag for tag in effect.add if f"+{tag}" in owners),
        remove=tuple(tag for tag in effect.remove if f"-{tag}" in owners),
        set={name: value for name, value in effect.set.items() if name in owners},
        fields={field_id: value for field_id, value in effect.fields.items() if f"#{field_id}" in owners},
    )
