"""Who may use the dashboard: users of the settings, people whom a proxy names, programs with a token."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.tokens import token_of
from workers.settings import ROLES, DashboardProxy, Secret, Settings

#: The user whose password is FOXHOOKS_ADMIN_PASSWORD.
ADMIN = "admin"

#: argon2id with the least memory that OWASP recommends: two hashes at a time must not disturb deliveries.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
AT_A_TIME = 2


class Person(NamedTuple):
    """Who makes a request, and what they may do."""

    name: str
    role: str
    """One of `ROLES`."""
    csrf: str = ""
    """The token that forms must send back; empty for programs."""

    def may(self, role: str) -> bool:
        """Return whether this person may do what needs a role."""
        return ROLES.index(self.role) >= ROLES.index(role)


class People:
    """Check passwords, headers of a proxy and tokens."""

    def __init__(self, settings: Settings) -> None:
        self._admin = settings.admin_password
        self._users = {user.name: user for user in settings.dashboard_users}
        self._tokens = settings.tokens
        self.proxy = settings.dashboard_proxy
        self._limiter: CapacityLimiter | None = None
        self._dummy = HASHER.hash("a password that nobody has")

    @property
    def has_passwords(self) -> bool:
        """Return whether anybody logs in with a password."""
        return bool(self._admin or self._users)

    def role_of(self, name: str) -> str | None:
        """Return the role of a user of the settings, None for a name that is not there."""
        if name == ADMIN and self._admin:
            return "admin"
        user = self._users.get(name)
        return user.role if user else None

    async def check(self, name: str, password: str) -> bool:
        """Return whether a password is that of a user; an unknown name takes as long."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(AT_A_TIME)
        user = self._users.get(name)
        hashed = user.hash.reveal() if user else self._dummy
        fits = await to_thread.run_sync(_verify, hashed, password, limiter=self._limiter) and user is not None
        return _is_admin(self._admin, name, password) or fits

    def proof(self, name: str, cookie: str) -> str:
        """Return what binds a session to the user's password; it is of no use without the cookie."""
        user = self._users.get(name)
        known = [secret.reveal() for secret in (self._admin if name == ADMIN else None, user and user.hash) if secret]
        return hmac.new(cookie.encode(), "\n".join(known).encode(), sha256).hexdigest()

    def program(self, authorization: str) -> Person | None:
        """Return the program that an Authorization header names."""
        token = token_of(authorization, self._tokens)
        return Person(token.name, token.role) if token else None


def _verify(hashed: str, password: str) -> bool:
    try:
        return HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _is_admin(secret: Secret | None, name: str, password: str) -> bool:
    sent, known = (sha256(each.encode()).digest() for each in (password, secret.reveal() if secret else ""))
    return hmac.compare_digest(sent, known) and name == ADMIN and secret is not None


class ForgedError(Exception):
    """A request has the header of the proxy, but does not come from the proxy."""


def named_by_proxy(proxy: DashboardProxy, headers: Mapping[str, str], peer: str) -> Person | None:
    """Return whom the proxy names, None if the request has no such header; raise ``ForgedError`` if it is forged."""
    name = headers.get(proxy.user_header)
    if name is None:
        return None
    sent, known = headers.get(proxy.secret_header, ""), proxy.secret.reveal() if proxy.secret else ""
    if not is_within(peer, proxy) or (known and not hmac.compare_digest(sent.encode(), known.encode())):
        raise ForgedError
    role = headers.get(proxy.role_header, "") if proxy.role_header else ROLES[0]
    if role not in ROLES or not name.strip():
        return None
    return Person(name.strip()[:100], role)


def is_within(address: str, proxy: DashboardProxy) -> bool:
    """Return whether an address belongs to the networks of a proxy."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in proxy.networks)


def caller_of(peer: str, forwarded: str, proxy: DashboardProxy | None) -> str:
    """Return whose failed logins are counted together: an address, of IPv6 its network.

    Behind the named proxy, that is the last address in X-Forwarded-For that is not the proxy's. Any other peer in a
    private network may be a router that everybody shares (nginx, Heroku's); its last address is the one that it added.
    """
    address, hops = peer, [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    if proxy is not None and is_within(peer, proxy):
        address = next((hop for hop in reversed(hops) if not is_within(hop, proxy)), peer)
    elif hops and (own := _parse(peer)) is not None and own.is_private and _parse(hops[-1]) is not None:
        address = hops[-1]
    parsed = _parse(address)
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed or address)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
