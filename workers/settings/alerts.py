"""Parse the tables [[alert]] of the file: what people are told of, and where."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from workers.errors import seconds, suggest
from workers.settings import parse
from workers.settings.model import Alert, AlertAddress, Secret
from workers.settings.parse import InvalidValueError, quoted

#: What people can be told of.
ALERTS = (
    "locked-out",
    "credentials-refused",
    "loop-guard-tripped",
    "dead-letters",
    "oldest-due",
    "silent",
    "no-workers",
    "not-storing",
    "version-skew",
    "storm",
    "completeness-below",
    "client-denied",
    "new-form",
)

#: How many of what a condition counts are too many, if the table does not say.
COUNTS: Mapping[str, int] = {"dead-letters": 1, "client-denied": 10}

#: The forms of an address.
FORMS = "write slack:env:VARIABLE, webhook:env:VARIABLE or mail:ops@example.com"

_VARIABLE = re.compile(r"env:\s*([A-Z_][A-Z0-9_]*)\s*")
_MAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")


Resolve = Callable[[str], str]
"""Return the value of a variable; raise InvalidValueError if it is not set."""


def parse_alert(table: Mapping[str, Any], resolve: Resolve) -> Iterator[Alert]:
    """Yield an alert for each condition of a table. Raise InvalidValueError with everything that is wrong."""
    wrong: list[InvalidValueError] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        try:
            if key not in _KEYS:
                raise InvalidValueError(f"has no key {quoted(key)}", suggest(key, _KEYS))
            values[key] = _KEYS[key](value, resolve)
        except InvalidValueError as invalid:
            name = f"{key} " if key in _KEYS else ""
            wrong += [InvalidValueError(name + each.problem, each.fix) for each in (invalid, *invalid.more)]
    for key, fix in (("when", f"write when = with one of {', '.join(ALERTS)}"), ("to", FORMS)):
        if key not in table:
            wrong.append(InvalidValueError(f"{key} is missing", fix))
    if not wrong and any(each.kind == "webhook" for each in values["to"]) and not values.get("secret"):
        fix = 'write secret = "env:VARIABLE"; the receiver checks the signature with it (standardwebhooks.com)'
        wrong.append(InvalidValueError("secret is missing", fix))
    parse.raise_all(wrong)
    for when in values.pop("when"):
        yield Alert(when=when, **{"count": COUNTS.get(when, 1), **values})


def _when(given: object, _: Resolve) -> tuple[str, ...]:
    found = [given] if isinstance(given, str) else parse.word_list(given)
    for each in found:
        if each not in ALERTS:
            raise InvalidValueError(f"has the unknown condition {quoted(str(each))}", suggest(str(each), ALERTS))
    return tuple(map(str, found))


def _to(given: object, resolve: Resolve) -> tuple[AlertAddress, ...]:
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not found:
        raise InvalidValueError("is not an address or a list of addresses", FORMS)
    return tuple(_address(parse.text(each), resolve) for each in found)


def _address(given: str, resolve: Resolve) -> AlertAddress:
    kind, _, rest = given.partition(":")
    variable = _VARIABLE.fullmatch(rest)
    value = resolve(variable[1]).strip() if variable else rest
    shown = f"{kind} ({variable[1]})" if variable else kind
    if kind == "mail":
        if not _MAIL.fullmatch(value):
            raise InvalidValueError("has a mail: without an email address", FORMS)
        return AlertAddress("mail", Secret(value), f"mail to {value}")
    if kind not in ("slack", "webhook"):
        raise InvalidValueError("has an address of an unknown form", FORMS)
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValueError(f"has a {kind}: without a URL", "set the variable to a URL that begins with https://")
    if parts.scheme == "http" and not parse.is_loopback(parts.hostname):
        raise InvalidValueError(f"has a {kind}: that would be sent in the clear", "use a URL with https://")
    return AlertAddress("slack" if kind == "slack" else "webhook", Secret(value), shown)


def _duration(given: object, _: Resolve) -> float:
    try:
        found = seconds(given)  # type: ignore[arg-type]
    except ValueError as wrong:
        raise InvalidValueError("is not a duration", "write it as 90s, 10m, 2h or 1d") from wrong
    if not 0 < found <= 35 * 86_400:
        raise InvalidValueError("is out of range", "write a duration of up to 35d")
    return found


def _secret(given: object, resolve: Resolve) -> Secret:
    value = parse.text(given)
    variable = _VARIABLE.fullmatch(value)
    return parse.secret(resolve(variable[1]) if variable else value)


_KEYS: Mapping[str, Callable[[object, Resolve], Any]] = {
    "when": _when,
    "to": _to,
    "account": lambda given, _: parse.account_name(given),
    "count": lambda given, _: parse.whole(10**6)(given),
    "age": _duration,
    "silent_after": _duration,
    "ratio": lambda given, _: parse.decimal(1)(given),
    "secret": _secret,
}


def variables(tables: object) -> Iterator[str]:
    """Yield the variables that the tables name."""
    for table in tables if isinstance(tables, list) else ():
        for value in table.values() if isinstance(table, Mapping) else ():
            for each in value if isinstance(value, list) else (value,):
                if isinstance(each, str):
                    yield from _VARIABLE.findall(each)
