"""What the address of a help desk says about its host."""

import ipaddress
import re
from urllib.parse import urlsplit

from workers.settings.complaints import UnfitError

_HOST = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*")


def host_of(address: str) -> str:
    """Returns the host of an http or https address in lower case, an IPv6 address without its brackets."""
    cure = "write it as https://acme.happyfox.com"
    try:
        parts = urlsplit(address)
        name = parts.hostname or ""
        port = parts.port
    except ValueError:
        raise UnfitError("is not an address", cure) from None
    if parts.scheme not in ("http", "https"):
        raise UnfitError("does not start with https://", cure)
    if "@" in parts.netloc:
        raise UnfitError("contains a user name or password", "leave out everything between // and the host")
    if port == 0 or not (_HOST.fullmatch(name) or _ip(name)):
        raise UnfitError("names no usable host", cure)
    return name


def is_loopback(name: str) -> bool:
    """Tells whether a host can only be this machine. Other names that resolve to it do not count."""
    address = _ip(name)
    return address.is_loopback if address else name == "localhost"


def label_of(name: str) -> str | None:
    """Returns the first label of a host name: the default name of an account; None for loopback and IP."""
    label = name.partition(".")[0]
    return None if is_loopback(name) or _ip(name) or not re.fullmatch(r"[a-z0-9-]+", label) else label


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
