"""Replays: a refused effect is performed again without running its handler.

The actions of another ticket's handler are treated in the same way. Both pass the checks of all actions: permissions,
names, changes by people in the meantime. The handler's other actions are not repeated.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from workers.engine.context import TurnContext
from workers.engine.effect import Effect, EffectKind, fingerprint
from workers.engine.fold import RESOLVE, HandlerActions
from workers.engine.plan import Pending
from workers.engine.read import Reading
from workers.engine.reconcile import is_forward
from workers.errors import UnknownName
from workers.happyfox.directory import Directory
from workers.plugins.actions import (
    AnyAction,
    ContactReply,
    Create,
    Delete,
    Forward,
    Move,
    Note,
    Reply,
    Set,
    SetContact,
    Subscribe,
    Tags,
    Unsubscribe,
    denied,
)
from workers.plugins.arguments import NameOrId
from workers.plugins.router import router_of
from workers.tickets.snapshot import attribute

#: Prefixes of the reasons of verdicts that do not come from a run of a handler on this ticket.
AGAIN, RESUMED, HANDED = PREFIXES = "replay:", "after the pause:", "from ticket"


def requested_actions(work: Pending) -> HandlerActions:
    """Return the actions that perform a dead letter's effect again, or those of another ticket's handler."""
    actions = work.actions if work.effect is None else _actions(work.effect)
    return HandlerActions(work.handler, actions, work, work.replay)


def summary(work: Pending) -> str:
    """Describe what will be done and why."""
    if work.effect is not None:
        return f"{AGAIN if work.replay else RESUMED} {work.effect.summary}"
    return f"{HANDED} {work.origin}: {', '.join(dict.fromkeys(action.description for action in work.actions))}"


def refusal(context: TurnContext, requested: HandlerActions, stopped: str) -> str:
    """Return why the actions must not be performed now, or ""."""
    router, grants = router_of(requested.handler), context.config.grants
    if missing := {each for action in requested.actions if (each := denied(action, router, grants.allow))}:
        return f"no longer allowed; set {grants.adding(router, missing)}"
    return f"{stopped}; replay this then" if stopped else ""


def find_update(reading: Reading, work: Pending) -> int | None:
    """Return the update that proves that an effect in doubt has happened after all.

    Only a message can be recognized. Anything else is compared with the ticket: what is so already is left out.
    """
    if work.effect is None or work.doubt is None:
        return None
    staff, effect, doubt = work.doubt.staff, work.effect, work.doubt
    updates = [
        update for update in reading.ticket.history if update.id > doubt.floor and update.id not in doubt.other_updates
    ]
    if effect.kind == "forward":
        return next((update.id for update in updates if is_forward(effect, update, staff)), None)
    wanted = fingerprint(effect, staff)
    return attribute([wanted], updates).get(0) if wanted and wanted.message else None


def rename_unknown(requested: HandlerActions, names: Directory | None) -> HandlerActions:
    """Replace ids that HappyFox no longer knows with the names they had, so that the names are resolved again."""
    if requested.work is None or requested.work.effect is None or names is None:
        return requested
    return replace(requested, actions=_actions(requested.work.effect, names))


def _actions(effect: Effect, names: Directory | None = None) -> tuple[AnyAction, ...]:
    """Return the actions that the effect was merged from."""

    def current(key: str, identity: int, find: Callable[[Directory, int], object]) -> NameOrId:
        if names is None or key not in effect.names:
            return identity
        try:
            find(names, identity)
        except UnknownName:
            return effect.names[key]
        return identity

    def category() -> NameOrId:
        return current("category", effect.category, Directory.category)

    def create() -> Create:
        fields = {int(key): value for key, value in effect.draft.get("fields", {}).items()}
        texts = {"subject": effect.subject, "html": effect.html}
        return Create({**effect.draft, **texts, "category": category(), "fields": fields}, effect.files)

    def staff() -> tuple[NameOrId, ...]:
        return tuple(current(f"@{one}", one, Directory.staff_member) for one in effect.staff)

    def reply() -> Reply:
        return Reply(
            effect.html,
            effect.notify,
            effect.cc,
            effect.bcc,
            effect.time_spent,
            subject=effect.subject,
            survey=effect.survey,
            files=effect.files,
        )

    def contact() -> SetContact:
        members = {name: value for name, value in effect.draft.items() if name != "fields"}
        fields: dict[Any, Any] = {
            current(f"contact#{key}", int(key), Directory.contact_field): value
            for key, value in effect.draft.get("fields", {}).items()
        }
        return SetContact(members, fields)

    # A kind without an action of its own only sets properties, below.
    make: dict[EffectKind, Callable[[], AnyAction]] = {
        "tags": lambda: Tags(effect.add, effect.remove),
        "note": lambda: Note(effect.html, effect.alert, effect.time_spent, effect.files),
        "reply": reply,
        "contact reply": lambda: ContactReply(effect.html, effect.contact, effect.cc, effect.bcc, effect.files),
        "contact": contact,
        "forward": lambda: Forward(effect.to, effect.subject, effect.html),
        "subscribe": lambda: Subscribe(staff()),
        "unsubscribe": lambda: Unsubscribe(staff()),
        "move": lambda: Move(category(), effect.html),
        "create": create,
        "delete": Delete,
    }
    actions = [make[effect.kind]()] if effect.kind in make else []
    properties = {
        name: current(name, value, RESOLVE[name]) if isinstance(value, int) and name in RESOLVE else value
        for name, value in effect.set.items()
    }
    for with_reply in (True, False):
        own = {name: value for name, value in properties.items() if (name in effect.parts) == with_reply}
        own_fields: dict[Any, Any] = {
            current(f"#{key}", int(key), Directory.field): value
            for key, value in effect.fields.items()
            if (f"#{key}" in effect.parts) == with_reply
        }
        if own or own_fields:
            minutes = effect.time_spent if effect.kind == "properties" else 0
            actions.append(Set(own, own_fields, with_reply=with_reply, time_spent=minutes))
    return tuple(actions)
