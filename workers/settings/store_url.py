"""Check the address of the store, and split it. Messages do not repeat it, because it may contain a password."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from workers.errors import nearest
from workers.settings.parse import InvalidValueError, quoted, raise_all, text

_FORMS = (
    "write redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH, for a cluster redis+cluster://HOST:PORT,HOST:PORT, "
    "with Sentinels redis+sentinel://HOST:PORT,HOST:PORT/NAME/0"
)
_DATABASE = "end it after the port, or with the number of a database: redis://HOST:PORT/0"
_ESCAPES = "/ as %2F, ? as %3F, # as %23, @ as %40, : as %3A, [ as %5B and % as %25"

#: The options that an address may have after its question mark, with what each of them is; those of TLS apart.
_OPTIONS = {"db": "the number of a database", "username": "a name", "password": "a password"}
_SENTINEL = {"sentinel_username": "a name", "sentinel_password": "a password"}
_TLS = {
    "ssl_cert_reqs": "required, optional or none",
    "ssl_check_hostname": "true or false",
    "ssl_ca_certs": "the path of a file on this machine",
    "ssl_ca_path": "the path of a folder on this machine",
    "ssl_certfile": "the path of a file on this machine",
    "ssl_keyfile": "the path of a file on this machine",
    "ssl_password": "a password",
}
_IS_VALID: dict[str, Callable[[str], object]] = {
    "db": lambda value: value.isascii() and value.isdecimal() and len(value) < 10,
    "ssl_cert_reqs": {"required", "optional", "none"}.__contains__,
    "ssl_check_hostname": {"true", "false"}.__contains__,
    "ssl_ca_certs": lambda value: Path(value).is_file(),
    "ssl_ca_path": lambda value: Path(value).is_dir(),
    "ssl_certfile": lambda value: Path(value).is_file(),
    "ssl_keyfile": lambda value: Path(value).is_file(),
}

#: Options of redis-py that foxhooks sets itself: its time limits and its connections depend on them.
_OURS = frozenset(
    {
        *("decode_responses", "encoding", "encoding_errors", "protocol", "legacy_responses", "parser_class"),
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_type"),
        *("max_connections", "timeout", "retry", "retry_on_timeout", "retry_on_error", "health_check_interval"),
        *("client_name", "lib_name", "lib_version", "redis_connect_func", "connection_class", "host", "port", "path"),
    }
)


#: The schemes, and which of redis-py's each of them means; Valkey speaks the protocol of Redis.
_SCHEME: Final = re.compile(
    r"(?P<scheme>redis|rediss|valkey|valkeys|unix)(?:\+(?P<kind>cluster|sentinel))?://(?P<rest>.*)", re.DOTALL
)
_SCHEMES: Final = {"valkey": "redis", "valkeys": "rediss"}
_PORTS: Final = {"server": 6379, "cluster": 6379, "sentinel": 26379}


class StoreAddress(NamedTuple):
    """The address of a store, split into what a client needs."""

    kind: Literal["server", "cluster", "sentinel"]
    url: str
    """As redis-py knows it: with a login, a database and options, and with the first host."""
    hosts: tuple[tuple[str, int], ...] = ()
    """The nodes of the cluster that are asked first, or the Sentinels."""
    name: str = ""
    """What the Sentinels call the store."""
    login: tuple[str, str] = ("", "")
    """The name and the password with which the Sentinels are asked."""


def redis_url(given: object) -> str:
    """Parse the address of a Redis or Valkey server, of a cluster, or of Sentinels."""
    address = text(given)
    split_address(address)
    return address


def split_address(address: str) -> StoreAddress:
    """Split the address of a store; raise ``InvalidValueError`` if it is not valid."""
    found = _SCHEME.fullmatch(address)
    if found is None or (found["kind"] and found["scheme"] == "unix"):
        raise InvalidValueError("has a scheme that is not known", _FORMS)
    scheme = _SCHEMES.get(found["scheme"], found["scheme"])
    kind: Literal["server", "cluster", "sentinel"] = found["kind"] or "server"  # type: ignore[assignment]
    if kind == "server":
        url = f"{scheme}://{found['rest']}"
        _check(url, "server")
        return StoreAddress(kind, url)
    authority, tail = _halves(found["rest"])
    login, _, named = authority.rpartition("@")
    parts = [_check(f"{scheme}://{login}{'@' * bool(login)}{each}{tail}", kind) for each in named.split(",")]
    return _distributed(kind, parts)


def _halves(rest: str) -> tuple[str, str]:
    """Split an address without its scheme before its path, its options or its fragment."""
    end = next((n for n, letter in enumerate(rest) if letter in "/?#"), len(rest))
    return rest[:end], rest[end:]


def _distributed(kind: Literal["cluster", "sentinel"], parts: list[SplitResult]) -> StoreAddress:
    """Put the address of a cluster or of Sentinels together from one part for each host."""
    first = parts[0]
    hosts = tuple((each.hostname or "localhost", each.port or _PORTS[kind]) for each in parts)
    if kind == "cluster":
        return StoreAddress(kind, first.geturl(), hosts)
    name, _, database = first.path.strip("/").partition("/")
    options = parse_qsl(first.query)
    given = dict(options)
    query = urlencode([(option, value) for option, value in options if option not in _SENTINEL])
    url = first._replace(path=f"/{database}", query=query).geturl()
    return StoreAddress(kind, url, hosts, unquote(name), tuple(given.get(each, "") for each in _SENTINEL))  # type: ignore[arg-type]


def _check(url: str, kind: str) -> SplitResult:
    """Check the address of one host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        if "," in url and "@" not in url:
            raise InvalidValueError("names several hosts, but neither a cluster nor Sentinels", _FORMS) from None
        raise _unescaped() if "@" in url else InvalidValueError("is not an address", _FORMS) from None
    if parts.fragment or "@" in parts.query or ("@" in parts.path and parts.scheme != "unix"):
        raise _unescaped()
    if parts.scheme != "unix" and not _is_host(parts.hostname or ""):
        raise InvalidValueError("has a host that is no name of a host", _FORMS)
    if port == 0:
        raise InvalidValueError("has the port 0", _FORMS)
    if kind != "server" and not parts.hostname:
        raise InvalidValueError("does not name a host", _FORMS)
    raise_all([*_path(parts, kind), *_options(parts, kind)])
    return parts


def _is_host(host: str) -> bool:
    """Return whether the system can look up this host; it cannot if a label is empty or too long."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return host.isprintable() and " " not in host


def _unescaped() -> InvalidValueError:
    """Return why an address cannot be split: usually because of a character of the password."""
    problem = "is not an address; its password may contain a character that has a meaning in addresses"
    return InvalidValueError(problem, f"write such characters as {_ESCAPES}")


def _path(parts: SplitResult, kind: str) -> Iterator[InvalidValueError]:
    """Yield what is wrong between the host and the question mark."""
    path, database = parts.path.strip("/"), _database(parts, kind)
    if kind == "sentinel" and not path.partition("/")[0]:
        fix = "write the name that the Sentinels know: redis+sentinel://HOST:PORT/NAME/0"
        yield InvalidValueError("has no name of a store for the Sentinels", fix)
    if parts.scheme == "unix":
        if parts.netloc and "@" not in parts.netloc:
            yield InvalidValueError("has a host before the path to a socket", "write three slashes: unix:///PATH")
        elif not path:
            yield InvalidValueError("has no path to a socket", _FORMS)
    elif kind == "cluster" and database not in ("", "0"):
        fix = "a cluster has no database but 0: end the address after the ports"
        yield InvalidValueError("has something after the hosts of a cluster", fix)
    elif database and not _IS_VALID["db"](database):
        yield InvalidValueError("has something else than the number of a database after the host", _DATABASE)


def _database(parts: SplitResult, kind: str) -> str:
    """Return what stands where the number of a database belongs."""
    path = unquote(parts.path).strip("/")
    return path.partition("/")[2] if kind == "sentinel" else path


def _options(parts: SplitResult, kind: str) -> Iterator[InvalidValueError]:
    """Yield what is wrong with the options after the question mark."""
    known = _OPTIONS | (_SENTINEL if kind == "sentinel" else {}) | (_TLS if parts.scheme == "rediss" else {})
    possible = f"possible options: {', '.join(known)}"
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = [name for name, _ in given]
    for name, value in given:
        if names.count(name) > 1:
            yield InvalidValueError(f"has the option {quoted(name)} more than once", "write it once")
        elif name in _OURS:
            yield InvalidValueError(f"has the option {name!r}, which foxhooks sets itself", f"remove it; {possible}")
        elif name in _TLS and name not in known:
            yield InvalidValueError(f"has the option {name!r}, but no TLS", "write rediss://, or remove it")
        elif name not in known:
            near = nearest(name, known)
            fix = f"did you mean {near!r}? P{possible[1:]}" if near else f"remove it; {possible}"
            yield InvalidValueError(f"has the unknown option {quoted(name)}", fix)
        elif not _IS_VALID.get(name, bool)(value):
            yield InvalidValueError(f"has an invalid value for its option {name!r}", f"write {name}= and {known[name]}")
    if "db" in names and parts.scheme != "unix" and _database(parts, kind):
        yield InvalidValueError("has the number of a database twice", "remove one of them")
    if kind == "cluster" and dict(given).get("db", "0") != "0":
        yield InvalidValueError("has the number of a database, but a cluster has only 0", "remove the option db")
    if "ssl_keyfile" in names and "ssl_certfile" not in names:
        yield InvalidValueError("has the option 'ssl_keyfile' without 'ssl_certfile'", "add ssl_certfile=FILE")
