"""Pages of a long list: filter first, then page, and always say that there is more."""

from typing import Generic, NamedTuple, TypeVar

from workers.errors import FoxhooksError

T = TypeVar("T")


class UnknownCursor(FoxhooksError):
    """A cursor belongs to another list, or its place in this one no longer exists."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is not in the list any more: begin again without --cursor")


class Page(NamedTuple, Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    next: str = ""
    """The cursor of the next page; empty if this is the last one."""
    more: int | None = None
    """How many follow after this page; None if there are more and counting them would read them all."""
