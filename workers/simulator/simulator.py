"""The simulated HappyFox: a request goes in, a response comes out, and deliveries wait to be taken.

It has no sockets, threads or clock of its own, and nothing in it is random.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from workers.events.signature import SPELLINGS
from workers.simulator import people
from workers.simulator.api.route import Label, News
from workers.simulator.exchange import CallLog, Request, Response
from workers.simulator.faults import Fault, HookFault, Switchboard
from workers.simulator.hooks import Delivery, Hook, Postbox
from workers.simulator.limits import RateGate
from workers.simulator.options import Options
from workers.simulator.pipeline import Pending, Pipeline
from workers.simulator.world import Ticket, World
from workers.simulator.world.seed import new_world


class Simulator:
    """One simulated account.

    `clock` gives epoch seconds; `options` are the members of `Options`. Not safe for threads: one caller at a
    time. Raises TypeError for an unknown option.
    """

    def __init__(self, clock: Callable[[], float], hooks: Iterable[Hook] = (), **options: Any) -> None:
        self.clock = clock
        self.options = Options(**options)
        self.address = ""
        self.pipeline = Pipeline(new_world(self.options, clock))
        self.postbox = Postbox(self.options.keep)
        self.set_hooks(hooks)

    def reset(self) -> None:
        """Back to the seeded account; hooks and options stay, faults, logs and counts go."""
        self.pipeline = Pipeline(new_world(self.options, self.clock))
        self.world.files_at = self.address
        self.postbox = Postbox(self.options.keep, self.hooks)

    def listens_at(self, address: str) -> None:
        """Make links to files lead to this address, as in `http://127.0.0.1:4711`."""
        self.address = self.world.files_at = address

    def fork(self, clock: Callable[[], float] | None = None) -> "Simulator":
        """An independent simulator in the same state, with no call in progress. Costs no deep copy."""
        other = Simulator.__new__(Simulator)
        other.clock = clock or self.clock
        other.options, other.address = self.options, self.address
        other.pipeline = self.pipeline.fork(self.world.copy(other.clock))
        other.postbox = self.postbox.fork()
        return other

    @property
    def world(self) -> World:
        """The state: tickets, contacts, tables."""
        return self.pipeline.world

    @property
    def log(self) -> CallLog:
        """Every API call, in order of arrival."""
        return self.pipeline.log

    @property
    def gate(self) -> RateGate:
        """The rate gate."""
        return self.pipeline.gate

    @property
    def faults(self) -> Switchboard[Fault]:
        """The faults that strike API calls."""
        return self.pipeline.faults

    def handle(self, request: Request) -> Response:
        """Answer an API call at once; delays are only told, in `Response.wait`."""
        pending = self.begin(request)
        response = self.end(pending)
        return replace(response, wait=pending.delay + response.wait) if pending.delay else response

    def begin(self, request: Request) -> Pending:
        """Let a call arrive: everything up to the point where it would be applied.

        Writes that begin before another to the same ticket has ended overlap. End each pending call once.
        """
        return self.pipeline.begin(request)

    def end(self, pending: Pending) -> Response:
        """Apply the call, answer it, and queue its webhooks."""
        response, news = pending.pipeline.end(pending)
        if pending.pipeline is self.pipeline:  # a call from before a reset tells nobody
            for one in news:
                self.postbox.post(self.world, one)
        return response

    def perform(self, request: Request) -> Response:
        """Do what an API call does, without credentials, rate gate, log or faults; webhooks are told."""
        response, news = self.pipeline.perform(request)
        for one in news:
            self.postbox.post(self.world, one)
        return response

    @property
    def hooks(self) -> list[Hook]:
        """The configured webhooks."""
        return self.postbox.hooks

    def set_hooks(self, hooks: Iterable[Hook]) -> None:
        """Configure these webhooks and no others. Raises ValueError for an unknown spelling of the digest."""
        hooks = list(hooks)
        for hook in hooks:
            if hook.spelling not in SPELLINGS:
                raise ValueError(f"No spelling {hook.spelling!r}; there are {', '.join(SPELLINGS)}.")
        self.postbox.hooks = hooks

    @property
    def hook_faults(self) -> Switchboard[HookFault]:
        """The faults that strike webhook deliveries."""
        return self.postbox.faults

    @property
    def deliveries(self) -> list[Delivery]:
        """The delivery log, in order of number."""
        return list(self.postbox.log.values())

    def take_deliveries(self) -> list[Delivery]:
        """Deliveries to send, each handed out once, in order of `due`; some are due later."""
        return self.postbox.take()

    def delivered(self, delivery: Delivery, status: int | None, error: str | None = None) -> None:
        """Tell how a delivery went: the status of the answer, or the error without one."""
        self.postbox.finished(delivery, self.clock(), status, error)

    def create_ticket(self, email: str = "sam@bigcorp.example", **draft: Any) -> Ticket:
        """Open a ticket as a contact by mail; members as in `people.create_ticket`."""
        return self._tell(people.create_ticket(self.world, email, **draft), "ticket-created")

    def contact_replies(self, ticket: int, text: str = "", html: str | None = None, **more: Any) -> Ticket:
        """Answer as the ticket's contact; further members as in `people.contact_replies`."""
        return self._tell(people.contact_replies(self.world, ticket, text, html, **more))

    def staff_updates(self, ticket: int, staff: int | str = 1, **edit: Any) -> Ticket:
        """Reply, note or change properties in the panel; members as in `people.staff_updates`."""
        return self._tell(people.staff_updates(self.world, ticket, staff, **edit))

    def fire_rule(self, ticket: int, name: str, **edit: Any) -> Ticket:
        """Let a smart rule fire; members as in `people.fire_rule`."""
        return self._tell(people.fire_rule(self.world, ticket, name, **edit))

    def breach(self, ticket: int, count: int = 1) -> Ticket:
        """Let a ticket break `count` more agreements on service; no row, no webhook (assumed)."""
        return people.breach(self.world, ticket, count)

    def merge(self, ticket: int, into: int) -> Ticket:
        """Merge a ticket into another one; webhooks tell of both as updated (assumed)."""
        survivor = people.merge(self.world, ticket, into)
        for one in (self.world.tickets[ticket], survivor):
            self.postbox.post(self.world, News("ticket-updated", one, row=False))
        return survivor

    def _tell(self, ticket: Ticket, label: Label = "ticket-updated") -> Ticket:
        self.postbox.post(self.world, News(label, ticket))
        return ticket
