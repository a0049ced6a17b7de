"""The switches of a simulator: what nobody knows about HappyFox, with the likeliest answer as default."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """How this HappyFox behaves. Unknown facts and their sources: the comment beside each switch."""

    account: str = "demo"
    key: str = "demo-key"
    code: str = "demo-code"
    enabled: bool = True
    """False: the API key is switched off and every call is answered 401."""

    gets: int = 500
    posts: int = 300
    window: float = 60.0
    lockout: float = 600.0
    """Calls per window and class, and how long everything is refused afterwards (KB 1148)."""
    lockout_scope: Literal["account", "class"] = "account"
    """What a lockout covers: not documented."""
    lockout_status: Literal[429, 503] = 429
    """429 (KB 1148); 503 with a wait in the body is the legacy developer page."""
    retry_after: bool = False
    """Whether a refusal carries `Retry-After`: not documented."""

    overlap: Literal["refuse", "fail", "lose", "serialise"] = "refuse"
    """A write that begins while another to the same ticket is in progress is "not supported" (tickets
    article): 409, 500, answered 200 and lost, or let through."""
    latency: float = 0.0
    """Seconds a write takes on the socket, from arrival until it is applied."""

    tag_rows: bool = True
    """update_tags adds an update row: assumed."""
    forward_rows: bool = False
    """forward adds an update row: not documented."""
    nothing_to_update: bool = False
    """staff_update without message that changes nothing: a row (one user's trial), or 400 (another's)."""
    tags_on_update: Literal["add", "replace"] = "add"
    """What `tags` on staff_update does: not documented."""
    reopen_on_reply: bool = False
    """A contact's reply to a closed ticket sets the default status: assumed to be an account's choice."""
    prefix_follows_category: bool = False
    """A moved ticket takes the new category's prefix in its display id: assumed not."""

    list_updates: Literal["asked", "always", "never"] = "asked"
    """When lists carry `updates`: with `show_updates`, or always (2026 edition of KB 1039)."""
    html_documents: bool = False
    """A message's html comes back wrapped in a whole document: seen in recorded answers."""

    keep: int = 50_000
    """Calls and deliveries kept in the logs, at least."""
