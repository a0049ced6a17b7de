"""The errors of the engine, named for what the caller does next.

Exception
└── FoxhooksError
    ├── Retry                 a handler says: run me again later
    ├── GiveUp                a handler says: never run me again for this
    │   ├── UnknownName       a name that HappyFox does not know; lists what exists
    │   └── WrongIntent       an intent that cannot be, such as an empty note: correct the handler
    ├── StoreUnavailable      the store did not answer: try again, nothing was done
    ├── Unfit                 a call that cannot be made as asked: correct it, nothing was sent
    └── HappyFoxError         a call was answered with anything but success
        ├── Refused           the request is wrong: correct it, never repeat it
        ├── Gone              the object does not exist (any more)
        ├── CheckCredentials  the API key, the auth code or a right is missing
        ├── Locked            the account is over its limit: wait
        └── Broken            HappyFox failed; a read may be repeated, a write is looked up first

Exception, about one call that has no answer
├── Unsent                    no byte left: nothing happened, send again
└── InDoubt                   it may have happened: look first

BaseException, so that no handler's `except Exception` swallows them
├── NotNow                    no permit: park the lane, use no attempt
└── LeaseLost                 the lane belongs to another worker: stop at once
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from difflib import get_close_matches


class FoxhooksError(Exception):
    """The base of everything the engine raises on purpose."""


class Retry(FoxhooksError):
    """A handler's statement that it wants to run again later, for the same changes.

    ``after`` is a number of seconds, a text such as ``"90s"``, ``"10m"``, ``"2h"``, or a timedelta, 366 days at most;
    without it the schedule of retries decides. Raises ``WrongIntent`` for any other.
    """

    def __init__(self, reason: str, after: float | str | timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = None if after is None else _wait(after)


class GiveUp(FoxhooksError):
    """A handler's statement that no retry will help; it becomes a dead letter at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownName(GiveUp):
    """A status, priority, staff member, category or field that the account does not have.

    ``what`` is the sort of thing, ``name`` what was asked for, ``known`` the names that exist.
    """

    def __init__(self, what: str, name: object, known: Sequence[str], problem: str = "no") -> None:
        near = nearest(name, known, similarity=0.5)
        hint = f"; did you mean {near!r}?" if near else ""
        super().__init__(
            f"{problem} {what} {name!r} in HappyFox{hint} (there are: {', '.join(sorted(known)) or 'none'})"
        )
        self.what, self.name, self.known = what, name, tuple(known)


class InvalidAction(GiveUp):
    """An intent with arguments that make no sense; its text is ours, without a customer's words."""


class StoreUnavailable(FoxhooksError):
    """The store cannot be reached or refuses to write; nothing was changed."""


class Unfit(FoxhooksError, ValueError):
    """A call that HappyFox could not take, or that cannot be put together; nothing was sent."""


class HappyFoxError(FoxhooksError):
    """An answer of HappyFox that is not a success: ``status`` is its HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Refused(HappyFoxError):
    """HappyFox finds the request wrong; ``problems`` holds (field, text) pairs as it sent them."""

    def __init__(self, text: str, status: int, problems: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text, status)
        self.problems = tuple(problems)


class Gone(HappyFoxError):
    """The ticket or object does not exist, or the API user may not see it."""


class CheckCredentials(HappyFoxError):
    """HappyFox does not accept the API key and auth code, or they lack a right."""


class Locked(HappyFoxError):
    """The account made too many calls and is locked out."""


class Broken(HappyFoxError):
    """HappyFox answered with a fault of its own or with something unreadable."""


class Unsent(Exception):
    """No byte of the call left this process: nothing happened, and its slot is free again."""


class InDoubt(Exception):
    """The call left and no usable answer came back: it may or may not have happened."""


class NotNow(BaseException):
    """No permit can be had: ``wait`` is the time in milliseconds until it is worth asking again."""

    def __init__(self, wait: int, reason: str) -> None:
        super().__init__(f"{reason}, wait {wait} ms")
        self.wait, self.reason = wait, reason


class LeaseLost(BaseException):
    """This worker no longer holds the lane: another one may be working it."""


def nearest(name: object, known: Iterable[str], similarity: float = 0.6) -> str | None:
    """Return the known name most like a misspelt one, or None if none is similar enough."""
    return next(iter(get_close_matches(str(name), list(known), n=1, cutoff=similarity)), None)


def suggest(name: object, known: Iterable[str], otherwise: str = "") -> str:
    """Return the fix for an unknown name: the nearest known one, else ``otherwise``, else all known names."""
    names = sorted(known)
    if near := nearest(name, names):
        return f"did you mean {near!r}?"
    return otherwise or (f"there are: {', '.join(names)}" if names else "there are none")


UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: float | str | timedelta) -> float:
    """Read a duration: a number of seconds, a number with one of ``ms s m h d`` behind it, or a timedelta."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        return float(duration)
    text = duration.strip().lower() if isinstance(duration, str) else ""
    for unit in sorted(UNITS, key=len, reverse=True):
        if text.endswith(unit):
            try:
                return float(text[: -len(unit)]) * UNITS[unit]
            except ValueError:
                break
    raise ValueError(f"{duration!r} is not a duration; write a number of seconds, or 90s, 10m, 2h, 1d")


#: The longest wait (s) that anything here is asked for.
LONGEST = 366 * 86_400.0


def _wait(after: float | str | timedelta) -> float:
    try:
        given = seconds(after)
    except ValueError:
        raise InvalidAction(f"Retry: after={after!r} is no wait; write it as 90s, 10m or 2h") from None
    if not given <= LONGEST:
        raise InvalidAction(f"Retry: after={after!r} cannot be; it is 366d at most")
    return max(given, 0.0)
