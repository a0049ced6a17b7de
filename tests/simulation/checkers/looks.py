"""Looks: what a row of HappyFox tells, read from its JSON and not with the engine's eyes."""

from tests.simulation.history import History
from workers.simulator.account import StoredUpdate
from workers.testing.desk import BOT

#: The members of a row that tell of a changed property: the kind of change, and the member that sets it in a call.
CHANGES = {
    "status_change": ("status-changed", "status"),
    "priority_change": ("priority-changed", "priority"),
    "assignee_change": ("assigned", "assignee"),
    "category_change": ("moved", "target_category_id"),
}


def by_us(history: History, update: StoredUpdate) -> bool:
    """Tells whether we made the row, and not a person who works as our staff member."""
    by = update.shown["by"]
    return bool(by["type"] == "staff" and by["id"] == BOT and update.update_id not in history.as_us)


def like_ours(history: History, number: int, update: StoredUpdate) -> bool:
    """Tells whether a row of a person who works as our staff member sets just what an effect of ours was to set.

    Such a row counts as ours, which the documentation tells.
    """
    told = {name: update.shown[change]["new"] for change, (_, name) in CHANGES.items() if update.shown[change]}
    if update.update_id not in history.as_us or update.shown["message"]:
        return False
    effects = [effect for of, plan in history.witness.plans.values() if of == number for effect in plan.effects]
    wanted = [{**effect.set, "target_category_id": effect.category} for effect in effects]
    return any(told.items() <= each.items() for each in wanted)


def silent(update: StoredUpdate) -> bool:
    """Tells whether a row says nothing itself; the tags or fields it stands for are checked on their own."""
    told = any(update.shown[name] for name in update.shown if name.endswith("_change"))
    return not update.shown["message"] and not told and update.shown["by"]["type"] != "smartrule"


def kinds(update: StoredUpdate, opening: bool) -> set[str]:
    """Gives the kinds of change that a row makes."""
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
