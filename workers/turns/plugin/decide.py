"""Asking one handler: whether it wants to run, and what it wants done. Pure; whatever it raises goes through."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from workers.errors import GiveUp, WrongIntent
from workers.events.change import Event
from workers.models.ticket import TicketRead
from workers.turns.plugin.context import Context
from workers.turns.plugin.intents import AnyIntent, Intent
from workers.turns.plugin.router import Handler
from workers.turns.plugin.ticket import for_handler

#: How much a handler may want in one run, in bytes as stored: the plan is one value of the store.
LARGEST = 5_000_000


def refusal(handler: Handler, ticket: TicketRead, event: Event, now: datetime, settings: object = None) -> str:
    """Tells why the handler's `when` does not hold, empty when it does; `event` is already of a kind it asked for.

    `when` is given the ticket without the methods that record intents: it looks, the handler decides. `settings` are
    the router's.
    """
    if handler.every is not None and event.kind == "scheduled" and (reason := handler.every.refusal(ticket, now)):
        return reason
    if handler.ask is not None:
        return handler.ask(ticket, event, now)
    if handler.when is None:
        return ""
    given = {"ticket": ticket, "event": event, "now": now, "settings": settings}
    held = handler.when(**{name: given[name] for name in handler.when_takes})
    if held:
        return ""
    return str(getattr(held, "reason", "")) or "its `when` does not hold"


def decide(handler: Handler, ticket: TicketRead, event: Event, context: Context) -> tuple[AnyIntent, ...]:
    """Calls the handler with a ticket of its own and gives what it recorded, in order.

    Raises what the handler raises, and GiveUp when it returns anything but None, for it would do so again.
    """
    context.intents.clear()
    recorder = for_handler(ticket, context.intents)
    given = {"ticket": recorder, "event": event, "ctx": replace(context, timers=handler.receives)}
    function: Callable[..., object] = handler.decide
    returned = function(**{name: given[name] for name in handler.takes})
    if returned is not None:
        if hasattr(returned, "close"):
            returned.close()  # a coroutine complains when it is thrown away unawaited
        raise GiveUp(
            f"{handler.name} returned a {type(returned).__name__}; a handler returns None: record intents on the ticket"
        )
    return _storable(recorder.intents)


def _storable(intents: Sequence[AnyIntent]) -> tuple[AnyIntent, ...]:
    """Gives what was recorded; a value that no plan can hold is this handler's mistake, and must not end the turn."""
    if not all(isinstance(intent, Intent) for intent in intents):
        raise WrongIntent("something was put among the intents: want things by the methods of the ticket")
    try:
        size = len(msgspec.json.encode(intents))
    except UnicodeEncodeError:
        raise WrongIntent("a text with half a character in it (a surrogate) cannot be sent") from None
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise WrongIntent("a value cannot be sent: give texts, numbers, dates, or lists of them") from None
    if size > LARGEST:
        raise WrongIntent(f"{size} bytes wanted in one run of a handler: {LARGEST} are the most")
    return tuple(intents)
