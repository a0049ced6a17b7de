"""Debts: what handlers are owed when a turn begins, each its own, and what several are owed together."""

from collections.abc import Iterator, Sequence

import msgspec

from workers.turns.plan import ALL_OF, EVERYONE, Owed, together, whom
from workers.turns.steps import Bound


class Debts:
    """What is owed at the beginning of a turn; what is taken out is settled there, the rest is told by ``left``.

    ``again`` is what no handler runs for: effects that a person wants again, and what handlers of other tickets want.
    """

    def __init__(self, owed: Sequence[Owed], handlers: Sequence[Bound]) -> None:
        self.again = [debt for debt in owed if debt.effect is not None or debt.wish]
        self._own = {debt.handler: debt for debt in owed if debt.effect is None and not debt.wish}
        self._common = {name: self._own.pop(name) for name in list(self._own) if name.endswith(EVERYONE)}
        self._routers = {bound.handler.router for bound in handlers}

    def __bool__(self) -> bool:
        return bool(self._own or self._common)

    @property
    def everyone(self) -> Owed | None:
        """What all handlers are owed together."""
        return self._common.get(EVERYONE)

    def echoes(self) -> Iterator[str]:
        """Tells which routers are owed our own changes, for the trail."""
        for debt in self._common.values():
            if ours := [change.kind for change in debt.changes if change.actor.kind == "us"]:
                yield f"{whom(debt.handler)} hears what we did: {', '.join(ours)}"

    def take(self, bound: Bound) -> Owed | None:
        """Takes what a handler is owed, alone and with others: what is common waits behind what was its own before."""
        parts = [self._own.pop(bound.name, None), self._common.get(ALL_OF.format(bound.handler.router)), self.everyone]
        return _joined(bound.name, parts)

    def of_router(self, router: str) -> Owed | None:
        """Gives what all handlers of a router are owed together."""
        name = ALL_OF.format(router)
        return _joined(name, [self._common.get(name), self.everyone])

    def own(self, those: str) -> Iterator[Owed]:
        """Takes what handlers whose names begin so are owed each for itself."""
        for name in list(self._own):
            if name.startswith(those):
                yield self._own.pop(name)

    def routers(self) -> Iterator[Owed]:
        """Gives what the handlers of each router are owed together."""
        yield from (debt for name, debt in self._common.items() if name != EVERYONE)

    def left(self) -> Iterator[Owed]:
        """Gives what is owed to handlers that nobody took it for: they do not run here."""
        yield from self._own.values()
        yield from (debt for debt in self.routers() if debt.handler.removesuffix(f".{EVERYONE}") not in self._routers)


def _joined(name: str, parts: Sequence[Owed | None]) -> Owed | None:
    return next(iter(together(msgspec.structs.replace(part, handler=name) for part in parts if part)), None)
