"""Who is logged in to the dashboard, and how often somebody failed to log in.

Sessions are kept here and not in the cookie, so that logging out works and processes share no signing key. The store
has only the SHA-256 of a session's cookie: a copy of the store logs nobody in.
"""

from hashlib import sha256
from typing import Any

import msgspec
import redis

from workers.store.failures import Problems, answered
from workers.store.keys import failed_logins, session

#: How long (ms) a session lasts, in all and without a request.
LIFE, IDLE = 12 * 3_600_000, 3_600_000
#: How often (ms) a request extends a session: not each time, because that is a write.
EXTENDED = 60_000
#: How long (ms) failed logins count, from the first one.
REMEMBERED = 15 * 60_000


class Session(msgspec.Struct, frozen=True):
    """One person who is logged in."""

    user: str
    since: int
    """When it began (ms)."""
    proof: str = ""
    """Bound to the password that was used: another password ends the session."""


_SESSION = msgspec.json.Decoder(Session)


def digest(secret: str) -> str:
    """Return the SHA-256 of a secret, by which it is stored."""
    return sha256(secret.encode()).hexdigest()


class Sessions:
    """Read and write the sessions and the failed logins."""

    def __init__(self, client: redis.Redis) -> None:
        # Any, because redis-py types each result as if the client might be asynchronous.
        self._client: Any = client

    def begin(self, cookie: str, user: str, proof: str) -> None:
        """Store a new session."""
        seconds, micros = self._client.time()
        entry = Session(user, seconds * 1000 + micros // 1000, proof)
        self._client.set(session(digest(cookie)), msgspec.json.encode(entry), px=IDLE)

    def read(self, cookie: str) -> Session | None:
        """Return a session that has not ended, and extend it."""
        key = session(digest(cookie))
        with self._client.pipeline(transaction=False) as batch:
            stored, left, (seconds, _) = batch.get(key).pttl(key).time().execute(raise_on_error=False)
        found = None
        with Problems().noted(key):  # a session that cannot be read has ended: logging in again replaces it
            found = _SESSION.decode(answered(stored)) if stored is not None else None
        if found is None:
            return None
        longest = min(IDLE, found.since + LIFE - seconds * 1000)
        if longest <= 0:
            return None
        if left < longest - EXTENDED:
            self._client.pexpire(key, longest)
        return found

    def end(self, cookie: str) -> None:
        """Delete a session."""
        self._client.delete(session(digest(cookie)))

    def attempt(self, *who: str) -> list[int]:
        """Count a login of each of these as failed, before it is checked; return how many failed recently, with it.

        Counted only after the check, any number of logins that run at the same time would be checked.
        """
        with self._client.pipeline(transaction=False) as batch:
            for each in who:
                key = failed_logins(digest(each))
                batch.set(key, 0, px=REMEMBERED, nx=True).incr(key)
            return [int(count) for count in batch.execute()[1::2]]

    def succeed(self, name: str, *addresses: str) -> None:
        """Forget the failed logins of a name, and that this one of its addresses was counted."""
        with self._client.pipeline(transaction=False) as batch:
            batch.delete(failed_logins(digest(name)))
            for key in map(failed_logins, map(digest, addresses)):
                batch.incrby(key, -1)
                batch.pexpire(key, REMEMBERED, nx=True)  # it may have expired meanwhile
            batch.execute()
