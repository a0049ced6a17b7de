"""The plan: what a turn will do and everything it needs to be resumed and explained, stored before the first effect."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from workers.events.change import Change
from workers.events.last_seen import LastSeen
from workers.lanes.claims import Hint
from workers.turns.plan.effects import Effect, split
from workers.turns.plan.owed import Doubt, Foreigns, Letter, Owed
from workers.turns.plugin.intents import Own

#: What became of a handler: whether it runs again and whether anything is owed to it.
Said = Literal["decided", "skipped", "waits", "owed", "dead"]


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of one handler in a turn, in words for the trail.

    Holds texts only, so the garbage collector need not look at the hundreds that a turn may have.
    """

    handler: str
    state: Said
    reason: str = ""
    attempt: int = 1
    denied: tuple[str, ...] = ()


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a handler wants of another ticket; settling hands it over to that ticket's lane, unless it is ``dry``."""

    ticket: int
    handler: str
    intents: tuple[Own, ...]
    dry: bool = False

    @property
    def words(self) -> str:
        """What is wanted, in plain words."""
        return f"{', '.join(dict.fromkeys(each.word for each in self.intents))} on ticket {self.ticket}"


class Plan(msgspec.Struct, frozen=True):
    """A turn's plan. ``seen`` is the memory of the read it was made from, ``read_at`` the time of that read in ms.

    ``shown`` holds the changes of the handlers that were owed some beside those of the turn, ``foreign`` what each
    handler has done in other systems, ``handed`` what is wanted of other tickets.
    ``handled`` and ``left`` are the ids of events that leave the lane and of those that nothing explains yet, ``look``
    the ms until these are looked at again, ``ticket`` is the answer of that read. ``staff`` is whom the plan writes as,
    0 in plans that were stored before it was a part of them; ``saved`` counts the calls that folding saved.
    """

    format: int
    turn: str
    read_at: int
    seen: LastSeen
    changes: tuple[Change, ...]
    verdicts: tuple[Verdict, ...]
    effects: tuple[Effect, ...]
    owed: tuple[Owed, ...]
    letters: tuple[Letter, ...]
    remarks: tuple[str, ...]
    handled: tuple[str, ...]
    left: tuple[str, ...]
    look: int
    dry: bool
    ticket: Mapping[str, Any]
    events: tuple[Hint, ...]
    shown: Mapping[str, tuple[Change, ...]] = {}
    staff: int = 0
    foreign: Mapping[str, Foreigns] = {}
    handed: tuple[Handover, ...] = ()
    saved: int = 0


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the journal says of an effect.

    ``begun`` entries carry permit, deadline (ms), tries and the newest row there was (``after``), ``missing`` ones
    since when (``at``) HappyFox has not known the ticket; the others how it ended: ``rows`` made by it,
    ``expected`` when its row has not shown up, ``fields`` the values of custom fields as HappyFox has them now,
    ``evidence`` for whoever looks at what was ``refused``, ``doubt`` when that may have happened all the same,
    ``without`` the properties and fields (``#12``) that were left out of it, ``ticket`` the number of one that it
    created.
    """

    state: Literal["begun", "missing", "done", "withheld", "refused", "split", "gone", "dry"]
    v: int = 1
    permit: str = ""
    at: int = 0
    deadline: int = 0
    tries: int = 0
    after: int = 0
    rows: tuple[int, ...] = ()
    expected: bool = False
    fields: Mapping[str, str] = {}
    said: str = ""
    evidence: Mapping[str, Any] = {}
    without: tuple[str, ...] = ()
    ticket: int = 0
    doubt: Doubt | None = None


def pieces(plan: Plan, journal: Mapping[str, Entry]) -> Iterator[tuple[str, Effect, Entry]]:
    """Gives each effect, or the parts it was split into, with its key in the journal and its entry there."""
    for index, effect in enumerate(plan.effects):
        entry = journal.get(str(index))
        if entry is not None and entry.state == "split":
            for part, piece in enumerate(split(effect)):
                if (own := journal.get(f"{index}.{part}")) is not None:
                    yield f"{index}.{part}", piece, own
        elif entry is not None:
            yield str(index), effect, entry


class Record(msgspec.Struct, frozen=True):
    """A settled turn, kept for explaining, replaying and testing changed rules against."""

    format: int
    account: str
    number: int
    turn: str
    at: int
    events: tuple[Hint, ...]
    changes: tuple[Change, ...]
    verdicts: tuple[Verdict, ...]
    effects: tuple[Effect, ...]
    journal: Mapping[str, Entry]
    remarks: tuple[str, ...]
    dry: bool
    ticket: Mapping[str, Any]
    foreign: Mapping[str, Foreigns] = {}
    handed: tuple[Handover, ...] = ()
