"""What endpoints share: arguments, outcomes, errors, validation and pages.

Error texts of system fields end with a full stop, those of custom fields do not (tickets article).
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeVar

from workers.simulator.account import Json, SimulatedAccount, StoredTicket, Table, split
from workers.simulator.http import Upload
from workers.simulator.options import Options

T = TypeVar("T")
Label = Literal["ticket-created", "ticket-updated"]

REQUIRED: Final = "This field is required."
REQUIRED_FIELD: Final = "This field is required"
NOT_A_CHOICE: Final = "Select a valid choice. That choice is not one of the available choices."
NOT_FOUND: Final = {"error": "Cannot find the requested object"}
"""The body of a 404, as one user of a live account reported it."""
NOT_A_TEXT: Final = "Not a valid string."
NOT_A_FLAG: Final = "Must be a valid boolean."
NOT_A_LIST: Final = "Enter a list of values."
BLANK: Final[tuple[Any, ...]] = (None, "", [])
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
DAY: Final = re.compile(r"\d{4}-\d\d-\d\d|\d\d?/\d\d?/\d{4}", re.ASCII)
PAGE_LIMIT: Final = 50
BULK_LIMIT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The arguments of an API call."""

    number: int = 0
    """The id in the path, 0 without one."""
    word: str = ""
    """The e-mail address in the path, empty without one."""
    query: Mapping[str, str] = field(default_factory=dict)
    """The last value of each query parameter."""
    all_values: Mapping[str, list[str]] = field(default_factory=dict)
    """All values of each query parameter."""
    body: Any = field(default_factory=dict)
    is_form: bool = False
    """The body is a form, in which every value is a text."""
    files: tuple[Upload, ...] = ()
    late: float = 0.0
    """Seconds until reads see the update that this call writes."""

    def flag(self, name: str) -> bool:
        """Return whether a query parameter is `true` or `1`."""
        return self.query.get(name, "").lower() in ("1", "true")


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event that webhooks report, with the ticket as it is after the write."""

    label: Label
    ticket: StoredTicket
    has_update: bool = True
    """Whether the write left an update, which is then the ticket's last."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An endpoint's response, and the webhook events of the call."""

    payload: Mapping[str, Any] | list[Any] | bytes | None
    """JSON, bytes to send as they are, or None for an empty body."""
    events: tuple[WebhookEvent, ...] = ()
    _: KW_ONLY
    media: str = "application/json"
    status: int = 200


Endpoint = Callable[[SimulatedAccount, Arguments], Outcome]


class ApiError(Exception):
    """A call that is refused with a status and a body."""

    def __init__(self, status: int, payload: Any) -> None:
        super().__init__(status, payload)
        self.status = status
        self.payload = payload


class ValidationError(ApiError):
    """A call that is refused by validation."""


class BodyMembers:
    """The members of a request body; `raise_errors` reports all mistakes at once.

    Each member that an endpoint knows is read before `raise_errors`; unless the simulator is lenient, the others are
    mistakes. An empty string counts as absent, because forms cannot leave a member out (assumed).
    """

    def __init__(self, args: Arguments, options: Options) -> None:
        if not isinstance(args.body, Mapping):
            raise ApiError(400, {"error": "The body must be an object."})
        self.members: Mapping[str, Any] = args.body
        self.errors: dict[str, list[str]] = {}
        self._options, self._is_form, self._files = options, args.is_form, args.files
        self._known: dict[str, None] = {}

    def add_error(self, name: str, text: str) -> None:
        """Add an error to a field, once."""
        if text not in self.errors.setdefault(name, []):
            self.errors[name].append(text)

    def raise_errors(self) -> None:
        """Raise a 400 in the shape of the tickets article if there is any error."""
        if self._options.strict:
            for name in (*self.members, *(upload.field for upload in self._files)):
                if name not in self._known:
                    self.add_error(name, unknown_member(name, self._known))
        if self.errors:
            listed = [{"field": name, "errors": texts} for name, texts in self.errors.items()]
            raise ValidationError(400, {"error": listed})

    def value(self, name: str) -> Any:
        """Return a member as it was sent, None when absent."""
        self._known[name] = None
        return self.members.get(name)

    def given(self, name: str) -> bool:
        """Return whether the member is present, even if it is null."""
        return name in self.members

    def cleared(self, name: str) -> bool:
        """Return whether the member is present and null."""
        return self.given(name) and self.members[name] is None

    def files(self, name: str) -> list[Upload]:
        """Return the files sent under a name."""
        self._known[name] = None
        return [upload for upload in self._files if upload.field == name]

    def text(self, name: str, *, required: bool = False) -> str:
        """Return a string, empty when absent."""
        value = self.value(name)
        if value is None or value == "":
            if required:
                self.add_error(name, REQUIRED)
            return ""
        if isinstance(value, str):
            return value
        if self._options.strict:
            self.add_error(name, NOT_A_TEXT)
        return str(value)

    def email(self, *, required: bool = False) -> str:
        """Return the e-mail address, empty when absent."""
        email = self.text("email", required=required)
        if email and "@" not in email:
            self.add_error("email", "Enter a valid email address.")
        return email

    def integer(self, name: str) -> int | None:
        """Return a whole number from a number or digits."""
        value = self.value(name)
        if value in (None, ""):
            return None
        number = as_integer(value)
        if number is None:
            self.add_error(name, "Enter a whole number.")
        return number

    def boolean(self, name: str) -> bool:
        """Return a boolean; `true` and `false` in any case, `1` and `0` are booleans, too."""
        value = self.value(name)
        flag = as_flag(value)
        if flag is None and value not in (None, "") and self._options.strict:
            self.add_error(name, NOT_A_FLAG)
        return flag is True

    def required_choice(self, name: str, table: Mapping[int, Any]) -> int:
        """Return the id of a table's entry, which must be given; 0 after an error."""
        if self.value(name) in (None, ""):
            self.add_error(name, REQUIRED)
        return self.choice(name, table) or 0

    def choice(self, name: str, table: Mapping[int, Any]) -> int | None:
        """Return the id of a table's entry."""
        value = self.value(name)
        if value in (None, ""):
            return None
        number = as_integer(value)
        if number is None or number not in table:
            self.add_error(name, NOT_A_CHOICE)
            return None
        return number

    def choices(self, name: str, table: Mapping[int, Any]) -> list[int]:
        """Return the ids of a list; in a form, a single id is a list, too."""
        value = self._listed(self.value(name))
        if value in (None, ""):
            return []
        if not isinstance(value, list) and self._options.strict and not self._is_form:
            self.add_error(name, NOT_A_LIST)
            return []
        given = value if isinstance(value, list) else [value]
        numbers = [number for number in map(as_integer, given) if number is not None and number in table]
        if len(numbers) < len(given):
            self.add_error(name, NOT_A_CHOICE)
        return numbers

    def _listed(self, value: Any) -> Any:
        """Return a list that a form has as JSON text; a list of repeated members as it is, if the switch allows it."""
        if not self._is_form:
            return value
        form = self._options.form_lists
        if isinstance(value, list):
            return value if form != "json" else value[-1]
        if form != "repeated" and isinstance(value, str) and value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value

    def tags(self, name: str) -> tuple[str, ...]:
        """Return the members of a comma-separated string."""
        return tuple(split(self.text(name)))

    def date(self, name: str) -> str | None:
        """Return a day as `yyyy-mm-dd`; `dd/mm/yyyy` is accepted, too."""
        value = self.text(name)
        day = read_date(value) if value else None
        if value and day is None:
            self.add_error(name, "Enter a valid date.")
        return day

    def time(self, name: str) -> float | None:
        """Return the epoch seconds of a time `yyyy-mm-ddThh:mm:ss[.ms]` in UTC.

        The article shows no zone; a lenient simulator converts a time with one.
        """
        value = self.text(name)
        if not value:
            return None
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
        if at is None or (self._options.strict and not TIME.fullmatch(value)):
            self.add_error(name, "Enter a valid date/time.")
            return None
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()

    def custom_fields(self, prefixes: tuple[str, ...], definitions: Table) -> dict[int, Any]:
        """Return the values of the custom fields, by id."""
        values: dict[int, Any] = {}
        for name, given in self.members.items():
            prefix, _, number = name.rpartition("-")
            if prefix not in prefixes:
                continue
            value = self.value(name)
            definition = definitions.get(int(number)) if number.isdecimal() else None
            if definition is None and self._options.strict:
                self.add_error(name, "This field does not exist")
            if definition is None or (value in BLANK and not self._options.blank_clears):
                continue
            if definition["type"] == "multiple_choice":
                value = self._listed(given)
            try:
                values[definition["id"]] = field_value(definition, value, strict=self._options.strict)
            except ValueError as error:
                self.add_error(name, str(error))
        return values

    def require_fields(self, prefix: str, definitions: Sequence[Json], values: Mapping[int, Any]) -> None:
        """Add an error for every required custom field without a value."""
        for definition in definitions:
            name = f"{prefix}-{definition['id']}"
            if definition["required"] and values.get(definition["id"]) is None and name not in self.errors:
                self.add_error(name, REQUIRED_FIELD)


def field_value(definition: Json, value: Any, *, strict: bool = False) -> Any:
    """Return a custom field's value to store. Raise ValueError with HappyFox's text.

    One client sends the digits of a text as a number, so a number is a text even if `strict`.
    """
    if value in BLANK:
        return None
    kind = definition["type"]
    if kind == "number":
        return _number(value)
    if kind == "date":
        day = read_date(str(value))
        if day is None or (strict and day != value):
            raise ValueError("Enter a valid date")
        return day
    if kind == "choice":
        return _choice(definition, value)
    if kind == "multiple_choice":
        return tuple(_choice(definition, one) for one in (value if isinstance(value, list) else [value]))
    if strict and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        raise ValueError(NOT_A_TEXT.rstrip("."))
    return str(value)


def _number(value: Any) -> int | float:
    number = as_integer(value)
    if number is not None:
        return number
    try:
        real = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        real = math.nan
    if not math.isfinite(real):
        raise ValueError("Enter a number")
    return round(real, 2)


def _choice(definition: Json, value: Any) -> int:
    number = as_integer(value)
    if number is None or all(choice["id"] != number for choice in definition["choices"]):
        raise ValueError(NOT_A_CHOICE.rstrip("."))
    return number


def as_integer(value: Any) -> int | None:
    """Return a whole number from a number or digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,15}\s*", value):
        return int(value)
    return None


def as_flag(value: Any) -> bool | None:
    """Return a boolean from a boolean, `true` or `false`, `1` or `0`; None for anything else."""
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())


def unknown_member(name: str, known: Iterable[str]) -> str:
    """Return the complaint about a member or parameter that does not exist."""
    near = get_close_matches(name, list(known), n=1)
    return "This member does not exist." + (f" Did you mean {near[0]}?" if near else "")


def read_date(value: str) -> str | None:
    """Return a day as `yyyy-mm-dd`, or None if it is neither that nor `dd/mm/yyyy`."""
    if not DAY.fullmatch(value):
        return None
    try:
        if "/" in value:
            day, month, year = value.split("/")
            return date(int(year), int(month), int(day)).isoformat()
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None


def get_or_404(table: Mapping[int, T], number: int | None) -> T:
    """Return an entry of a table. Raise a 404 if there is none."""
    found = None if number is None else table.get(number)
    if found is None:
        raise ApiError(404, NOT_FOUND)
    return found


def page(account: SimulatedAccount, entries: Sequence[T], args: Arguments) -> tuple[list[T], Json]:
    """Return one page of entries and its `page_info`. By default, a page has ten.

    Pages are counted from 1. Raise a 400 or 404 for a page that the switches do not allow.
    """
    asked = as_integer(args.query.get("size")) or 10
    if asked > PAGE_LIMIT and account.options.oversized_page == "refused":
        raise ApiError(400, {"error": f"At most {PAGE_LIMIT} entries per page are allowed."})
    size = min(max(asked, 1), PAGE_LIMIT)
    number = max(as_integer(args.query.get("page")) or 1, 1)
    start = (number - 1) * size
    shown = list(entries[start : start + size])
    if not shown and number > 1 and account.options.past_the_end == "missing":
        raise ApiError(404, NOT_FOUND)
    return shown, {
        "count": len(shown),
        "last_index": len(entries),
        "page_count": -(-len(entries) // size),
        "start_index": start + 1 if shown else 0,
        "end_index": start + len(shown) if shown else 0,
    }


def envelope(account: SimulatedAccount, entries: Sequence[Any], args: Arguments) -> Json:
    """Return one page of entries, which are already JSON, in the usual envelope."""
    shown, info = page(account, entries, args)
    return {"page_info": info, "data": shown}
