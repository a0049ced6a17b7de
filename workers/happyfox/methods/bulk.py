"""Bulk calls of any length: in hundreds, one after another, with a result for each item whatever happens."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from workers.errors import Broken, CheckCredentials, FoxhooksError, InDoubt, Unsent
from workers.happyfox.answers import problems_in
from workers.happyfox.requests.members import BULK
from workers.models.results import ItemResult, read_results, unmade

T = TypeVar("T")


def results(answer: Any, sent: Sequence[Any]) -> list[ItemResult]:
    """Reads the results of one bulk call."""
    return read_results(answer, sent, problems_in)


def in_hundreds(items: Iterable[T], call: Callable[[list[T]], list[ItemResult]]) -> list[ItemResult]:
    """Makes as many calls as it takes and gives the results of all items, in their order.

    A hundred that HappyFox refuses as a whole does not stop the others; one in doubt, and any other failure, does: what
    follows is ``unsent``. Nothing is sent twice.
    """
    listed, found = list(items), list[ItemResult]()
    while len(found) < len(listed):
        begin = len(found)
        part = listed[begin : begin + BULK]
        try:
            found += [replace(each, index=begin + each.index) for each in call(part)]
        except (FoxhooksError, InDoubt, Unsent) as error:
            doubt = isinstance(error, InDoubt | Broken)
            found += unmade(error, doubt, iter(range(begin, begin + len(part))))
            if doubt or isinstance(error, Unsent | CheckCredentials):
                found += unmade(error, False, iter(range(len(found), len(listed))))
    return found
