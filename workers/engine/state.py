"""The state of routers in one turn: what its handlers see of it, and how their changes become part of the plan."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from workers.engine.context import TurnContext
from workers.engine.fold import HandlerActions
from workers.engine.plan import Plan, StateDecision
from workers.plugins.actions import AnyAction, StateChange
from workers.plugins.invoke import InnerSteps
from workers.plugins.router import router_of
from workers.plugins.state import StoredEntry
from workers.store.lanes import read_state

#: How often handlers decide, one time after another, because other turns change what they have read. Then the lane is
#: released for a moment: each time, at least one of the other turns has got ahead.
MAX_DECISIONS = 10


class TurnState:
    """What the handlers of one turn see: each entry as it was first read, with the changes of earlier handlers."""

    def __init__(self, context: TurnContext) -> None:
        self._account = context.config.account
        self._stored: dict[str, dict[str, str]] = {}
        self._changes: defaultdict[str, list[StateChange]] = defaultdict(list)

    def read(self, router: str, entry: str) -> InnerSteps[StoredEntry]:
        """Return an entry of a router."""
        name = f"{router}:{entry}"
        if name not in self._stored:
            self._stored[name] = yield read_state(self._account, name)
        return StoredEntry(self._stored[name], tuple(self._changes[name]))

    def add(self, router: str, actions: Iterable[AnyAction]) -> None:
        """Show the changes of a handler that has decided to the handlers after it."""
        for action in actions:
            if isinstance(action, StateChange):
                self._changes[f"{router}:{action.entry}"].append(action)


def state_decisions(context: TurnContext, requested: Sequence[HandlerActions]) -> Iterator[StateDecision]:
    """Yield what each handler changes, and what it has read if it does anything."""
    for each in requested:
        changes = tuple(action for action in each.actions if isinstance(action, StateChange))
        if changes or (each.seen and each.actions):
            yield StateDecision(each.handler, changes, each.seen, context.config.dry(each.handler))


def encode_state(plan: Plan) -> bytes:
    """Return what the plan reads and changes, as ``lua/turns.lua`` takes it; empty if there is nothing."""
    live = [each for each in plan.state if not each.dry and not plan.dry]
    if not live:
        return b""
    reads = {
        (f"{router_of(each.handler)}:{read.entry}", read.field): read.value for each in live for read in each.reads
    }
    changes = [
        {
            "entry": f"{router_of(each.handler)}:{change.entry}",
            "keep": change.keep,
            "value": change.value,
            "by": str(change.by) if change.by else None,
            "add": change.add,
            "remove": change.remove,
            "delete": change.delete or None,
        }
        for each in live
        for change in each.changes
    ]
    given = [{name: value for name, value in change.items() if value not in (None, ())} for change in changes]
    return msgspec.json.encode(
        {"turn": plan.turn, "reads": [[*name, value] for name, value in reads.items()], "changes": given}
    )
