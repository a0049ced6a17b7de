"""Every setting, once. Loading, checking, the nearest name and the documentation follow this table."""

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from workers.settings import parse
from workers.settings.model import Secret
from workers.settings.parse import InvalidValueError, Parser, short
from workers.settings.store_url import redis_url

Part = Literal["web", "worker", "dashboard", "gateway", "all", "calls", "store"]
"""Who loads settings: the web process, the worker, a dashboard or a gateway in a process of its own, all of them in one
process tree, a script that calls HappyFox, or a command that needs the store alone."""

WEB, WORKER, BOTH = (frozenset({"web", "all"}), frozenset({"worker", "all"}), frozenset({"web", "worker", "all"}))
GATEWAY = frozenset({"gateway", "all"})
ACTING = WORKER | GATEWAY
CALLS = ACTING | {"calls"}
PAGES = WEB | {"dashboard"}
EVERY = BOTH | CALLS | PAGES | {"store"}

Scope = Literal["environment", "deployment", "single", "account", "shared"]
"""Who has a setting: `environment`, the deployment, as a variable only; `deployment`, the deployment;
`single`, a deployment of one account; `account`, each account; `shared`, all accounts, or each its own."""


class Renamed(NamedTuple):
    """The old name of a setting, accepted with a warning for one release."""

    variable: str
    since: str
    """The version that introduced the new name."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its names, who has it, which parts read it, and how."""

    variable: str
    parse: Parser
    help: str
    default: Any = None
    """Also the value of a required setting that the loaded part does not read."""
    _: KW_ONLY
    scope: Scope
    parts: frozenset[str]
    required: frozenset[str] = frozenset()
    """The parts that cannot start without it."""
    hints: frozenset[str] = frozenset()
    """The parts that use it if it is valid and ignore it otherwise."""
    doubts: Callable[[Any], Iterable[InvalidValueError]] | None = None
    """Returns what is probably a mistake in a valid value, to be reported as a warning."""
    also: tuple[str, ...] = ()
    """Further keys in the file."""
    blank: bool = False
    """Whether a blank value is a value, instead of a way to leave it out."""
    renamed: Renamed | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Return its variable, then its old one if it was renamed."""
        return (self.variable, self.renamed.variable) if self.renamed else (self.variable,)

    @property
    def key(self) -> str:
        """Return its short name, which is its key in the file."""
        return short(self.variable)

    @property
    def top_keys(self) -> tuple[str, ...]:
        """Return its keys at the top of the file; a setting of one account has only the full name there."""
        full = tuple(variable.lower() for variable in self.variables)
        if self.scope in ("deployment", "shared"):
            return tuple(dict.fromkeys((*full, *map(short, self.variables), *self.also)))
        return () if self.scope == "environment" else full

    @property
    def account_keys(self) -> tuple[str, ...]:
        """Return its keys in [accounts.NAME]."""
        return (*map(short, self.variables), *self.also) if self.scope in ("account", "shared") else ()

    def is_old(self, key: str) -> bool:
        """Return whether a variable or key is its old name."""
        return self.renamed is not None and short(key) == short(self.renamed.variable)


_DAY = 86_400
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_account = partial(Setting, scope="account", parts=CALLS)
_shared = partial(Setting, scope="shared", parts=WORKER)
_acting = partial(Setting, scope="shared", parts=ACTING)
_web = partial(Setting, scope="deployment", parts=WEB)
_pages = partial(Setting, scope="deployment", parts=PAGES)
_worker = partial(Setting, scope="deployment", parts=WORKER)
_every = partial(Setting, scope="deployment", parts=EVERY)

CONFIG = _every("FOXHOOKS_CONFIG", parse.path, "the settings file", scope="environment")
NAME = Setting(
    "HAPPYFOX_ACCOUNT",
    parse.account_name,
    "the account's name in the path of the webhook",
    scope="single",
    parts=BOTH | CALLS | PAGES,
)
URL = _account(
    "HAPPYFOX_URL",
    parse.url,
    "the help desk, for example https://acme.happyfox.com",
    "",
    required=CALLS,
    hints=PAGES,
)
HANDLERS = _shared("FOXHOOKS_HANDLERS", parse.handlers, "the routers that run, in order, for example vip:router", ())
RULES = _shared("FOXHOOKS_RULES", parse.path, "a rules file")
ALLOW = _shared("FOXHOOKS_ALLOW", parse.grants, "grants, for example vip:reply", frozenset(), also=("permissions",))
REDIS = _every("REDIS_URL", redis_url, "the Redis or Valkey server")
DATA = _every("FOXHOOKS_DATA", parse.path, "folder of the embedded store", Path(".foxhooks"))
DURABILITY = _every(
    "FOXHOOKS_DURABILITY", parse.choice("memory", "everysec", "fsync", "replica"), "what a 200 promises"
)
PORT = Setting("PORT", parse.whole(65_535), "port of the web process", 8000, scope="deployment", parts=PAGES | GATEWAY)
GATEWAY_PORT = Setting(
    "FOXHOOKS_GATEWAY_PORT", parse.whole(65_535), "port of the gateway", 8020, scope="deployment", parts=GATEWAY
)

SMTP = Setting(
    "FOXHOOKS_SMTP_URL", parse.smtp_url, "the server that sends alerts as mail", scope="deployment", parts=BOTH
)

SETTINGS: tuple[Setting, ...] = (
    CONFIG,
    NAME,
    _account(
        "HAPPYFOX_WEBHOOK_SECRETS",
        parse.secrets,
        "the signing keys of the webhooks, newest first",
        (),
        parts=WEB,
        required=WEB,
        doubts=parse.doubtful_secrets,
    ),
    URL,
    _account("HAPPYFOX_API_KEY", parse.api_key, "the first half of the Basic auth pair", Secret(""), required=CALLS),
    _account(
        "HAPPYFOX_AUTH_CODE", parse.auth_code, "the second half of the Basic auth pair", Secret(""), required=CALLS
    ),
    _account(
        "HAPPYFOX_STAFF_ID", parse.whole(10**15), "the id of the staff member foxhooks writes as", 0, required=ACTING
    ),
    _account("HAPPYFOX_GETS_PER_MINUTE", parse.whole(10**6), "GET calls allowed in any window", 500),
    _account("HAPPYFOX_POSTS_PER_MINUTE", parse.whole(10**6), "POST calls allowed in any window", 300),
    _account("HAPPYFOX_WINDOW_SECONDS", parse.decimal(_DAY), "length of the window", 60.0),
    _account("HAPPYFOX_LOCKOUT_SECONDS", parse.decimal(_DAY), "how long HappyFox rejects calls after a 429", 600.0),
    _account("HAPPYFOX_BUDGET_SHARE", parse.decimal(1), "the part of the budget foxhooks uses", 0.9),
    _account("HAPPYFOX_IN_FLIGHT", parse.whole(1000), "calls in flight", 8),
    _account("HAPPYFOX_TIMEOUT_SECONDS", parse.decimal(3600), "total time of one call", 15.0),
    _account(
        "HAPPYFOX_DOUBT_SECONDS",
        parse.decimal(_DAY, least=0),
        "how long after its deadline a call may take effect",
        30.0,
    ),
    _account(
        "HAPPYFOX_TIME_SPENT",
        parse.whole(525_600, least=0),
        "minutes to report where a category requires a time and a handler gives none",
        0,
    ),
    HANDLERS,
    RULES,
    ALLOW,
    _acting("FOXHOOKS_DRY_RUN", parse.dry_run, "plan and show everything, send nothing", False),
    _acting("FOXHOOKS_OFF_TAG", parse.tag, "the tag that pauses its ticket", "foxhooks-off", blank=True),
    _shared(
        "FOXHOOKS_OFF",
        parse.choice("wait", "skip"),
        "whether events of a ticket with that tag wait or are skipped",
        "wait",
    ),
    _acting(
        "FOXHOOKS_LOOP_GUARD",
        parse.whole(10**6),
        "writes per ticket and hour before the loop guard trips",
        20,
        renamed=Renamed("FOXHOOKS_FUSE", "0.2.0"),
    ),
    _acting(
        "FOXHOOKS_UNANSWERED_REPLIES",
        parse.whole(10**6),
        "emails from a ticket in a row without an update by a person before more are held back",
        3,
    ),
    _acting(
        "FOXHOOKS_REPLIES_PER_CONTACT",
        parse.whole(10**6),
        "automatic emails to one address within 24 hours before more are held back",
        10,
    ),
    _shared("FOXHOOKS_NEWEST_FIRST", parse.switch, "under a backlog, the newest tickets first", False),
    _shared(
        "FOXHOOKS_SWEEP_MINUTES",
        parse.decimal(10_080, least=0),
        "minutes between two sweeps for changes without a delivery, 0 for none",
        5.0,
    ),
    _shared("FOXHOOKS_SWEEP_SHARE", parse.decimal(1), "the part of the GET budget that sweeps may use", 0.1),
    REDIS,
    DATA,
    DURABILITY,
    _every("FOXHOOKS_STORE_MAXMEMORY", parse.size, "most memory of the embedded store, for example 512mb"),
    Setting(
        "FOXHOOKS_LEASE_SECONDS",
        parse.decimal(_DAY),
        "how long a lane is leased",
        15.0,
        scope="deployment",
        parts=ACTING,
    ),
    _worker("FOXHOOKS_HANDLER_SECONDS", parse.decimal(_DAY), "time limit of one handler", 30.0),
    _every("FOXHOOKS_RETENTION_HOURS", parse.decimal(87_600), "how long events are kept", 168.0),
    _worker("FOXHOOKS_DEAD_LETTER_DAYS", parse.whole(3650), "how long dead letters are kept", 90),
    _worker("FOXHOOKS_SHOW_ERRORS", parse.switch, "show the text of plug-ins' exceptions", False),
    _worker("FOXHOOKS_THREADS", parse.whole(1000), "handler threads of a worker process", 8),
    _worker("FOXHOOKS_PROCESSES", parse.whole(1000), "worker processes", 1),
    _web("WEB_CONCURRENCY", parse.whole(1000), "web processes", 1),
    PORT,
    GATEWAY_PORT,
    Setting("HOST", parse.host, "address of the web process or the gateway", scope="deployment", parts=PAGES | GATEWAY),
    _pages("FOXHOOKS_TOKENS", parse.tokens, "programs that may see details, as name:role:digest", ()),
    _pages("FOXHOOKS_ADMIN_PASSWORD", parse.secret, "the password of the dashboard's user admin"),
    _pages("FOXHOOKS_DASHBOARD_USERS", parse.dashboard_users, "people who may log in, as name:role:hash", ()),
    _pages(
        "FOXHOOKS_DASHBOARD_PROXY",
        parse.dashboard_proxy,
        "a proxy that logs people in, for example X-Forwarded-User from 10.0.0.0/8",
        doubts=parse.doubtful_proxy,
    ),
    _pages("FOXHOOKS_DASHBOARD", parse.switch, "whether the web process serves the dashboard", True),
    _every("SENTRY_DSN", parse.sentry_dsn, "where errors are reported"),
    SMTP,
    Setting(
        "FOXHOOKS_MAIL_FROM",
        parse.mail_address,
        "whom alerts by mail come from",
        "",
        scope="deployment",
        parts=BOTH,
    ),
    _every("LOG_LEVEL", parse.choice(*_LEVELS), "the least serious line that is logged", "INFO"),
    _every("LOG_FORMAT", parse.choice("json", "console"), "how a line is logged", "json"),
)
