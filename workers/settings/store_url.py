"""Check the address of the store. Messages do not repeat it, because it may contain a password."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from workers.errors import nearest
from workers.settings.parse import InvalidValueError, quoted, raise_all, text

_FORMS = "write redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH"
_ESCAPES = "/ as %2F, ? as %3F, # as %23, @ as %40, : as %3A, [ as %5B and % as %25"

#: The options that an address may have after its question mark, with what each of them is; those of TLS apart.
_OPTIONS = {"db": "the number of a database", "username": "a name", "password": "a password"}
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


def redis_url(given: object) -> str:
    """Parse the address of a Redis or Valkey server."""
    address = text(given)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise _unescaped() if "@" in address else InvalidValueError("is not an address", _FORMS) from None
    if parts.scheme not in ("redis", "rediss", "unix") or not address.startswith(f"{parts.scheme}://"):
        raise InvalidValueError("has a scheme that is not redis, rediss or unix", _FORMS)
    if parts.fragment or "@" in parts.query or ("@" in parts.path and parts.scheme != "unix"):
        raise _unescaped()
    if parts.scheme != "unix" and not _is_host(parts.hostname or ""):
        raise InvalidValueError("has a host that is no name of a host", _FORMS)
    if port == 0:
        raise InvalidValueError("has the port 0", _FORMS)
    raise_all([*_socket_or_database(parts), *_options(parts)])
    return address


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


def _socket_or_database(parts: SplitResult) -> Iterator[InvalidValueError]:
    if parts.scheme == "unix":
        if parts.netloc and "@" not in parts.netloc:
            yield InvalidValueError("has a host before the path to a socket", "write three slashes: unix:///PATH")
        elif not parts.path.strip("/"):
            yield InvalidValueError("has no path to a socket", _FORMS)
    elif (database := unquote(parts.path).strip("/")) and not _IS_VALID["db"](database):
        fix = "end it after the port, or with the number of a database: redis://HOST:PORT/0"
        yield InvalidValueError("has something else than the number of a database after the host", fix)


def _options(parts: SplitResult) -> Iterator[InvalidValueError]:
    """Yield what is wrong with the options after the question mark."""
    known = _OPTIONS | (_TLS if parts.scheme == "rediss" else {})
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
    if "db" in names and parts.scheme != "unix" and parts.path.strip("/"):
        yield InvalidValueError("has the number of a database twice", "remove one of them")
    if "ssl_keyfile" in names and "ssl_certfile" not in names:
        yield InvalidValueError("has the option 'ssl_keyfile' without 'ssl_certfile'", "add ssl_certfile=FILE")
