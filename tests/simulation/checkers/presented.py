"""What handlers see: everything that others did, once and in order, and nothing of our own."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.simulation.checkers.calls import WIDTH
from tests.simulation.checkers.evidence import CHANGES, by_us, dry_turns, kinds, like_ours, silent, stopped
from tests.simulation.checkers.performed import pieces
from tests.simulation.history import History, Written
from tests.simulation.plugins import NEWER, OURS
from tests.support.witness import Shown
from workers.engine.plan import EVERYONE
from workers.simulator.account import StoredUpdate
from workers.testing.desk import START
from workers.tickets.change import Change


def updates_are_shown_once(history: History) -> Iterator[str]:
    """Each update by a contact, a staff member or a rule is shown exactly once to each handler that matches.

    For a deleted ticket at most once: its last updates may not have been read. The same holds for what the loop guard
    kept from a handler.
    """
    shown, kept = _shown(history), stopped(history)
    for number, ticket in history.tickets.items():
        for handler, asked in history.witness.kinds.items():
            seen = shown[number, handler]
            times = Counter(update for each in seen for update in {change.update_id for change in each.matched})
            quiet = {change.kind for each in seen for change in each.matched if change.update_id is None}
            again = _again(history, number, handler)
            acted = handler in history.witness.once and any(one.actions for one in seen)
            over = acted or number in history.removed or handler in NEWER
            unshown = {change.update_id for change in kept.get((number, handler), ())}
            for index, update in enumerate(ticket.updates):
                if by_us(history, update) or not asked & kinds(update, index == 0):
                    continue
                if times[update.update_id] > 1 + sum(
                    update.update_id in {one.update_id for one in each} for each in again
                ):
                    yield f"ticket {number}: {update.update_id} was shown to {handler} {times[update.update_id]} times"
                elif history.unseen(number, update.at * 1000) or update.update_id in unshown:
                    continue
                elif not times[update.update_id] and not over and not _excused(history, number, update, asked, quiet):
                    yield f"ticket {number}: update {update.update_id} was never shown to {handler}"


def _excused(history: History, number: int, update: StoredUpdate, asked: frozenset[str], quiet: set[str]) -> bool:
    """Return whether an update need not be shown.

    It is silent; or it became visible late, and the difference it made was shown before it; or a
    person who works as our staff member made it, and it looks like one of ours.
    """
    if silent(update) or like_ours(history, number, update):
        return True
    wanted = asked & kinds(update, opening=False)
    properties = {kind for name, (kind, _) in CHANGES.items() if update.shown[name]}
    only = properties if update.shown["message"] else properties | {"ticket-updated"}
    if update.visible_at > update.at and wanted <= only and properties & quiet:
        return True
    first = history.witness.first.get(number)
    return update.update_id in history.as_our_staff and first is not None and first.knows(update.update_id)


def properties_are_shown_once(history: History) -> Iterator[str]:
    """A change of a property is shown by its update or by the difference it made, not by both."""
    shown = _shown(history)
    for number, ticket in history.tickets.items():
        made = Counter(
            (kind, update.shown[name]["new"])
            for update in ticket.updates
            for name, (kind, _) in CHANGES.items()
            if update.shown[name] and not by_us(history, update)
        )
        for handler in history.witness.kinds:
            seen = [change for each in shown[number, handler] for change in each.matched]
            times = Counter(
                (change.kind, change.new.id if change.new else None)
                for change in seen
                if change.kind in {kind for kind, _ in CHANGES.values()}
            )
            for (kind, new), often in () if history.has_unknown_write(number) else times.items():
                again = sum(
                    one.kind == kind and (one.new.id if one.new else None) == new
                    for each in _again(history, number, handler)
                    for one in each
                )
                if often > made[kind, new] + again:
                    yield f"ticket {number}: {kind} to {new} was shown to {handler} {often} times"


def updates_are_shown_in_order(history: History) -> Iterator[str]:
    """Updates are shown in the order of their ids; late ones in the order in which they became visible.

    Replayed ones are shown whenever a person replays them.
    """
    shown = _shown(history)
    for number, ticket in history.tickets.items():
        visible = {update.update_id: (update.at, update.visible_at) for update in ticket.updates}
        if history.emptied:  # a creation that is shown again, after something newer, is handled again
            visible[ticket.updates[0].update_id] = (0, 1)
        for handler in history.witness.kinds:
            before = 0
            again = {change.update_id for changes in _again(history, number, handler) for change in changes}
            for each in shown[number, handler]:
                for change in () if each.replay or each.dead else each.matched:
                    if change.update_id in again:
                        continue
                    update = change.update_id or before
                    at, snapshot = visible.get(update, (0, 0))
                    if update < before and snapshot == at:
                        yield f"ticket {number}: {handler} was shown update {update} after update {before}"
                    before = max(before, update)


def tags_are_shown_once(history: History) -> Iterator[str]:
    """Each tag that a person set is new to a handler once, or was there when it first saw the ticket."""
    shown, kept = _shown(history), stopped(history)
    for number, tags in history.staff_tags.items():
        for handler, asked in history.witness.kinds.items():
            if not asked & {"tags-changed", "ticket-updated"}:
                continue
            times = Counter(tag for each in shown[number, handler] for change in each.changes for tag in change.added)
            known = history.witness.first[number].tags if number in history.witness.first else ()
            for tag in tags:
                most = 1 + sum(any(tag in one.added for one in each) for each in _again(history, number, handler))
                unshown = any(tag in change.added for change in kept.get((number, handler), ()))
                least = 0 if tag in known or unshown or number in history.removed else 1
                if not least <= times[tag] <= (0 if tag in known else most):
                    yield f"ticket {number}: the tag {tag} was new to {handler} {times[tag]} times"


def fields_are_shown(history: History) -> Iterator[str]:
    """A value that a person wrote is new at most once; the last one is, unless ours overwrote it unseen.

    That can happen within the width of a read. A value that was there for longer is shown before ours replaces it.
    """
    shown, kept = _shown(history), stopped(history)
    for number, written in history.staff_values.items():
        for handler, asked in history.witness.kinds.items():
            if not asked & {"field-changed", "ticket-updated"}:
                continue
            changes = [change for each in shown[number, handler] for change in each.changes]
            times = Counter(change.new.name for change in changes if change.kind == "field-changed" and change.new)
            last = {each.field: each for each in written}
            for each in written:
                unshown = any(one.new and one.new.name == each.value for one in kept.get((number, handler), ()))
                missed = each is last[each.field] and not times[each.value] and _must_be_shown(history, number, each)
                missed = missed and not unshown
                again = _again(history, number, handler)
                most = 1 + sum(any(one.new and one.new.name == each.value for one in seen) for seen in again)
                if times[each.value] > most or missed:
                    yield f"ticket {number}: the value {each.value} was new to {handler} {times[each.value]} times"


def _must_be_shown(history: History, number: int, written: Written) -> bool:
    known = history.witness.first.get(number)
    if (
        number in history.removed
        or history.unseen(number, written.at)
        or known is None
        or known.fields.get(str(written.field)) == written.value
    ):
        return False
    log = history.world.simulator.log
    ours = [sent for sent in history.sent if sent.ticket == number and f"t-cf-{written.field}" in (sent.body or {})]
    over = [sent.granted for sent in ours if (log[sent.number - 1].answered or 0) * 1000 > written.at]
    return not over or min(over) - WIDTH > written.at


def no_echo_is_shown(history: History) -> Iterator[str]:
    """Nothing that foxhooks did starts a handler, unless the ticket became unreadable before that was certain."""
    unknown = {number for _, number, *_, entry in pieces(history) if entry and entry.state == "gone" and entry.doubt}
    ours = {
        number: {update.update_id for update in ticket.updates if by_us(history, update)}
        for number, ticket in history.tickets.items()
    }
    for shown in history.witness.shown:
        if history.has_unknown_write(shown.ticket) or shown.ticket in unknown:
            continue
        theirs = {*history.staff_tags.get(shown.ticket, ())}
        for change in shown.changes:
            echoed = change.kind == "field-changed" and change.new and change.new.name.startswith(OURS)
            if change.update_id in ours[shown.ticket] or change.added - theirs or change.removed or echoed:
                yield f"ticket {shown.ticket}: {shown.handler} saw an echo, {change}"


def some_act_only_once(history: History) -> Iterator[str]:
    """A handler that may act once per ticket does so once."""
    dry = dry_turns(history)  # what is only shown does not count
    acted = Counter(
        (shown.ticket, shown.handler)
        for shown in history.witness.shown
        if shown.handler in history.witness.once and shown.actions and shown.turn not in dry
    )
    for (number, handler), times in acted.items():
        if times > 1:
            yield f"ticket {number}: {handler} acted {times} times, by {history.world.now - START}"


def _again(history: History, number: int, handler: str) -> list[tuple[Change, ...]]:
    """Return the changes that were replayed for a handler, which sees them once more per replay."""
    return [
        dead_letter.changes
        for ticket, dead_letter in history.replayed
        if ticket == number and dead_letter.handler in (handler, EVERYONE) and dead_letter.effect is None
    ]


def _shown(history: History) -> defaultdict[tuple[int, str], list[Shown]]:
    found: defaultdict[tuple[int, str], list[Shown]] = defaultdict(list)
    for shown in history.witness.shown:
        found[shown.ticket, shown.handler].append(shown)
    return found
