"""Compare a read with the snapshot to find what others have changed."""

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import msgspec

from workers.tickets.change import MERGED, Actor, Change
from workers.tickets.emails import count_people, emails_shown, is_automatic
from workers.tickets.folding import fold
from workers.tickets.model import Message, Named, TicketRead, Update, by_staff, millis, readable
from workers.tickets.snapshot import (
    HOUR,
    Snapshot,
    announce_early,
    attribute,
    carry_over,
    match_announced,
    properties,
    take_snapshot,
)
from workers.tickets.text import same_value

#: The kind of change that each property makes.
KIND_OF = {
    "status": "status-changed",
    "priority": "priority-changed",
    "assignee": "assigned",
    "category": "moved",
    "due_date": "due-date-changed",
}


#: How long (ms) before the store lost time a turn may have begun that it interrupted: it may have waited for calls of
#: an earlier loss.
INTERRUPTED = 120_000


#: How many lost updates a snapshot keeps.
MOST_LOST = 200


@dataclass(frozen=True, slots=True)
class LostTime:
    """The time that the store has lost: what we did then is on the ticket, but not in the snapshot (ms)."""

    at: int = 0
    """When the loss was noticed; 0 if nothing was lost."""
    until: int = 0
    """Until when calls that were made before may have taken effect."""
    alive: int = 0
    """Until when the store certainly knew what we did, before it lost that; 0 if unknown."""

    def ours(self, updates: Iterable[Update], staff: int) -> list[Update]:
        """Return which unknown updates we made then; beside others, those of tags may have no author (KB 1039)."""
        then = [update for update in updates if millis(update.at) <= self.until]
        if not any(by_staff(update, staff) for update in then):
            return []
        return [update for update in then if by_staff(update, staff) or _is_anonymous(update)]

    def answered(self, update: Update, lost: Iterable[Update]) -> bool:
        """Return whether we had seen an update when we wrote one of those messages that we ``lost``.

        A turn that the loss interrupted may have written only some of its messages, and a person may have written while
        it ran. So of what we wrote just before the loss, if its time is known, nothing is certain, however long ago
        the update was: it may have waited in a backlog.
        """
        at, before = millis(update.at), min(self.at, self.alive - INTERRUPTED) if self.alive else self.at
        # An older message of a merged ticket may have got a newer id.
        later = (each for each in lost if each.message is not None and at <= millis(each.at) <= before)
        return any(each.id > update.id for each in later)


@dataclass(frozen=True, slots=True)
class FirstSight:
    """How to read a ticket that has no snapshot."""

    since: datetime
    """Updates at or after this time are changes, older ones are history."""
    created_since: datetime | None
    """If a delivery announced the creation, how old the ticket may be; an older one is not new, whatever it says."""
    silent: bool = True
    """Whether a delivery announced a change, so that there is one even if no update shows it."""

    def is_new(self, ticket: TicketRead) -> bool:
        """Return whether the ticket's creation was announced and is recent; an unknown time counts as recent."""
        opening = opening_update(ticket)
        at = ticket.created_at if opening is None or opening.at is None else opening.at
        return self.created_since is not None and (at is None or at >= self.created_since)


@dataclass(frozen=True, slots=True)
class ReadDiff:
    """What a read shows compared with the snapshot."""

    changes: tuple[Change, ...]
    """The changes made by others, oldest first."""
    snapshot: Snapshot
    """The snapshot to store when the turn settles."""
    unattributed: tuple[Update, ...] = ()
    """New updates by us without a known effect: the store lost it, or its call was executed very late.

    They are no changes. An effect that would make the same update again is matched with it.
    """
    lost: tuple[Update, ...] = ()
    """Those of them that we made in the time that the store has lost."""
    answered: tuple[Change, ...] = ()
    """Changes of that time that we had seen when we wrote the lost messages: they are not shown again."""

    @property
    def interrupted(self) -> bool:
        """Whether changes are shown that lost messages may have answered: a turn was interrupted."""
        newest = max((update.id for update in self.lost), default=0)
        return any(change.update_id is not None and change.update_id < newest for change in self.changes)


def diff_read(
    ticket: TicketRead,
    snapshot: Snapshot | None,
    first: FirstSight,
    now: datetime,
    staff: int,
    from_merge: frozenset[int] = frozenset(),
    lost_time: LostTime = LostTime(),
) -> ReadDiff:
    """Return what others have changed since the snapshot; we write as ``staff``.

    A person may work as the same staff member: an update is ours if an effect made it or if it looks like one of our
    recent effects. All others are by that person, but a silent one alone is no change. Updates ``from_merge`` came with
    merged tickets and are no changes either. Without a snapshot, updates before ``first.since`` are left out: a missed
    first change is better than a second answer.

    If the store has lost a time, unknown updates of that time by our staff member are ours. Nobody else's update from
    before our last message of that time is shown again.
    """
    if snapshot is None:
        return _diff_first_read(ticket, first, now, staff, from_merge, lost_time)
    updates = [update for update in ticket.history if not snapshot.knows(update.id) and update.id not in from_merge]
    own = attribute([fingerprint for _, fingerprint in snapshot.expected], updates)
    others = [update for update in updates if update.id not in own.values()]
    lost = lost_time.ours(others, staff)
    unattributed = [update for update in others if update in lost or snapshot.may_be_ours(update, staff)]
    theirs = [update for update in others if update not in unattributed]
    answered = [update for update in theirs if lost_time.answered(update, lost)]
    silent = [update for update in theirs if _is_silent(update, ticket)]
    external = [update for update in theirs if not (by_staff(update, staff) and update in silent)]

    without_update = _certain(_tag_and_field_changes(ticket, snapshot, silent, now), lost)
    if not updates:
        without_update += _property_changes(ticket, snapshot, now)
    announced, waiting = match_announced(theirs, snapshot.announced_early)
    with_update = [
        change
        for update in external
        if update not in answered
        for change in _changes_in(update, ticket, now, staff, announced.get(update.id, frozenset()))
        if not (without_update and update in silent)
    ]
    # The delivery of the creation may arrive after another one. Handlers still see the creation, once.
    opening = opening_update(ticket)
    created = snapshot.created or (opening is not None and lost_time.answered(opening, lost))
    if first.is_new(ticket) and not created and opening not in external:
        with_update += _creation(ticket, now, staff)
    seen = [change for update in answered for change in _changes_in(update, ticket, now, staff)]

    at = millis(now)
    ours = tuple(fingerprint.words for _, fingerprint in snapshot.fingerprints)
    early = () if updates else announce_early(snapshot.properties, properties(ticket), at)
    undelivered = sum(update.id not in announced for update in others) or bool(without_update)
    before = msgspec.structs.replace(
        snapshot,
        announced_early=(*waiting, *early),
        expected=tuple(each for index, each in enumerate(snapshot.expected) if index not in own),
    )
    after = carry_over(before, take_snapshot(ticket), at)
    after = msgspec.structs.replace(
        after,
        created=created or any(change.kind == "ticket-created" for change in with_update),
        undelivered=(*after.undelivered, *([at] * undelivered)),
        emails=count_people(snapshot.emails, (*with_update, *without_update), staff, ticket.history, ours),
    )
    if lost_time.at:
        after = msgspec.structs.replace(after, untrusted_until=max(after.untrusted_until, lost_time.until))
    if lost:
        after = msgspec.structs.replace(
            after,
            lost=(*after.lost, *_evidence(lost))[-MOST_LOST:],
            writes=(*after.writes, *_written_within_an_hour(lost, at)),
            emails=emails_shown(ticket, staff),
        )
    # A change without an update takes the place of the silent update that was made with it, else it is last.
    changes = sorted((*with_update, *without_update), key=lambda change: change.update_id or sys.maxsize)
    return ReadDiff(tuple(changes), after, tuple(unattributed), tuple(lost), tuple(seen))


def _certain(changes: list[Change], lost: Sequence[Update]) -> list[Change]:
    """Return the changes of tags and fields that are certainly not our own ``lost`` writes.

    Any of those may have set fields; one of tags has a silent update.
    """
    silent = any(update.message is None and not update.changes for update in lost)
    return [change for change in changes if not lost or (change.kind == "tags-changed" and not silent)]


def _evidence(lost: Iterable[Update]) -> tuple[int, ...]:
    """Return the updates that show what was done; one without content may be about any tags or fields."""
    return tuple(update.id for update in lost if update.message or update.changes)


def _written_within_an_hour(ours: Iterable[Update], at: int) -> tuple[int, ...]:
    return tuple(millis(update.at) for update in ours if millis(update.at) > at - HOUR)


def _diff_first_read(
    ticket: TicketRead,
    first: FirstSight,
    now: datetime,
    staff: int,
    from_merge: frozenset[int],
    lost_time: LostTime,
) -> ReadDiff:
    """Compare a read of a ticket that has no snapshot."""
    changes: list[Change] = []
    own = [update for update in ticket.history if update.id not in from_merge]
    recent = [update for update in own if update.at is not None and update.at >= first.since]
    lost = lost_time.ours(recent, staff)
    seen: list[Change] = []
    for update in own:
        is_new = update in recent or (update is opening_update(ticket) and first.is_new(ticket))
        if is_new and not by_staff(update, staff) and update not in lost:
            found = seen if lost_time.answered(update, lost) else changes
            found += _changes_in(update, ticket, now, staff)
    if not ticket.history and first.is_new(ticket):
        changes += _creation(ticket, now, staff)
    created = any(change.kind == "ticket-created" for change in (*changes, *seen))
    if first.silent and not changes and not recent:
        changes.append(Change(kind="ticket-updated", at=ticket.modified_at or now))
    ours, at = [update for update in ticket.history if by_staff(update, staff)], millis(now)
    snapshot = msgspec.structs.replace(
        take_snapshot(ticket),
        created=created,
        undelivered=(at,) * max(len(changes), len(recent)),
        # If our snapshot was lost, the ticket still shows how often we wrote recently.
        writes=_written_within_an_hour(ours, at),
        emails=emails_shown(ticket, staff),
        untrusted_until=lost_time.until,
        lost=_evidence(lost)[-MOST_LOST:],
    )
    # A store that lost its data may see the creation again: then everything that we wrote since may be the answer.
    shown = tuple(update for update in ours if created or update in recent)
    return ReadDiff(tuple(changes), snapshot, shown, tuple(lost), tuple(seen))


def _tag_and_field_changes(
    ticket: TicketRead, snapshot: Snapshot, silent: Sequence[Update], now: datetime
) -> list[Change]:
    """Return the changes of tags and fields, by the last silent update's author."""
    update = silent[-1] if silent else None
    change = _change_of(update, now) if update else partial(Change, at=ticket.modified_at or now)
    found = []
    added, removed = _missing(snapshot.tags, ticket.tags), _missing(ticket.tags, snapshot.tags)
    if added or removed:
        found.append(change(kind="tags-changed", added=added, removed=removed))
    for field in ticket.field_values:
        key = str(field.id)
        old = snapshot.fields.get(key, "")
        changed = old != field.value
        if key in snapshot.unread:
            old, changed = readable(snapshot.unread[key]), same_value(snapshot.unread[key], field.raw) is False
        if changed:
            before, after = (Named(None, value) if value else None for value in (old, field.value))
            found.append(change(kind="field-changed", field=field.name, old=before, new=after))
    return found


def _missing(tags: Iterable[str], others: Iterable[str]) -> frozenset[str]:
    """Return those of the other tags that are missing; another spelling is the same tag."""
    known = set(map(fold, tags))
    return frozenset(tag for tag in others if fold(tag) not in known)


def _property_changes(ticket: TicketRead, snapshot: Snapshot, now: datetime) -> list[Change]:
    """Return the properties that differ, for a read without new updates."""
    names, found = property_labels(ticket), []
    for name, value in properties(ticket).items():
        before = snapshot.properties.get(name, value)
        if before != value:
            old, new = property_value(name, before, ""), property_value(name, value, names[name])
            found.append(Change(kind=KIND_OF[name], at=ticket.modified_at or now, old=old, new=new))
    return found


def property_labels(ticket: TicketRead) -> dict[str, str]:
    """Return the names of the properties, and the due date; "" for none."""
    return {
        "status": ticket.status.name,
        "priority": ticket.priority.name,
        "assignee": ticket.assignee.name if ticket.assignee else "",
        "category": ticket.category.name,
        "due_date": ticket.due_date.isoformat() if ticket.due_date else "",
    }


def property_value(name: str, value: str, label: str) -> Named | None:
    """Return one side of a property's change from its stored id or day."""
    if not value:
        return None
    return Named(None, value) if name == "due_date" else Named(int(value), label)


def opening_update(ticket: TicketRead) -> Update | None:
    """Return the update that opened the ticket; those of merged tickets may be older."""
    at = ticket.created_at if ticket.merged else None
    updates = (update for update in ticket.history if at is None or update.at is None or update.at >= at)
    return next(updates, ticket.history[0] if ticket.history else None)


def _is_silent(update: Update, ticket: TicketRead) -> bool:
    """Return whether an update is empty; tags or fields may have changed (seen live)."""
    empty = update.message is None and not update.changes and not update.survey
    return empty and update is not opening_update(ticket) and update.author != "rule"


def _is_anonymous(update: Update) -> bool:
    empty = update.message is None and not update.changes and not update.survey
    return update.author == "unknown" and update.author_id is None and not update.client and empty


def _creation(ticket: TicketRead, now: datetime, staff: int) -> list[Change]:
    if (update := opening_update(ticket)) is not None:
        return _changes_in(update, ticket, now, staff)
    return [Change(kind="ticket-created", at=ticket.created_at or now, text=ticket.first_message)]


def _changes_in(
    update: Update, ticket: TicketRead, now: datetime, staff: int, announced: frozenset[str] = frozenset()
) -> list[Change]:
    """Return the changes in an update, except properties announced early."""
    change = partial(_change_of(update, now), automatic=is_automatic(update, ticket, staff), survey=update.survey)
    message = update.message or Message()
    words = {"text": message.text, "html": message.html, "subject": message.subject, "cc": message.cc_list}
    with_message = partial(change, attachments=message.attachments, **words)
    if update is opening_update(ticket):
        return [with_message(kind="ticket-created")]
    found = []
    if update.author == "rule":
        found.append(change(kind="smart-rule", new=Named(None, update.author_name)))
    if (kind := _message_kind(update)) is not None:
        found.append(with_message(kind=kind))
    for name, each in update.changes.items():
        if name not in announced:
            found.append(change(kind=KIND_OF[name], old=each.old, new=each.new))
    return found if found or update.changes else [change(kind="ticket-updated")]


def _change_of(update: Update, now: datetime) -> "partial[Change]":
    actor = Actor(update.author, update.author_id, update.author_name)
    if update.client:
        actor = Actor("client", None, update.client)
    return partial(Change, at=update.at or now, update_id=update.id, actor=actor)


def _message_kind(update: Update) -> str | None:
    if update.message is None or update.message.forwarded:
        return None
    if update.message.private:
        return "note-added"
    return {"contact": "contact-replied", "unknown": None}.get(update.author, "staff-replied")


def merged_since(ticket: TicketRead, snapshot: Snapshot | None) -> tuple[int, ...]:
    """Return the tickets merged into this one since the snapshot, if there is one."""
    if snapshot is None:
        return ticket.merged
    # A snapshot from before merges were recorded cannot show which are new.
    return () if snapshot.merged is None else tuple(number for number in ticket.merged if number not in snapshot.merged)


def updates_from_merge(
    updates: Sequence[Update],
    opening: Update | None,
    snapshot: Snapshot | None,
    merged: Sequence[Snapshot | None],
    named: Collection[int],
    since: datetime,
    staff: int,
    lost_time: LostTime = LostTime(),
) -> frozenset[int]:
    """Return the new updates that came with a merge: no changes of this ticket.

    A ticket shows the updates of the tickets that were merged into it. Whether HappyFox keeps their ids and dates is
    unknown. If it keeps ids, the snapshots of the ``merged`` tickets (None for one without) show which updates their
    own turns have handled. If not, only updates after ``since`` and after a person last wrote on a merged
    ticket, are changes, as on first sight: a missed change is better than a second answer.
    ``named`` are the updates that this ticket's own deliveries named. Updates by our staff member are ours; those of a
    time that the store has lost may be this ticket's own.
    """
    known = [each for each in merged if each]
    seen = {identity for each in known for identity in (*each.ids, each.floor)}
    keeps_ids = len(known) == len(merged) and any(update.id in seen for update in updates)
    last_update = max((each.loop_guard.last_update_by_others for each in known), default=0)
    recent = max(since, datetime.fromtimestamp((last_update + 1) / 1000, UTC))

    def is_old(update: Update) -> bool:
        if update.id in seen or any(each.may_be_ours(update, staff) for each in known):
            return True
        if update is opening and snapshot is None:
            return False
        if by_staff(update, staff):  # the first read leaves out ours itself
            ours = snapshot is None or snapshot.may_be_ours(update, staff)
            return not ours and millis(update.at) > lost_time.until
        if update.id not in named and any(each.knows(update.id) for each in known):
            return True
        return not keeps_ids and (update.at is None or update.at < recent)

    return frozenset(update.id for update in updates if is_old(update))


def add_merge_changes(
    diff: ReadDiff, ticket: TicketRead, snapshot: Snapshot, merged: Sequence[int], now: datetime
) -> ReadDiff:
    """Add a change for each merged ticket to what else is new.

    The updates of merged tickets describe those tickets' properties: such a change counts only if this ticket's
    property has changed.
    """
    current = properties(ticket)
    same = {KIND_OF[name] for name, value in current.items() if snapshot.properties.get(name, value) == value}
    changes = [change for change in diff.changes if change.kind not in same or change.update_id is None]
    at = ticket.modified_at or now
    changes += [Change(kind="ticket-updated", at=at, new=Named(each, f"#{each}"), name=MERGED) for each in merged]
    after = msgspec.structs.replace(diff.snapshot, undelivered=(*diff.snapshot.undelivered, millis(now)))
    return replace(diff, changes=tuple(changes), snapshot=after)
