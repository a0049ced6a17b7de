"""The engine's errors, grouped by what the caller must do next.

Exception
└── FoxhooksError
    ├── Retry                 a handler asks to run again later
    ├── GiveUp                a handler asks not to run again for these changes
    │   ├── UnknownName       HappyFox does not know a name; lists the names that exist
    │   └── InvalidAction     an action is invalid, such as an empty note: correct the handler
    ├── StoreUnavailable      the store did not answer: try again, nothing was done
    ├── Unfit                 a call cannot be built as asked: correct it, nothing was sent
    └── HappyFoxError         HappyFox answered a call with an error
        ├── Refused           the request is wrong: correct it, never repeat it
        ├── Gone              the object does not exist (any more)
        ├── CheckCredentials  the API key, the auth code or a permission is wrong
        ├── Locked            the account is over its limit: wait
        └── Broken            HappyFox failed: repeat a read, look up a write first

Exception, about one call that has no answer
├── Unsent                    nothing was sent and nothing happened: send again
└── InDoubt                   it may have happened: look it up first

BaseException, so that a handler's `except Exception` does not swallow it
├── NotNow                    no permit: park the lane, count no attempt
└── LeaseLost                 another worker may have the lane: stop at once
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches


class FoxhooksError(Exception):
    """The base of the errors that the engine raises on purpose."""


class Retry(FoxhooksError):
    """Run the handler again later, for the same changes.

    ``after`` is a number of seconds, a text such as ``"90s"``, ``"10m"`` or ``"2h"``, or a timedelta; 366 days at most.
    Without it the retry schedule decides. Raise ``InvalidAction`` for anything else.
    """

    def __init__(self, reason: str, after: float | str | timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = None if after is None else _retry_wait(after)


class GiveUp(FoxhooksError):
    """Make a dead letter at once, because no retry would help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownName(GiveUp):
    """The account has no such status, priority, staff member, category or field."""

    def __init__(self, what: str, name: object, known: Sequence[str], problem: str = "no") -> None:
        near = nearest(name, known, similarity=0.5)
        hint = f"; did you mean {near!r}?" if near else ""
        super().__init__(
            f"{problem} {what} {name!r} in HappyFox{hint} (there are: {', '.join(sorted(known)) or 'none'})"
        )
        self.what, self.name = what, name


class AmbiguousField(GiveUp):
    """Several custom fields have this name."""

    def __init__(self, name: object, fields: Sequence[str]) -> None:
        number, _, categories = fields[0].partition(" ")
        category = categories.strip("()").partition(",")[0]
        also = f', or its category, for example "{name} ({category})"' if category else ""
        super().__init__(
            f"{len(fields)} fields are named {name!r}: {' and '.join(fields)}; "
            f'write the id in place of the name, for example "{number}"{also}'
        )


class InvalidAction(GiveUp):
    """An action has invalid arguments; the text quotes no customer."""


class StoreUnavailable(FoxhooksError):
    """The store cannot be reached or refuses to write; nothing was changed. ``fix`` says what a person can do."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem}; {fix}" if fix else problem)
        self.problem, self.fix = problem, fix


class NotReplicated(StoreUnavailable):
    """The store has run a script, but no replica has confirmed its writes; ``answer`` is the script's."""

    def __init__(self, answer: object) -> None:
        super().__init__("no replica of the store confirmed the write in time (FOXHOOKS_DURABILITY=replica)")
        self.answer = answer


class Unfit(FoxhooksError, ValueError):
    """A call cannot be built, or HappyFox could not accept it; nothing was sent."""


class HappyFoxError(FoxhooksError):
    """HappyFox answered with an error; ``status`` is the HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Refused(HappyFoxError):
    """HappyFox rejected the request; ``problems`` are its pairs of field and text."""

    def __init__(self, text: str, status: int, problems: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text, status)
        self.problems = tuple(problems)


class Gone(HappyFoxError):
    """The ticket or object does not exist, or the API user may not see it."""


class CheckCredentials(HappyFoxError):
    """HappyFox rejects the API key and auth code, or they lack a permission."""


class Locked(HappyFoxError):
    """The account made too many calls and is locked out."""


class Broken(HappyFoxError):
    """HappyFox failed, or its answer is unreadable."""


class Unsent(Exception):
    """No byte of the call was sent: nothing happened, and its permit is free."""


class Unsendable(Unsent):
    """No byte was sent, and none ever can: a file of the call cannot be read, or its files are too large."""


class Unreachable(Unsent):
    """No byte was sent, because HappyFox could not be reached."""


class InDoubt(Exception):
    """The call was sent without a usable answer: it may have happened."""


#: Why no call to HappyFox can be made, by the reasons of the store's permits.
BLOCKED = {
    "denied": "HappyFox rejected the API key",
    "limited": "HappyFox answered 429 (too many calls)",
    "throttled": "HappyFox asked to wait",
    "clock": "the store's clock or server changed",
    "gate": "the account is locked out",
    "budget": "the call budget is used up",
    "flight": "too many calls are in flight",
    "probe": "another call is testing whether HappyFox answers again",
    "unreachable": "HappyFox does not answer",
}


class NotNow(BaseException):
    """No permit is available; ``wait`` is the time (ms) until the next attempt."""

    def __init__(self, wait: int, reason: str) -> None:
        super().__init__(f"{reason}, wait {wait} ms")
        self.wait, self.reason = wait, reason


class LeaseLost(BaseException):
    """This worker has lost the lane; another one may be working on it."""


def nearest(name: object, known: Iterable[str], similarity: float = 0.6) -> str | None:
    """Return the known name most like a misspelt one, if one is similar enough."""
    names = list(known)
    same = (each for each in names if each.casefold() == str(name).casefold())
    return next(same, None) or next(iter(get_close_matches(str(name), names, n=1, cutoff=similarity)), None)


def suggest(name: object, known: Iterable[str], otherwise: str = "") -> str:
    """Return the nearest known name, else ``otherwise``, else all names."""
    names = sorted(known)
    if near := nearest(name, names):
        return f"did you mean {near!r}?"
    return otherwise or (f"there are: {', '.join(names)}" if names else "there are none")


UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: float | str | timedelta) -> float:
    """Return the seconds of a number, a text such as ``10m``, or a timedelta."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        return float(duration)
    text = duration.strip().lower() if isinstance(duration, str) else ""
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")  # "ms" before "s"
    with suppress(ValueError, KeyError):
        return float(text.removesuffix(unit)) * UNITS[unit]
    raise ValueError(f"{duration!r} is not a duration; write a number of seconds, or 90s, 10m, 2h, 1d")


#: The longest wait (s) of a retry, a timer or a schedule.
LONGEST = 366 * 86_400.0


def _retry_wait(after: float | str | timedelta) -> float:
    try:
        wait = seconds(after)
    except ValueError:
        raise InvalidAction(f"Retry: after={after!r} is not a duration; write it as 90s, 10m or 2h") from None
    if not wait <= LONGEST:
        raise InvalidAction(f"Retry: after={after!r} is too long; the maximum is 366d")
    return max(wait, 0.0)
