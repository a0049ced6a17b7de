"""Every setting, once. Loading, checking, the nearest name and the documentation follow this table."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from workers.settings import parse
from workers.settings.model import Secret
from workers.settings.parse import Parser, short

Part = Literal["web", "worker", "all", "calls", "store"]
"""Who loads settings: the web process, the worker, both in one process, a script that calls HappyFox, or a command
that needs the store alone."""

WEB, WORKER, BOTH = (frozenset({"web", "all"}), frozenset({"worker", "all"}), frozenset({"web", "worker", "all"}))
CALLS = WORKER | {"calls"}
EVERY = BOTH | CALLS | {"store"}

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
    scope: Scope
    parts: frozenset[str]
    parse: Parser
    help: str
    default: Any = None
    """Also the value of a required setting that the loaded part does not read."""
    _: KW_ONLY
    required: frozenset[str] = frozenset()
    """The parts that cannot start without it."""
    shown: str = ""
    """The default in the words of the documentation, where the value itself does not say it."""
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

    @property
    def default_text(self) -> str:
        """Return the default in the words of the documentation."""
        if self.shown or self.required:
            return self.shown or "required"
        if not self.default:
            return "off" if self.default is False else "none"
        return f"`{self.default:g}`" if isinstance(self.default, float) else f"`{self.default}`"


NOT_YET = frozenset({"FOXHOOKS_ADMIN_PASSWORD"})
"""Settings of features that do not exist yet: rejected, never ignored."""

_DAY = 86_400
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

CONFIG = Setting(
    "FOXHOOKS_CONFIG",
    "environment",
    EVERY,
    parse.path,
    "the settings file",
    shown="`foxhooks.toml` in the current folder, if there is one",
)
NAME = Setting(
    "HAPPYFOX_ACCOUNT",
    "single",
    BOTH | CALLS,
    parse.account_name,
    "the account's name in the path of the webhook",
    shown="the first label of the host in `HAPPYFOX_URL`",
)
URL = Setting(
    "HAPPYFOX_URL",
    "account",
    CALLS,
    parse.url,
    "the help desk, for example https://acme.happyfox.com",
    "",
    required=CALLS,
)
HANDLERS = Setting(
    "FOXHOOKS_HANDLERS",
    "shared",
    WORKER,
    parse.handlers,
    "the routers that run, in order, for example vip:router",
    (),
    shown="required, unless `FOXHOOKS_RULES` is set",
)
RULES = Setting("FOXHOOKS_RULES", "shared", WORKER, parse.path, "a rules file")
ALLOW = Setting(
    "FOXHOOKS_ALLOW",
    "shared",
    WORKER,
    parse.grants,
    "grants, for example vip:reply",
    frozenset(),
    also=("permissions",),
)
REDIS = Setting(
    "REDIS_URL", "deployment", EVERY, parse.redis_url, "the Redis or Valkey server", shown="the embedded store"
)
DATA = Setting("FOXHOOKS_DATA", "deployment", EVERY, parse.path, "folder of the embedded store", Path(".foxhooks"))
DURABILITY = Setting(
    "FOXHOOKS_DURABILITY",
    "deployment",
    EVERY,
    parse.choice("memory", "everysec", "fsync"),
    "what a 200 promises",
    shown="`fsync` with the embedded store, else `everysec`",
)

SETTINGS: tuple[Setting, ...] = (
    CONFIG,
    NAME,
    Setting(
        "HAPPYFOX_WEBHOOK_SECRETS",
        "account",
        WEB,
        parse.secrets,
        "the signing keys of the webhooks, newest first",
        (),
        required=WEB,
    ),
    URL,
    Setting(
        "HAPPYFOX_API_KEY",
        "account",
        CALLS,
        parse.api_key,
        "the first half of the Basic auth pair",
        Secret(""),
        required=CALLS,
    ),
    Setting(
        "HAPPYFOX_AUTH_CODE",
        "account",
        CALLS,
        parse.auth_code,
        "the second half of the Basic auth pair",
        Secret(""),
        required=CALLS,
    ),
    Setting(
        "HAPPYFOX_STAFF_ID",
        "account",
        CALLS,
        parse.whole(10**15),
        "the id of the staff member foxhooks writes as",
        0,
        required=WORKER,
    ),
    Setting("HAPPYFOX_GETS_PER_MINUTE", "account", CALLS, parse.whole(10**6), "GET calls allowed in any window", 500),
    Setting("HAPPYFOX_POSTS_PER_MINUTE", "account", CALLS, parse.whole(10**6), "POST calls allowed in any window", 300),
    Setting("HAPPYFOX_WINDOW_SECONDS", "account", CALLS, parse.decimal(_DAY), "length of the window", 60.0),
    Setting(
        "HAPPYFOX_LOCKOUT_SECONDS",
        "account",
        CALLS,
        parse.decimal(_DAY),
        "how long HappyFox rejects calls after a 429",
        600.0,
    ),
    Setting("HAPPYFOX_BUDGET_SHARE", "account", CALLS, parse.decimal(1), "the part of the budget foxhooks uses", 0.9),
    Setting("HAPPYFOX_IN_FLIGHT", "account", CALLS, parse.whole(1000), "calls in flight", 8),
    Setting(
        "HAPPYFOX_TIMEOUT_SECONDS",
        "account",
        CALLS,
        parse.decimal(3600),
        "total time of one call",
        15.0,
        shown="`15` (60 with files)",
    ),
    Setting(
        "HAPPYFOX_DOUBT_SECONDS",
        "account",
        CALLS,
        parse.decimal(_DAY, least=0),
        "how long after its deadline a call may take effect",
        30.0,
    ),
    HANDLERS,
    RULES,
    ALLOW,
    Setting("FOXHOOKS_DRY_RUN", "shared", WORKER, parse.dry_run, "plan and show everything, send nothing", False),
    Setting(
        "FOXHOOKS_OFF_TAG", "shared", WORKER, parse.tag, "the tag that pauses its ticket", "foxhooks-off", blank=True
    ),
    Setting(
        "FOXHOOKS_OFF",
        "shared",
        WORKER,
        parse.choice("wait", "skip"),
        "whether events of a ticket with that tag wait or are skipped",
        "wait",
    ),
    Setting(
        "FOXHOOKS_LOOP_GUARD",
        "shared",
        WORKER,
        parse.whole(10**6),
        "writes per ticket and hour before the loop guard trips",
        20,
        renamed=Renamed("FOXHOOKS_FUSE", "0.2.0"),
    ),
    Setting(
        "FOXHOOKS_UNANSWERED_REPLIES",
        "shared",
        WORKER,
        parse.whole(10**6),
        "emails from a ticket in a row without an update by a person before more are held back",
        3,
    ),
    Setting(
        "FOXHOOKS_REPLIES_PER_CONTACT",
        "shared",
        WORKER,
        parse.whole(10**6),
        "automatic emails to one address within 24 hours before more are held back",
        10,
    ),
    REDIS,
    DATA,
    DURABILITY,
    Setting("FOXHOOKS_LEASE_SECONDS", "deployment", WORKER, parse.decimal(_DAY), "how long a lane is leased", 15.0),
    Setting("FOXHOOKS_HANDLER_SECONDS", "deployment", WORKER, parse.decimal(_DAY), "time limit of one handler", 30.0),
    Setting("FOXHOOKS_RETENTION_HOURS", "deployment", EVERY, parse.decimal(87_600), "how long events are kept", 168.0),
    Setting("FOXHOOKS_THREADS", "deployment", WORKER, parse.whole(1000), "handler threads of a worker process", 8),
    Setting("FOXHOOKS_PROCESSES", "deployment", WORKER, parse.whole(1000), "worker processes", 1),
    Setting("WEB_CONCURRENCY", "deployment", WEB, parse.whole(1000), "web processes", 1),
    Setting(
        "PORT",
        "deployment",
        WEB,
        parse.whole(65_535),
        "port of the web process",
        8000,
        shown="`8000`, `8010` for `simulator`",
    ),
    Setting(
        "HOST",
        "deployment",
        WEB,
        parse.host,
        "address of the web process",
        shown="`0.0.0.0` for `web`, `127.0.0.1` for `up`, `demo` and `simulator`",
    ),
    Setting("SENTRY_DSN", "deployment", EVERY, parse.sentry_dsn, "where errors are reported"),
    Setting("LOG_LEVEL", "deployment", EVERY, parse.choice(*_LEVELS), "the least serious line that is logged", "INFO"),
    Setting("LOG_FORMAT", "deployment", EVERY, parse.choice("json", "console"), "how a line is logged", "json"),
    Setting("FOXHOOKS_ADMIN_PASSWORD", "deployment", WEB, parse.secret, "switches the dashboard on"),
)
