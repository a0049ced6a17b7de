"""Timers as handlers ask for them: what `ctx.later` is given, checked; and what a turn's wishes make of them. Pure."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from workers.errors import WrongIntent, seconds, suggest
from workers.events.change import Change, matches
from workers.events.kinds import check
from workers.events.timers import Timer, put
from workers.turns.plugin import arguments
from workers.turns.plugin.intents import AnyIntent, Later
from workers.turns.plugin.router import Handler

#: The shortest and the longest wait (s) of a timer.
SHORTEST, LONGEST = 1.0, 366 * 86_400.0


def timer(wait: float | str | timedelta, name: str, unless: str | Iterable[str], received: Collection[str]) -> Later:
    """Makes the intent of a timer. ``received`` are the names that the router receives. Raises ``WrongIntent``."""
    given = arguments.several("ctx.later, unless: kinds", [unless] if isinstance(unless, str) else unless)
    for kind in given:
        try:
            check(kind)
        except ValueError as error:
            raise WrongIntent(f"ctx.later, unless: {error}") from None
    if not isinstance(name, str) or name not in received:
        raise WrongIntent(f"ctx.later: nobody receives the timer {name!r}; {_cure(name, received)}")
    return Later(name, _ms(wait), tuple(dict.fromkeys(given)))


def _ms(wait: Any) -> int:
    try:
        given = seconds(wait)
    except ValueError:
        raise WrongIntent(f"ctx.later: {wait!r} is no wait; write it as 10m, 2h or 3d") from None
    if not SHORTEST <= given <= LONGEST:
        raise WrongIntent(f"ctx.later: a wait of {wait!r} cannot be; it is a second at least and 366d at most")
    return round(given * 1000)


def _cure(name: str, received: Collection[str]) -> str:
    return suggest(name, received, f'write @router.on("later", name={name!r}) above a handler of the same router')


def run_on(
    timers: Sequence[Timer],
    handler: Handler,
    intents: Iterable[AnyIntent],
    changes: Sequence[Change],
    now: int,
    dry: bool,
) -> tuple[tuple[Timer, ...], list[str]]:
    """Gives the timers that run after a handler had its say, and remarks for the trail.

    ``changes`` are those it was shown. What came behind the last one that it asked for may end a timer at once, as it
    would had it come a turn later: how many changes one turn holds makes no difference.
    """
    asked = max((place for place, change in enumerate(changes, 1) if matches(handler.kinds, change)), default=0)
    running, remarks = tuple(timers), []
    for intent in intents:
        if not isinstance(intent, Later):
            continue
        new = Timer(handler.router, intent.name, now + intent.wait, now, intent.unless, dry)
        kind = new.ended_by(changes[asked:])
        running = put(running, new)[: -1 if kind else None]
        due = datetime.fromtimestamp(new.due / 1000, UTC)
        remarks.append(f"{new.words}: " + (f"not set, ended by {kind}" if kind else f"due {due:%Y-%m-%d %H:%M:%S} UTC"))
    return running, remarks
