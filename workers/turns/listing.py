"""Listing: the account's directory, from the store or, when that is too old, from HappyFox."""

import msgspec

from workers.errors import HappyFoxError
from workers.happyfox.directory import Directory
from workers.happyfox.messages import Answer, read
from workers.lanes.lists import LIFE, MISS, recall, remember
from workers.turns.state import Parked, State
from workers.turns.steps import Steps, ask


def directory(state: State, *, fresh: bool) -> Steps[Directory]:
    """Gives the account's names and ids; ``fresh`` takes only lists read within the last minute."""
    names = list(Directory.LISTS)
    stored = yield from ask(recall(state.held.account, names, MISS if fresh else LIFE))
    lists: dict[str, list[object]] = {}
    for name, kept in zip(names, stored, strict=True):
        lists[name] = msgspec.json.decode(kept) if kept is not None else (yield from _fetch(state, name))
    return Directory(**lists)


def _fetch(state: State, name: str) -> Steps[list[object]]:
    outcome = yield from state.get(Directory.LISTS[name])
    if not isinstance(outcome, Answer):
        raise Parked(5_000, f"the list of {name} could not be read: {outcome}")
    try:
        content = read(outcome)
    except HappyFoxError as error:
        raise Parked(5_000, f"the list of {name} could not be read: {error}") from None
    if not isinstance(content, list):
        # Kept for an hour, an empty answer would make every name an unknown one.
        raise Parked(5_000, f"HappyFox answered the list of {name} with something other than a list")
    yield from ask(remember(state.held.account, name, msgspec.json.encode(content)))
    return content
