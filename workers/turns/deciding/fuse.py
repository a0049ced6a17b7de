"""The fuse: it stops what goes round in circles, on one ticket, until a person has had a look. Pure.

Echoes start nothing, so a circle always leads through somebody else: a rule of HappyFox, a contact's auto-responder,
another tool. Each of them only answers, so that it is over when we fall silent. A contact's row is therefore no sign
that all is well, and neither is a colleague's that comes in the moment in which the fuse blows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from workers.events.change import Change
from workers.events.last_seen import HOUR, Act, Fuse, LastSeen
from workers.turns.deciding.replaying import HANDED
from workers.turns.plan.owed import EVERYONE, Letter
from workers.turns.plan.plan import Entry, Plan, pieces

#: So many turns that acted, within so long (ms) and without anybody else's row, are a circle.
TURNS, SPAN = 8, 600_000

#: A colleague's row that comes sooner after the blow (ms) than this may be a tool's last answer.
ANSWER = 60_000

#: So many turns that acted are remembered, and of each so many letters.
KEPT, LETTERS = 10, 160

#: What lets handlers run again, by the rule that stopped them.
MENDS = {
    "writes": "a colleague writes to the ticket, or an hour has passed",
    "turns": "a contact or a colleague writes to the ticket",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How the fuse is: the memory with it, why handlers must stop or nothing, and the letter when it has just blown."""

    seen: LastSeen
    stopped: str = ""
    letter: Letter | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the fuse of a ticket allows: so many writes an hour by us, who write as this staff member."""

    ticket: int
    writes: int
    staff: int


def look(seen: LastSeen, news: Sequence[Change], waits: bool, now: int, bounds: Bounds, mended: bool) -> Look:
    """Looks at the fuse of a ticket with the changes of a turn; ``now`` in ms.

    ``waits`` tells that some handler has anything to do, ``mended`` that a person wants handlers to run again.
    """
    contact = any(change.actor.kind == "contact" for change in news)
    colleague = any(change.actor.kind == "staff" and change.actor.id != bounds.staff for change in news)
    fuse = seen.fuse
    if contact or colleague:
        fuse = msgspec.structs.replace(fuse, heard=now)
    if mended or (fuse.blown and _mends(fuse, now, contact, colleague)):
        # What was written until now does not count any more, or it would blow at once.
        seen, fuse = msgspec.structs.replace(seen, writes=()), Fuse(heard=now)
    elif not fuse.blown and waits:
        writes = sum(at > now - HOUR for at in seen.writes)
        turns = [act for act in fuse.acts if act.at > max(fuse.heard, now - SPAN)]
        if writes >= bounds.writes:
            why = f"{writes} writes of ours within an hour (FOXHOOKS_LOOP_GUARD)"
            return _blow(seen, fuse, "writes", why, news, now, bounds.ticket)
        if len(turns) >= TURNS:
            why = f"{len(turns)} turns of ours within {SPAN // 60_000} minutes, in which nobody else had a part"
            return _blow(seen, fuse, "turns", why, news, now, bounds.ticket)
    return Look(msgspec.structs.replace(seen, fuse=fuse), told(fuse))


def told(fuse: Fuse) -> str:
    """Says since when a fuse has been blown and what mends it; nothing of one that is whole."""
    if not fuse.blown:
        return ""
    when = datetime.fromtimestamp(fuse.at / 1000, UTC)
    return f"the fuse of this ticket blew at {when:%Y-%m-%d %H:%M} UTC, until {MENDS[fuse.blown]}"


def _mends(fuse: Fuse, now: int, contact: bool, colleague: bool) -> bool:
    if fuse.blown == "turns":
        return contact or colleague
    return (colleague and now >= fuse.at + ANSWER) or now >= fuse.at + HOUR


def _blow(seen: LastSeen, fuse: Fuse, rule: str, why: str, news: Sequence[Change], now: int, ticket: int) -> Look:
    seen = msgspec.structs.replace(seen, fuse=msgspec.structs.replace(fuse, blown=rule, at=now))
    circle = Counter(f"{act.cause} -> {act.did}" for act in fuse.acts)
    told = "; ".join(f"{step} ({count} times)" if count > 1 else step for step, count in circle.items())
    reason = f"the fuse blew: {why}. The last turns: {told or 'not known any more'}. Handlers stop until {MENDS[rule]}"
    turns = [f"{datetime.fromtimestamp(act.at / 1000, UTC):%H:%M:%S} {act.cause} -> {act.did}" for act in fuse.acts]
    letter = Letter(
        id=f"fuse-{ticket}-{now}",
        handler=EVERYONE,
        reason=reason,
        changes=tuple(news),
        evidence={"turns": turns, "writes": len(seen.writes)},
    )
    return Look(seen, f"the fuse of this ticket blew, until {MENDS[rule]}", letter)


def acted(plan: Plan, journal: dict[str, Entry]) -> Act | None:
    """Tells what a turn did and why, None when it did nothing: kinds, names and numbers, nobody's words."""
    done = [
        f"{', '.join(effect.handlers)}: {effect.words}"
        for _, effect, one in pieces(plan, journal)
        if one.state == "done"
    ]
    done += [f"{handler}: {', '.join(effects)}" for handler, effects in plan.foreign.items()]
    if not done:
        return None
    ours = (change for shown in plan.shown.values() for change in shown if change.actor.kind == "us")
    others = (verdict.reason.partition(":")[0] for verdict in plan.verdicts if verdict.reason.startswith(HANDED))
    causes = [*(_cause(change) for change in (*plan.changes, *ours)), *others] or ["what was owed"]
    return Act(plan.read_at, _brief(causes), _brief(done))


def _cause(change: Change) -> str:
    name = f" {change.new.name!r}" if change.kind == "smart-rule" and change.new else ""
    return f"{change.kind} by {change.actor.kind}{name}"


def _brief(parts: Iterable[str]) -> str:
    told = ", ".join(dict.fromkeys(parts))
    return told if len(told) <= LETTERS else told[: LETTERS - 3] + "..."
