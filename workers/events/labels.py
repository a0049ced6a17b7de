"""HappyFox's words for what happened and who did it, and ours.

"smartrule" and "Client Reply" were seen in a receiver that ran in production; "staff", "user" and "p" are the
REST API's words. All other spellings are assumed: HappyFox lists none.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

Kind = Literal["created", "updated", "unknown"]
Actor = Literal["contact", "staff", "rule", "unknown"]

_EVENT_KEYS: Final = ("event_type", "event", "type", "webhook_event", "event_name", "action", "trigger")

_CREATED: Final = "ticket_created ticket_create created create new_ticket ticket_new ticket_creation"
_UPDATED: Final = (
    "ticket_updated ticket_update updated update ticket_edited ticket_modified ticket_closed ticket_assigned"
    " ticket_status_changed ticket_priority_changed ticket_reply"
)
_BY_RULE: Final = frozenset({"smart_rule", "smartrule", "ticket_smart_rule", "smart_rule_fired"})
_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_CREATED.split(), "created"),
    **dict.fromkeys(_UPDATED.split(), "updated"),
    **dict.fromkeys(_BY_RULE, "updated"),
}
_UNDERSCORED: Final = str.maketrans("-. :", "____")

_ACTORS: Final[Mapping[str, Actor]] = {
    **dict.fromkeys(("user", "contact", "customer", "client"), "contact"),
    **dict.fromkeys(("staff", "agent"), "staff"),
    "smartrule": "rule",
}
_LABELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("clientreply", "contactreply", "customerreply", "userreply"), "contact-reply"),
    **dict.fromkeys(("staffreply", "agentreply", "staffupdate"), "staff-reply"),
    **dict.fromkeys(("privatenote", "staffprivatenote", "pvtnote", "p"), "private-note"),
    "forward": "forward",
}
_REPLIES: Final[Mapping[Actor, str]] = {"contact": "contact-reply", "staff": "staff-reply"}


def read_kind(outer: dict[str, Any], ticket: dict[str, Any]) -> tuple[Kind | None, bool]:
    """Reads the kind the body tells, and whether it names a smart rule as the cause.

    The kind is None when the body tells none, and "unknown" when it tells one we do not know.
    """
    told = False
    for source in (outer,) if ticket is outer else (outer, ticket):
        for key in _EVENT_KEYS:
            value = source.get(key)
            if not value or not isinstance(value, str):
                continue
            word = value[:64].strip().lower().translate(_UNDERSCORED)
            if word in _KINDS:
                return _KINDS[word], word in _BY_RULE
            told = told or key != "type"  # `type` may well speak of the ticket
    return ("unknown" if told else None), False


def read_actor(by: object) -> tuple[Actor, str]:
    """Reads who did it and the name given, from an object, a bare type, a bare name or nothing."""
    word, name = (by.get("type"), by.get("name")) if isinstance(by, dict) else (by, by)
    actor = _ACTORS.get(_folded(word), "unknown") if isinstance(word, str) else "unknown"
    if not isinstance(name, str) or (name is by and actor != "unknown"):
        return actor, ""
    return actor, _clean(name)


def read_label(row: dict[str, Any], actor: Actor) -> str:
    """Reads the message label: of a flat update, of a REST row's message, else as told by who wrote it."""
    message = row.get("message")
    label = row.get("message_type")
    if label is None and isinstance(message, dict):
        label = message.get("message_type")
    if label and isinstance(label, str):
        known = _LABELS.get(_folded(label))
        return known or _clean("-".join(label[:100].lower().replace("_", " ").replace("-", " ").split()))
    return _REPLIES.get(actor, "") if message else ""


def _folded(word: str) -> str:
    return word[:64].strip().lower().replace(" ", "").replace("_", "").replace("-", "")


def _clean(text: str) -> str:
    """Keeps a name or label storable: one line, at most 200 characters, no half surrogate pairs."""
    return " ".join(text[:200].split()).encode("utf-8", "replace").decode()
