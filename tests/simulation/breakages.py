"""Rules of the engine, each switched off alone: the simulation must notice every one.

``python -m tests.simulation.breakages`` prints which seed noticed what; with parts of names, only for those.
"""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import redis

from tests.simulation.checkers import check
from tests.simulation.simulation import Simulation
from tests.support import stores
from workers.engine import context, decide, guards, handlers, missing, read, reconcile, settle, sweep, turn
from workers.engine import perform as performing
from workers.engine.context import TurnContext
from workers.engine.effect import Effect
from workers.engine.plan import Entry, Plan
from workers.engine.steps import CallOutcome, Steps
from workers.happyfox import messages
from workers.store import leases, scripts
from workers.store.lanes import FORGET
from workers.store.permits import PermitOutcome
from workers.store.scripts import assemble, modules
from workers.tickets import diff, snapshot
from workers.tickets.diff import FirstSight, LostTime
from workers.tickets.model import Update
from workers.tickets.snapshot import EmailRun

#: If this many seeds do not notice a breakage, it counts as unnoticed.
SEEDS = 200

Apply = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Noticed:
    """The first seed that noticed a breakage, and its complaints."""

    seed: int
    complaints: list[str]


def lua(*changed: tuple[str, str, str]) -> Apply:
    """Replace text in modules of the store's library, given as (module, old, new); the old text has to be there."""
    texts = modules()
    for module, old, new in changed:
        assert old in texts[module], f"{module}.lua has no {old!r}"
        texts[module] = texts[module].replace(old, new)
    broken = assemble(texts)
    return lambda patch: patch.setattr(scripts, "library", lambda: broken)


def no_renewal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(leases.Leases, "renew", lambda self: None)


def settles_first(patch: pytest.MonkeyPatch) -> None:
    def perform(self: performing.Performer) -> Steps[None]:
        yield from ()

    patch.setattr(performing.Performer, "perform", perform)


def advances_too_far(patch: pytest.MonkeyPatch) -> None:
    answered = reconcile.UpdateAttribution.answered

    def all_updates(
        self: reconcile.UpdateAttribution,
        effect: Effect,
        updates: tuple[Update, ...],
        shown: dict[str, Any],
        after: int,
    ) -> Entry:
        entry = answered(self, effect, updates, shown, after)
        return msgspec.structs.replace(entry, updates=tuple(update.id for update in updates))

    patch.setattr(reconcile.UpdateAttribution, "answered", all_updates)


def forgets_own_updates(patch: pytest.MonkeyPatch) -> None:
    add = snapshot.add_own_writes
    patch.setattr(settle, "add_own_writes", lambda before, **more: add(before, **{**more, "ids": (), "expected": ()}))
    patch.setattr(diff, "by_staff", lambda update, staff: False)


def forgets_own_tags(patch: pytest.MonkeyPatch) -> None:
    add = snapshot.add_own_writes
    patch.setattr(settle, "add_own_writes", lambda before, **more: add(before, **{**more, "tags_added": ()}))


def sends_again_at_once(patch: pytest.MonkeyPatch) -> None:
    def look_up(attribution: reconcile.UpdateAttribution, key: str, effect: Effect) -> Steps[int]:
        yield from attribution.context.record_effect(key, FORGET)
        return 1

    patch.setattr(performing, "look_up", look_up)


def never_revalidates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(performing, "STALE", 10**12)


def forgets_pending_work(patch: pytest.MonkeyPatch) -> None:
    close = settle.close

    def without(context: TurnContext, plan: Plan, nonce: str | None) -> Steps[settle.Closed]:
        return close(context, msgspec.structs.replace(plan, pending=()), nonce)

    patch.setattr(turn, "close", without)


def sends_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(context, "SEND_BY", 10**9)
    patch.setattr(leases.Leases, "still_held", lambda self, lane: True)


def never_waits_for_late_updates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(snapshot, "VISIBILITY_LAG", 0)


def takes_history_for_changes(patch: pytest.MonkeyPatch) -> None:
    first_sight = read._first_sight

    def everything(context: TurnContext, outcome: CallOutcome, lost: LostTime) -> FirstSight:
        return dataclasses.replace(first_sight(context, outcome, lost), since=datetime.min.replace(tzinfo=UTC))

    patch.setattr(read, "_first_sight", everything)


def never_counts_emails(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EmailRun, "one_more", lambda self: self)


def takes_programs_for_persons(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(diff, "is_automatic", lambda update, ticket, staff: False)


def brakes_conversations(patch: pytest.MonkeyPatch) -> None:
    one_more = EmailRun.one_more
    patch.setattr(EmailRun, "one_more", lambda self: msgspec.structs.replace(one_more(self), any=False))


def never_counts_the_calls_of_a_plan(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "excess_handlers", lambda context, snapshot, planned, calls: {})


def forgets_its_writes(patch: pytest.MonkeyPatch) -> None:
    add = snapshot.add_own_writes
    patch.setattr(settle, "add_own_writes", lambda before, **more: add(before, **{**more, "writes": ()}))


def resets_the_loop_guard_by_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(guards, "_resets", lambda loop_guard, contact, colleague: True)


def asks_for_grants_only_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(performing, "denied", lambda action, router, allow: "")


def never_asks_for_grants(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handlers, "denied", lambda action, router, allow: "")


def takes_a_denied_ticket_for_the_key(patch: pytest.MonkeyPatch) -> None:
    def outcome(method: str, result: CallOutcome) -> tuple[PermitOutcome, int]:
        found, wait = messages.permit_outcome(method, result)
        return ("denied" if found == "forbidden" else found), wait

    patch.setattr(context, "permit_outcome", outcome)


def never_gives_a_denied_ticket_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(missing, "DENIED_RECHECKS", range(60_000, 10**9, 60_000))


def sweeps_find_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweep, "_has_changed", lambda row, snapshot, since: False)


def deliveries_hide_from_sweeps(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(read, "_swept_until", lambda context: 0)


def sweeps_trust_early_reads(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(snapshot, "SHOWN_WITHIN", 2_000)


BREAKAGES: dict[str, Apply] = {
    "sweeps find nothing": sweeps_find_nothing,
    "a sweep takes a read soon after a change for complete": sweeps_trust_early_reads,
    "a delivery hides what the next sweep would show": deliveries_hide_from_sweeps,
    "a sweep leaves out what it finds after the first ticket": lua(
        (
            "periodic",
            "for _, one in ipairs(result.changed) do",
            "for n, one in ipairs(result.changed) do if n > 1 then break end",
        )
    ),
    "a token proves nothing": lua(
        ("claims", "return redis.call('HGET', P .. 'leases', lane) == token", "return true"),
        ("settle", "local valid, before = stored[1] == token, stored[2]", "local valid, before = true, stored[2]"),
    ),
    "a turn settles before its effects": settles_first,
    "leases are not renewed": no_renewal,
    "the snapshot takes the updates of an answer": advances_too_far,
    "own updates are forgotten": forgets_own_updates,
    "own tags are forgotten": forgets_own_tags,
    "an effect begins without a journal entry": lua(
        ("turns", "redis.call('HSET', turn, field, cjson.encode({", "tostring(cjson.encode({")
    ),
    "an effect in doubt is sent again at once": sends_again_at_once,
    "deliveries join claimed events": lua(
        ("inbox", "if not position then return false end", ""),
        ("inbox", "or event[2] or position < leases.taken(P, ticket)", ""),
    ),
    "pending work is not stored": forgets_pending_work,
    "settling empties the lane": lua(
        (
            "settle",
            "redis.call('LREM', P .. 'lane:' .. settlement.lane, 1, id)",
            "redis.call('DEL', P .. 'lane:' .. settlement.lane)",
        )
    ),
    "a stale plan is not compared with a fresh read": never_revalidates,
    "a frozen worker sends what it began": sends_late,
    "updates that become visible late are below the floor": never_waits_for_late_updates,
    "what was there before the store counts as a change": takes_history_for_changes,
    "settling leaves the lane out of the schedule": lua(
        ("settle", "if due then redis.call('ZADD', P .. 'schedule', due, lane) else", "if due and false then else")
    ),
    "a closed gate lets calls pass": lua(("permits", "if gate.state ~= 'open' then", "if false then")),
    "an unreachable HappyFox is called as before": lua(("permits", "local FAILURES = 3", "local FAILURES = 1000000")),
    "a denied ticket counts as a rejected key": takes_a_denied_ticket_for_the_key,
    "a denied ticket is read again and again": never_gives_a_denied_ticket_up,
    "a slot is free with the answer": lua(
        ("permits", "method, now - age + budget.window + budget.guard, id)", "method, now, id)")
    ),
    "an automatic message counts as a person's": takes_programs_for_persons,
    "a conversation counts for its address": brakes_conversations,
    "emails to an address are not counted": lua(
        ("turns", "if sent then emails.add(P, now, sent.addresses, email) end", "")
    ),
    "emails in a row are not counted": never_counts_emails,
    "the calls of a plan are not counted": never_counts_the_calls_of_a_plan,
    "the loop guard forgets writes": forgets_its_writes,
    "grants are asked only when a handler decides": asks_for_grants_only_once,
    "grants are not asked when a handler decides": never_asks_for_grants,
    "state is changed although it is not what was read": lua(
        ("turns", "if state.changed_since(P, decided.reads) then return -1 end", "")
    ),
    "state is not changed with the plan": lua(
        ("turns", "state.apply(P, now, decided.turn, ARGV[2], decided.changes)", "")
    ),
    "the loop guard is reset without a person": resets_the_loop_guard_by_itself,
}


def notice(client: "redis.Redis", name: str) -> Noticed | None:
    """Run seeds with a breakage until one complains."""
    with pytest.MonkeyPatch.context() as patch:
        BREAKAGES[name](patch)
        for seed in range(SEEDS):
            try:
                complaints = check(Simulation(client, seed).run())
            except Exception as error:  # an engine that fails is noticed, too
                complaints = [f"{type(error).__name__}: {error}"]
            if complaints:
                return Noticed(seed, complaints)
    return None


def report(chosen: Sequence[str]) -> Iterator[str]:
    """Yield a line per breakage, of all or of those whose names contain one of these texts: what noticed it."""
    with stores.running("valkey", "--appendonly", "no") as url, redis.Redis.from_url(url) as client:
        for name in BREAKAGES:
            if chosen and not any(text in name for text in chosen):
                continue
            began = time.monotonic()
            noticed = notice(client, name)
            text = f"seed {noticed.seed}: {noticed.complaints[0][:140]}" if noticed else "NOT NOTICED"
            yield f"{name} ({time.monotonic() - began:.1f} s): {text}"


if __name__ == "__main__":
    missed = 0
    for line in report(sys.argv[1:]):
        print(line, flush=True)
        missed += line.endswith("NOT NOTICED")
    sys.exit(1 if missed else 0)
