"""The settings as frozen values: read once at start, then passed to the code that needs them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

Durability = Literal["memory", "everysec", "fsync", "replica"]

Priority = Literal["interactive", "normal", "bulk"]
"""The class of a call: interactive ones may use all of the budget, normal ones leave 10 % of it, bulk ones 30 %."""

ROLES = ("viewer", "operator", "admin")
"""What a program with a token, or a user of the dashboard, may do, least first."""


class Secret:
    """Wrap a key, password or code so that logs, tracebacks and reports show only asterisks.

    Not a dataclass on purpose: `dataclasses.asdict` would open it. An empty secret is false: not loaded.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends or checks it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled; load the settings again where they are needed")


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One mistake in the settings: where it is, what is wrong and how to fix it."""

    setting: str
    """The setting and its source, for example `PORT (environment)`."""
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Token:
    """The access of a program; the token itself is not stored."""

    name: str
    role: str
    """One of `ROLES`."""
    digest: str
    """The SHA-256 of the token, as 64 lower-case hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class DashboardUser:
    """A person who may log in to the dashboard."""

    name: str
    role: str
    """One of `ROLES`."""
    hash: Secret
    """The password as an argon2id hash."""


@dataclass(frozen=True, slots=True)
class DashboardProxy:
    """A proxy that logs people in and names them in a header."""

    user_header: str
    """In lower case, like the other headers."""
    networks: tuple[IPv4Network | IPv6Network, ...]
    """Where the proxy calls from."""
    role_header: str = ""
    """Empty: everybody whom the proxy names is a viewer."""
    secret_header: str = ""
    """Empty: every sender in the networks is trusted."""
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class HookSender:
    """Another system that may call `POST /hooks/{account}/{router}/{name}`."""

    secrets: tuple[Secret, ...]
    """Newest first."""
    header: str = ""
    """The header that contains the HMAC of its bodies, if it is not a usual one."""


@dataclass(frozen=True, slots=True)
class AlertAddress:
    """Where an alert is sent."""

    kind: Literal["slack", "webhook", "mail"]
    target: Secret
    """The URL or the email address; a URL of Slack is a key."""
    shown: str
    """How messages name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What people are told of, and where."""

    when: str
    """One of ``ALERTS`` in alerts.py."""
    to: tuple[AlertAddress, ...]
    account: str = ""
    """Empty for all accounts."""
    count: int = 1
    """How many dead letters, or how many denied calls of one client in the last minutes."""
    age: float = 600.0
    """Of the ticket that is due longest (s)."""
    silent_after: float = 6 * 3600.0
    """How long (s) nothing may come while too little is known to expect deliveries."""
    ratio: float = 0.99
    """The least part of all changes that deliveries announced."""
    secret: Secret | None = None
    """Signs what is sent to webhooks."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a setting in force is defined: a fix names this place, because no other has an effect."""

    key: str
    """The environment variable, or the key in the file."""
    file: str = ""
    """Empty for the environment."""
    table: str = ""
    """The table in the file; empty for its top."""
    has_members: bool = False
    """Whether the value is itself a table of the file."""

    def __str__(self) -> str:
        if not self.file:
            return self.key
        return f"{self.key} in [{self.table}] of {self.file}" if self.table else f"{self.key} in {self.file}"

    @property
    def path(self) -> str:
        """Return the key with its table, such as `accounts.acme.permissions`."""
        return f"{self.table}.{self.key}" if self.table else self.key


class ShownSetting(NamedTuple):
    """A setting in force, as people and other processes may see it."""

    name: str
    """Its variable."""
    value: str
    """Of a secret only how long it is."""
    source: str
    """The variable or key that defines it, or `default`."""


Origins = Mapping[str, Origin]
"""The origins of settings by their variables."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What routers may do, and the setting that defines it."""

    allow: frozenset[tuple[str, str]] = frozenset()
    """Pairs of router and permission."""
    origin: Origin = Origin("FOXHOOKS_ALLOW")

    def of(self, router: str) -> frozenset[str]:
        """Return the permissions of a router."""
        return frozenset(permission for name, permission in self.allow if name == router)

    def source(self, router: str, permission: str) -> str:
        """Return what grants a permission, such as `[permissions] vip in foxhooks.toml`."""
        origin = self.origin
        if origin.has_members:
            return f"[{origin.path}] {router} in {origin.file}"
        return str(origin) if origin.file else f"{origin.key}={router}:{permission}"

    def adding(self, router: str, permissions: Iterable[str]) -> str:
        """Return the setting as it would grant a router these permissions, too; it keeps all others."""
        origin = self.origin
        if origin.has_members:
            listed = ", ".join(f'"{each}"' for each in sorted(self.of(router).union(permissions)))
            return f"{router} = [{listed}] in [{origin.path}] of {origin.file}"
        words = sorted(f"{name}:{each}" for name, each in self.allow.union((router, each) for each in permissions))
        if not origin.file:
            return f"{origin.key}={','.join(words)}"
        listed = ", ".join(f'"{each}"' for each in words)
        return f"{origin.key} = [{listed}]{str(origin).removeprefix(origin.key)}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What HappyFox allows one account, and how much of it foxhooks uses."""

    gets: int
    """GET calls in any window of `window` seconds."""
    posts: int
    """POST calls in any window of `window` seconds."""
    window: float
    lockout: float
    """Seconds for which HappyFox rejects every call after a 429."""
    share: float
    """The part of the budget foxhooks uses, above 0 and at most 1."""
    in_flight: int
    """The most calls in flight at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One HappyFox help desk. Values that the loaded part does not read are empty or have their default."""

    name: str
    secrets: tuple[Secret, ...]
    """Signing keys of its webhooks, newest first."""
    url: str
    """Scheme and host, without a slash at the end."""
    api_key: Secret
    auth_code: Secret
    staff_id: int
    """The staff member foxhooks writes as; 0 when not loaded."""
    budget: Budget
    timeout: float
    """Total seconds of one call."""
    doubt: float
    """Seconds after its deadline in which a call may still take effect."""
    handlers: tuple[str, ...]
    """Import strings or entry-point names, in the order they run; `rules` is among them when there is a rules file."""
    rules: Path | None
    """The rules file."""
    allow: frozenset[tuple[str, str]]
    """Grants, as (router, permission)."""
    dry_run: bool
    dry_routers: frozenset[str] = frozenset()
    """The routers that run dry while the others act."""
    loop_guard: int
    """Writes per ticket and hour before the loop guard trips."""
    time_spent: int = 0
    """Minutes for calls without any, in categories that require them; 0 for none."""
    unanswered_replies: int = 3
    """Emails from a ticket in a row, without an update by a person, before more are held back."""
    replies_per_contact: int = 10
    """Automatic emails to one address within 24 hours before more are held back."""
    newest_first: bool = False
    """Whether, under a backlog, the newest tickets are handled first."""
    sweep_minutes: float = 5.0
    """Minutes between two sweeps for changes without a delivery, 0 for none."""
    sweep_share: float = 0.1
    """The part of the GET budget that sweeps may use, above 0 and at most 1."""
    off_tag: str = ""
    """The tag that pauses its ticket, empty for none."""
    off_skips: bool = False
    """Whether events of a ticket with that tag are skipped instead of waiting."""
    router_settings: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """The [router.NAME] tables by router name; hidden from `repr` because they may contain keys."""
    origins: Origins = field(default_factory=dict, repr=False, compare=False)
    shown: tuple[ShownSetting, ...] = field(default=(), repr=False, compare=False)
    """The settings that the loaded part reads, for people."""

    def where(self, variable: str) -> str:
        """Return how a message names a setting: by the place that defines its value."""
        return str(self.origins.get(variable, variable))

    @property
    def grants(self) -> Grants:
        """Return the grants with the setting that defines them."""
        return Grants(self.allow, self.origins.get("FOXHOOKS_ALLOW", Grants().origin))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayClient:
    """A program that uses HappyFox through the gateway."""

    name: str
    token: Secret
    allow: frozenset[str] = frozenset()
    """What it may do, see `CLIENT_PERMISSIONS`."""
    priority: Priority = "normal"
    """The class in which its calls get permits."""
    wait: float = 30.0
    """How many seconds a call waits for a permit and for its ticket."""
    categories: tuple[int | str, ...] = ()
    """The ids or names of the only categories whose tickets it may use; empty for all."""
    where: str = ""
    """The file of its table."""

    def may(self, permission: str) -> bool:
        """Return whether it has a permission."""
        return permission in self.allow or "*" in self.allow

    def adding(self, *permissions: str) -> str:
        """Return the setting that would grant it these permissions, too."""
        listed = ", ".join(f'"{each}"' for each in sorted({*self.allow, *permissions}))
        return f"allow = [{listed}] in [clients.{self.name}] of {self.where or 'foxhooks.toml'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a process. Values that the loaded part does not read have their default."""

    accounts: Mapping[str, Account]
    redis_url: str | None = field(repr=False)
    """None selects the embedded store. Hidden from `repr` because it may contain a password."""
    data: Path
    """Folder of the embedded store."""
    durability: Durability
    store_maxmemory: int | None = None
    """The most memory of the embedded store, in bytes. None: half of what the machine or the container has."""
    lease: float
    handler_seconds: float
    retention_hours: float
    show_errors: bool = False
    """Whether the text of plug-ins' exceptions is shown, which may quote a customer."""
    dead_letter_days: int
    threads: int
    processes: int
    web_concurrency: int
    host: str | None
    """None: the command chooses."""
    port: int
    tokens: tuple[Token, ...] = ()
    """Programs that may see details and use the dashboard's API."""
    admin_password: Secret | None = None
    """The password of the dashboard's user `admin`."""
    dashboard_users: tuple[DashboardUser, ...] = ()
    dashboard_proxy: DashboardProxy | None = None
    dashboard: bool = True
    """False: the web process does not serve the dashboard, whatever else is set."""
    hooks: Mapping[str, HookSender] = field(default_factory=dict)
    """Other systems that may call hooks, by name."""
    clients: Mapping[str, GatewayClient] = field(default_factory=dict)
    """Programs that may use the gateway, by name."""
    gateway_port: int = 8020
    sentry_dsn: Secret | None
    log_level: str
    """A level name of `logging`, in capitals."""
    log_format: Literal["json", "console"]
    smtp_url: Secret | None = None
    """The server that sends alerts as mail."""
    mail_from: str = ""
    """Whom mail comes from."""
    alerts: tuple[Alert, ...] = ()
    """What people are told of, and where."""
    config_path: Path | None
    """The file that was read, if any."""
    warnings: tuple[SettingProblem, ...] = ()
    """What still works but must be changed before the next release, such as the old name of a setting."""
    origins: Origins = field(default_factory=dict, repr=False, compare=False)
    shown: tuple[ShownSetting, ...] = field(default=(), repr=False, compare=False)
    """The settings that the loaded part reads, for people."""

    def where(self, variable: str) -> str:
        """Return how a message names a setting: by the place that defines its value."""
        return str(self.origins.get(variable, variable))

    @property
    def has_people(self) -> bool:
        """Return whether anybody can log in to the dashboard."""
        return bool(self.admin_password or self.dashboard_users or self.dashboard_proxy)


@dataclass(frozen=True, slots=True)
class Calling:
    """An account that a script calls; its budget is kept at `redis_url`, or in the embedded store in `data`."""

    account: Account
    redis_url: str | None = field(repr=False)
    data: Path


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A rules file and what it is permitted to do."""

    account: str
    """Empty if it applies to all accounts."""
    path: Path | None
    allow: frozenset[tuple[str, str]]
    origin: Origin = field(default=Grants().origin, compare=False)
    """What defines the grants."""

    @property
    def grants(self) -> Grants:
        """Return the grants with the setting that defines them."""
        return Grants(self.allow, self.origin)
