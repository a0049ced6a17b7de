"""The effects: each happens once and in order, and none is lost silently."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation.checkers.evidence import CHANGES, STOPPED, UNREADABLE, by_us, dry_turns, record_of
from tests.simulation.history import History, Sent
from workers.engine.effect import Effect, split_actions
from workers.engine.plan import Entry, Plan, Record
from workers.engine.reconcile import MAYBE, NOT_TAKEN
from workers.plugins.actions import Note, Reply
from workers.plugins.router import router_of
from workers.testing.desk import ACCOUNT

#: The reason if HappyFox kept answering that the ticket does not exist.
DENIED = "HappyFox answered 404 to it"

#: The reason if the turn was interrupted too often.
CRASHED = "this turn was interrupted"

#: The reason if the grant was taken away after the effect was planned.
REVOKED = "no longer allowed"

#: What the reason contains if a plan needs more calls than planned, and the loop guard allows no more.
LIMITED = " calls on this ticket within an hour (FOXHOOKS_LOOP_GUARD="

#: What the reason contains if the email of several handlers exceeds the limit of its address when it is sent.
BRAKED = " to this address within 24 hours "

#: What the reason contains if a pause began before the effect of several handlers was sent; each part waits by itself.
PAUSED = " is paused since "

#: What the reason contains if a colleague's answer withholds a reply that also carries what other handlers set.
ANSWERED = " answered meanwhile (update "


def effects_happen_once(history: History) -> Iterator[str]:
    """Each effect of a stored plan was applied once, withheld for a valid reason, or became a dead letter."""
    applied = _applied(history)
    for turn, number, plan, key, effect, entry in pieces(history):
        times, where = len(applied[turn, key]), f"ticket {number}: {effect.summary} of turn {turn}"
        if times > 1:
            yield f"{where} happened {times} times"
        elif entry is None or entry.state == "begun":
            yield f"{where} was never ended"
        elif times == 0 and entry.state == "done" and not _may_be_so(history, number, effect):
            yield f"{where} is said to be done and is not there"
        elif times and entry.state in ("withheld", "split", "dry", "paused", "held"):
            yield f"{where} is said to be {entry.state} and happened"
        elif times and entry.state == "refused" and not entry.reason.startswith(MAYBE):
            yield f"{where} is said to be refused and happened"
        elif entry.state == "gone" and number not in history.removed and not _is_denied(history, number, entry):
            yield f"{where} ended with a ticket that is still there"
        elif entry.state == "withheld" and not _overtaken(history, number, effect, plan):
            yield f"{where} was withheld for no reason"


def nothing_is_written_again_to_an_emptied_store(history: History) -> Iterator[str]:
    """What was written before the store was emptied is not written again after it."""
    for number, ticket in history.tickets.items():
        ours = [update for update in ticket.updates if by_us(history, update) and update.shown["message"]]
        before = {update.shown["message"]["html"] for update in ours if update.at * 1000 <= history.emptied}
        for update in ours:
            if update.at * 1000 > history.emptied and update.shown["message"]["html"] in before:
                yield f"ticket {number}: {update.shown['message']['html']!r} was written again in {update.update_id}"


def effects_happen_in_order(history: History) -> Iterator[str]:
    """The effects of a plan are applied in its order, each after the previous one has ended."""
    applied = _applied(history)
    before: dict[str, tuple[int, str]] = {}
    for turn, number, _, key, effect, _ in pieces(history):
        for sent in applied[turn, key]:
            if sent.number < before.get(turn, (0, ""))[0]:
                yield f"ticket {number}: {effect.summary} of turn {turn} went before {before[turn][1]}"
            before[turn] = (sent.number, effect.summary)


def messages_are_written_once(history: History) -> Iterator[str]:
    """Each note and reply is on its ticket once per turn, unless a reason is given."""
    wanted: defaultdict[tuple[int, str], set[tuple[str, str]]] = defaultdict(set)
    dry = dry_turns(history)
    for shown in history.witness.shown:
        for action in shown.actions:
            allow = history.allowed.get(shown.turn, frozenset())
            granted = not action.permission or (router_of(shown.handler), action.permission) in allow
            if isinstance(action, Note | Reply) and granted and shown.turn not in dry:
                who = shown.handler if isinstance(action, Reply) else ""  # equal notes of one turn are one
                wanted[shown.ticket, action.html].add((shown.turn, who))
    excused: Counter[tuple[int, str]] = Counter()
    undecided: Counter[tuple[int, str]] = Counter()
    for _, number, _, _, effect, entry in pieces(history):
        if (
            entry is not None
            and effect.kind in ("note", "reply")
            and entry.state in ("withheld", "refused", "gone", "dry", "held")
        ):
            excused[number, effect.html] += 1
            undecided[number, effect.html] += entry.state == "gone" or entry.reason.startswith(MAYBE)
    paused = _paused(history)
    for key, times in (paused & _dry(history, dry)).items():  # the pause ended in a dry run
        excused[key] += times
    for number, html in _refused_later(history):
        excused[number, html] += 1
    for number, dead_letter in history.replayed:
        if dead_letter.effect is not None:  # it is brought about again, and nobody decides anew
            undecided[number, dead_letter.effect.html] += 1
    for (number, html), turns in wanted.items():
        updates = [
            update for update in history.tickets[number].updates if by_us(history, update) and update.shown["message"]
        ]
        times = sum(update.shown["message"]["html"] == html for update in updates)
        most = len(turns) - excused[number, html] + undecided[number, html]
        merged = min(paused[number, html], len(turns) - 1)  # after the pause, it and an equal note are one
        least = 0 if number in history.removed else len(turns) - excused[number, html] - merged
        if not least <= times <= most:
            yield f"ticket {number}: {html!r} was decided in {len(turns)} turns and stands there {times} times"


def _refused_later(history: History) -> Iterator[tuple[int, str]]:
    """Yield the messages of earlier turns that were refused when they should be sent after a pause or a replay."""
    for settled in history.witness.settled:
        for each in settled.dead_letters:
            earlier = each.effect is not None and not each.id.startswith(f"{settled.turn}.")
            if each.effect and earlier and each.reason.startswith((REVOKED, STOPPED)):
                yield settled.ticket, each.effect.html


def _paused(history: History) -> Counter[tuple[int, str]]:
    """Count the messages that a pause held between two effects, by ticket and text."""
    return Counter(
        (number, effect.html)
        for _, number, _, _, effect, entry in pieces(history)
        if entry is not None and entry.state == "paused" and effect.kind in ("note", "reply")
    )


def _dry(history: History, turns: set[str]) -> Counter[tuple[int, str]]:
    """Count the messages of dry runs, by ticket and text."""
    records = (record_of(history, turn) for turn in turns)
    return Counter((record.number, effect.html) for record in records if record for effect in record.effects)


def refusals_become_dead_letters(history: History) -> Iterator[str]:
    """A refused effect, and only that, becomes a dead letter of each handler that asked for it."""
    log = history.world.simulator.log
    refused = {
        (sent.turn, sent.effect) for sent in history.sent if sent.method != "GET" and log[sent.number - 1].status == 400
    }
    dead_letters = {
        (settled.turn, dead_letter.id.split(".", 1)[1].removesuffix(f".{dead_letter.handler}"), dead_letter.handler)
        for settled in history.witness.settled
        for dead_letter in settled.dead_letters
        if dead_letter.effect is not None
    }
    for turn, number, _, key, effect, entry in pieces(history):
        where = f"ticket {number}: {effect.summary} of turn {turn}"
        if entry is not None and entry.state in ("refused", "split"):
            expected = entry.reason.startswith((MAYBE, NOT_TAKEN, DENIED, CRASHED, REVOKED))
            expected = expected or any(reason in entry.reason for reason in (PAUSED, BRAKED, ANSWERED, LIMITED))
            if (turn, key) not in refused and not expected:
                yield f"{where} is said to be refused and was not"
        elif (entry is None or entry.state != "gone") and any(
            (turn, key, name) in dead_letters for name in effect.handlers
        ):
            yield f"{where} was not refused and has a dead letter"
        given_up = entry is not None and (entry.state == "refused" or _is_denied(history, number, entry))
        for handler in effect.handlers if given_up else ():
            if (turn, key, handler) not in dead_letters:
                yield f"{where} was refused, and {handler} has no dead letter"


def _is_denied(history: History, number: int, entry: Entry) -> bool:
    """Return whether an effect was given up because the API key could not read its ticket."""
    return entry.state == "gone" and entry.reason.startswith(UNREADABLE) and number in history.denied


def state_changes_happen_once(history: History) -> Iterator[str]:
    """Each change of a stored plan to the state of a router was made once, and no two decided on the same count."""
    counted, numbered = 0, set[str]()
    for _, plan in history.witness.plans.values():
        for change in (each for state in plan.state if not (plan.dry or state.dry) for each in state.changes):
            counted += change.by
            numbered |= set(change.add)
    stored: Any = history.world.client
    key = f"foxhooks:{{{ACCOUNT}}}:state:counter:"
    count = int(stored.hget(f"{key}counter:turns", "value") or 0)
    members = {name[2:].decode() for name in stored.hkeys(f"{key}set:numbers") if name.startswith(b"m:")}
    if count != counted:
        yield f"the counter is {count}, and the stored plans add {counted}"
    if members != numbered:
        yield f"the set and the stored plans differ by {sorted(members ^ numbered)}"
    if (numbers := sorted(int(each.split()[0]) for each in members)) != list(range(len(members))):
        yield f"turns decided on a count that others had changed: {numbers}"


def pieces(history: History) -> Iterator[tuple[str, int, Plan, str, Effect, Entry | None]]:
    """Yield the effects of all stored plans with their keys; split ones both whole and in parts."""
    for turn, (number, plan) in history.witness.plans.items():
        record = record_of(history, turn)
        for index, effect in enumerate(plan.effects):
            entry = record.journal.get(str(index)) if record else None
            if _after_the_end(plan, record, index):
                continue
            yield turn, number, plan, str(index), effect, entry
            if entry is not None and entry.state == "split":
                for part, piece in enumerate(split_actions(effect)):
                    key = f"{index}.{part}"
                    yield turn, number, plan, key, piece, record.journal.get(key) if record else None


def _after_the_end(plan: Plan, record: Record | None, index: int) -> bool:
    """Return whether the ticket was gone before this effect, so that the plan ended earlier."""
    journal = record.journal if record else {}
    ended = [key for key, entry in journal.items() if entry.state == "gone"]
    return any(int(key.split(".")[0]) < index for key in ended)


def _applied(history: History) -> defaultdict[tuple[str, str], list[Sent]]:
    """Return the calls that HappyFox applied, by turn and effect."""
    log = history.world.simulator.log
    applied: defaultdict[tuple[str, str], list[Sent]] = defaultdict(list)
    for sent in history.sent:
        if sent.method != "GET" and log[sent.number - 1].applied:
            applied[sent.turn, sent.effect].append(sent)
    return applied


def _may_be_so(history: History, number: int, effect: Effect) -> bool:
    """Return whether somebody else may have done the same, so that no call was needed."""
    if effect.kind == "delete":
        return number in history.removed
    return effect.kind in ("tags", "properties", "move", "subscribe")


def _overtaken(history: History, number: int, effect: Effect, plan: Plan) -> bool:
    """Return whether the effect would have overwritten what a person did since the read."""
    knows: Callable[[int], bool] = plan.snapshot.knows
    for update in history.tickets[number].updates:
        said = update.shown["message"]
        if by_us(history, update) or knows(update.update_id):
            continue
        if effect.kind == "delete":
            return True
        if effect.kind == "reply" and update.shown["by"]["type"] == "staff" and said and said["message_type"] != "p":
            return True
        changed = {name for change, (_, name) in CHANGES.items() if update.shown[change]}
        if changed & ({"target_category_id"} if effect.kind == "move" else effect.set.keys()):
            return True
    values = history.staff_values.get(number, ())
    return any(str(written.field) in effect.fields for written in values)
