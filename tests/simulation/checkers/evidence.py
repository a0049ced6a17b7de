"""What checkers read: updates in HappyFox, and the engine's records of settled turns."""

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.simulation.history import History
from workers.engine.plan import EVERYONE, Record
from workers.simulator.account import StoredUpdate
from workers.testing.desk import ACCOUNT, BOT
from workers.tickets.change import Change

#: The members of an update that show a changed property: the kind of change, and the member that sets it in a call.
CHANGES = {
    "status_change": ("status-changed", "status"),
    "priority_change": ("priority-changed", "priority"),
    "assignee_change": ("assigned", "assignee"),
    "category_change": ("moved", "target_category_id"),
}


#: The reason of a dead letter if the API key could not read the ticket.
UNREADABLE = "HappyFox does not let this API key read ticket"

#: Why a handler did not run if the loop guard of its ticket had tripped.
STOPPED = "the loop guard of this ticket tripped"


def by_us(history: History, update: StoredUpdate) -> bool:
    """Return whether foxhooks made the update, and not a person who works as our staff member."""
    by = update.shown["by"]
    return bool(by["type"] == "staff" and by["id"] == BOT and update.update_id not in history.as_our_staff)


def like_ours(history: History, number: int, update: StoredUpdate) -> bool:
    """Return whether an update by a person who works as our staff member sets what our effect should set.

    Such an update counts as ours, as the documentation says.
    """
    changed = {name: update.shown[change]["new"] for change, (_, name) in CHANGES.items() if update.shown[change]}
    if update.update_id not in history.as_our_staff or update.shown["message"]:
        return False
    effects = [effect for of, plan in history.witness.plans.values() if of == number for effect in plan.effects]
    wanted = [{**effect.set, "target_category_id": effect.category} for effect in effects]
    return any(changed.items() <= each.items() for each in wanted)


def silent(update: StoredUpdate) -> bool:
    """Return whether an update has no content; its tags or fields are checked separately."""
    changed = any(update.shown[name] for name in update.shown if name.endswith("_change"))
    return not update.shown["message"] and not changed and update.shown["by"]["type"] != "smartrule"


def kinds(update: StoredUpdate, opening: bool) -> set[str]:
    """Return the kinds of changes that an update makes."""
    if opening:
        return {"ticket-created"}
    said, by = update.shown["message"], update.shown["by"]["type"]
    found = {"ticket-updated"} | {kind for name, (kind, _) in CHANGES.items() if update.shown[name] is not None}
    if by == "smartrule":
        found.add("smart-rule")
    if said:
        private = said["message_type"] == "p"
        found.add("note-added" if private else "contact-replied" if by == "user" else "staff-replied")
    return found


def record_of(history: History, turn: str) -> Record | None:
    """Read the record of a turn."""
    stored: Any = history.world.client.get(f"foxhooks:{{{ACCOUNT}}}:record:{turn}")
    return None if stored is None else msgspec.json.decode(zlib.decompress(stored), type=Record)


def stopped(history: History) -> Mapping[tuple[int, str], Sequence[Change]]:
    """Return the changes that each handler was not shown because the loop guard of their ticket had tripped.

    They are in records, and in dead letters for several handlers, which may be replayed.
    """
    found: defaultdict[tuple[int, str], list[Change]] = defaultdict(list)
    dead = [(settled.ticket, each) for settled in history.witness.settled for each in settled.dead_letters]
    shared = [(number, each) for number, each in dead if each.handler.endswith(EVERYONE)]
    for number, each in shared:
        for name in history.witness.kinds:
            if each.handler == EVERYONE or name.startswith(each.handler[:-1]):
                found[number, name] += each.changes
    tripped = {number for number, _ in shared}
    for settled in history.witness.settled:
        record = record_of(history, settled.turn) if settled.ticket in tripped else None
        for verdict in record.verdicts if record else ():
            if record and verdict.state == "skipped" and verdict.reason.startswith(STOPPED):
                found[settled.ticket, verdict.handler] += record.changes
    return found


def dry_turns(history: History) -> set[str]:
    """Return the turns that were decided in a dry run: they have a record and no stored plan."""
    found = set()
    for settled in history.witness.settled:
        record = None if settled.turn in history.witness.plans else record_of(history, settled.turn)
        if record is not None and record.dry:
            found.add(settled.turn)
    return found
