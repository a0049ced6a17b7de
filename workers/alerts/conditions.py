"""What an alert waits for: each condition with the sentence that people get, and what to do.

No sentence quotes a customer: only names of accounts, routers and processes, numbers of tickets, counts and times.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import redis

from workers.alerts.habits import ENOUGH, WEEKS, expected_since, is_storm
from workers.settings import Alert, Budget
from workers.store.client import Store
from workers.store.client_figures import MINUTES, read_client_figures
from workers.store.completeness import read_completeness
from workers.store.fleet import Fleet, read_fleet
from workers.store.permits import backlog
from workers.store.recorder import drift, read_shapes
from workers.store.records import AccountRecords
from workers.store.troubles import Kind, Trouble, find_troubles
from workers.webhook.questions import DELIVERY

#: How the ids of the dead letters begin that a loop guard writes when it trips.
LOOP_GUARD = "loop-guard-"

#: A shorter silence (ms) is not looked at.
SHORTEST_SILENCE = 600_000

#: How many changes a day must have before a part of them says something.
FEWEST = 20

#: The limits of an account whose workers have not published theirs.
USUAL_BUDGET = Budget(gets=500, posts=300, window=60.0, lockout=600.0, share=0.9, in_flight=8)

#: For how long (ms) a new form is worth an alert.
DAY = 86_400_000

#: How many tickets a sentence names.
NAMED = 5


@dataclass(frozen=True, slots=True)
class Firing:
    """A condition that holds."""

    account: str
    """Empty if it concerns all accounts."""
    since: int
    """When it began (ms); 0 if that is not known."""
    text: str
    fix: str


@dataclass(slots=True)
class View:
    """The state of the system in one round; everything is read when the first alert needs it."""

    client: redis.Redis
    accounts: tuple[str, ...]
    now: int
    _troubles: list[Trouble] | None = field(default=None, init=False)
    _fleet: Fleet | None = field(default=None, init=False)

    @property
    def fleet(self) -> Fleet:
        """The processes that run."""
        self._fleet = self._fleet or read_fleet(self.client, self.now)
        return self._fleet

    @property
    def troubles(self) -> list[Trouble]:
        """What is wrong."""
        if self._troubles is None:
            self._troubles = list(find_troubles(self.client, self.accounts, self.fleet, self.now))
        return self._troubles

    def stopped(self, account: str) -> bool:
        """Return whether nothing is worked on because of a pause or because no call can be made."""
        kinds = ("locked-out", "credentials-refused", "unreachable", "calls-stopped")
        paused = AccountRecords(self.client, account).pauses().get(("account", ""))
        return paused is not None or any(each.kind in kinds and each.account == account for each in self.troubles)


def evaluate(alert: Alert, view: View) -> Iterator[Firing]:
    """Yield where the condition of an alert holds now."""
    if kind := TROUBLES.get(alert.when):
        for trouble in view.troubles:
            if trouble.kind == kind and trouble.account in ("", alert.account or trouble.account):
                yield Firing(trouble.account, trouble.since, trouble.text, trouble.fix)
        return
    for account in (alert.account,) if alert.account else view.accounts:
        if found := CONDITIONS[alert.when](alert, account, view):
            yield found


def _dead_letters(alert: Alert, account: str, view: View) -> Firing | None:
    count = AccountRecords(view.client, account).dead_letter_count()
    if count < alert.count:
        return None
    text = f"{account}: {count:,} dead letter{'' if count == 1 else 's'} wait for a decision"
    return Firing(account, 0, text, "see `foxhooks dead list`, then replay or discard them")


def _loop_guard(_: Alert, account: str, view: View) -> Firing | None:
    records = AccountRecords(view.client, account)
    found = records.dead_letter_ids(LOOP_GUARD)
    if not found:
        return None
    tickets = list(dict.fromkeys(name.removeprefix(LOOP_GUARD).partition("-")[0] for name in found))
    more = f" and {len(tickets) - NAMED} more" if len(tickets) > NAMED else ""
    text = f"{account}: the loop guard has stopped the handlers of ticket {', '.join(tickets[:NAMED])}{more}"
    return Firing(account, 0, text, "see `foxhooks explain` for the circle; correct the handlers, then replay")


def _oldest_due(alert: Alert, account: str, view: View) -> Firing | None:
    with Store(view.client) as store:
        waiting = store.run(backlog(account))
    age = waiting.age(view.now)
    if age < alert.age * 1000 or waiting.due_since is None or view.stopped(account):
        return None
    text = f"{account}: a ticket has been due for {age // 60_000} min; {waiting.due:,} are due"
    fix = "see `foxhooks status`: are there enough workers, is the call budget used up?"
    return Firing(account, waiting.due_since, text, fix)


def _silent(alert: Alert, account: str, view: View) -> Firing | None:
    records = AccountRecords(view.client, account)
    counts = records.delivery_counts()
    last = max((each.last for name, each in counts.items() if not name.startswith("refused")), default=0)
    if not last or view.now - last < SHORTEST_SILENCE:
        return None
    with Store(view.client) as store:
        usual = expected_since(store, account, last, view.now, records.epoch())
    if (usual is None and view.now - last < alert.silent_after * 1000) or (usual is not None and usual <= ENOUGH):
        return None
    known = "" if usual is None else f"; in the same hours of the last weeks, {usual / WEEKS:.0f} came on average"
    text = f"{account}: no delivery for {(view.now - last) // 60_000} min{known}"
    fix = "check the webhook in HappyFox and the way to the web process; see `foxhooks webhooks`"
    return Firing(account, last, text, fix)


def _storm(_: Alert, account: str, view: View) -> Firing | None:
    running = view.fleet.account(account)
    budget = (running.budget if running else None) or USUAL_BUDGET
    with Store(view.client) as store:
        arrived = is_storm(store, account, view.now, budget.posts * budget.share * 60 / budget.window)
    if not arrived:
        return None
    text = f"{account}: {arrived:,} deliveries came in a minute, far more than usual at this hour"
    return Firing(account, 0, text, "see `foxhooks events`: a bulk change or a smart rule in HappyFox may cause them")


def _completeness(alert: Alert, account: str, view: View) -> Firing | None:
    learned = read_completeness(view.client, account).of_day(view.now)
    if learned.delivery + learned.sweep < FEWEST or learned.ratio is None or learned.ratio >= alert.ratio:
        return None
    text = (
        f"{account}: only {learned.ratio:.0%} of today's changes were announced by a delivery; sweeps found the others"
    )
    return Firing(
        account, 0, text, "see `foxhooks sweep`: are all webhooks switched on in HappyFox, does each one arrive?"
    )


def _client_denied(alert: Alert, account: str, view: View) -> Firing | None:
    found = [each for each in read_client_figures(view.client, account) if each.denied_lately >= alert.count]
    if not found:
        return None
    found.sort(key=lambda each: -each.denied_lately)
    named = ", ".join(f"{each.denied_lately:,} calls of {each.name}" for each in found[:NAMED])
    more = f" and those of {len(found) - NAMED} more clients" if len(found) > NAMED else ""
    text = f"{account}: in the last {MINUTES} min, {named}{more} were denied; the last: {found[0].last_denial}"
    fix = f"see `foxhooks audit --who {found[0].name}`; correct the program, or grant it what it needs in its settings"
    return Firing(account, 0, text, fix)


def _new_form(_: Alert, account: str, view: View) -> Firing | None:
    found = drift(read_shapes(view.client, account).values(), view.now - DAY)
    if not found:
        return None
    deliveries = sum(each.what == DELIVERY for each in found)
    counts = ((deliveries, "deliveries"), (len(found) - deliveries, "answers"))
    said = " and ".join(f"{count} form{'' if count == 1 else 's'} of {what}" for count, what in counts if count)
    text = f"{account}: {said} came from HappyFox for the first time within a day: HappyFox may have changed something"
    return Firing(account, found[0].at, text, "see `foxhooks record`; look at what such deliveries lead to")


#: The conditions that are troubles of the running system.
TROUBLES: Mapping[str, Kind] = {
    "locked-out": "locked-out",
    "credentials-refused": "credentials-refused",
    "no-workers": "no-workers",
    "version-skew": "version-skew",
}

#: The other conditions, by account; ``not-storing`` is judged where it shows, see watchman.py.
CONDITIONS: Mapping[str, Callable[[Alert, str, View], Firing | None]] = {
    "dead-letters": _dead_letters,
    "loop-guard-tripped": _loop_guard,
    "oldest-due": _oldest_due,
    "silent": _silent,
    "storm": _storm,
    "completeness-below": _completeness,
    "client-denied": _client_denied,
    "new-form": _new_form,
}
