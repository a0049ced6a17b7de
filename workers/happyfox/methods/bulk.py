"""Bulk calls of any length: in hundreds, one after another, with a result for each item whatever happens."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from workers.errors import Broken, FoxhooksError, InDoubt, Refused, Unsent
from workers.happyfox.answers import problems_in
from workers.happyfox.requests.members import BULK
from workers.models.results import ItemResult, read_results

T = TypeVar("T")


def results(answer: Any, sent: Sequence[Any]) -> list[ItemResult]:
    """Reads the results of one bulk call."""
    return read_results(answer, sent, problems_in)


def in_hundreds(items: Iterable[T], call: Callable[[list[T]], list[ItemResult]]) -> list[ItemResult]:
    """Makes as many calls as it takes and gives the results of all items, in their order.

    A hundred that is refused as a whole, or cannot be put together because of one of its items, does not stop the
    others; one in doubt, and any other failure, does: what follows is ``unsent``. Nothing is sent twice.
    """
    listed, found = list(items), list[ItemResult]()
    while len(found) < len(listed):
        begin = len(found)
        part = listed[begin : begin + BULK]
        try:
            found += [replace(each, index=begin + each.index) for each in call(part)]
        except (FoxhooksError, InDoubt, Unsent, TypeError, ValueError) as error:
            found += [_without(error, begin + place) for place in range(len(part))]
            if not isinstance(error, Refused | TypeError | ValueError):
                found += [ItemResult(place, "unsent", error=error) for place in range(len(found), len(listed))]
    return found


def _without(error: Exception, index: int) -> ItemResult:
    """Makes the result of an item whose call brought none."""
    if isinstance(error, InDoubt | Broken):
        return ItemResult(index, "in doubt", error=error)
    if isinstance(error, Refused):
        return ItemResult(index, "refused", problems=error.problems, error=error)
    return ItemResult(index, "unsent", error=error)
