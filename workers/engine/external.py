"""Effects in other systems: made by handlers through ``ctx.effect`` while they decide, each once.

Such an effect runs at once, since the handler wants what it gives. So the turn is frozen before the first one: a later
attempt shows its handlers the same, and what was done gives the same value again without being done. The journal of the
turn says ``begun`` before the call and ``done`` with the value after it, both under the lease. Found ``begun`` by a
later attempt, the effect is in doubt: only its author's ``landed``, or else a person, can tell whether it happened.
"""

import json
import re
from collections.abc import Sequence
from inspect import iscoroutine, iscoroutinefunction
from typing import Any

import msgspec

from workers.engine.context import TurnContext
from workers.engine.plan import EffectsByName, ExternalEffect, Pending
from workers.engine.read import Reading, encode_reading
from workers.errors import GiveUp, InvalidAction, LeaseLost, Retry
from workers.plugins.context import EffectRequest
from workers.plugins.invoke import ExternalCall, Failure, InnerSteps, Stopped
from workers.store.lanes import FORGET, store_external

#: What an effect may be called. The name stands in trails and logs, so there is no room in it for a customer's words.
NAME = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")

#: How large the value of an effect may be as JSON, in bytes: it is stored with the turn and in its record.
LARGEST = 64_000

#: How many effects a handler may have until it has succeeded: they are kept with what it is owed.
MOST = 100


class ExternalEffects:
    """What the handlers of one turn have done in other systems."""

    def __init__(self, context: TurnContext, reading: Reading, pending: Sequence[Pending]) -> None:
        self._context, self._reading = context, reading
        self._frozen = context.lane.reading is not None
        self._entries: dict[str, dict[str, ExternalEffect]] = {
            work.handler: dict(work.external) for work in pending if work.external
        }

    def of(self, handler: str) -> EffectsByName:
        """Gives the effects of a handler by their names, those of its earlier attempts among them."""
        return dict(self._entries.get(handler, {}))

    def all(self) -> dict[str, EffectsByName]:
        """Gives the effects of every handler that has any."""
        return {handler: dict(entries) for handler, entries in self._entries.items() if entries}

    def doubt(self, handler: str) -> str:
        """Tells of an effect in doubt that nobody but a person can look up; empty when there is none."""
        return next((undecided(name) for name, entry in self.of(handler).items() if _open(entry)), "")

    def until(self, handler: str) -> int:
        """Gives the time (ms) before which an effect in doubt is not made again, 0 when none is."""
        return max((entry.not_before for entry in self.of(handler).values() if entry.state == "begun"), default=0)

    def effect(self, handler: str, wanted: EffectRequest) -> InnerSteps[Any]:
        """Brings an effect to its end and gives its value; ``Stopped`` or ``LeaseLost`` end the handler's run."""
        check(wanted)
        entries = self._entries.get(handler, {})
        known = entries.get(wanted.name)
        if known is None and len(entries) >= MOST:
            raise InvalidAction(f"more than {MOST} effects of one handler: let one effect do several things")
        if known is not None and known.state == "done":
            return _value(wanted.name, known)
        if self._context.config.dry(handler):
            self._entries.setdefault(handler, {}).setdefault(
                wanted.name, ExternalEffect(state="dry", turn=self._context.lane.turn)
            )
            return wanted.dry
        if known is not None and known.state == "begun":
            found = yield from self._look(wanted, known)
            if found is not None:
                return (yield from self._done(handler, wanted.name, found))
        return (yield from self._make(handler, wanted))

    def _look(self, wanted: EffectRequest, known: ExternalEffect) -> InnerSteps[Any]:
        """Finds out what became of an effect in doubt: gives its value, None when it can be made again."""
        if wanted.landed is None:
            if known.replayed:
                return None
            raise Stopped(Failure(undecided(wanted.name), final=True))
        found = yield ExternalCall(wanted.name, wanted.landed)
        wait = known.not_before - self._context.now()
        if found is None and wait > 0:
            raise Stopped(Failure(f"looks again whether its effect {wanted.name!r} landed", after=wait / 1000))
        return found

    def _make(self, handler: str, wanted: EffectRequest) -> InnerSteps[Any]:
        config, name = self._context.config, wanted.name
        begun = ExternalEffect(
            state="begun",
            turn=self._context.lane.turn,
            not_before=self._context.now() + config.handler_ms + config.doubt_ms,
            can_check=wanted.landed is not None,
        )
        yield from self._write(handler, name, begun)
        try:
            value = yield ExternalCall(name, wanted.call)
            if iscoroutine(value):
                value.close()
                raise InvalidAction(
                    f"effect {name!r}: call gave a coroutine, which nobody runs; use a client that waits"
                )
        except (Retry, GiveUp):
            yield from self._write(handler, name, None)
            raise
        except Exception:
            # It came back, so it can land no later than calls do that got no answer.
            yield from self._write(
                handler, name, msgspec.structs.replace(begun, not_before=self._context.now() + config.doubt_ms)
            )
            raise
        return (yield from self._done(handler, name, value))

    def _done(self, handler: str, name: str, value: Any) -> InnerSteps[Any]:
        kept, problem = _storable(value)
        entry = ExternalEffect(state="done", turn=self._context.lane.turn, value=kept, problem=problem)
        yield from self._write(handler, name, entry)
        return _value(name, entry)

    def _write(self, handler: str, name: str, entry: ExternalEffect | None) -> InnerSteps[None]:
        stored = FORGET if entry is None else msgspec.json.encode(entry)
        reading = b"" if self._frozen else encode_reading(self._reading)
        if not (yield store_external(self._context.lane, handler, name, stored, reading)):
            raise LeaseLost
        self._frozen = True
        entries = self._entries.setdefault(handler, {})
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry


def undecided(name: str) -> str:
    """Says that nobody but a person can tell whether an effect happened."""
    return f"its effect {name!r} may or may not have happened: look there; a replay makes it again"


def _open(entry: ExternalEffect) -> bool:
    return entry.state == "begun" and not entry.can_check and not entry.replayed


def check(wanted: EffectRequest) -> None:
    """Refuses an effect that cannot be, with ``WrongIntent``."""
    if not isinstance(wanted.name, str) or not NAME.fullmatch(wanted.name):
        raise InvalidAction(
            "the name of an effect: at most 64 of a-z, 0-9 and . _ : -, a letter or digit first, as in crm-42"
        )
    for what, function in (("call", wanted.call), *([] if wanted.landed is None else [("landed", wanted.landed)])):
        if not callable(function):
            raise InvalidAction(f"effect {wanted.name!r}: {what} is no function; write lambda: ... around it")
        if iscoroutinefunction(function):
            raise InvalidAction(f"effect {wanted.name!r}: {what} is `async def`; write `def`, with a client that waits")


def _storable(value: Any) -> tuple[Any, str]:
    """Gives a value as it comes back from the journal, or why it cannot be kept there."""
    try:
        kept = json.loads(json.dumps(value, allow_nan=False))
        size = len(msgspec.json.encode(kept))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None, f"a {type(value).__name__} that is not JSON"
    if size > LARGEST:
        return None, f"{size} bytes, and at most {LARGEST} can be kept"
    return kept, ""


def _value(name: str, entry: ExternalEffect) -> Any:
    """Gives the value of an effect that is done; it is not done again for the sake of a value that was not kept."""
    if entry.problem and not entry.replayed:
        raise Stopped(
            Failure(f"its effect {name!r} is done, but gave {entry.problem}; a replay gets None for it", final=True)
        )
    return entry.value
