"""The second part of a run: customers whose programs answer, and handlers that want more than they may.

The limits on emails and calls are foxhooks' defaults. A message of a person must be answered all the same.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.chaos import Report, settle
from tests.chaos.contacts import Contacts
from tests.chaos.deployment import Deployment, deployed
from tests.chaos.limits import (
    HOUR,
    LIMIT_CHECKERS,
    US,
    CustomerEvidence,
    Limits,
    Written,
    emails_to,
    fullest,
    longest_row,
)
from tests.chaos.storm import FAILOVER, RESTORE, Storm
from tests.support.fleet import ACCOUNT, by_us
from tests.support.plugins import GREEDY
from tests.support.replicas import ReplicatedStore
from workers.simulator.account import StoredUpdate
from workers.store.records import AccountRecords, DeadLetterEntry

#: The faults, and the average seconds between two of a kind.
FAULTS = {
    "worker killed (kill -9)": 10.0,
    "worker frozen past its lease (SIGSTOP)": 12.0,
    "store killed and restarted": 40.0,
    RESTORE: 20.0,
    FAILOVER: 20.0,
    "connections cut, writes applied": 15.0,
    "5xx storm, writes applied": 15.0,
}
LIMITS = Limits()
SETTINGS = {
    "FOXHOOKS_HANDLERS": "handlers:router,handlers:former,handlers:stranger",
    "FOXHOOKS_ALLOW": "test:reply,former:reply",
    "FOXHOOKS_UNANSWERED_REPLIES": str(LIMITS.unanswered),
    "FOXHOOKS_REPLIES_PER_CONTACT": str(LIMITS.per_address),
    "FOXHOOKS_LOOP_GUARD": str(LIMITS.calls),
}

#: Programs that answer each email with its own words, on the same ticket.
ECHOES = ("echo1@programs.example", "echo2@programs.example")
#: Programs that open a new ticket for each email.
OPENERS = ("opener1@programs.example", "opener2@programs.example")
PROGRAMS = frozenset((*ECHOES, *OPENERS))
#: A person who writes more often on a ticket than the loop guard allows to answer.
TALKER = "talker@people.example"
TALK = 40
#: People, and how often each writes.
PEOPLE, MESSAGES = 10, 3
#: What they ask for, so that handlers plan too much, lose their grant, fail at first, and write on other tickets.
MORE = (" Please tell me at length.", " You have answered formerly.", " Take your time.", " Tell the others.")
#: The parts of the time after which the grant is taken away, and after which people write no more.
REVOKED, DONE = 0.5, 0.8


class Customers(Contacts):
    """People and programs that write, according to a seeded timetable."""

    def __init__(self, deployment: Deployment, seed: int, seconds: float) -> None:
        super().__init__(deployment.fleet, deployment.courier)
        self.deployment = deployment
        self.revoked = 0.0
        """When the last worker with the grant was killed."""
        self._random = random.Random(f"{seed} customers")
        self._answered: Counter[int] = Counter()
        self._agenda: list[tuple[float, Callable[[], object]]] = []
        began = time.monotonic()
        for address in (*ECHOES, *OPENERS):
            self._plan(began + seconds * self._random.uniform(0, 0.2), address, 1, 0)
        self._plan(began, TALKER, TALK, seconds * DONE)
        for person in range(PEOPLE):
            more = MORE[person % len(MORE)]
            start = seconds * self._random.uniform(0, 0.2)
            self._plan(began + start, f"person{person}@people.example", MESSAGES, seconds * DONE - start, more)
        self._at(began + seconds * REVOKED, self._prepare)

    def act(self) -> None:
        """Do what is due, and answer new emails as the programs do."""
        now = time.monotonic()
        due = [action for at, action in self._agenda if at <= now]
        self._agenda = [each for each in self._agenda if each[0] > now]
        for action in due:
            action()
        for ticket, address in list(self.addresses.items()):
            if address in PROGRAMS:
                self._answer(ticket, address)

    def unheard(self) -> list[int]:
        """Return the tickets of people whose last message the store may not know: programs only answer."""
        return [ticket for ticket in super().unheard() if self.addresses[ticket] not in PROGRAMS]

    def tried(self) -> int:
        """Return on how many tickets a handler tried to act without a grant."""
        return len(list(self.deployment.fleet.folder.glob("tried *")))

    def busy(self) -> bool:
        """Return whether something is planned."""
        return bool(self._agenda)

    def _at(self, moment: float, action: Callable[[], object]) -> None:
        self._agenda.append((moment, action))

    def _plan(self, began: float, address: str, messages: int, seconds: float, more: str = "") -> None:
        """Plan the messages of a ticket, at an even pace."""
        ticket: list[int] = []

        def write() -> None:
            if ticket:
                self.write(ticket[0], more=more)
            else:
                ticket.append(self.open(address, more=more))

        for index in range(messages):
            self._at(began + seconds * index / messages, write)

    def _answer(self, ticket: int, address: str) -> None:
        emails = [update for update in self.deployment.fleet.ticket(ticket).updates if is_email(update)]
        for email in emails[self._answered[ticket] :]:
            self._answered[ticket] += 1
            words = email.shown["message"]["text"].strip()
            answer = partial(self.write, ticket, quoted=f"{words}\n")
            soon = time.monotonic() + self._random.uniform(0.1, 0.9)
            self._at(soon, answer if address in ECHOES else partial(self.open, address))

    def _prepare(self) -> None:
        """Let some plans be stored and not performed, because HappyFox refuses to write; then take the grant away."""
        fleet = self.deployment.fleet
        fleet.fault("status", status=429, method="POST", count=1)
        for person in range(PEOPLE, PEOPLE + 3):
            self.open(f"person{person}@people.example", more=" You have answered formerly.")
        self._at(time.monotonic() + 1.5, self._revoke)

    def _revoke(self) -> None:
        """Kill all workers, and start them without the grant of the router `former`."""
        deployment = self.deployment
        workers = [name for name in deployment.processes if name.startswith("worker")]
        for name in workers:
            deployment.kill(name)
        self.revoked = time.time()
        deployment.environ["FOXHOOKS_ALLOW"] = "test:reply"
        for name in workers:
            deployment.start(name)


def run(seed: int, *, feed: float, quiet: float, patience: float, logs: Path | None = None) -> Report:
    """Let customers write for ``feed`` seconds while faults occur, wait until nothing happens any more, and check."""
    with deployed(seed, GREEDY, ReplicatedStore(), **SETTINGS) as deployment:
        customers = Customers(deployment, seed, feed)
        storm = Storm(deployment, customers, seed, feed, FAULTS)
        while storm.pending() or customers.revoked == 0.0:
            storm.run()
            customers.act()
            time.sleep(0.02)
        deployment.fleet.ask("DELETE", "faults")

        def done() -> bool:
            customers.act()
            return not customers.busy() and deployment.idle()

        settle(deployment, done, quiet, patience)
        report = _report(seed, _gather(deployment, customers), customers, storm.counts)
        if logs is not None and not report.passed:
            _keep(deployment, customers, logs)
        return report


def _report(seed: int, evidence: CustomerEvidence, customers: Customers, faults: Counter[str]) -> Report:
    """Check the evidence; what brings the limits into play counts as a fault that must have occurred."""
    tickets, emails = evidence.tickets, emails_to(evidence)
    rows = [longest_row(updates, PROGRAMS) for updates in tickets.values()]
    calls = [fullest([update.at for update in updates if update.by == US], HOUR) for updates in tickets.values()]
    figures = {
        "messages of customers": str(len(customers.written)),
        "of these, written again after a loss": str(customers.again),
        "tickets": str(len(tickets)),
        "most emails to an address": str(max(emails.values())),
        "most emails in a row on a ticket": str(max(rows)),
        "most calls on a ticket": str(max(calls)),
    }
    faults["addresses that got all emails they may"] = sum(each >= LIMITS.per_address for each in emails.values())
    faults["tickets that got all emails in a row they may"] = sum(row >= LIMITS.unanswered for row in rows)
    faults["tickets that the loop guard stopped"] = sum(_is_stopped(evidence, number) for number in tickets)
    faults["tickets on which a handler tried without a grant"] = customers.tried()
    complaints = {name: list(checker(evidence)) for name, checker in LIMIT_CHECKERS.items()}
    return Report(seed, complaints, faults, figures, [])


def _keep(deployment: Deployment, customers: Customers, folder: Path) -> None:
    """Write everything that helps to find the cause into a folder."""
    deployment.keep_logs(folder)
    (folder / "customers.json").write_bytes(msgspec.json.encode(_gather(deployment, customers)))
    histories = {number: deployment.fleet.history(number).splitlines() for number in customers.addresses}
    (folder / "histories.json").write_bytes(msgspec.json.encode(histories))


def _is_stopped(evidence: CustomerEvidence, number: int) -> bool:
    """Return whether a ticket's contact wrote more than foxhooks may answer, and got no answer to something."""
    updates, talks = evidence.tickets[number], evidence.addresses[number] == TALKER
    return talks and sum(update.by == US and not update.email for update in updates) < TALK


def is_email(update: StoredUpdate) -> bool:
    """Return whether an update was mailed to the contact."""
    message = update.shown["message"]
    return by_us(update.shown) and message is not None and bool(message["customer_updated"])


def _gather(deployment: Deployment, customers: Customers) -> CustomerEvidence:
    """Collect everything that HappyFox knows."""
    fleet, addresses = deployment.fleet, customers.addresses
    calls: list[dict[str, Any]] = []
    while page := fleet.ask("GET", f"calls?after={len(calls)}&limit=5000"):
        calls += page
    stored = fleet.simulator.account.tickets
    return CustomerEvidence(
        tickets={
            number: [_written(update, address) for update in stored[number].updates] if number in stored else []
            for number, address in addresses.items()
        },
        addresses=addresses,
        programs=PROGRAMS,
        talkers=frozenset((TALKER,)),
        calls=calls,
        losses=deployment.courier.accepted.losses,
        revoked=customers.revoked,
        limits=LIMITS,
        held=_held(deployment),
        stopped=_stopped(deployment),
    )


def _written(update: StoredUpdate, address: str) -> Written:
    message = update.shown["message"]
    return Written(
        at=update.at,
        by=US if by_us(update.shown) else address,
        text=message["text"].strip() if message else "",
        email=is_email(update),
    )


def _held(deployment: Deployment) -> frozenset[int]:
    """Return the tickets with a dead letter that holds emails."""
    return _with_dead_letter(deployment, lambda each: bool(each.held) or "in other words" in each.reason)


def _stopped(deployment: Deployment) -> frozenset[int]:
    """Return the tickets with a dead letter of the loop guard."""
    return _with_dead_letter(deployment, lambda each: "FOXHOOKS_LOOP_GUARD" in each.reason)


def _with_dead_letter(deployment: Deployment, matches: Callable[[DeadLetterEntry], bool]) -> frozenset[int]:
    with deployment.fleet.redis() as client:
        found = AccountRecords(client, ACCOUNT).dead_letters()
        return frozenset(each.ticket for each in found if each.ticket and matches(each))
