"""Debts: what handlers are owed when a turn begins, each its own, and what several are owed together."""

from collections.abc import Container, Iterator, Sequence

import msgspec

from workers.events.change import Change, brief
from workers.turns.plan.owed import ALL_OF, EVERYONE, Owed, together, whom
from workers.turns.plugin.router import router_of
from workers.turns.steps import Bound

#: So many changes that come with a turn are told one by one in the trail.
FEW = 10


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

    def hearing(self, paused: Container[str]) -> Iterator[str]:
        """Tells, for the trail, what waited and who hears it now; ``paused`` routers hear nothing."""
        for debt in self._common.values():
            if router_of(debt.handler) in paused:
                continue
            if ours := [change.kind for change in debt.changes if change.actor.kind == "us"]:
                yield f"{whom(debt.handler)} hears what we did: {', '.join(ours)}"
            if theirs := [brief(change) for change in debt.changes if change.actor.kind != "us"]:
                what = "is replayed" if debt.replay else "waited"
                told = [*theirs[:FEW], f"{len(theirs) - FEW} more"] if len(theirs) > FEW else theirs
                yield f"{whom(debt.handler)} hears what {what}: {', '.join(told)}"

    def stop_everyone(self) -> tuple[Change, ...]:
        """Takes what all handlers were to hear together, but what we did ourselves."""
        debt = self._common.pop(EVERYONE, None)
        return _theirs(debt) if debt else ()

    def stop(self, paused: Container[str]) -> Iterator[Owed]:
        """Takes what several handlers were to hear together, but the ``paused`` routers and what we did ourselves."""
        for name, debt in list(self._common.items()):
            if router_of(debt.handler) not in paused and (theirs := _theirs(debt)):
                yield msgspec.structs.replace(self._common.pop(name), changes=theirs, attempt=max(1, debt.attempt))

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
        yield from (debt for debt in self.routers() if router_of(debt.handler) not in self._routers)


def _theirs(debt: Owed) -> tuple[Change, ...]:
    return tuple(change for change in debt.changes if change.actor.kind != "us")


def _joined(name: str, parts: Sequence[Owed | None]) -> Owed | None:
    return next(iter(together(msgspec.structs.replace(part, handler=name) for part in parts if part)), None)
