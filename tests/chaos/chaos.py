"""One run: contacts write while faults occur. Then wait until nothing is written any more, and gather the evidence."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos import denials, story
from tests.chaos.checkers import CHECKERS, Evidence, fullest_window, refusals, sort_updates
from tests.chaos.contacts import Contacts
from tests.chaos.deployment import GETS, LOCKOUT, POSTS, WINDOW, Deployment, deployed
from tests.chaos.neighbours import NEIGHBOUR_CHECKERS, beside_strangers, most_growth, undisturbed_denials
from tests.chaos.storm import EVERY, REPLICATED, Storm, fault_of
from tests.support.fleet import P, by_us
from tests.support.plugins import CHAOTIC, IMPATIENT, SUSPICIOUS
from tests.support.replicas import ReplicatedStore
from tests.support.stores import Server

#: The faults that really occurred, as the call log and the courier show them.
STRUCK = (
    "calls answered 429 or 5xx, nothing done",
    "calls refused in a lockout",
    "reads of tickets that the key may not read",
    "connections cut, nothing done",
    "connections cut, write applied",
    "writes applied and answered 5xx",
    "writes applied, answer unreadable",
    "writes applied, never answered",
    "writes applied after their deadline",
    "delivery sent twice",
    "delivery out of order",
    "delivery cut off, sent again",
    "delivery lost",
    "delivery refused with 503, sent again",
    "delivery unanswered",
)

#: What dead letters say of an effect that was not made, or perhaps not.
UNDONE = ("may or may not", "did not take it")


@dataclass(slots=True)
class Report:
    """The result of a run: complaints by checker, how often each fault occurred, and other figures."""

    seed: int
    complaints: dict[str, list[str]]
    faults: Counter[str]
    figures: dict[str, str]
    dead_letters: list[str]

    @property
    def passed(self) -> bool:
        """Return whether no checker complains and every kind of fault occurred."""
        return not any(self.complaints.values()) and all(self.faults.values())

    def lines(self) -> list[str]:
        """Return the report as a table."""
        rows = [(name, str(len(found))) for name, found in self.complaints.items()]
        rows += [*self.figures.items(), *((name, str(times)) for name, times in self.faults.items())]
        width = max(len(name) for name, _ in rows)
        shown = [f"| {name:{width}} | {figure:>12} |" for name, figure in rows]
        shown.insert(len(self.complaints) + len(self.figures), f"| {'':-<{width}} | {'':->12} |")
        shown.insert(len(self.complaints), f"| {'':-<{width}} | {'':->12} |")
        return [f"seed {self.seed}", *shown]


def run(
    seed: int,
    events: int,
    tickets: int,
    *,
    feed: float,
    quiet: float,
    patience: float,
    logs: Path | None = None,
    every: Mapping[str, float] = EVERY,
) -> Report:
    """Send ``events`` messages within ``feed`` seconds, wait for ``quiet`` seconds without a write, and check.

    After another ``patience`` seconds, everything that is missing counts as lost. If a checker complains, the output of
    the processes is written into the folder ``logs``. ``every`` has the average seconds between two faults of a kind.
    """
    store = ReplicatedStore() if any(kind in every for kind in REPLICATED) else Server()
    with deployed(seed, CHAOTIC + SUSPICIOUS + IMPATIENT, store) as deployment:
        began, messages = time.monotonic(), story.write(seed, events, tickets)
        deployment.denials.tickets = denied = story.denied(seed, messages)
        storm = Storm(deployment, Contacts(deployment.fleet, deployment.courier), seed, feed, every)
        written_until = time.time() + feed
        _feed(storm, messages, feed)
        fed = time.monotonic() - began
        given_up = _await_dead_letters(deployment, patience)
        access_at = _give_access(deployment)

        def done() -> bool:
            replayed = denials.replay_all(deployment.fleet)
            return not replayed and (_all_noted(deployment, storm) or deployment.idle())

        settle(deployment, done, quiet, patience)
        evidence = _gather(deployment, storm)
        evidence.denied, evidence.given_up, evidence.access_at = denied, given_up, access_at
        evidence.written_until = written_until
        report = _report(seed, deployment, storm, evidence)
        report.figures["seconds of writing"] = f"{fed:.0f}"
        report.figures["seconds until everything was done"] = f"{time.monotonic() - began:.0f}"
        if logs is not None and not report.passed:
            _keep(deployment, evidence, logs)
        return report


def _report(seed: int, deployment: Deployment, storm: Storm, evidence: Evidence) -> Report:
    """Check the evidence, and count the faults."""
    dead_letters, tickets = _dead_letters(deployment), sort_updates(evidence)
    undone = [each for each in dead_letters if any(words in each for words in UNDONE)]
    evidence.undone = Counter(int(each.removeprefix("ticket ").partition(":")[0]) for each in undone)
    checkers = CHECKERS | NEIGHBOUR_CHECKERS
    complaints = {name: list(checker(evidence, tickets)) for name, checker in checkers.items()}
    complaints["dead letters"] = [each for each in dead_letters if each not in undone]
    waits = _waits(deployment, evidence.denied) or [0.0]
    undecided = sum("may or may not" in dead_letter for dead_letter in dead_letters)
    figures = {
        "dead letters that only a person can decide": str(undecided),
        "events (messages of contacts and colleagues)": str(len(evidence.story)),
        "of these, written again after a loss": str(storm.contacts.again),
        "tickets": str(len(evidence.tickets)),
        "deliveries answered 200": str(deployment.courier.answers),
        "notes and replies": str(sum(len(one.notes) + len(one.replies) for one in tickets)),
        "calls to HappyFox": str(len(evidence.calls)),
        "fullest window of reads": f"{fullest_window(evidence, 'get')} of {GETS}",
        "fullest window of writes": f"{fullest_window(evidence, 'post')} of {POSTS}",
        "429s after which silence was checked": str(len(refusals(evidence))),
        "denials after which other calls were checked": str(len(undisturbed_denials(evidence))),
        "deliveries beside strangers": str(len(beside_strangers(evidence))),
        "most growth of a web process (MiB)": f"{most_growth(evidence) / 1024 / 1024:.1f}",
        "calls to a silent HappyFox": str(len(evidence.unanswered)),
        "seconds from message to note, median": f"{waits[len(waits) // 2]:.0f}",
        "seconds from message to note, 99 %": f"{waits[int(len(waits) * 0.99)]:.0f}",
        "seconds from message to note, longest": f"{waits[-1]:.0f}",
        "leases lost": str(deployment.count_lines('"Turn lost"')),
        "turns failed": str(deployment.count_lines('"a turn failed"')),
    }
    return Report(seed, complaints, _struck(evidence, storm, deployment.courier.counts), figures, dead_letters)


def _keep(deployment: Deployment, evidence: Evidence, folder: Path) -> None:
    """Write everything that helps to find the cause into a folder."""
    deployment.keep_logs(folder)
    for name in ("story", "tickets", "calls", "accepted", "hits", "pauses", "silences", "unanswered", "attempts"):
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(getattr(evidence, name)))
    histories = {number: deployment.fleet.history(number).splitlines() for number in evidence.tickets}
    (folder / "histories.json").write_bytes(msgspec.json.encode(histories))


def _feed(storm: Storm, messages: list[story.Message], seconds: float) -> None:
    """Let contacts write at an even pace while faults occur."""
    began = time.monotonic()
    for index, message in enumerate(messages):
        due = began + seconds * index / len(messages)
        while True:
            storm.run()
            wait = min(due, storm.next_at()) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if time.monotonic() >= due:
                break
        storm.contacts.tell(message)
    while storm.pending():
        storm.run()
        time.sleep(0.05)
    storm.fleet.ask("DELETE", "faults")


def _await_dead_letters(deployment: Deployment, patience: float) -> frozenset[int]:
    """Wait until all denied tickets are given up, or until patience ends; return those that were."""
    give_up, denied = time.monotonic() + patience, deployment.denials.tickets
    while not denied <= (found := denials.given_up(deployment.fleet)) and time.monotonic() < give_up:
        deployment.alive("")
        time.sleep(0.2)
    return found


def _give_access(deployment: Deployment) -> float:
    """Let the key read the denied tickets from now on; return that time (epoch seconds)."""
    deployment.denials.tickets = frozenset()
    return time.time()


def settle(deployment: Deployment, done: Callable[[], bool], quiet: float, patience: float) -> None:
    """Wait until everything is done and nothing has been written for a while, or until patience ends."""
    simulator, give_up = deployment.fleet.simulator, time.monotonic() + quiet + patience
    checked, last = 0, time.monotonic()
    while time.monotonic() < give_up:
        deployment.alive("")
        log = simulator.log
        if any(call.method != "GET" for call in log[checked:]) or deployment.courier.busy:
            last = time.monotonic()
        checked = len(log)
        if done() and time.monotonic() - last > quiet:
            return
        time.sleep(0.2)


def _all_noted(deployment: Deployment, storm: Storm) -> bool:
    """Return whether there are as many notes as messages."""
    tickets = list(deployment.fleet.simulator.account.tickets.values())
    notes = sum(_is_note(update.shown) for ticket in tickets for update in ticket.updates)
    return notes >= len(storm.contacts.written)


def _is_note(update: dict[str, Any]) -> bool:
    message = update["message"]
    return by_us(update) and message is not None and message["message_type"] == "p"


def _waits(deployment: Deployment, denied: frozenset[int]) -> list[float]:
    """Return the seconds from each message to its note, in ascending order, except on denied tickets."""
    waits = []
    for ticket in list(deployment.fleet.simulator.account.tickets.values()):
        if ticket.id in denied:
            continue
        messages = [update.at for update in ticket.updates if not by_us(update.shown)]
        noted = [update.at for update in ticket.updates if _is_note(update.shown)]
        waits += [after - before for before, after in zip(messages, noted, strict=False)]
    return sorted(waits)


def _gather(deployment: Deployment, storm: Storm) -> Evidence:
    """Collect everything that HappyFox knows."""
    fleet, messages = deployment.fleet, storm.contacts.written
    shown = {
        ticket: fleet.ask("GET", f"ticket/{ticket}") for ticket in sorted({message.ticket for message in messages})
    }
    calls: list[dict[str, Any]] = []
    while page := fleet.ask("GET", f"calls?after={len(calls)}&limit=5000"):
        calls += page
    return Evidence(
        story=messages,
        tickets={ticket: found["updates"] for ticket, found in shown.items()},
        tags={ticket: _tags(found["tags"]) for ticket, found in shown.items()},
        calls=calls,
        accepted=deployment.courier.accepted,
        colleagues=fleet.mistaken(),
        limits={"get": GETS, "post": POSTS},
        window=WINDOW,
        lockout=LOCKOUT,
        hits=storm.hits,
        intended_lockouts=len(storm.intended_lockouts),
        lockouts=fleet.ask("GET", "budgets")["lockouts"],
        pauses=storm.pauses,
        rejected=storm.rejected,
        silences=storm.silences,
        unanswered=deployment.happyfox.unanswered,
        stranded=storm.stranded,
        attacks=storm.attacks,
        attempts=deployment.courier.attempts,
    )


def _tags(shown: Any) -> list[str]:
    return [tag.strip() for tag in shown.split(",")] if isinstance(shown, str) else list(shown)


def _dead_letters(deployment: Deployment) -> list[str]:
    """Return the ticket and the reason of each dead letter."""
    found = []
    with deployment.fleet.redis() as client:
        dead_letters: Any = client.zrange(f"{P}dead_letters", 0, -1)
        for dead_letter in dead_letters:
            stored: Any = client.hgetall(f"{P}dead_letter:{dead_letter.decode()}")
            words = msgspec.json.decode(stored[b"evidence"])
            found.append(f"ticket {stored[b'ticket'].decode()}: {words.get('reason')} {words.get('last_error', '')}")
    return found


def _struck(evidence: Evidence, storm: Storm, delivered: Counter[str]) -> Counter[str]:
    """Count the faults of processes, of calls and of deliveries."""
    counts = Counter(dict.fromkeys(STRUCK, 0))
    counts.update(storm.counts)
    counts.update(delivered)
    counts.update(name for call in evidence.calls if (name := fault_of(call)))
    return counts
