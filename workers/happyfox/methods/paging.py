"""Walks through lists whose pages change meanwhile, so that no object comes twice and none is left out.

A ticket that goes away moves all behind it one place forward, and a plain walk then misses the first of the next page;
one that comes in makes the last of a page come again. Lists in the order of ids are therefore read in windows that
overlap by one row at least: that row proves that none was missed. Lists in an order of HappyFox's own (searches,
contacts) are read again until a whole walk saw them at rest.
"""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from workers.errors import Gone
from workers.happyfox.requests.members import ROWS
from workers.models.page import Page

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How often a list in an order of HappyFox's own is walked before its unrest is accepted.
WALKS = 4

#: Reads a page of so many rows: number of the page, size.
Fetch = Callable[[int, int], Page[T]]


def climb(fetch: Fetch[T], key: Callable[[T], int]) -> Iterator[T]:
    """Gives all objects of a list in rising order of ``key``, which no object ever changes.

    Those that are there from the beginning to the end come exactly once; others at most once. A list that is not in
    order after all, or does not keep to the size asked for, is walked.
    """
    seen: set[int] = set()
    highest, place = -1, 0
    while True:
        number, size = window(place)
        page = _fetched(fetch, number, size)
        start = (number - 1) * size
        keys = [] if page is None else [key(each) for each in page]
        if keys != sorted(keys) or not _as_asked(page, start, size):
            yield from walk(fetch, key, seen)
            return
        if start and (not keys or keys[0] > highest):
            place = start  # the row that would prove it has moved forward, and others perhaps with it
            continue
        for each in page or ():
            if key(each) not in seen:
                seen.add(key(each))
                yield each
        highest, place = max([highest, *keys]), start + len(keys)
        total = None if page is None else page.total
        if not keys or (place >= total if total is not None else len(keys) < size):
            return


def window(place: int) -> tuple[int, int]:
    """Gives page and size that begin before ``place``, counted from 0, and reach furthest beyond it."""
    if place == 0:
        return 1, ROWS
    reaches = [((place - 1) // size * size + size, size) for size in range(ROWS // 2, ROWS + 1)]
    end, size = max(reaches)
    return end // size, size


def _as_asked(page: Page[T] | None, start: int, size: int) -> bool:
    """Tells whether a page begins where it was asked to and is as long, unless it is the last."""
    if page is None or not page.items:
        return True
    last = page.total is None or start + len(page) >= page.total
    return page.start in (None, start) and (last or len(page) == size)


def walk(fetch: Fetch[T], key: Callable[[T], int | str], seen: set[int] | None = None) -> Iterator[T]:
    """Gives all objects of a list in any order, each once, with as many walks as it takes to see it at rest."""
    known: set[int | str] = set(seen or ())
    for _ in range(WALKS):
        totals, met, number = set(), [], 1
        while (page := _fetched(fetch, number, ROWS)) is not None and page.items:
            totals.add(page.total)
            for each in page:
                met.append(key(each))
                if key(each) not in known:
                    known.add(key(each))
                    yield each
            if number >= page.pages if page.pages is not None else len(page) < ROWS:
                break
            number += 1
        at_rest = len(totals) <= 1 and len(met) == len(set(met))
        if at_rest and totals <= {None, len(met)}:
            return
    log.warning("a list changed during each of %s walks, so one or the other row may be missing", WALKS)


def _fetched(fetch: Fetch[T], number: int, size: int) -> Page[T] | None:
    try:
        return fetch(number, size)
    except Gone:
        if number > 1:
            return None
        raise
