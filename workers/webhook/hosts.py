"""Check by the host of its link that a delivery is about a ticket of this account.

Accounts may share a signing key, and HappyFox names no account in a delivery, so the link is the only evidence. A host
that nobody knows is no contradiction: an account with a domain of its own may be linked by its HappyFox name, and the
other way round. The store learns such hosts and compares them with each other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from workers.webhook.bodies import UnreadableBody

_HOST: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[0-9A-Fa-f:.]+\]|[^/?#:@\[\]]+)(?::([0-9]{1,5}))?(?![^/?#])"
)
_HELP_DESK: Final = re.compile(r"(.+)\.happyfox\.(?:com|net)(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The hosts that the settings name."""

    own: str = ""
    """The account's own host, empty if it is not known here."""
    others: frozenset[str] = frozenset()
    """The hosts of the other accounts."""

    def check(self, host: str) -> str:
        """Return the host if the store must compare it with those it has learned, else nothing.

        Raise UnreadableBody if it contradicts the settings.
        """
        if not host or host == self.own:
            return ""
        if host in self.others:
            raise UnreadableBody("other-account")
        if (ours := help_desk(self.own)) and (theirs := help_desk(host)) and ours != theirs:
            raise UnreadableBody("other-help-desk")
        return host


def known_hosts(urls: Mapping[str, str]) -> dict[str, KnownHosts]:
    """Return what is known for each account, from the URLs of all accounts; a URL may be empty."""
    hosts = {account: host_in(url) for account, url in urls.items()}
    return {account: KnownHosts(own, frozenset(hosts.values()) - {own, ""}) for account, own in hosts.items()}


@lru_cache(1024)
def help_desk(host: str) -> str:
    """Return the name of a help desk in HappyFox's domains, empty for any other host."""
    found = _HELP_DESK.fullmatch(host)
    return found[1] if found else ""


def host_in(link: object) -> str:
    """Return the host of a link in lower case, with an unusual port; empty if it has none."""
    found = _HOST.match(link) if isinstance(link, str) else None
    if found is None:
        return ""
    host, port = found[1].lower().rstrip(".")[:253], found[2]
    return f"{host}:{port}" if port and port not in ("80", "443") else host
