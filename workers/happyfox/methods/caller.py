"""What all methods share: making a call, reading its answer as an object or a page, naming the staff member."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from workers.errors import Broken, Gone, Unfit
from workers.happyfox.answers import read
from workers.happyfox.exchange import Answer, Request
from workers.happyfox.requests.dialect import DEFAULT, Dialect
from workers.models.page import Page, read_page

T = TypeVar("T")


class Caller:
    """Makes calls through ``send`` and decodes their answers.

    ``staff_id`` is the staff member that writes are made as where a call names none. ``site`` is the account's address,
    for the links of tickets. ``reads_only`` refuses everything but GET.
    """

    def __init__(
        self,
        send: Callable[[Request], Answer],
        *,
        staff_id: int | None = None,
        dialect: Dialect = DEFAULT,
        site: str = "",
        reads_only: bool = False,
    ) -> None:
        self._send, self.staff_id, self.dialect, self.site = send, staff_id, dialect, site
        self._reads_only = reads_only

    def call(self, request: Request) -> Any:
        """Makes one call and gives its decoded answer, None for an empty one; for what has no method here."""
        if self._reads_only and request.method != "GET":
            raise Unfit("this client only reads; what a handler wants to change it says on the ticket")
        return read(self._send(request))

    def _one(self, request: Request, model: Callable[[Any], T | None]) -> T:
        """Gives the object a call answers; raises ``Broken`` when it is not one."""
        found = model(self.call(request))
        if found is None:
            raise Broken(_unreadable(request), 200)
        return found

    def _any(self, request: Request, model: Callable[[Any], T | None]) -> T | None:
        """Gives the object, or None where HappyFox says nothing: no document shows the answer of this call."""
        return model(self.call(request))

    def _list(self, request: Request, model: Callable[[Any], T | None]) -> list[T]:
        """Gives the objects of a list without pages; of all its pages, should an account send it in some."""
        found: list[T] = []
        number, pages = 1, 1
        while number <= pages:
            raw = self.call(request if number == 1 else replace(request, query={**request.query, "page": str(number)}))
            page = read_page(_listing(request, raw), model)
            found += page
            number, pages = number + 1, page.pages or 1
        return found

    def _page(self, request: Request, page: int, model: Callable[[Any], T | None], rows: str = "data") -> Page[T]:
        """Gives a page; one beyond the last is ``Gone``, whether HappyFox answers 404 or an empty list (neither is
        documented)."""
        try:
            raw = self.call(request)
        except Gone:
            if page > 1:
                raise Gone(
                    f"there is no page {page}: it lies beyond the last one; walk with the all_... method", 404
                ) from None
            raise
        found = read_page(_listing(request, raw, rows), model, rows)
        if page > 1 and not found.items:
            raise Gone(f"there is no page {page}: the last one is {found.pages or 'before it'}", 404)
        return found

    def _either(self, requests: Sequence[Request], model: Callable[[Any], T | None]) -> T:
        """Tries spellings of a path one after another: the next one on a 404."""
        for request in requests[:-1]:
            try:
                return self._one(request, model)
            except Gone:
                continue
        return self._one(requests[-1], model)

    def _as(self, staff: int | None) -> int:
        """Gives the staff member to write as."""
        if staff is None and self.staff_id is None:
            raise Unfit("name the staff member to write as, or set HAPPYFOX_STAFF_ID; nothing was sent")
        return staff if staff is not None else self.staff_id or 0


def _listing(request: Request, raw: Any, rows: str = "data") -> Any:
    """Gives an answer that holds a list; anything else is no empty list, but ``Broken``."""
    if not isinstance(raw.get(rows) if isinstance(raw, dict) else raw, list):
        raise Broken(_unreadable(request), 200)
    return raw


def _unreadable(request: Request) -> str:
    where = f"{request.method} {'/user/<e-mail>/' if '@' in request.path else request.path}"
    cure = "check HAPPYFOX_URL" if request.method == "GET" else "look whether it was done before you send it again"
    return f"the answer to {where} is not what the documents show; {cure}"
