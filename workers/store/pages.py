"""Pages of a long list: filter first, then page, and always say that there is more."""

from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    next: str = ""
    """The cursor of the next page; empty if this is the last one."""
    more: int | None = None
    """How many follow after this page; None if there are more and counting them would read them all."""
