"""Parse single values: convert a given value to that of a setting, or say why it is invalid.

A given value is a text from the environment or any value from the TOML file. Messages do not repeat it, so that a key
pasted into the wrong setting is never printed. Names are repeated, unless they look like a key.
"""

import base64
import ipaddress
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workers.errors import nearest, suggest
from workers.settings.model import ROLES, DashboardProxy, DashboardUser, Secret, SettingProblem, Token

Parser = Callable[[object], Any]

ROUTER = re.compile(r"[a-z][a-z0-9-]*")
"""The name of a router."""

PERMISSIONS = ("reply", "reply-as-contact", "forward", "move", "delete", "subscribe", "create", "contacts")
"""What a router may do only with a grant."""

_HOST = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*")
_IMPORT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_ENTRY_POINT = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN = re.compile(rf"([A-Za-z0-9_.-]+):({'|'.join(ROLES)}):([0-9A-Fa-f]{{64}})")
_USER = re.compile(
    rf"([A-Za-z0-9_.@+-]+):({'|'.join(ROLES)}):"
    r"(\$argon2id\$v=19\$m=[0-9]{1,7},t=[0-9]{1,2},p=[0-9]{1,2}\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+)"
)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_QUOTES = frozenset("\"'`\u2018\u2019\u201a\u201c\u201d\u201e\xab\xbb")
_SHORTEST_KEY = 8
_PASTED_KEY = re.compile(
    r"(?=(?:[A-Za-z+/=]*[0-9]){2})[A-Za-z0-9+/=]{16,}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)
_WHOLE = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18}")
_SIZE = re.compile(r"([0-9]{1,9}) ?([mg]b)", re.IGNORECASE)
_UNITS = {"mb": 1024**2, "gb": 1024**3}
_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"0", "false", "no", "off"})


class SettingsError(Exception):
    """The settings cannot be used. `str()` lists every problem, one per line, and never a secret."""

    def __init__(self, problems: Iterable[SettingProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class InvalidValueError(Exception):
    """A value is invalid. The message must not repeat the value of a secret."""

    def __init__(self, problem: str, fix: str, more: Sequence["InvalidValueError"] = ()) -> None:
        self.problem = problem
        self.fix = fix
        self.more = tuple(more)
        """Further reasons why the same value is invalid."""
        super().__init__(problem, fix)


def raise_all(reasons: Sequence[InvalidValueError]) -> None:
    """Raise all reasons as one error; do nothing when there is none."""
    if reasons:
        first, *more = reasons
        raise InvalidValueError(first.problem, first.fix, more)


def nearest_setting(name: str, known: Iterable[str]) -> str | None:
    """Return the known setting most similar to *name*, ignoring our prefixes, or None if none is close."""
    shorts = {short(each): each for each in known}
    near = nearest(short(name), shorts)
    return shorts[near] if near else None


def short(name: str) -> str:
    """Return the key of a variable in the file: in lower case and without our prefix."""
    return name.lower().removeprefix("foxhooks_").removeprefix("happyfox_")


def printable(name: str) -> str:
    """Return a name as it is, or escaped if it contains anything that does not print; hide what looks like a key."""
    name = _PASTED_KEY.sub(lambda found: f"<a word of {len(found[0])} characters>", name)
    return name if name.isascii() and name.isprintable() else ascii(name)


def quoted(name: str) -> str:
    """Return a name in quotes, as ``printable`` shows it."""
    return f"'{printable(name)}'"


# Texts, numbers and choices


def text(given: object) -> str:
    """Parse a text and strip the white space around it."""
    if not isinstance(given, str):
        raise InvalidValueError("is not a text", "write it in quotes")
    stripped = given.strip()
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in stripped):
        raise InvalidValueError("contains a control character", "type the value again instead of pasting it")
    if any(0xD800 <= ord(letter) < 0xE000 for letter in stripped):
        raise InvalidValueError("is not valid UTF-8", "type the value again in UTF-8")
    if not stripped:
        raise InvalidValueError("is empty", "set a value or remove it")
    return stripped


def whole(most: int, least: int = 1) -> Parser:
    """Return a parser of whole numbers from `least` to `most`."""
    return _number(int, _WHOLE, "a whole number", least, most)


def decimal(most: float, least: float = 0.001) -> Parser:
    """Return a parser of numbers from `least` to `most`."""
    return _number(float, _DECIMAL, "a number", least, most)


def _number(kind: type[int | float], pattern: re.Pattern[str], what: str, least: float, most: float) -> Parser:
    def parse(given: object) -> int | float:
        number = kind(text(given)) if isinstance(given, str) and pattern.fullmatch(text(given)) else given
        if isinstance(number, bool) or not isinstance(number, (int, kind)) or not least <= number <= most:
            raise InvalidValueError(f"is not {what} in range", f"write {what} from {least} to {most}")
        return kind(number)

    return parse


def size(given: object) -> int:
    """Parse a number of bytes of at least 16 MiB, such as 512mb or 2gb; units count in steps of 1024."""
    match = _SIZE.fullmatch(text(given)) if isinstance(given, str) else None
    found = int(match[1]) * _UNITS[match[2].lower()] if match else 0
    if not _UNITS["mb"] * 16 <= found <= _UNITS["gb"] * 1_000_000:
        raise InvalidValueError("is not a size of at least 16mb", "write a number with mb or gb, for example 512mb")
    return found


def choice(*words: str) -> Parser:
    """Return a parser of one of *words*, in any case."""

    def parse(given: object) -> str:
        for word in words:
            if text(given).lower() == word.lower():
                return word
        raise InvalidValueError("is not an allowed value", f"write {', '.join(words[:-1])} or {words[-1]}")

    return parse


def tag(given: object) -> str:
    """Parse a HappyFox tag; a blank one means no tag."""
    if isinstance(given, str) and not given.strip():
        return ""
    if "," in text(given):
        raise InvalidValueError("is more than one tag", "write one, without a comma")
    return text(given)


def path(given: object) -> Path:
    """Parse a path; the caller makes it absolute."""
    return Path(text(given))


def account_name(given: object) -> str:
    """Parse the name of an account, which is a part of the webhook's path."""
    name = text(given)
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise InvalidValueError("is not a valid account name", "use only a to z, 0 to 9 and hyphens, for example acme")
    return name


# Keys


def secret(given: object) -> Secret:
    """Parse a key and strip the white space around it."""
    return Secret(text(given))


def api_key(given: object) -> Secret:
    """Parse the first half of the Basic auth pair, which cannot contain a colon (RFC 7617)."""
    if ":" in text(given):
        raise InvalidValueError("contains a colon", "set the API key alone; the auth code has its own setting")
    return auth_code(given)


def auth_code(given: object) -> Secret:
    """Parse a half of the Basic auth pair: ASCII, because RFC 7617 defines no encoding for other characters."""
    if not text(given).isascii():
        raise InvalidValueError("contains a non-ASCII character", "copy it again from HappyFox: Apps > Goodies > API")
    return secret(given)


def sentry_dsn(given: object) -> Secret:
    """Parse the address for error reports, which contains a key."""
    if not re.fullmatch(r"https?://[^\s@/]+@\S+/\S+", text(given)):
        raise InvalidValueError("is not a DSN", "copy it from Sentry: Settings, Projects, Client Keys")
    return secret(given)


# Addresses


def host(given: object) -> str:
    """Parse an address to listen on."""
    name = text(given)
    if re.search(r"[\s/@]", name):
        raise InvalidValueError("is not a host", "write a host name or an IP address, for example 127.0.0.1")
    return name


def header(given: object) -> str:
    """Parse the name of an HTTP header; an empty one means none."""
    if given == "":
        return ""
    if not re.fullmatch(r"[A-Za-z0-9-]+", text(given)):
        raise InvalidValueError("is not the name of a header", "write only the name, for example X-Signature")
    return text(given)


def url(given: object) -> str:
    """Parse the address of a help desk and return it without a slash at the end."""
    address = text(given)
    name = host_of(address)
    parts = urlsplit(address)
    wrong: list[InvalidValueError] = []
    if parts.path.strip("/") or parts.query or parts.fragment:
        fix = "end it after the host, for example https://acme.happyfox.com"
        wrong.append(InvalidValueError("has more than a scheme and a host", fix))
    if parts.scheme == "http" and not is_loopback(name):
        fix = "write https://; http is for loopback only"
        wrong.append(InvalidValueError("would send the key over plain http", fix))
    raise_all(wrong)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}{port}"


def host_of(address: str) -> str:
    """Return the host of an http or https address in lower case, an IPv6 address without its brackets."""
    fix = "write it as https://acme.happyfox.com"
    try:
        parts = urlsplit(address)
        name = parts.hostname or ""
        port = parts.port
    except ValueError:
        raise InvalidValueError("is not an address", fix) from None
    if parts.scheme not in ("http", "https"):
        raise InvalidValueError("does not start with https://", fix)
    if "@" in parts.netloc:
        raise InvalidValueError("contains a user name or password", "leave out everything between // and the host")
    if port == 0 or not (_HOST.fullmatch(name) or _ip(name)):
        raise InvalidValueError("has no valid host", fix)
    return name


def is_loopback(name: str) -> bool:
    """Return whether a host is certainly this machine, without resolving other names."""
    address = _ip(name)
    return address.is_loopback if address else name == "localhost"


def label_of(name: str) -> str | None:
    """Return the first label of a host name: the default name of an account; None for loopback and IP."""
    label = name.partition(".")[0]
    return None if is_loopback(name) or _ip(name) or not re.fullmatch(r"[a-z0-9-]+", label) else label


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def smtp_url(given: object) -> Secret:
    """Parse the address of a mail server, smtp://user:password@host:587 or smtps://..."""
    fix = "write it as smtps://user:password@mail.example.com, or smtp:// with the port of STARTTLS"
    try:
        parts = urlsplit(text(given))
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidValueError("is not an address", fix) from None
    if parts.scheme not in ("smtp", "smtps") or not (_HOST.fullmatch(name) or _ip(name)):
        raise InvalidValueError("is not the address of a mail server", fix)
    return secret(given)


def mail_address(given: object) -> str:
    """Parse an email address."""
    if not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", text(given)):
        raise InvalidValueError("is not an email address", "write it as foxhooks@example.com")
    return text(given)


# Lists


def words(given: str) -> list[object]:
    """Split a text at its commas; a JSON list may contain texts with commas."""
    if given.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return list(json.loads(given))
    return [word for word in given.split(",") if word.strip()]


def word_list(given: object) -> list[str]:
    """Parse a list, or a text of words between commas. Drop empty words and repetitions."""
    if isinstance(given, str):
        found = words(given)
    elif isinstance(given, list):
        found = given
    else:
        raise InvalidValueError("is not a list", 'write a list of texts, for example ["one", "two"]')
    return list(dict.fromkeys(text(word) for word in found))


def secrets(given: object) -> tuple[Secret, ...]:
    """Parse one or more signing keys, newest first."""
    keys = tuple(Secret(word) for word in word_list(given))
    if not keys:
        raise InvalidValueError("contains no signing key", "write at least one, the newest first")
    return keys


def tokens(given: object) -> tuple[Token, ...]:
    """Parse `name:role:digest` words."""
    fix = f"write name:role:digest, with a role of {', '.join(ROLES)} and the SHA-256 of the token in hexadecimal"
    words = word_list(given)
    found = [match for word in words if (match := _TOKEN.fullmatch(word))]
    if not words or len(found) < len(words):
        raise InvalidValueError("contains what is not a token", fix)
    return tuple(Token(match[1], match[2], match[3].lower()) for match in found)


def dashboard_users(given: object) -> tuple[DashboardUser, ...]:
    """Parse `name:role:hash` words between white space, because argon2 hashes contain commas."""
    fix = f"write name:role:hash, with a role of {', '.join(ROLES)} and the hash of `foxhooks dashboard password`"
    parts = given if isinstance(given, list) else [given]
    spaced = [" ".join(each.split()) if isinstance(each, str) else each for each in parts]
    found = [_USER.fullmatch(word) for each in spaced for word in text(each).split()]
    users = tuple(DashboardUser(match[1], match[2], Secret(match[3])) for match in found if match)
    if not users or len(users) < len(found):
        raise InvalidValueError("contains what is not a user", fix)
    if len({user.name for user in users}) < len(users):
        raise InvalidValueError("names a user twice", "keep one of them")
    return users


def dashboard_proxy(given: object) -> DashboardProxy:
    """Parse `USER-HEADER from NETWORK,... [role ROLE-HEADER] [secret HEADER=VALUE]`."""
    fix = "write X-Forwarded-User from 10.0.0.0/8 role X-Forwarded-Role secret X-Proxy-Secret=VALUE"
    header, *others = text(given).split()
    parts = dict(zip(others[::2], others[1::2], strict=False))
    secret_header, _, value = parts.get("secret", "").partition("=")
    names = [header, *(name for name in (parts.get("role", ""), secret_header) if name)]
    if len(others) != 2 * len(parts) or not {"from"} <= parts.keys() <= {"from", "role", "secret"}:
        raise InvalidValueError("is not the description of a proxy", fix)
    if not all(_HEADER.fullmatch(name) for name in names) or ("secret" in parts) != bool(secret_header and value):
        raise InvalidValueError("contains what is not the name of a header", fix)
    try:
        networks = tuple(ipaddress.ip_network(each) for each in parts["from"].split(",") if each)
    except ValueError:
        networks = ()
    if not networks:
        raise InvalidValueError("contains what is not a network", fix)
    role_header = parts.get("role", "").lower()
    return DashboardProxy(
        header.lower(), networks, role_header, secret_header.lower(), Secret(value) if value else None
    )


def doubtful_proxy(proxy: DashboardProxy) -> Iterator[InvalidValueError]:
    """Yield what makes a proxy easy to imitate."""
    if not proxy.secret_header:
        problem = "has no secret header, so every sender in that network can claim to be anybody"
        yield InvalidValueError(problem, "let the proxy set one, and add: secret X-Proxy-Secret=VALUE")


def doubtful_secrets(keys: Sequence[Secret]) -> Iterator[InvalidValueError]:
    """Yield what is probably a mistake in signing keys; none of it is certain, because any text may be a key."""
    again = "copy the key again from HappyFox's webhook page"
    for position, each in enumerate(keys, 1):
        key, which = each.reveal(), f"contains a key (number {position}) that"
        if key[0] in _QUOTES and key[-1] in _QUOTES:
            yield InvalidValueError(f"{which} is in quotes", "remove the quotes, unless they are part of the key")
        elif any(letter != " " and unicodedata.category(letter) in ("Cf", "Zs") for letter in key):
            yield InvalidValueError(f"{which} contains an invisible character", again)
        elif _is_encoded(key):
            yield InvalidValueError(f"{which} looks like the base64 or hexadecimal form of another text", again)
        elif len(keys) > 1 and len(key) < _SHORTEST_KEY:
            fix = 'if a key contains a comma, write a list: ["first,with comma", "second"]'
            yield InvalidValueError(f"{which} is very short", fix)


def _is_encoded(key: str) -> bool:
    """Return whether a key is the base64 or hexadecimal form of a readable text."""
    for decode in (partial(base64.b64decode, validate=True), bytes.fromhex):
        with suppress(ValueError):
            text = decode(key)
            if len(text) >= _SHORTEST_KEY and all(32 <= byte < 127 for byte in text):
                return True
    return False


def handlers(given: object) -> tuple[str, ...]:
    """Parse import strings and entry-point names, in order."""
    names = word_list(given)
    fix = "write module:router, for example vip:router"
    wrong = [name for name in names if not (_IMPORT.fullmatch(name) or _ENTRY_POINT.fullmatch(name))]
    raise_all([InvalidValueError(f"contains {quoted(name)}, which is not a router", fix) for name in wrong])
    if not names:
        raise InvalidValueError("contains no router", "write at least one module:router")
    return tuple(names)


def grants(given: object) -> frozenset[tuple[str, str]]:
    """Parse `router:permission` words, or a table of lists of permissions by router."""
    if isinstance(given, dict):
        pairs = [(router, permission) for router, value in given.items() for permission in word_list(value)]
    else:
        pairs = [(router, permission) for router, _, permission in (word.partition(":") for word in word_list(given))]
    granted = [(router.strip(), permission.strip()) for router, permission in pairs]
    raise_all([wrong for grant in granted for wrong in _grant_problems(*grant)])
    return frozenset(granted)


def switch(given: object) -> bool:
    """Parse on or off."""
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and text(given).lower() in _ON | _OFF:
        return text(given).lower() in _ON
    raise InvalidValueError("is neither on nor off", "write 1 or 0")


def dry_run(given: object) -> bool | frozenset[str]:
    """Parse on or off, or the names of the routers that run dry."""
    with suppress(InvalidValueError):
        return switch(given)
    fix = "write 1 or 0, or the names of routers, for example vip"
    if not isinstance(given, str | list):
        raise InvalidValueError("is neither on nor off nor a list of routers", fix)
    names = word_list(given)
    wrong = [name for name in names if not ROUTER.fullmatch(name)]
    raise_all([InvalidValueError(f"contains {quoted(name)}, which is not a valid router name", fix) for name in wrong])
    return frozenset(names)


def _grant_problems(router: str, permission: str) -> Iterator[InvalidValueError]:
    if not ROUTER.fullmatch(router):
        fix = "write router:permission, for example vip:reply"
        yield InvalidValueError(f"grants to {quoted(router)}, which is not a valid router name", fix)
    elif permission not in PERMISSIONS:
        fix = suggest(permission, PERMISSIONS, f"use one of {', '.join(PERMISSIONS)}")
        yield InvalidValueError(f"grants {printable(router)} the unknown permission {quoted(permission)}", fix)
