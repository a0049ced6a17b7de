"""What the turns of one account have in common, put together once at start."""

from dataclasses import dataclass

from workers.governor.governor import Governor
from workers.lanes.claims import ClaimTerms
from workers.turns.plugin.router import router_of
from workers.turns.steps import Bound, Clock

DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One account's terms: who we write as, which handlers run in which order, and all times in ms.

    ``life`` is the total time of one call, ``doubt`` how long after its deadline it may still land. ``clock`` counts ms
    from an arbitrary point and never goes back; ``record_life`` is how long events and records are kept, ``handler``
    how long a handler may run. ``dry_routers`` run dry while the others act. ``off_tag`` on a ticket pauses it, empty
    for none; ``off_skips`` tells that what comes meanwhile is skipped.
    """

    claim: ClaimTerms
    governor: Governor
    staff: int
    site: str
    handlers: tuple[Bound, ...]
    allow: frozenset[tuple[str, str]]
    dry_run: bool
    fuse: int
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
