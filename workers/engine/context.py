"""What all turns of an account share, and the state of one running turn."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import cast

import msgspec
from msgspec.structs import replace

from workers.engine.plan import TICKET, Entry, Pending
from workers.engine.steps import Call, CallOutcome, Clock, Steps
from workers.errors import Broken, CheckCredentials, HappyFoxError, InDoubt, LeaseLost, Locked, NotNow, Unsent
from workers.happyfox.messages import Answer, Request, permit_outcome, read
from workers.happyfox.reference import STATUSES
from workers.happyfox.tickets import ticket
from workers.plugins.invoke import Bound
from workers.plugins.router import router_of
from workers.settings import Account, Grants, Origin, Priority, Settings
from workers.store.figures import count_call
from workers.store.lanes import UNUSED, ClaimConfig, ClaimedLane, ReadPermit, done
from workers.store.permits import Governor, Grant, PermitOutcome
from workers.tickets.clients import mark_clients
from workers.tickets.model import TicketRead, read_ticket
from workers.tickets.snapshot import Snapshot, decode

#: The note of a ticket whose earlier reads did not fail; every turn needs one.
NO_NOTE = Pending(handler=TICKET)

#: One day, in ms.
DAY = 86_400_000

#: How long (ms) a turn waits before it tries again to begin an effect that no replica of the store has confirmed.
UNREPLICATED = 5_000

#: How long a periodic task waits after HappyFox failed (ms).
REST = 60_000

#: The first byte of a call must leave within this time (ms) after its permit was granted, or the call is not made.
SEND_BY = 5_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """How often an account is swept, and how fast."""

    period: int
    """The ms between two sweeps."""
    pace: int
    """The ms between two calls."""


def pace_of(gets: float, window: float) -> int:
    """Return the ms between two calls, of which no window of ``window`` seconds may contain more than ``gets``."""
    return int(window * 1020 / (int(gets) if gets >= 1 else gets)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """What all turns of one account share, built once at start. Times are in ms."""

    claim: ClaimConfig
    governor: Governor
    staff_id: int
    """The staff member we write as."""
    site: str
    handlers: tuple[Bound, ...]
    """In the order in which they run."""
    allow: frozenset[tuple[str, str]]
    """Pairs of router and permission."""
    dry_run: bool
    loop_guard: int
    """How many of our writes within an hour trip the loop guard of a ticket."""
    call_ms: int
    """The total time of one call."""
    doubt_ms: int
    """How long after its deadline an unanswered call may still take effect."""
    record_ttl: int
    """How long events, records and histories are kept."""
    clock: Clock
    """Starts anywhere and never goes back."""
    handler_ms: int = 30_000
    """How long a handler may run."""
    snapshot_ttl: int = 90 * DAY
    dead_letter_ttl: int = 90 * DAY
    """How long a dead letter waits for a person's decision."""
    dry_routers: frozenset[str] = frozenset()
    """Routers in dry run while the others act."""
    off_tag: str = ""
    """The tag that pauses a ticket; empty for none."""
    off_skips: bool = False
    """Whether a ticket with that tag skips changes instead of queueing them."""
    unanswered_replies: int = 3
    """How many emails a ticket may send in a row without an update by a person between them."""
    replies_per_contact: int = 10
    """How many automatic emails one address may get within 24 hours."""
    show_errors: bool = False
    """Whether the text of plug-ins' exceptions is shown."""
    default_time: int = 0
    """Minutes for calls without any, in categories that require them; 0 for none."""
    grants_origin: Origin = Grants().origin
    """What defines the grants."""
    address_secret: bytes = b""
    """The key of the HMAC under which addresses are counted."""
    sweep: Sweep | None = None
    """How the account is swept; None if it is not, so that lost deliveries stay lost."""

    def dry(self, handler: str) -> bool:
        """Return whether a router, or a handler by its full name, is in dry run."""
        return self.dry_run or router_of(handler) in self.dry_routers

    @property
    def account(self) -> str:
        """The account's name."""
        return self.claim.account

    def wrong_site(self, site: str) -> str:
        """Return why what was decided for the account at ``site`` must not be done, or ""."""
        if site in ("", self.site):
            return ""
        return (
            f"it was planned for {site}, and the account {self.account} is {self.site} now; discard it, or correct "
            "HAPPYFOX_URL and replay it"
        )

    @property
    def grants(self) -> Grants:
        """The grants with the setting that defines them."""
        return Grants(self.allow, self.grants_origin)


def configure(
    settings: Settings,
    account: Account,
    governor: Governor,
    claim: ClaimConfig,
    clock: Clock,
    handlers: tuple[Bound, ...] = (),
) -> AccountConfig:
    """Return what turns and clients' calls need to know of an account."""
    return AccountConfig(
        claim=claim,
        governor=governor,
        staff_id=account.staff_id,
        site=account.url,
        handlers=handlers,
        allow=account.allow,
        grants_origin=account.grants.origin,
        dry_run=account.dry_run,
        dry_routers=account.dry_routers,
        off_tag=account.off_tag,
        off_skips=account.off_skips,
        loop_guard=account.loop_guard,
        default_time=account.time_spent,
        unanswered_replies=account.unanswered_replies,
        replies_per_contact=account.replies_per_contact,
        address_secret=account.auth_code.reveal().encode(),
        call_ms=int(account.timeout * 1000) + SEND_BY,
        doubt_ms=int(account.doubt * 1000),
        record_ttl=int(settings.retention_hours * 3_600_000),
        dead_letter_ttl=settings.dead_letter_days * DAY,
        clock=clock,
        handler_ms=int(settings.handler_seconds * 1000),
        show_errors=settings.show_errors,
        sweep=_sweep(account),
    )


def _sweep(account: Account) -> Sweep | None:
    """Return how the account is swept, None for never."""
    budget = account.budget
    pace = pace_of(budget.gets * budget.share * account.sweep_share, budget.window)
    return Sweep(int(account.sweep_minutes * 60_000), pace) if account.sweep_minutes else None


class Parked(Exception):
    """A turn or a task stops for now, and continues after ``delay`` ms."""

    def __init__(self, delay: int, why: str = "") -> None:
        super().__init__(why)
        self.delay, self.why = delay, why


class TicketGone(Exception):
    """HappyFox does not know the ticket. A text means that this is final, and why; the plan then ends."""


class TicketMerged(TicketGone):
    """The ticket was merged into ticket number ``into``, 0 if the number is unknown."""

    def __init__(self, into: int) -> None:
        super().__init__(f"the ticket was merged into {f'#{into}' if into else 'another one'}")


class TicketUnreadable(Exception):
    """HappyFox answers other calls, but not with this ticket. The text says what is wrong."""

    def __init__(self, why: str, *, denied: bool = False) -> None:
        super().__init__(why)
        self.denied = denied
        """Whether the API key may not read it."""


def get(
    config: AccountConfig, request: Request, permit: str, priority: Priority, *, known_to_work: bool = False
) -> Steps[CallOutcome]:
    """Make a read under a permit of its own; raise ``NotNow`` if there is none.

    If it is ``known_to_work``, a 403 means that HappyFox rejects the API key.
    """
    grant: Grant = yield config.governor.permit("get", permit, priority, config.call_ms)
    if grant.wait:
        raise NotNow(grant.wait, grant.why)
    began = config.clock()
    outcome: CallOutcome = yield Call(request, permit, SEND_BY)
    took = config.clock() - began
    result, wait = permit_outcome("GET", outcome)
    if known_to_work and result == "forbidden":
        result = "denied"
    yield config.governor.release("get", permit, result, 0, wait, count_call("get", result, took))
    return outcome


def clock_difference(outcome: CallOutcome, now: datetime) -> timedelta:
    """Return how far HappyFox's clock is ahead of the store's, which is ``now``, by the answer's Date header."""
    date = outcome.headers.get("date") if isinstance(outcome, Answer) else None
    try:
        return parsedate_to_datetime(date) - now if date else timedelta(0)
    except (ValueError, TypeError):
        return timedelta(0)


def ms_ahead(outcome: CallOutcome, now: datetime) -> int:
    """Return the same in ms."""
    return int(clock_difference(outcome, now).total_seconds() * 1000)


class TaskCalls:
    """The reads of one periodic task, all with bulk priority; ``now`` is the store's time (ms) when it was claimed."""

    def __init__(self, config: AccountConfig, token: str, now: int) -> None:
        self._config, self._token, self._claimed_at = config, token, now
        self._started = config.clock()
        self._calls = 0
        #: How far HappyFox's clock was ahead of the store's in the last answer (ms).
        self.ahead = 0

    def now(self) -> int:
        """Return the store's time in ms."""
        return self._claimed_at + self._config.clock() - self._started

    def get(self, request: Request) -> Steps[object]:
        """Read and return the content; raise Parked if HappyFox does not send it."""
        self._calls += 1
        outcome = yield from get(self._config, request, f"task-{self._token}-{self._calls}", "bulk")
        if not isinstance(outcome, Answer):
            raise Parked(REST, f"HappyFox could not be reached: {outcome}")
        self.ahead = ms_ahead(outcome, utc(self.now()))
        try:
            return read(outcome)
        except Locked:
            raise Parked(0) from None
        except CheckCredentials as error:
            raise Parked(REST if error.status == 401 else -1, f"{error}; run `foxhooks doctor`") from None
        except Broken as error:
            raise Parked(REST, str(error)) from None


class TurnContext:
    """A running turn: its lane, the account's configuration, its read permit and its journal."""

    def __init__(self, lane: ClaimedLane, config: AccountConfig) -> None:
        self.lane, self.config = lane, config
        self.read_permit = ReadPermit(lane.permit)
        #: Journal entries by the position of their effect in the plan: "2", or "2.0" for a part of a split effect.
        self.journal: dict[str, Entry] = {}
        #: How many writes this turn has sent.
        self.writes = 0
        #: What is noted about earlier reads of the ticket that failed.
        self.note = NO_NOTE
        self._last_read = ""
        self._claimed = config.clock()
        self._permits = 0
        self._answered = 0
        self._took = 0

    def now(self) -> int:
        """Return the store's time in ms: its time at the claim, continued by this process's own clock."""
        return self.lane.now + self.config.clock() - self._claimed

    @property
    def snapshot(self) -> Snapshot | None:
        """The ticket's snapshot; None if there is none, or another account had this name when it was taken."""
        return decode(self.lane.snapshot, self.config.site)

    def utc_now(self) -> datetime:
        """Return the store's time as handlers see it."""
        return utc(self.now())

    def permit_id(self) -> str:
        """Return a new permit id, which is unique because the lane's token is."""
        self._permits += 1
        return f"{self.lane.token}-{self._permits}"

    def answer_age(self) -> int:
        """Return the ms since the last answer arrived."""
        return max(0, self.now() - self._answered)

    def call_time(self) -> int:
        """Return how long the last call took (ms)."""
        return self._took

    def take_read_permit(self) -> ReadPermit:
        """Return the read permit for the script that settles it; the turn has none afterwards."""
        read = self.read_permit
        if read.id is None:
            return read
        self.read_permit = ReadPermit(None)
        return ReadPermit(read.id, read.outcome, self.answer_age(), read.wait, read.counted)

    def release_read(self) -> Steps[None]:
        """Settle the read permit before the turn makes other calls."""
        read = self.take_read_permit()
        if read.id is not None:
            outcome = cast(PermitOutcome, read.outcome)
            yield self.config.governor.release("get", read.id, outcome, read.age, read.wait, read.counted)

    def call(self, request: Request, permit: str) -> Steps[CallOutcome]:
        """Make a call and note when its answer arrived."""
        began = self.now()
        outcome: CallOutcome = yield Call(request, permit, SEND_BY)
        self._answered = self.now()
        self._took = self._answered - began
        return outcome

    def fetch_ticket(self) -> Steps[CallOutcome]:
        """Request the ticket with the claim's permit, or with a new one if that is used."""
        request = ticket(self.lane.ticket)
        if self.read_permit.id is None or self.read_permit.outcome != UNUSED:
            return (yield from self.get(request))
        self._last_read = self.read_permit.id
        outcome = yield from self.call(request, self.read_permit.id)
        result, wait = permit_outcome("GET", outcome)
        self.read_permit = ReadPermit(self.read_permit.id, result, 0, wait, count_call("get", result, self._took))
        return outcome

    def get(self, request: Request) -> Steps[CallOutcome]:
        """Make a read beyond the first one.

        It is interactive, so it may use the slots that claims leave free. Otherwise first reads could use every slot,
        and no turn that needs a second read would finish.
        """
        yield from self.release_read()
        self._last_read = self.permit_id()
        return (yield from get(self.config, request, self._last_read, "interactive"))

    def get_content(self, request: Request, what: str) -> Steps[object]:
        """Make a read and return its content; park the turn if HappyFox does not send it."""
        outcome = yield from self.get(request)
        try:
            if not isinstance(outcome, Answer):
                raise outcome
            return read(outcome)
        except (HappyFoxError, Unsent, InDoubt) as error:
            delay = 60_000 if isinstance(error, CheckCredentials) else 5_000
            raise Parked(delay, f"{what} could not be read: {error}") from None

    def check_api(self, why: str) -> Steps[None]:
        """Make a call that is known to work, because a read failed; if it fails too, park the turn because of ``why``.

        Its permit is named after that of the read: if that was the probe of a closed gate, this call is the next one.
        """
        yield from self.release_read()
        try:
            outcome = yield from get(
                self.config, STATUSES, f"{self._last_read}-check", "interactive", known_to_work=True
            )
            if not isinstance(outcome, Answer):
                raise outcome
            read(outcome)
        except NotNow as refused:
            raise Parked(refused.wait, why) from None
        except CheckCredentials as error:
            raise Parked(5_000, f"{error}; run `foxhooks doctor`") from None
        except (HappyFoxError, Unsent, InDoubt) as error:
            raise Parked(5_000, f"{why}; other calls fail, too: {error}") from None

    def read_ticket(self) -> Steps[TicketRead | None]:
        """Read the ticket; return None if it is gone, park the turn if HappyFox does not answer."""
        return (yield from self.parse_ticket((yield from self.fetch_ticket())))

    def parse_ticket(self, outcome: CallOutcome) -> Steps[TicketRead | None]:
        """Return the ticket in an answer, None for a 404; park the turn if the account has no access for now.

        Raise ``TicketUnreadable`` if only this ticket cannot be read, and ``TicketMerged`` if it was merged into
        another one, whichever of the two the answer contains.
        """
        if isinstance(outcome, Unsent):
            raise Parked(1_000, f"the ticket could not be read: {outcome}")
        if isinstance(outcome, InDoubt):
            raise (yield from self._unreadable(f"the ticket could not be read: {outcome}"))
        if outcome.status == 404:
            return None
        if outcome.status == 401:
            raise Parked(5_000, "HappyFox rejects the API key (401); run `foxhooks doctor`")
        if outcome.status == 403:
            why = f"HappyFox does not let this API key read ticket {self.lane.ticket} (403)"
            raise (yield from self._unreadable(why, denied=True))
        if outcome.status == 429:
            raise Parked(0, "the account is locked out (429)")
        try:
            ticket = read_ticket(msgspec.json.decode(outcome.body, type=dict), self.config.site)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
            why = f"HappyFox answered a read with something other than a ticket ({outcome.status})"
            raise (yield from self._unreadable(why)) from None
        into = ticket.merged_to if ticket.id == self.lane.ticket else ticket.id
        if into is not None and into != self.lane.ticket:
            raise TicketMerged(into)
        return mark_clients(ticket, self.lane.client_writes)

    def _unreadable(self, why: str, *, denied: bool = False) -> Steps[TicketUnreadable]:
        """Return why only this ticket cannot be read; park the turn if that may be true of every ticket."""
        yield from self.check_api(why)
        return TicketUnreadable(why, denied=denied)

    def record_effect(
        self, effect: str, entry: Entry | bytes, permit: str = "", outcome: PermitOutcome = "unsent", wait: int = 0
    ) -> Steps[None]:
        """Write the result of an effect to the journal and settle its permit, if it has one."""
        if isinstance(entry, Entry) and (before := self.journal.get(effect)):
            entry = replace(entry, attempts=max(entry.attempts, before.attempts))
        stored = entry if isinstance(entry, bytes) else msgspec.json.encode(entry)
        budget, age = self.config.claim.budget, self.answer_age()
        counted = count_call("post", outcome, self._took) if permit else b""
        if not (yield done(self.lane, effect, stored, permit, outcome, age, wait, budget, counted)):
            raise LeaseLost
        if isinstance(entry, Entry):
            self.journal[effect] = entry
        elif entry == b"":
            self.journal.pop(effect, None)


def utc(ms: int) -> datetime:
    """Return a time of the store (ms) as a datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)


#: The most characters of a line in a ticket's history.
LONGEST_LINE = 1_000


def history_line(at: int, turn: str, text: str) -> str:
    """Return one line of a ticket's history, as it is stored."""
    text = text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…"
    return msgspec.json.encode({"at": at, "turn": turn, "text": text}).decode()
