"""HappyFox for a script: every endpoint, within the limits, with nothing else to set up.

from workers.happyfox import HappyFox, search

with HappyFox.from_env() as hf:
    for ticket in hf.all_tickets(q=search(tag="vip", unresponded=True)):
        hf.private_note(ticket.id, text="VIP contact: answer within the hour.")
"""

import os
import time
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from types import TracebackType

import redis

from workers.errors import InDoubt, Locked, NotNow, Unsent
from workers.governor.clock import monotonic
from workers.governor.governor import Class, Governor
from workers.governor.memory import Memory
from workers.happyfox import downloads
from workers.happyfox.client import Client
from workers.happyfox.exchange import Answer, Request
from workers.happyfox.lookup import Lookup
from workers.happyfox.requests.dialect import DEFAULT, Dialect
from workers.happyfox.wire import Wire
from workers.lanes.store import SOCKET, Store, connect, url_of
from workers.models.row import Attachment
from workers.models.ticket import TicketRead
from workers.settings import Account, Calling, load_account

#: How often a read that failed, or a call that never left, is made again, and the seconds before each.
PAUSES = (1.0, 4.0)


class HappyFox(Client):
    """A client that makes its calls itself and waits for permits; a context that closes its connections.

    Without ``store`` the governor is in the memory of this process: then no other process may call the same account,
    for together they could exceed its limits. With it the budget is shared with the workers and other scripts.

    ``patience`` is the seconds a call waits for its permit, so that a lockout of ten minutes is sat out; after them it
    raises ``Locked``. ``class_`` leaves a part of the budget to others: ``normal`` a tenth, ``bulk`` three tenths.
    Reads are made again when HappyFox fails, all calls when nothing had left; a write that left never is.
    """

    def __init__(
        self,
        account: Account,
        *,
        store: Store | None = None,
        dialect: Dialect = DEFAULT,
        patience: float = 900.0,
        class_: Class = "normal",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(self._patiently, staff_id=account.staff_id or None, dialect=dialect, site=account.url)
        self._patience, self._class, self._sleep = patience, class_, sleep
        key, code = account.api_key.reveal(), account.auth_code.reveal()
        governor = Governor(account.name, account.budget)
        self._wire = Wire(account.url, key, code, account.timeout, governor, store or Memory(), dialect.base)
        self._store = store
        self.names = Lookup(self.call, account.name, store)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        *,
        account: str = "",
        patience: float = 900.0,
        class_: Class = "normal",
        dialect: Dialect = DEFAULT,
    ) -> "HappyFox":
        """Reads the settings of one account from the environment and ``foxhooks.toml`` in the current folder.

        It needs ``HAPPYFOX_URL``, ``HAPPYFOX_API_KEY`` and ``HAPPYFOX_AUTH_CODE``; writes need ``HAPPYFOX_STAFF_ID``
        or a ``staff`` of their own. With ``REDIS_URL``, or while ``foxhooks up`` runs in this folder, the budget is
        shared. Raises ``SettingsError`` with what is missing.
        """
        environ = os.environ if environ is None else environ
        found = load_account(environ, Path.cwd() if folder is None else folder, account)
        return cls(found.account, store=_store(found), dialect=dialect, patience=patience, class_=class_)

    def __enter__(self) -> "HappyFox":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._wire.close()
        if self._store is not None:
            self._store.close()
            self._store.client.connection_pool.disconnect()

    def download(
        self, ticket: TicketRead | int, attachment: Attachment, to: str | Path = ".", *, most: int = downloads.MOST
    ) -> Path:
        """Saves an attachment of a ticket in the folder ``to`` or as that file; see ``downloads.save``.

        Costs no budget, except for reading the ticket again when the link has died.
        """
        return downloads.save(self._wire.download, self.ticket, ticket, attachment, Path(to), most)

    def _patiently(self, request: Request) -> Answer:
        """Makes a call, waiting for its permit; again what can be made again."""
        until = monotonic() + self._patience
        reads = request.method == "GET"
        for pause in PAUSES:
            try:
                answer = self._permitted(request, until)
            except Unsent:
                pass
            except InDoubt:
                if not reads:
                    raise
            else:
                # A 429 did nothing (assumed), and the gate now knows how long to wait.
                if not (answer.status == 429 or (reads and answer.status >= 500)):
                    return answer
            self._sleep(pause)
        return self._permitted(request, until)

    def _permitted(self, request: Request, until: float) -> Answer:
        while True:
            try:
                return self._wire.send(request, class_=self._class)
            except NotNow as wait:
                seconds = wait.wait / 1000
                if monotonic() + seconds > until:
                    said = (
                        f"no call can be made for {ceil(seconds)} s ({wait.reason}); nothing was sent: try again then"
                    )
                    raise Locked(said, 429) from None
                self._sleep(seconds)


def _store(calling: Calling) -> Store | None:
    """Gives the store that holds the account's budget; None when there is none to share it through."""
    if calling.redis_url is None and not (calling.data / SOCKET).exists():
        return None
    client = connect(url_of(calling.redis_url, calling.data), connections=2)
    if calling.redis_url is None:
        try:
            client.ping()
        except redis.RedisError:  # the socket of a store that has ended
            client.connection_pool.disconnect()
            return None
    return Store(client)
