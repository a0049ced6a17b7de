"""Effects in other systems: handlers make them with ``ctx.effect`` while they decide, each once.

Such an effect runs at once, because its handler needs the result. The turn's reading is stored before the first one, so
that handlers get the same ticket and changes in a later attempt, and the same results without repeating the effects.
The journal has ``begun`` before the call, and ``done`` with the value after it, both written under the lease. If a
later attempt finds ``begun``, the effect is in doubt: only its ``landed`` or a person can find out if it happened.
"""

import json
from collections.abc import Sequence
from inspect import iscoroutine
from typing import Any

import msgspec
from msgspec.structs import replace

from workers.engine.context import UNREPLICATED, TurnContext
from workers.engine.plan import EffectsByName, ExternalEffect, Pending
from workers.engine.read import Reading, encode_reading
from workers.errors import GiveUp, InvalidAction, LeaseLost, NotNow, NotReplicated, Retry
from workers.plugins.context import EffectRequest
from workers.plugins.invoke import ExternalCall, Failure, InnerSteps, Stopped
from workers.store.lanes import FORGET, store_external

#: The largest value of an effect, in bytes of JSON: it is stored with the turn and in its record.
MAX_VALUE_BYTES = 64_000

#: How many effects a handler may have until it succeeds: they are stored with its pending work.
MAX_EFFECTS = 100


class ExternalEffects:
    """What the handlers of one turn have done in other systems."""

    def __init__(self, context: TurnContext, reading: Reading, pending: Sequence[Pending]) -> None:
        self._context, self._reading = context, reading
        self._reading_stored = context.lane.reading is not None
        self._entries: dict[str, dict[str, ExternalEffect]] = {
            work.handler: dict(work.external) for work in pending if work.external
        }

    def of(self, handler: str) -> EffectsByName:
        """Return a handler's effects by name, including those of earlier attempts."""
        return dict(self._entries.get(handler, {}))

    def all(self) -> dict[str, EffectsByName]:
        """Return the effects of every handler that has any."""
        return {handler: dict(entries) for handler, entries in self._entries.items() if entries}

    def doubt(self, handler: str) -> str:
        """Describe an effect in doubt that only a person can check; return nothing if there is none."""
        for name, entry in self.of(handler).items():
            if entry.state == "begun" and not entry.can_check and not entry.replayed:
                return _undecided(name)
        return ""

    def not_before(self, handler: str) -> int:
        """Return the time (ms) before which an effect in doubt must not be repeated, 0 if there is none."""
        return max((entry.not_before for entry in self.of(handler).values() if entry.state == "begun"), default=0)

    def run(self, handler: str, request: EffectRequest) -> InnerSteps[Any]:
        """Run an effect once and return its value; raise ``Stopped`` or ``LeaseLost`` to end the handler's run."""
        entries = self._entries.setdefault(handler, {})
        known = entries.get(request.name)
        if known is None and len(entries) >= MAX_EFFECTS:
            raise InvalidAction(f"more than {MAX_EFFECTS} effects in one handler: do several things in one effect")
        if known is not None and known.state == "done":
            return _value(request.name, known)
        if self._context.config.dry(handler):
            entries.setdefault(request.name, ExternalEffect(state="dry", turn=self._context.lane.turn))
            return request.dry
        if known is not None and known.state == "begun":
            found = yield from self._check_doubt(request, known)
            if found is not None:
                return (yield from self._complete(handler, request.name, found))
        return (yield from self._call(handler, request))

    def _check_doubt(self, request: EffectRequest, known: ExternalEffect) -> InnerSteps[Any]:
        """Return the value of an effect in doubt, or None if it may be called again."""
        if request.landed is None:
            if known.replayed:
                return None
            raise Stopped(Failure(_undecided(request.name), final=True))
        found = yield ExternalCall(request.name, request.landed)
        wait = known.not_before - self._context.now()
        if found is None and wait > 0:
            raise Stopped(Failure(f"checking again whether effect {request.name!r} happened", after=wait / 1000))
        return found

    def _call(self, handler: str, request: EffectRequest) -> InnerSteps[Any]:
        config, name = self._context.config, request.name
        begun = ExternalEffect(
            state="begun",
            turn=self._context.lane.turn,
            not_before=self._context.now() + config.handler_ms + config.doubt_ms,
            can_check=request.landed is not None,
        )
        try:
            yield from self._journal(handler, name, begun)
        except NotReplicated as unconfirmed:
            yield from self._journal(handler, name, None)
            raise NotNow(UNREPLICATED, str(unconfirmed)) from None
        try:
            value = yield ExternalCall(name, request.call)
            if iscoroutine(value):
                value.close()
                raise InvalidAction(f"effect {name!r}: call returned a coroutine; use a client that is not async")
        except (Retry, GiveUp):
            yield from self._journal(handler, name, None)
            raise
        except Exception:
            # The call has ended, so it cannot land later than a call that got no answer.
            not_before = self._context.now() + config.doubt_ms
            yield from self._journal(handler, name, replace(begun, not_before=not_before))
            raise
        return (yield from self._complete(handler, name, value))

    def _complete(self, handler: str, name: str, value: Any) -> InnerSteps[Any]:
        stored, problem = _storable(value)
        entry = ExternalEffect(state="done", turn=self._context.lane.turn, value=stored, problem=problem)
        yield from self._journal(handler, name, entry)
        return _value(name, entry)

    def _journal(self, handler: str, name: str, entry: ExternalEffect | None) -> InnerSteps[None]:
        """Write or delete the state of an effect; the first time, store the turn's reading too."""
        stored = FORGET if entry is None else msgspec.json.encode(entry)
        reading = b"" if self._reading_stored else encode_reading(self._reading)
        begins = entry is not None and entry.state == "begun"
        if not (yield store_external(self._context.lane, handler, name, stored, reading, before_call=begins)):
            raise LeaseLost
        self._reading_stored = True
        # If the handlers of this turn decide again, they find what is stored now.
        lane = self._context.lane
        external = {**lane.external, f"{handler} {name}": stored}
        if entry is None:
            del external[f"{handler} {name}"]
        self._context.lane = replace(lane, external=external, reading=reading or lane.reading)
        if entry is None:
            self._entries[handler].pop(name, None)
        else:
            self._entries[handler][name] = entry


def _undecided(name: str) -> str:
    return f"effect {name!r} may or may not have happened: check the other system; a replay repeats it"


def _storable(value: Any) -> tuple[Any, str]:
    """Return a value as the journal will return it, or None and why it cannot be stored."""
    try:
        stored = json.loads(json.dumps(value, allow_nan=False))
        size = len(msgspec.json.encode(stored))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None, f"a {type(value).__name__} that is not JSON"
    if size > MAX_VALUE_BYTES:
        return None, f"{size} bytes, more than {MAX_VALUE_BYTES}"
    return stored, ""


def _value(name: str, entry: ExternalEffect) -> Any:
    """Return the value of an effect that is done; stop the handler if the value could not be stored."""
    if entry.problem and not entry.replayed:
        reason = f"effect {name!r} is done, but its value cannot be stored: {entry.problem}; a replay gets None for it"
        raise Stopped(Failure(reason, final=True))
    return entry.value
