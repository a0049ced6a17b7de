"""Asking one handler: whether it wants to run, and what it wants done. Pure; whatever it raises goes through."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from workers.errors import GiveUp
from workers.events.change import Event
from workers.models.ticket import TicketRead
from workers.turns.context import Context
from workers.turns.intents import AnyIntent
from workers.turns.router import Handler
from workers.turns.ticket import for_handler


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
    return tuple(recorder.intents)
