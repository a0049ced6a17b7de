"""HappyFox's API: every endpoint as a method, within the limits.

from workers.happyfox import HappyFox, search

with HappyFox.from_env() as hf:
    print([ticket.subject for ticket in hf.all_tickets(q=search(status="New"))])
"""

from typing import TYPE_CHECKING, Any

from workers.happyfox.messages import File, Request, file
from workers.happyfox.search import search, search_contacts

if TYPE_CHECKING:
    from workers.happyfox.client import HappyFox

__all__ = ["File", "HappyFox", "Request", "file", "search", "search_contacts"]


def __getattr__(name: str) -> Any:
    """Load the client only when it is used: handlers need no network."""
    if name == "HappyFox":
        from workers.happyfox.client import HappyFox

        return HappyFox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
