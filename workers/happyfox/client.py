"""HappyFox for scripts: every endpoint, within the limits, without any setup.

from workers.happyfox import HappyFox, search

with HappyFox.from_env() as hf:
    for ticket in hf.all_tickets(q=search(tag="vip", unresponded=True)):
        hf.private_note(ticket.id, text="VIP contact: answer within the hour.")
"""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from workers.errors import BLOCKED, Broken, Gone, InDoubt, Locked, NotNow, Refused, UnknownName, Unsent
from workers.happyfox.directory import Directory, NameKind
from workers.happyfox.endpoints import Client
from workers.happyfox.http import ApiConnection
from workers.happyfox.messages import Answer, Request, identity, is_cut_off
from workers.happyfox.tickets import ticket_field
from workers.settings import Account, Priority, load_account
from workers.store.client import Store
from workers.store.clock import monotonic
from workers.store.embedded import private_store, store_for_script
from workers.store.permits import Governor
from workers.store.records import MAX_LIST_AGE, REREAD_AGE, read_lists, store_list
from workers.tickets.model import Attachment, TicketRead

T = TypeVar("T")

#: Pauses in seconds before each repetition of a failed read, or of a call that was not sent.
PAUSES = (1.0, 4.0)

#: Most bytes of a downloaded file, unless asked otherwise.
MOST = 100 * 1000 * 1000

#: Most bytes of a file name; most file systems allow 255.
LONGEST = 240


class HappyFox(Client):
    """A client that waits for permits; use it as a context manager.

    The budget of the account is kept in ``store``, which workers and other scripts can share. Without it, a temporary
    store of this process is used: then no other process may call the same account, because together they could exceed
    its limits.

    A call waits for its permit for at most ``patience`` seconds, which by default is longer than a lockout; then it
    raises ``Locked``. ``priority`` leaves a part of the budget to others: ``normal`` a tenth, ``bulk`` three tenths.
    Reads are repeated if HappyFox fails, all calls if nothing was sent; a write that was sent is never repeated.
    """

    def __init__(
        self,
        account: Account,
        *,
        store: Store | None = None,
        patience: float = 900.0,
        priority: Priority = "normal",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(self._send_patiently, staff_id=account.staff_id or None, site=account.url)
        self._patience, self._class, self._sleep = patience, priority, sleep
        self._store = private_store() if store is None else store
        governor = Governor(account.name, account.budget)
        self._connection = ApiConnection(account, governor, self._store)
        self.names = NameLookup(self.call, account.name, self._store)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        *,
        account: str = "",
        patience: float = 900.0,
        priority: Priority = "normal",
    ) -> "HappyFox":
        """Read the settings of one account from the environment and ``foxhooks.toml``.

        ``HAPPYFOX_URL``, ``HAPPYFOX_API_KEY`` and ``HAPPYFOX_AUTH_CODE`` are required; writes need
        ``HAPPYFOX_STAFF_ID`` or a ``staff`` argument. With ``REDIS_URL``, or while ``foxhooks up`` runs in this folder,
        the budget is shared. Raises ``SettingsError`` with all that is missing.
        """
        environ = os.environ if environ is None else environ
        found = load_account(environ, Path.cwd() if folder is None else folder, account)
        store = store_for_script(found.redis_url, found.data)
        return cls(found.account, store=store, patience=patience, priority=priority)

    def __enter__(self) -> "HappyFox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        self._store.close()
        self._store.client.close()

    def download(
        self, ticket: TicketRead | int, attachment: Attachment | int, to: str | Path = ".", *, most: int = MOST
    ) -> Path:
        """Save an attachment, also one given by its id, as the file ``to``, or in that folder; return its path.

        Links die after five minutes and work once (KB 1039), so a dead one is renewed by reading the ticket again;
        no other call is made. An existing file is replaced once the download is complete; after a failure
        nothing is left. Raises ``Gone`` if the attachment is not on the ticket any more, ``Refused`` if its link does
        not work, ``InDoubt`` if it came in part or is larger than ``most`` bytes. No error shows a link.
        """
        if not isinstance(attachment, Attachment):
            ticket = ticket if isinstance(ticket, TicketRead) else self.ticket(ticket)
            attachment = _find(ticket, identity(attachment, "the attachment"))
        path = Path(to)
        if path.is_dir():
            path /= _safe_name(attachment.filename)
        with _replacing(path) as file:
            status = self._connection.download(attachment.url, file.write, most) if attachment.url else 0
            if not 200 <= status < 300:
                fresh = _find(self.ticket(ticket.id if isinstance(ticket, TicketRead) else ticket), attachment.id)
                status = self._connection.download(fresh.url, file.write, most)
            if not 200 <= status < 300:
                raise _download_error(status, attachment)
        return path

    def _send_patiently(self, request: Request) -> Answer:
        """Make a call, wait for its permit, and repeat it if that is safe."""
        until = monotonic() + self._patience
        reads = request.method == "GET"
        for pause in PAUSES:
            try:
                answer = self._send_permitted(request, until)
            except Unsent:
                pass
            except InDoubt:
                if not reads:
                    raise
            else:
                # A 429 had no effect (assumed), and the gate now knows how long to wait.
                if not (answer.status == 429 or (reads and (answer.status >= 500 or is_cut_off(answer)))):
                    return answer
            self._sleep(pause)
        return self._send_permitted(request, until)

    def _send_permitted(self, request: Request, until: float) -> Answer:
        while True:
            try:
                return self._connection.send(request, priority=self._class)
            except NotNow as wait:
                seconds = wait.wait / 1000
                if monotonic() + seconds > until:
                    why = BLOCKED.get(wait.reason, wait.reason)
                    message = f"no call is possible for {ceil(seconds)} s, because {why}; nothing was sent: try later"
                    raise Locked(message, 429) from None
                self._sleep(seconds)


class NameLookup:
    """Finds ids by name, in any case, and names by id.

    An unknown name raises ``UnknownName`` with the nearest. The lists are kept in the store for an hour; an unknown
    name has them read again, at most once a minute.
    """

    def __init__(
        self,
        call: Callable[[Request], Any],
        account: str,
        store: Store,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._call, self._account, self._store, self._clock = call, account, store, clock
        self._lock = threading.Lock()
        self._kept: tuple[float, Directory] | None = None

    def status(self, name: str | int) -> int:
        return self._find(lambda directory: directory.status(name))

    def priority(self, name: str | int) -> int:
        return self._find(lambda directory: directory.priority(name))

    def category(self, name: str | int) -> int:
        return self._find(lambda directory: directory.category(name))

    def staff_member(self, name: str | int) -> int:
        return self._find(lambda directory: directory.staff_member(name))

    def choice(self, field: str | int, name: str | int) -> int:
        return self._find(lambda directory: directory.choice(field, name))

    def ticket_fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of ticket fields by name as the ``fields`` of a call."""
        return self._find(
            lambda d: {ticket_field(d.field(name).id): d.field_value(name, value) for name, value in values.items()}
        )

    def contact_fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of contact fields by name as the ``fields`` of a call."""
        return self._find(
            lambda d: {
                f"c-cf-{d.contact_field(name).id}": d.contact_field_value(name, value) for name, value in values.items()
            }
        )

    def name(self, kind: NameKind, id: int) -> str:
        return self._find(lambda directory: directory.name(kind, id))

    def _find(self, find: Callable[[Directory], T]) -> T:
        with self._lock:
            now = self._clock()
            if self._kept is None or now - self._kept[0] >= MAX_LIST_AGE / 1000:
                self._kept = (now, self._read(MAX_LIST_AGE))
            try:
                return find(self._kept[1])
            except UnknownName:
                self._kept = (now, self._read(REREAD_AGE))
                return find(self._kept[1])

    def _read(self, age: int) -> Directory:
        calls = {**Directory.LISTS, **Directory.CONTACT_FIELDS}
        lists = {}
        stored = self._store.run(read_lists(self._account, list(calls), age))
        for (name, request), kept in zip(calls.items(), stored, strict=True):
            if kept is not None:
                lists[name] = msgspec.json.decode(kept)
                continue
            lists[name] = self._call(request)
            if isinstance(lists[name], list):
                self._store.run(store_list(self._account, name, msgspec.json.encode(lists[name])))
        return Directory(**lists)


def _find(ticket: TicketRead, id: int | None) -> Attachment:
    """Return the attachment with its new link."""
    for row in ticket.history:
        for each in row.message.attachments if row.message else ():
            if each.id == id and each.url:
                return each
    raise Gone(f"the attachment {id} is not on ticket {ticket.id}, or not any more", 404)


def _download_error(status: int, attachment: Attachment) -> Exception:
    if status >= 500:
        return Broken(f"the storage of attachments failed ({status}): try again later", status)
    if 300 <= status < 400:
        return Refused(f"the link of attachment {attachment.id} redirects ({status}), which is not followed", status)
    return Refused(f"the link of attachment {attachment.id} does not work ({status}), even a new one", status)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces ``path`` once it is complete."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _safe_name(name: str) -> str:
    """Return a safe file name: no folders, no unprintable characters, not too long."""
    plain = Path("".join(sign for sign in name.replace("\\", "/") if sign.isprintable())).name.lstrip(".")
    stem, dot, kind = plain.rpartition(".")
    end = f"{dot}{kind}".encode()[:20] if stem else b""
    return ((stem or kind).encode()[: LONGEST - len(end)] + end).decode(errors="ignore") or "attachment"
