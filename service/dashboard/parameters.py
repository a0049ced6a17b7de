"""What a request of a page or of the API asks for: an account, a ticket, a place in a list, filters."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode

from redis.exceptions import ResponseError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.dashboard.reading import Reader
from service.reading.dead_letters import DeadLetterQuery
from service.reading.events import EventFilter
from workers.errors import seconds, suggest
from workers.store.audit import AuditLine, read_audit
from workers.store.failures import UnreadableKey
from workers.store.pages import Page, UnknownCursor


def reader_of(request: Request) -> Reader:
    """Return the reader of the application."""
    found: Reader = request.app.state.reader
    return found


def account_of(request: Request) -> str:
    """Return the account in the path, which must be one of the settings."""
    name: str = request.path_params["account"]
    known = reader_of(request).accounts
    if name not in known:
        raise HTTPException(404, f"There is no account {name!r}; {suggest(name, known)}.")
    return name


def number_of(text: str, what: str = "ticket") -> int | None:
    """Return the number that a person typed, also as #12; None if it is empty."""
    digits = text.strip().removeprefix("#")
    if not digits:
        return None
    if not digits.isdecimal() or len(digits) > 15:
        raise HTTPException(400, f"{text!r} is not the number of a {what}.")
    return int(digits)


@contextmanager
def paging(cursor: str) -> Iterator[None]:
    """Refuse a cursor that the store cannot use."""
    try:
        yield
    except (ResponseError, UnknownCursor, ValueError) as error:
        if cursor and not isinstance(error, UnreadableKey):
            raise HTTPException(400, "This is not a cursor of this list.") from error
        raise


def time_of(text: str, now: int) -> int:
    """Return the time (ms) that a person typed as an age, such as 2h; 0 if it is empty."""
    try:
        return now - int(seconds(text) * 1000) if text.strip() else 0
    except ValueError as wrong:
        raise HTTPException(400, f"{str(wrong)[:1].upper()}{str(wrong)[1:]}.") from None


def address(request: Request, **changed: str) -> str:
    """Return the address of this page with changed parameters; an empty one is left out."""
    values = {**request.query_params, **changed}
    query = urlencode({name: value for name, value in values.items() if value and name != "done"})
    return f"{request.scope['path']}?{query}" if query else str(request.scope["path"])


def chosen_events(request: Request, now: int) -> EventFilter:
    """Return what the fields of the filter select."""
    query = request.query_params
    texts = {each: query.get(each, "").strip()[:200] for each in ("kind", "state", "source", "handler", "text")}
    if texts["text"] and not request.state.person.may("operator"):
        raise HTTPException(403, "Searching for words of customers needs the role operator.")
    return EventFilter(
        ticket=number_of(query.get("ticket", "")),
        since=time_of(query.get("since", ""), now),
        until=time_of(query.get("until", ""), now),
        **texts,
    )


def chosen_dead_letters(query: Mapping[str, str], now: int) -> DeadLetterQuery:
    """Return what the fields of the filter select."""
    return DeadLetterQuery(
        query.get("handler", "").strip(),
        query.get("error", "").strip(),
        number_of(query.get("ticket", "")),
        time_of(query.get("since", ""), now),
    )


def read_acts(request: Request, most: int = 50) -> Page[AuditLine]:
    """Read the lines of the audit log that the fields of the filter select."""
    reader, query = reader_of(request), {name: text.strip() for name, text in request.query_params.items()}
    chosen = query.get("account", "")
    if chosen and chosen not in reader.accounts:
        raise HTTPException(404, f"There is no account {chosen!r}; {suggest(chosen, reader.accounts)}.")
    return read_audit(
        reader.client,
        [chosen] if chosen else list(reader.accounts),
        since=time_of(query.get("since", ""), reader.now()),
        who=query.get("who", ""),
        what=query.get("what", ""),
        about=query.get("about", ""),
        cursor=query.get("cursor", ""),
        most=most,
    )
