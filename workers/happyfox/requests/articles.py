"""The knowledge base, which can only be read (KB 360). Its pages are undocumented, so that none are asked for."""

from workers.happyfox.exchange import Request
from workers.happyfox.requests.members import segment


def articles() -> Request:
    """Lists the external articles."""
    return Request("GET", "/kb/articles/")


def internal_articles() -> Request:
    """Lists the internal articles."""
    return Request("GET", "/kb/internal-articles/")


def sections() -> Request:
    """Lists the sections."""
    return Request("GET", "/kb/sections/")


def article(id: int, slash: bool = False) -> Request:
    """Reads one article, an external one; KB 360 writes the path without a slash at its end."""
    return Request("GET", f"/kb/article/{segment(id)}{'/' if slash else ''}")


def section(id: int, slash: bool = False) -> Request:
    """Reads one section."""
    return Request("GET", f"/kb/section/{segment(id)}{'/' if slash else ''}")
