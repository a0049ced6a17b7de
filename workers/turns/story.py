"""The story of a turn in plain words, for the trail and for whoever explains it."""

from collections.abc import Iterable, Iterator, Mapping

from workers.events.change import brief
from workers.turns.plan.effects import Effect
from workers.turns.plan.owed import Foreigns, whom
from workers.turns.plan.plan import Entry, Handover, Plan, pieces
from workers.turns.plugin.permissions import denials

#: So many handlers that did not run are told one by one in the trail; of more only how many they are.
FEW = 10

#: How the ends of an effect are told.
ENDS = {
    "done": "done",
    "dry": "not sent (dry run)",
    "withheld": "withheld",
    "refused": "refused",
    "gone": "not sent",
    "split": "refused as a whole, sent in parts",
}

#: The same for effects in other systems.
FOREIGN_ENDS = {"done": "done", "begun": "may or may not have happened", "dry": "not made (dry run)"}


def foreign_story(turn: str, foreign: Mapping[str, Foreigns]) -> Iterator[str]:
    """Tells what handlers did in other systems; the values stay in the record."""
    for handler, entries in foreign.items():
        for name, entry in entries.items():
            end = FOREIGN_ENDS[entry.state] if entry.turn == turn else "done in an earlier attempt"
            yield f"{handler} effect {name}: {end}"


def handed_story(handed: Iterable[Handover], dry: bool) -> Iterator[str]:
    """Tells what handlers want of other tickets, without the words."""
    for each in handed:
        yield f"{each.handler}: {each.words}: " + (ENDS["dry"] if dry or each.dry else "handed over to its lane")


def story(plan: Plan, journal: Mapping[str, Entry]) -> Iterator[str]:
    """Tells the turn in plain words: what changed, what each handler said, what was done."""
    for change in plan.changes:
        yield brief(change)
    skipped = sum(verdict.state == "skipped" for verdict in plan.verdicts)
    if skipped > FEW:
        yield f"{skipped} handlers did not run; the turn's record tells why"
    for verdict in plan.verdicts:
        if verdict.state == "skipped" and skipped > FEW:
            continue
        yield f"{whom(verdict.handler)} {verdict.state}: {verdict.reason}{denials(verdict.denied)}"
    yield from foreign_story(plan.turn, plan.foreign)
    yield from plan.remarks
    yield from handed_story(plan.handed, plan.dry)
    for _, effect, entry in pieces(plan, journal):
        yield effect_story(effect, entry)


def effect_story(effect: Effect, entry: Entry) -> str:
    """Tells how an effect ended, without its words."""
    rows = f" (row {', '.join(map(str, entry.rows))})" if entry.rows else ""
    rows += f" (ticket {entry.ticket})" if entry.ticket else ""
    return f"{effect.words}: {ENDS.get(entry.state, entry.state)}{rows}" + (f", {entry.said}" if entry.said else "")
