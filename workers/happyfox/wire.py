"""The wire to HappyFox: an account's address and credentials, added to what is called."""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from workers.errors import Unfit
from workers.governor.governor import Class, Governor
from workers.happyfox.connections import check_scheme
from workers.happyfox.exchange import BASE, Answer, Request
from workers.happyfox.multipart import Multipart
from workers.happyfox.transport import AGENT, GovernedTransport, Store

#: A call with files may take so many times longer.
WITH_FILES = 4


class Wire:
    """Makes an account's calls: adds address and credentials to a request, and gives the answer.

    ``timeout`` is the seconds of one whole call; one with files has four times as long. Plain http is refused unless
    the host is this machine.
    """

    def __init__(
        self, url: str, api_key: str, auth_code: str, timeout: float, governor: Governor, store: Store, base: str = BASE
    ) -> None:
        self._site = url.rstrip("/")
        check_scheme(self._site)
        self._base, self._timeout = self._site + base, timeout
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Authorization": "Basic " + base64.b64encode(f"{api_key}:{auth_code}".encode()).decode(),
            "User-Agent": AGENT,
        }
        self._transport = GovernedTransport(governor, store, governor.in_flight, timeout)

    def send(
        self,
        request: Request,
        *,
        permit: str | None = None,
        send_by: float | None = None,
        still_held: Callable[[], bool] | None = None,
        timeout: float | None = None,
        class_: Class = "normal",
    ) -> Answer:
        """Makes one call and gives its answer, whatever its status; raises ``NotNow``, ``Unsent``, ``InDoubt``.

        A ``permit`` given is settled by the caller, and its life has to reach past the time left until
        ``send_by`` and ``timeout`` together. Without one, a permit of ``class_`` is taken and settled here. Raises
        ``Unfit`` for files that cannot be sent.
        """
        total = timeout or self._timeout * (WITH_FILES if request.files else 1)
        extensions: dict[str, Any] = {
            "permit": permit,
            "send_by": send_by,
            "still_held": still_held,
            "class": class_,
            "timeout": {"total": total},
        }
        url = self._base + request.path
        with _content(request) as (more, content):
            headers = {**self._headers, **more}
            return self._transport.call(request.method, url, request.query, headers, content, **extensions)

    def download(self, link: str, sink: Callable[[bytes], object], most: int) -> int:
        """Reads a file's signed link, also a relative one of an old account; see ``GovernedTransport.download``."""
        return self._transport.download(f"{self._site}{link}" if link.startswith("/") else link, sink, most)

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()


@contextlib.contextmanager
def _content(request: Request) -> Iterator[tuple[dict[str, str], Any]]:
    """Gives the headers of a body and the body, which is open while it is used."""
    if request.files:
        with Multipart(request.body or {}, request.files) as body:
            yield {"Content-Type": body.content_type, "Content-Length": str(body.length)}, body
    elif request.body is not None:
        yield {"Content-Type": "application/json"}, _json(request.body)
    else:
        yield {}, None


def _json(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise Unfit(f"a value of the call is none that JSON has ({error}); nothing was sent") from None
