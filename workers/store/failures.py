"""What is wrong with the store or the connection to it, in words, and how to fix it.

The words never come from the error itself: it may quote a password, an address, or what a customer wrote.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from redis._parsers.socket import SERVER_CLOSED_CONNECTION_ERROR
from redis.exceptions import InvalidResponse, MaxConnectionsError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from workers.errors import StoreUnavailable
from workers.store.connection import NEWER, ClosedAtOnce, Clustered, OldServer
from workers.store.nodes import NoCluster, SilentNodes, UncoveredSlot, UnknownPrimary


class StoreFailure(NamedTuple):
    """What is wrong, and what to do about it."""

    problem: str
    fix: str


_TO_PRIMARY = "let REDIS_URL lead to the primary; after a failover foxhooks finds it without a restart"
_CLUSTERED = StoreFailure(
    "the store is a cluster, and its address does not say so",
    "write redis+cluster:// in REDIS_URL instead of redis://, or rediss+cluster:// instead of rediss://",
)
_MOVING = "wait until it has moved them; deliveries are repeated, and turns continue"
_SETTLING = "write redis+cluster:// in REDIS_URL; if it says so already, wait until the cluster has settled"
_ESCAPE = "write special characters in it as %XX, such as / as %2F, @ as %40, # as %23 and % as %25"
_TLS_PORT = "write rediss:// in REDIS_URL if that port needs TLS, else look into the store's log"
_PLAIN_PORT = "write redis:// instead of rediss:// in REDIS_URL, or use the store's port for TLS"
_OWN_AUTHORITY = "add ?ssl_ca_certs=FILE to REDIS_URL, with the certificate of the authority that signed it"

#: By the first word of an answer.
_ANSWERS: Final = {
    "READONLY": StoreFailure("the store refuses to work: it is a replica", _TO_PRIMARY),
    "UNBLOCKED": StoreFailure("the store refuses to work: it has become a replica", _TO_PRIMARY),
    "MASTERDOWN": StoreFailure("the store refuses to work: it is a replica that has lost its primary", _TO_PRIMARY),
    "NOREPLICAS": StoreFailure(
        "the store refuses to work: it has fewer replicas than min-replicas-to-write demands",
        "connect its replicas again, or lower that setting",
    ),
    "MISCONF": StoreFailure("the store refuses to work: it cannot write to its disk", "check its disk and its log"),
    "CLUSTERDOWN": StoreFailure("the store refuses to work: its cluster is down", "repair the cluster"),
    "MOVED": StoreFailure("the store refuses to work: another node of its cluster has the keys", _SETTLING),
    "ASK": StoreFailure("the store refuses to work: its cluster is moving the keys of an account", _MOVING),
    "TRYAGAIN": StoreFailure("the store refuses to work: its cluster is moving the keys of an account", _MOVING),
    "LOADING": StoreFailure("the store refuses to work: it is still loading its data", "wait until it has"),
    "OOM": StoreFailure(
        "the store refuses to work: it is full", "give it more memory, or lower FOXHOOKS_RETENTION_HOURS"
    ),
    "BUSY": StoreFailure(
        "the store refuses to work: a script of another program keeps it busy", "stop that script there"
    ),
    "DENIED": StoreFailure(
        "the store is in protected mode and refuses connections from other machines",
        "set a password there, and write it into REDIS_URL",
    ),
    "NOAUTH": StoreFailure(
        "the store needs a password",
        "write it into REDIS_URL: redis://:PASSWORD@HOST:PORT or redis://USER:PASSWORD@...",
    ),
    "WRONGPASS": StoreFailure("the store rejects the password, or its user", f"correct REDIS_URL; {_ESCAPE}"),
}

#: How an answer begins if a function has used what its user may not.
_IN_FUNCTION: Final = "ACL failure in script"
#: The command that an answer says is forbidden.
_FORBIDDEN: Final = re.compile(r"(?:run|execute) the '([a-z_|-]+)' command")

#: By words in an answer that begins with ERR.
_PHRASES: Final = {
    "unknown command": StoreFailure("the store has no functions", NEWER),
    "max number of clients": StoreFailure(
        "the store has no connection left", "raise its maxclients, choose a larger plan, or run fewer processes"
    ),
    "DB index is out of range": StoreFailure(
        "the store does not have the database in REDIS_URL", "use a lower number, or leave it out"
    ),
    "SELECT is not allowed": _CLUSTERED,
}

#: By OpenSSL's code for what is wrong with a certificate.
_CERTIFICATES: Final = {
    9: StoreFailure("the store's certificate is not valid yet", "correct the clock here or the certificate there"),
    10: StoreFailure("the store's certificate has expired", "renew it there"),
    18: StoreFailure(
        "the store's certificate is self-signed",
        "add ?ssl_ca_certs=FILE to REDIS_URL, with a copy of that certificate; on a network that nobody else can use, "
        "?ssl_cert_reqs=none",
    ),
    62: StoreFailure(
        "the store's certificate is for another host name", "use the name in the certificate in REDIS_URL"
    ),
    64: StoreFailure("the store's certificate is for another address", "use the name in the certificate in REDIS_URL"),
}
_CERTIFICATE: Final = StoreFailure("the store's certificate is from an authority unknown here", _OWN_AUTHORITY)

#: By what the system says.
_UNREACHABLE: Final = StoreFailure(
    "the store does not answer: its network cannot be reached", "check the host in REDIS_URL, routes and firewalls"
)
_SLOW: Final = StoreFailure(
    "the store did not answer in time",
    "check the host and the port in REDIS_URL, firewalls, and the load on the store's machine; "
    "rediss:// needs a port for TLS",
)
_BROKEN: Final = StoreFailure("the store closed the connection", "look into its log")
_SYSTEM: Final[dict[int, StoreFailure]] = {
    errno.ECONNREFUSED: StoreFailure(
        "the store does not answer: nothing accepts connections at its address",
        "start it, or correct the host and the port in REDIS_URL",
    ),
    errno.ENOENT: StoreFailure(
        "the store does not answer: its socket does not exist", "start `foxhooks up`, or correct REDIS_URL"
    ),
    errno.EACCES: StoreFailure(
        "the store does not answer: this user may not open its socket", "give this user access to the socket"
    ),
    errno.ECONNRESET: _BROKEN,
    errno.EPIPE: _BROKEN,
    errno.ETIMEDOUT: _SLOW,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ENETUNREACH: _UNREACHABLE,
}
_NO_HOST: Final = StoreFailure(
    "the store does not answer: its host name cannot be found", "correct the host in REDIS_URL, or check DNS"
)
_NO_TLS: Final = StoreFailure("the store does not answer in TLS", _PLAIN_PORT)
_CLOSED: Final = StoreFailure("the store does not answer: it closes new connections at once", _TLS_PORT)
_FOREIGN: Final = StoreFailure(
    "what answers at the store's address is neither Redis nor Valkey", "correct the host and the port in REDIS_URL"
)

#: By what asking for the primaries has come to.
_NODES: Final = {
    Clustered: _CLUSTERED,
    NoCluster: StoreFailure(
        "the store is not a cluster, but its address says so", "write redis:// in REDIS_URL instead of redis+cluster://"
    ),
    UnknownPrimary: StoreFailure(
        "the Sentinels know no store of that name", "correct the name in REDIS_URL: redis+sentinel://HOST:PORT/NAME/0"
    ),
    UncoveredSlot: StoreFailure(
        "no node of the cluster has the keys of an account", "repair the cluster: every slot needs a node"
    ),
}
_SILENT: Final = StoreFailure(
    "no Sentinel, or no node of the cluster, answers", "start them, or correct the hosts and ports in REDIS_URL"
)


def failure(error: BaseException, setting: str = "REDIS_URL") -> StoreFailure:
    """Return what is wrong, in general terms if the error is not a known one; ``setting`` is where the address is."""
    unknown = f"the store does not answer ({type(error).__name__})"
    found = known_failure(error) or StoreFailure(unknown, "check REDIS_URL, the store and its log")
    return found._replace(fix=found.fix.replace("REDIS_URL", setting))


def unavailable(error: BaseException) -> StoreUnavailable:
    """Return the error of the engine for an error of the store."""
    return error if isinstance(error, StoreUnavailable) else StoreUnavailable(*failure(error))


#: What a function that reads the store raises if it does not understand what a key has.
NOT_UNDERSTOOD: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

#: What to do about such a key.
REPAIR: Final = "if a newer version of foxhooks wrote it, use that; else repair or delete it"


class UnreadableKey(ValueError):
    """A key has the wrong type or something that foxhooks does not understand: another program or version wrote it."""

    def __init__(self, key: str) -> None:
        super().__init__(f"what the key {key} has in the store cannot be read: {REPAIR}")
        self.key = key


@contextmanager
def reading(key: str) -> Iterator[None]:
    """Raise ``UnreadableKey`` with this key if something is not understood, unless it names another one already."""
    try:
        yield
    except UnreadableKey:
        raise
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        raise UnreadableKey(key) from error
    except NOT_UNDERSTOOD as error:
        raise UnreadableKey(key) from error


class Problems(dict[str, None]):
    """What is wrong with keys that are left out, each once."""

    @contextmanager
    def noted(self, key: str) -> Iterator[None]:
        """Note the key if its contents are not understood, and go on."""
        try:
            with reading(key):
                yield
        except UnreadableKey as error:
            self[str(error)] = None


def answered(found: Any) -> Any:
    """Return one answer of a pipeline that went on after errors; raise it if it is an error."""
    if isinstance(found, Exception):
        raise found
    return found


def is_wrong_type(error: Exception) -> bool:
    """Return whether the store or a function says that a key has the wrong type."""
    return any(word in str(error) for word in ("WRONGTYPE", "wrong kind of value", "CORRUPT"))


def known_failure(error: BaseException) -> StoreFailure | None:
    """Return what is wrong; None for an error that says something else, such as an error in a script."""
    if isinstance(error, StoreUnavailable):
        return StoreFailure(error.problem, error.fix)
    if isinstance(error, OldServer):
        return StoreFailure(f"the store is too old: it is {error}", NEWER)
    if found := next((each for kind, each in _NODES.items() if isinstance(error, kind)), None):
        return found
    if isinstance(error, InvalidResponse):  # an alert of TLS begins with this byte
        return _CLOSED if r'"\x15"' in str(error) else _FOREIGN
    if isinstance(error, MaxConnectionsError) or str(error) == "No connection available.":
        return StoreFailure("all connections of this process to the store are in use", "try again")
    if isinstance(error, ClosedAtOnce):
        return _CLOSED
    if str(error) == SERVER_CLOSED_CONNECTION_ERROR:
        return _BROKEN
    answers = (found for cause in _causes(error) if (found := _answered(cause)))  # redis-py wraps some of them
    return next(answers, None) or _from_system(error) or (_SILENT if isinstance(error, SilentNodes) else None)


def _answered(error: BaseException) -> StoreFailure | None:
    """Return what an answer of the store means."""
    if not isinstance(error, RedisError):
        return None
    text = str(error)
    word = error.status_code if error.status_code not in (None, "ERR") else text.partition(" ")[0]
    if _is_forbidden(error):
        return _forbidden(text)
    phrase = next((failure for words, failure in _PHRASES.items() if words in text), None)
    return _ANSWERS.get(word or "") or phrase


def _forbidden(text: str) -> StoreFailure:
    """Return what the store's user may not do; the name of a command is no secret."""
    command = forbidden_command(text)
    what = f"run {command}" if command else "use all keys of foxhooks"
    return StoreFailure(f"the store's user may not {what}", "give it the rights in docs/security.md")


def concerns_one_account(error: Exception) -> bool:
    """Return whether a function failed because of the keys of its account: they are corrupt, or may not be used."""
    return isinstance(error, RuntimeError) or (isinstance(error, StoreUnavailable) and _is_forbidden(error.__cause__))


def _is_forbidden(error: BaseException | None) -> bool:
    """Return whether an answer says that the store's user lacks a right."""
    return isinstance(error, NoPermissionError) or (isinstance(error, RedisError) and _IN_FUNCTION in str(error))


def forbidden_command(text: str) -> str:
    """Return the command that an answer says is forbidden, nothing if it does not name one."""
    found = _FORBIDDEN.search(text)
    return found[1].upper().replace("|", " ") if found else ""


def _from_system(error: BaseException) -> StoreFailure | None:
    """Return what the operating system or TLS has said, from which redis-py made its error."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _CERTIFICATES.get(cause.verify_code, _CERTIFICATE)
        if isinstance(cause, ssl.SSLError):
            return _from_tls(cause)
        if isinstance(cause, socket.gaierror):
            return _NO_HOST
        if isinstance(cause, TimeoutError) and "handshake" in str(cause):
            return _NO_TLS
        if isinstance(cause, OSError) and cause.errno in _SYSTEM:
            return _SYSTEM[cause.errno]
    return _SLOW if isinstance(error, NoAnswer | TimeoutError) else None


def _from_tls(error: ssl.SSLError) -> StoreFailure:
    reason = error.reason or ""
    if not reason or "EOF" in reason or reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return _NO_TLS
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        fix = "add ?ssl_certfile=FILE&ssl_keyfile=FILE to REDIS_URL"
        return StoreFailure("the store asks foxhooks for a certificate", fix)
    if "PROTOCOL" in reason:
        return StoreFailure("the store and this machine have no version of TLS in common", "update the older one")
    return StoreFailure(f"TLS with the store fails ({reason})", "check the files that are named in REDIS_URL")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error of redis-py or the system, and those that led to it."""
    cause: BaseException | None = error
    while isinstance(cause, RedisError | OSError):
        yield cause
        cause = cause.__cause__ or cause.__context__
