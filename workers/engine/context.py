"""What the turns of one account have in common, put together once at start."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import msgspec

from workers.engine import steps
from workers.engine.plan import Entry, decode_entry
from workers.engine.steps import Clock, Steps, ask, call
from workers.errors import Unsent
from workers.happyfox.messages import Answer, Request, settlement
from workers.happyfox.tickets import ticket
from workers.plugins.invoke import Bound
from workers.plugins.router import router_of
from workers.store.lanes import UNUSED, ClaimConfig, ClaimedLane, ReadPermit, done, park
from workers.store.permits import Governor, Outcome
from workers.tickets.model import TicketRead, read_ticket

DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One account's terms: who we write as, which handlers run in which order, and all times in ms.

    ``life`` is the total time of one call, ``doubt`` how long after its deadline it may still land. ``clock`` counts ms
    from an arbitrary point and never goes back; ``record_life`` is how long events and records are kept, ``handler``
    how long a handler may run. ``dry_routers`` run dry while the others act. ``off_tag`` on a ticket pauses it, empty
    for none; ``off_skips`` tells that what comes meanwhile is skipped.
    """

    claim: ClaimConfig
    governor: Governor
    staff: int
    site: str
    handlers: tuple[Bound, ...]
    allow: frozenset[tuple[str, str]]
    dry_run: bool
    loop_guard: int
    life: int
    doubt: int
    record_life: int
    clock: Clock
    handler: int = 30_000
    seen_life: int = 90 * DAY
    trail_life: int = 14 * DAY
    dry_routers: frozenset[str] = frozenset()
    off_tag: str = ""
    off_skips: bool = False

    def dry(self, handler: str) -> bool:
        """Tells whether a handler, by its full name, or a router runs dry: what it wants is shown and not sent."""
        return self.dry_run or router_of(handler) in self.dry_routers

    @property
    def lives(self) -> dict[str, int]:
        """How long last seen, the record and the trail are kept."""
        return {"seen": self.seen_life, "record": self.record_life, "trail": self.trail_life}

    @property
    def creates(self) -> bool:
        """Tells whether any router may create tickets."""
        return any(permission == "create" for _, permission in self.allow)

    @property
    def account(self) -> str:
        """The account's name."""
        return self.claim.account

    @property
    def budget(self) -> bytes:
        """The account's budget, as scripts take it."""
        return self.governor.budget


# The state of one turn while it runs: what it holds, what it has read, what its journal says.


#: A permit's holder must let the first byte leave within this time (ms), or the call is not made.
SEND_BY = 5_000


class Parked(Exception):
    """The turn ends here for now: the lane is given back and becomes due after ``delay`` ms."""

    def __init__(self, delay: int, why: str) -> None:
        super().__init__(why)
        self.delay, self.why = delay, why


class LaneLost(Exception):
    """The lease is lost: whoever holds the lane now goes on, this turn does nothing more."""


class TicketGone(Exception):
    """HappyFox does not know the ticket; the text says why when that is for good: then the plan ends here."""


class TicketMerged(TicketGone):
    """The ticket was merged into another one, of the number ``into``, 0 when that is not told."""

    def __init__(self, into: int) -> None:
        super().__init__(f"the ticket was merged into {f'#{into}' if into else 'another one'}")


class TurnContext:
    """One turn under way: the lane held, the account's terms, the permit of its read, the journal."""

    def __init__(self, lane: ClaimedLane, config: AccountConfig) -> None:
        self.lane, self.config = lane, config
        self.read = ReadPermit(lane.permit)
        self.journal: dict[str, Entry] = {}
        self.posts = 0
        self._started = config.clock()
        self._calls = 0
        self._arrived = 0

    def resume(self) -> None:
        """Takes up the stored journal; ``Unreadable`` when this version cannot read it."""
        self.journal = {key: decode_entry(entry) for key, entry in self.lane.journal.items()}

    def now(self) -> int:
        """Gives the store's time in ms, carried on from the claim by this process's own clock."""
        return self.lane.now + self.config.clock() - self._started

    def moment(self) -> datetime:
        """Gives the time as handlers see it."""
        return datetime.fromtimestamp(self.now() / 1000, UTC)

    def permit_id(self) -> str:
        """Makes a new id for a permit: unique, since the token is, and known to this worker alone."""
        self._calls += 1
        return f"{self.lane.token}-{self._calls}"

    def age(self) -> int:
        """Gives the ms since the last answer arrived."""
        return max(0, self.now() - self._arrived)

    def take_read_permit(self) -> ReadPermit:
        """Hands the read's permit to the script that settles it; after that the turn has none."""
        read = self.read
        if read.id is None:
            return read
        self.read = ReadPermit(None)
        return ReadPermit(read.id, read.outcome, self.age(), read.wait)

    def release_read(self) -> Steps[None]:
        """Settles the read's permit at once, when other calls are to be made before the plan is stored."""
        read = self.take_read_permit()
        if read.id is not None:
            yield from ask(
                self.config.governor.release("get", read.id, cast(Outcome, read.outcome), read.age, read.wait)
            )

    def call(self, request: Request, permit: str) -> Steps[steps.Outcome]:
        """Makes a call and notes when its answer came."""
        outcome = yield from call(request, permit, SEND_BY)
        self._arrived = self.now()
        return outcome

    def fetch(self) -> Steps[steps.Outcome]:
        """Reads the ticket, with the permit that came with the claim or, later in the turn, with a fresh one."""
        request = ticket(self.lane.ticket)
        if self.read.id is None or self.read.outcome != UNUSED:
            return (yield from self.get(request))
        outcome = yield from self.call(request, self.read.id)
        result, wait = settlement("GET", outcome)
        self.read = ReadPermit(self.read.id, result, 0, wait)
        return outcome

    def get(self, request: Request) -> Steps[steps.Outcome]:
        """Makes a read beside the first one; parks the turn when there is no permit.

        It may use the slots that claims leave: else many claims could use up every slot for first reads, and no turn
        that needs a second one would ever come to its end.
        """
        yield from self.release_read()
        id, governor = self.permit_id(), self.config.governor
        grant = yield from ask(governor.permit("get", id, "interactive", self.config.life))
        if grant.wait:
            raise Parked(grant.wait, f"no permit ({grant.why})")
        outcome = yield from self.call(request, id)
        result, wait = settlement("GET", outcome)
        yield from ask(governor.release("get", id, result, self.age(), wait))
        return outcome

    def ticket(self) -> Steps[TicketRead | None]:
        """Reads the ticket for a look at it: None when it is gone; parks the turn when HappyFox gives no answer."""
        outcome = yield from self.fetch()
        return self.understand(outcome)

    def understand(self, outcome: steps.Outcome) -> TicketRead | None:
        """Makes a ticket of what a read brought, None of a 404; parks the turn for everything else.

        Raises ``Merged`` when it is merged: the answer says so, or is the surviving ticket.
        """
        if not isinstance(outcome, Answer):
            raise Parked(1_000 if isinstance(outcome, Unsent) else 5_000, f"the ticket could not be read: {outcome}")
        if outcome.status == 404:
            return None
        if outcome.status in (401, 403):
            raise Parked(
                5_000 if outcome.status == 401 else 30_000,
                f"HappyFox does not let us read the ticket ({outcome.status}); run `foxhooks doctor`",
            )
        if outcome.status == 429:
            raise Parked(0, "the account is locked out (429)")
        try:
            ticket = read_ticket(msgspec.json.decode(outcome.body, type=dict), self.config.site)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
            raise Parked(
                5_000, f"HappyFox answered a read with something other than a ticket ({outcome.status})"
            ) from None
        into = ticket.merged_to if ticket.id == self.lane.ticket else ticket.id
        if into is not None and into != self.lane.ticket:
            raise TicketMerged(into)
        return ticket

    def enter(
        self, effect: str, entry: Entry | bytes, permit: str = "", outcome: str = "", wait: int = 0
    ) -> Steps[None]:
        """Writes what became of an effect and settles its permit."""
        stored = entry if isinstance(entry, bytes) else msgspec.json.encode(entry)
        script = done(self.lane, effect, stored, permit, outcome, self.age(), wait, self.config.budget)
        if not (yield from ask(script)):
            raise LaneLost
        if isinstance(entry, Entry):
            self.journal[effect] = entry
        elif entry == b"":
            self.journal.pop(effect, None)

    def park(self, delay: int, why: str) -> Steps[bool]:
        """Gives the lane back for ``delay`` ms."""
        line = trail_line(self.now(), self.lane.turn, f"waits {delay / 1000:g} s: {why}") if delay >= 1_000 else ""
        script = park(self.lane, delay, self.config.budget, self.take_read_permit(), line, self.config.trail_life)
        return (yield from ask(script))


def trail_line(at: int, turn: str, text: str) -> str:
    """Writes one line of a ticket's trail."""
    return msgspec.json.encode({"at": at, "turn": turn, "text": text}).decode()
