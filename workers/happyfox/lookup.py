"""Names to ids and back for a script: a directory that reads its lists when needed, and again on a miss."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from workers.errors import UnknownName
from workers.governor.clock import monotonic
from workers.happyfox.directory import Directory, Sort
from workers.happyfox.exchange import Request
from workers.happyfox.requests.members import ticket_field
from workers.lanes.lists import LIFE, MISS, recall, remember
from workers.lanes.store import Store

T = TypeVar("T")


class Lookup:
    """Finds ids by names, in any case, and names by ids; raises ``UnknownName`` with the nearest for an unknown one.

    Lists are kept for an hour, in ``store`` where there is one, else here. A name that is not among them has them read
    again, at most once a minute.
    """

    def __init__(
        self,
        call: Callable[[Request], Any],
        account: str = "",
        store: Store | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._call, self._account, self._store, self._clock = call, account, store, clock
        self._lock = threading.Lock()
        self._kept: tuple[float, Directory] | None = None

    def status(self, name: str | int) -> int:
        """Gives the id of a status."""
        return self._find(lambda directory: directory.status(name))

    def priority(self, name: str | int) -> int:
        """Gives the id of a priority."""
        return self._find(lambda directory: directory.priority(name))

    def category(self, name: str | int) -> int:
        """Gives the id of a category."""
        return self._find(lambda directory: directory.category(name))

    def staff_member(self, name: str | int) -> int:
        """Gives the id of an active staff member, by name or e-mail address."""
        return self._find(lambda directory: directory.staff_member(name))

    def choice(self, field: str | int, name: str | int) -> int:
        """Gives the id of a choice of a ticket's field."""
        return self._find(lambda directory: directory.choice(field, name))

    def ticket_fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Turns values of ticket fields by name into members to send: choices by label, days, numbers."""
        return self._find(
            lambda d: {ticket_field(d.field(name).id): d.field_value(name, value) for name, value in values.items()}
        )

    def contact_fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Does the same for fields of contacts, as calls on contacts and the creation of tickets take them."""
        return self._find(
            lambda d: {
                f"c-cf-{d.contact_field(name).id}": d.contact_field_value(name, value) for name, value in values.items()
            }
        )

    def name(self, sort: Sort, id: int) -> str:
        """Gives the name behind an id."""
        return self._find(lambda directory: directory.name(sort, id))

    def _find(self, find: Callable[[Directory], T]) -> T:
        with self._lock:
            now = self._clock()
            if self._kept is None or now - self._kept[0] >= LIFE / 1000:
                self._kept = (now, self._read(LIFE))
            try:
                return find(self._kept[1])
            except UnknownName:
                # A list that was read by somebody else may be older than ours.
                if now - self._kept[0] < MISS / 1000 and self._store is None:
                    raise
                self._kept = (now, self._read(MISS))
                return find(self._kept[1])

    def _read(self, age: int) -> Directory:
        wanted = {**Directory.LISTS, **Directory.CONTACT_FIELDS}
        kept = (
            [None] * len(wanted) if self._store is None else self._store.run(recall(self._account, list(wanted), age))
        )
        lists = {}
        for (name, request), stored in zip(wanted.items(), kept, strict=True):
            if stored is not None:
                lists[name] = msgspec.json.decode(stored)
                continue
            lists[name] = self._call(request)
            if self._store is not None and isinstance(lists[name], list):
                self._store.run(remember(self._account, name, msgspec.json.encode(lists[name])))
        return Directory(**lists)
