"""Pages of lists (KB 1039, KB 1092): ten objects unless asked otherwise, fifty at most, counted from 1."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from workers.models.values import items, mapping, number

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: iterate over it, or use ``items``.

    ``total`` is the number of objects on all pages and ``pages`` that of pages of this size, None where HappyFox does
    not tell; ``start`` is the place of the first object, from 0. ``raw`` is the answer itself.
    """

    items: tuple[T, ...]
    total: int | None
    pages: int | None
    start: int | None
    raw: Any = field(repr=False, compare=False)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def read_page(raw: object, read: Callable[[Any], T | None], rows: str = "data") -> Page[T]:
    """Reads a page: an envelope, a report with its list under the name ``rows``, or a bare array, which is everything.

    What ``read`` gives None for is left out.
    """
    envelope = mapping(raw)
    listed = items(raw) if isinstance(raw, list) else items(envelope.get(rows))
    found = tuple(each for each in map(read, listed) if each is not None)
    if isinstance(raw, list):
        return Page(found, len(found), 1, 0, raw)
    info = mapping(envelope.get("page_info")) or envelope
    begins = number(info.get("start_index"))
    return Page(
        items=found,
        total=number(info.get("last_index")),
        pages=number(info.get("page_count")),
        start=begins - 1 if begins else None,
        raw=raw,
    )
