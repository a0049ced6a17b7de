"""Readers: each turns one given value into what its setting holds, or says why it does not fit.

A given value is a text from the environment or whatever TOML made of the file. Complaints do not repeat
values, so that a key pasted into the wrong setting is not printed.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workers.settings.complaints import UnfitError, refuse
from workers.settings.hosts import host_of, is_loopback
from workers.settings.secret import Secret

Reader = Callable[[object], Any]

_WHOLE = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18}")
_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"0", "false", "no", "off"})


def text(given: object) -> str:
    """Reads a text without the white space around it."""
    if not isinstance(given, str):
        raise UnfitError("is not a text", "write it in quotes")
    stripped = given.strip()
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in stripped):
        raise UnfitError("contains a control character", "type the value again instead of pasting it")
    if any(0xD800 <= ord(letter) < 0xE000 for letter in stripped):
        raise UnfitError("is not valid UTF-8", "type the value again in UTF-8")
    if not stripped:
        raise UnfitError("is empty", "give it a value or remove it")
    return stripped


def whole(most: int, least: int = 1) -> Reader:
    """Returns a reader of whole numbers from `least` to `most`."""

    def read(given: object) -> int:
        number: object = given
        if isinstance(given, str) and _WHOLE.fullmatch(text(given)):
            number = int(text(given))
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise UnfitError("is not a whole number in range", f"write a whole number from {least} to {most}")
        return number

    return read


def decimal(most: float, least: float = 0.001) -> Reader:
    """Returns a reader of numbers from `least` to `most`."""

    def read(given: object) -> float:
        number: object = given
        if isinstance(given, str) and _DECIMAL.fullmatch(text(given)):
            number = float(text(given))
        if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= most:
            raise UnfitError("is not a number in range", f"write a number from {least:g} to {most:g}")
        return float(number)

    return read


def switch(given: object) -> bool:
    """Reads on or off."""
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and text(given).lower() in _ON | _OFF:
        return text(given).lower() in _ON
    raise UnfitError("is neither on nor off", "write 1, true, yes, on, or 0, false, no, off")


def choice(*words: str) -> Reader:
    """Returns a reader of one of *words*, in any case."""

    def read(given: object) -> str:
        for word in words:
            if text(given).lower() == word.lower():
                return word
        raise UnfitError("is not one of its values", f"write {', '.join(words[:-1])} or {words[-1]}")

    return read


def tag(given: object) -> str:
    """Reads a tag of HappyFox; a blank one is none."""
    if isinstance(given, str) and not given.strip():
        return ""
    if "," in text(given):
        raise UnfitError("is more than one tag", "write one, without a comma")
    return text(given)


def path(given: object) -> Path:
    """Reads a path; whoever found it makes it absolute."""
    return Path(text(given))


def host(given: object) -> str:
    """Reads an address to listen on."""
    name = text(given)
    if re.search(r"[\s/@]", name):
        raise UnfitError("is not a host", "write a host name or an IP address, as 127.0.0.1")
    return name


def account_name(given: object) -> str:
    """Reads the name of an account, a part of the webhook's path."""
    name = text(given)
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise UnfitError("is not a name for an account", "use only a to z, 0 to 9 and hyphens, as acme")
    return name


def url(given: object) -> str:
    """Reads the address of a help desk and returns it without a slash at the end."""
    address = text(given)
    name = host_of(address)
    parts = urlsplit(address)
    wrong: list[UnfitError] = []
    if parts.path.strip("/") or parts.query or parts.fragment:
        cure = "end it after the host, as https://acme.happyfox.com"
        wrong.append(UnfitError("has more than scheme and host", cure))
    if parts.scheme == "http" and not is_loopback(name):
        wrong.append(UnfitError("would send the key over plain http", "write https://; http is for loopback only"))
    refuse(wrong)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}{port}"


def redis_url(given: object) -> str:
    """Reads the address of a Redis or Valkey server."""
    address = text(given)
    cure = "write redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH"
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise UnfitError("is not an address", cure) from None
    if parts.scheme not in ("redis", "rediss", "unix") or "://" not in address:
        raise UnfitError("has a scheme that is not redis, rediss or unix", cure)
    if parts.scheme == "unix" and not parts.path:
        raise UnfitError("names no socket", cure)
    return address


def secret(given: object) -> Secret:
    """Reads a key, without the white space around it."""
    return Secret(text(given))


def api_key(given: object) -> Secret:
    """Reads the first half of the Basic auth pair, which cannot hold a colon (RFC 7617)."""
    if ":" in text(given):
        raise UnfitError("contains a colon", "give the API key alone; the auth code is a setting of its own")
    return auth_code(given)


def auth_code(given: object) -> Secret:
    """Reads a half of the Basic auth pair. What a letter beyond ASCII becomes in it is not agreed upon (RFC 7617)."""
    if not text(given).isascii():
        raise UnfitError("contains a letter beyond ASCII", "copy it again from HappyFox: Apps > Goodies > API")
    return secret(given)


def sentry_dsn(given: object) -> Secret:
    """Reads the address that reports go to, which holds a key."""
    if not re.fullmatch(r"https?://[^\s@/]+@\S+/\S+", text(given)):
        raise UnfitError("is not a DSN", "copy it from Sentry: Settings, Projects, Client Keys")
    return secret(given)
