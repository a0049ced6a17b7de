"""What an account calls its things (KB 360): bare arrays, without pages."""

from workers.happyfox.exchange import Request


def staff() -> Request:
    """Lists the staff members."""
    return Request("GET", "/staff/")


def statuses() -> Request:
    """Lists the statuses."""
    return Request("GET", "/statuses/")


def priorities() -> Request:
    """Lists the priorities (KB 1039 names the path, not the form)."""
    return Request("GET", "/priorities/")


def categories() -> Request:
    """Lists the categories."""
    return Request("GET", "/categories/")
