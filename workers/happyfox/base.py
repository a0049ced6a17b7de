"""What all endpoints share: calls, objects, lists, pages and bulk calls."""

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Final, Generic, Literal, TypeVar, get_args

from workers.errors import Broken, FoxhooksError, Gone, InDoubt, Refused, Unfit, Unsent
from workers.happyfox.messages import BULK, ROWS, Answer, Request, identity, problems_in, read, unknown_argument
from workers.tickets.fields import FieldValue, FieldValues
from workers.tickets.model import Raw, mapping, number, read_all, text

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How often an unordered list is walked before its changes are accepted.
WALKS = 4


@dataclass(frozen=True, kw_only=True)
class Resource:
    """An object of HappyFox with an id and a name."""

    id: int
    name: str
    raw: Raw = field(repr=False, compare=False)
    """The answer itself."""


@dataclass(frozen=True, kw_only=True)
class FieldedResource(Resource):
    """An object with values of custom fields."""

    field_values: tuple[FieldValue, ...] = field(repr=False)

    @property
    def fields(self) -> FieldValues:
        return FieldValues(self.field_values)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list (KB 1039, KB 1092): iterate over it, or use ``items``."""

    items: tuple[T, ...]
    total: int | None
    """Objects on all pages; None if HappyFox does not say."""
    pages: int | None
    """Pages of this size; None if HappyFox does not say."""
    start: int | None
    """Position of the first object, counted from 0."""
    raw: Any = field(repr=False, compare=False)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def read_page(raw: object, read: Callable[[Any], T | None], rows: str = "data") -> Page[T]:
    """Return a page from an envelope, or from a bare array, which is the whole list."""
    envelope = mapping(raw)
    found = read_all(read, raw if isinstance(raw, list) else envelope.get(rows))
    if isinstance(raw, list):
        return Page(found, len(found), 1, 0, raw)
    info = mapping(envelope.get("page_info")) or envelope
    begins = number(info.get("start_index"))
    return Page(
        items=found,
        total=number(info.get("last_index")),
        pages=number(info.get("page_count")),
        start=begins - 1 if begins else None,
        raw=raw,
    )


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A sentence from HappyFox, such as ``moved ticket to Billing``; may be empty."""

    text: str
    raw: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The result of one item of a bulk call."""

    index: int
    """Position among the items of the call."""
    state: Literal["done", "refused", "in doubt", "unsent"]
    """``in doubt``: the call was sent, its outcome is unknown. ``unsent``: not sent because of ``error``."""
    id: int | None = None
    """Id of the ticket or contact, if HappyFox returns it."""
    name: str = ""
    """Its display id or e-mail address."""
    problems: tuple[tuple[str, str], ...] = ()
    """(field, text) pairs of a refused item."""
    error: Exception | None = None
    raw: Any = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        return self.state == "done"


def read_confirmation(raw: object) -> Confirmation:
    """Return the sentence in ``{"message": ...}`` or ``{"deleted_ticket": ...}``."""
    members = mapping(raw)
    return Confirmation(text(members.get("message", members.get("deleted_ticket"))), raw)


def read_results(raw: object, sent: Sequence[Any]) -> list[ItemResult]:
    """Return the results in the items' order (assumed); in doubt if missing."""
    listed = raw if isinstance(raw, list) else []
    return [_result(index, mapping(listed[index]) if index < len(listed) else {}) for index in range(len(sent))]


def _result(index: int, raw: Mapping[str, Any]) -> ItemResult:
    success, data = raw.get("success"), mapping(raw.get("data"))
    identity = number(raw.get("id", data.get("contact")))
    name = text(raw.get("display_id") or raw.get("email"))
    if success is True:
        return ItemResult(index, "done", identity, name, raw=raw)
    if success is False:
        found = tuple(problems_in({key: raw[key] for key in ("error", "errors") if key in raw}))
        found = found or (("", text(data.get("message"))),)
        return ItemResult(index, "refused", identity, name, found, raw=raw)
    return ItemResult(index, "in doubt", raw=raw)


#: What runs handlers in this process: a worker, and each handler while it runs. While there is any, no client writes in
#: any thread: a write past the plan would be made again whenever the handler runs again, without a grant, and in a dry
#: run. The engine's own calls go past the clients.
IN_HANDLER: Final[set[object]] = set()


class BaseClient:
    """Makes calls through ``send`` and decodes their answers."""

    def __init__(
        self,
        send: Callable[[Request], Answer],
        *,
        staff_id: int | None = None,
        site: str = "",
        reads_only: bool = False,
    ) -> None:
        self._send, self._reads_only = send, reads_only
        self.staff_id = staff_id
        """The staff member who writes, unless a call names one."""
        self.site = site
        """The account's address, for links to tickets."""

    def __init_subclass__(cls) -> None:
        """Let every method name the argument that was meant, as HappyFox's names differ from call to call."""
        super().__init_subclass__()
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                setattr(cls, name, _naming_arguments(method))

    def call(self, request: Request) -> Any:
        """Make any call and return its decoded answer, None if it is empty."""
        if request.method != "GET" and (self._reads_only or IN_HANDLER):
            raise Unfit(
                f"{request.method} {request.path}: in a handler, HappyFox only reads; use the methods of `ticket`"
            )
        return read(self._send(request))

    def _one(self, request: Request, model: Callable[[Any], T | None]) -> T:
        """Return the object in the answer; raise ``Broken`` if there is none."""
        found = model(self.call(request))
        if found is None:
            raise Broken(_unreadable(request), 200)
        return found

    def _optional(self, request: Request, model: Callable[[Any], T | None]) -> T | None:
        """Return the object in the answer, if there is one; no article shows this answer."""
        return model(self.call(request))

    def _bulk(self, path: str, items: Sequence[Any], body: Any = None) -> list[ItemResult]:
        """Send several items in one call, and return the result of each."""
        if len(items) > BULK:
            raise Unfit(f"HappyFox accepts at most {BULK} items in one call, not {len(items)}; nothing was sent")
        return read_results(self.call(Request("POST", path, body=body or items)), items)

    def _list(self, request: Request, model: Callable[[Any], T | None]) -> list[T]:
        """Return the whole of a list without pages, even if an account sends pages."""
        first = read_page(_listing(request, self.call(request)), model)
        found = list(first)
        for page in range(2, (first.pages or 1) + 1):
            following = replace(request, query={**request.query, "page": str(page)})
            found += read_page(_listing(request, self.call(following)), model)
        return found

    def _page(self, request: Request, page: int, model: Callable[[Any], T | None], rows: str = "data") -> Page[T]:
        """Return a page; raise ``Gone`` beyond the last: a 404, or an empty list."""
        try:
            raw = self.call(request)
        except Gone:
            if page > 1:
                raise Gone(f"there is no page {page}: use the all_... method to read all pages", 404) from None
            raise
        found = read_page(_listing(request, raw, rows), model, rows)
        if page > 1 and not found.items:
            raise Gone(f"there is no page {page}: the last one is {found.pages or 'before it'}", 404)
        return found

    def _either(self, path: str, other: str, model: Callable[[Any], T | None]) -> T:
        """Read an object under one of two spellings of its path."""
        try:
            return self._one(Request("GET", path), model)
        except Gone:
            return self._one(Request("GET", other), model)

    def _as(self, staff: int | None) -> int:
        """Return the staff member to write as."""
        if staff is None and self.staff_id is None:
            raise Unfit("set HAPPYFOX_STAFF_ID, or name the staff member who writes; nothing was sent")
        return identity(staff, "staff") if staff is not None else self.staff_id or 0


def _naming_arguments(method: Callable[..., T]) -> Callable[..., T]:
    """Return the method with an error that suggests an argument instead of an unknown one."""
    signature = inspect.signature(method)
    names = []
    for each in signature.parameters.values():
        more = each.kind is each.VAR_KEYWORD
        names += list(get_args(each.annotation)[0].__annotations__) if more else [each.name]
    names.remove("self")

    @wraps(method)
    def call(*args: Any, **given: Any) -> T:
        for name in given:
            if name not in names and "-" not in name:  # with a hyphen: a custom field, which the method checks
                raise TypeError(unknown_argument(name, names))
        signature.bind(*args, **given)  # its message names a missing argument as the caller writes it
        return method(*args, **given)

    return call


def _listing(request: Request, raw: Any, rows: str = "data") -> Any:
    """Return the answer if it contains a list; raise ``Broken`` otherwise."""
    if not isinstance(raw.get(rows) if isinstance(raw, dict) else raw, list):
        raise Broken(_unreadable(request), 200)
    return raw


def _unreadable(request: Request) -> str:
    where = f"{request.method} {'/user/<e-mail>/' if '@' in request.path else request.path}"
    fix = "check HAPPYFOX_URL" if request.method == "GET" else "check whether it was done before you send it again"
    return f"the answer to {where} does not look as documented; {fix}"


# Walking through pages: if a ticket leaves a list, all tickets behind it move forward by one, and a simple walk misses
# the first one of the next page. If one is added, the last one of a page appears again on the next.

#: A function that reads a page by its number and size.
Fetch = Callable[[int, int], Page[T]]


def climb(fetch: Fetch[T], key: Callable[[T], int]) -> Iterator[T]:
    """Yield all objects of a list in rising order of ``key``, which never changes.

    Objects that stay in the list come exactly once, others at most once. The list is read in windows that overlap by
    at least one row, which proves that none was missed. A list that is not in order after all, or ignores the size, is
    walked.
    """
    seen: set[int] = set()
    highest, place = -1, 0
    while True:
        number, size = window(place)
        page = _fetched(fetch, number, size)
        start = (number - 1) * size
        keys = [] if page is None else [key(each) for each in page]
        if keys != sorted(keys) or not _as_asked(page, start, size):
            yield from walk(fetch, key, seen)
            return
        if start and (not keys or keys[0] > highest):
            place = start  # the overlapping row has moved forward, and others perhaps with it
            continue
        for each in page or ():
            if key(each) not in seen:
                seen.add(key(each))
                yield each
        highest, place = max([highest, *keys]), start + len(keys)
        total = None if page is None else page.total
        if not keys or (place >= total if total is not None else len(keys) < size):
            return


def window(place: int) -> tuple[int, int]:
    """Return the page and size that begin before ``place`` and reach furthest."""
    if place == 0:
        return 1, ROWS
    reaches = [((place - 1) // size * size + size, size) for size in range(ROWS // 2, ROWS + 1)]
    end, size = max(reaches)
    return end // size, size


def _as_asked(page: Page[T] | None, start: int, size: int) -> bool:
    """Return whether a page begins where it should, and is full unless it is last."""
    if page is None or not page.items:
        return True
    last = page.total is None or start + len(page) >= page.total
    return page.start in (None, start) and (last or len(page) == size)


def walk(fetch: Fetch[T], key: Callable[[T], int | str], seen: set[int] | None = None) -> Iterator[T]:
    """Yield all objects of a list in any order, each once.

    The list is read again until it did not change during a whole walk.
    """
    known: set[int | str] = set(seen or ())
    for _ in range(WALKS):
        totals, met, number = set(), [], 1
        while (page := _fetched(fetch, number, ROWS)) is not None and page.items:
            totals.add(page.total)
            for each in page:
                met.append(key(each))
                if key(each) not in known:
                    known.add(key(each))
                    yield each
            if number >= page.pages if page.pages is not None else len(page) < ROWS:
                break
            number += 1
        unchanged = len(totals) <= 1 and len(met) == len(set(met))
        if unchanged and totals <= {None, len(met)}:
            return
    log.warning("a list changed during each of %s walks, so some of its objects may be missing", WALKS)


def _fetched(fetch: Fetch[T], number: int, size: int) -> Page[T] | None:
    try:
        return fetch(number, size)
    except Gone:
        if number > 1:
            return None
        raise


def in_hundreds(items: Iterable[T], call: Callable[[list[T]], list[ItemResult]]) -> list[ItemResult]:
    """Send any number of items, a hundred per call; return the results in order.

    If a hundred is refused as a whole, or cannot be built because of one item, the others are still sent. After a
    call in doubt, or any other failure, the rest is ``unsent``. Nothing is sent twice.
    """
    listed, found = list(items), list[ItemResult]()
    while len(found) < len(listed):
        begin = len(found)
        part = listed[begin : begin + BULK]
        try:
            found += [replace(each, index=begin + each.index) for each in call(part)]
        except (FoxhooksError, InDoubt, Unsent, TypeError, ValueError) as error:
            found += [_failed(error, begin + place) for place in range(len(part))]
            if not isinstance(error, Refused | TypeError | ValueError):
                found += [ItemResult(place, "unsent", error=error) for place in range(len(found), len(listed))]
    return found


def _failed(error: Exception, index: int) -> ItemResult:
    """Return the result of an item whose call failed."""
    if isinstance(error, InDoubt | Broken):
        return ItemResult(index, "in doubt", error=error)
    if isinstance(error, Refused):
        return ItemResult(index, "refused", problems=error.problems, error=error)
    return ItemResult(index, "unsent", error=error)
