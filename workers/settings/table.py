"""Every setting, once. Reading, checking, the nearest name and the documentation follow this table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workers.settings import readers as read
from workers.settings.readers import Reader
from workers.settings.secret import Secret

Part = Literal["web", "worker", "all", "store"]

DEPLOYMENT, ACCOUNT, SHARED = "deployment", "account", "shared"
"""Scopes: once per deployment; per account; or once for all accounts, each of which may have its own."""

NOT_YET = frozenset(
    {
        "FOXHOOKS_ADMIN_PASSWORD",
        "FOXHOOKS_RULES",  # with it the word `rules` in FOXHOOKS_HANDLERS
    }
)
"""Settings with a meaning that is not built yet: refused, never ignored."""

WEB, WORKER, BOTH = (
    frozenset({"web", "all"}),
    frozenset({"worker", "all"}),
    frozenset({"web", "worker", "all"}),
)
EVERY = BOTH | {"store"}

_YEAR = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its variable, its key in the file, and how it is read.

    `key` is the short name: at the top of the file for a deployment or shared setting, in [accounts.NAME] for
    an account's or shared one. At the top the variable in lower case works too; `also` holds further keys.
    `parts` are those that read it. `shown` is the default in the documentation's words, if it needs some.
    """

    variable: str
    key: str
    scope: str
    parts: frozenset[str]
    read: Reader
    help: str
    default: Any = None
    required: bool = False
    shown: str = ""
    also: tuple[str, ...] = ()

    @property
    def top_keys(self) -> tuple[str, ...]:
        """Its keys at the top of the file."""
        full = self.variable.lower()
        if self is CONFIG:
            return ()
        return (full,) if self.scope == ACCOUNT else tuple(dict.fromkeys((full, self.key, *self.also)))

    @property
    def account_keys(self) -> tuple[str, ...]:
        """Its keys in [accounts.NAME]."""
        return (self.key, *self.also) if self.key and self.scope != DEPLOYMENT else ()

    @property
    def default_text(self) -> str:
        """The default as the documentation words it."""
        return self.shown or (
            "required" if self.required else "none" if self.default is None else f"`{self.default}`"
        )


CONFIG = Setting(
    "FOXHOOKS_CONFIG",
    "",
    DEPLOYMENT,
    EVERY,
    read.path,
    "path of the settings file",
    shown="`foxhooks.toml` in the current folder, if it exists",
)
NAME = Setting(
    "HAPPYFOX_ACCOUNT",
    "",
    ACCOUNT,
    BOTH,
    read.account_name,
    "the account's name in the path of the webhook",
    shown="the first label of the host in `HAPPYFOX_URL`",
)
URL = Setting(
    "HAPPYFOX_URL",
    "url",
    ACCOUNT,
    WORKER,
    read.url,
    "the address of the help desk, as https://acme.happyfox.com",
    default="",
    required=True,
)
HANDLERS = Setting(
    "FOXHOOKS_HANDLERS",
    "handlers",
    SHARED,
    WORKER,
    read.handlers,
    "the routers that run, in order, as vip:router",
    default=(),
    shown="required",
)
DURABILITY = Setting(
    "FOXHOOKS_DURABILITY",
    "durability",
    DEPLOYMENT,
    EVERY,
    read.choice("memory", "everysec", "fsync"),
    "what a 200 promises",
    shown="`fsync` with the embedded store, else `everysec`",
)

SETTINGS: tuple[Setting, ...] = (
    CONFIG,
    NAME,
    Setting(
        "HAPPYFOX_WEBHOOK_SECRETS",
        "webhook_secrets",
        ACCOUNT,
        WEB,
        read.secrets,
        "the signing keys of the webhooks, newest first",
        default=(),
        required=True,
    ),
    URL,
    Setting(
        "HAPPYFOX_API_KEY",
        "api_key",
        ACCOUNT,
        WORKER,
        read.api_key,
        "the API key, first half of the Basic auth pair",
        default=Secret(""),
        required=True,
    ),
    Setting(
        "HAPPYFOX_AUTH_CODE",
        "auth_code",
        ACCOUNT,
        WORKER,
        read.secret,
        "the auth code, second half of the Basic auth pair",
        default=Secret(""),
        required=True,
    ),
    Setting(
        "HAPPYFOX_STAFF_ID",
        "staff_id",
        ACCOUNT,
        WORKER,
        read.whole(10**15),
        "the number of the staff member our writes are made as",
        default=0,
        required=True,
    ),
    Setting(
        "HAPPYFOX_GETS_PER_MINUTE",
        "gets_per_minute",
        ACCOUNT,
        WORKER,
        read.whole(10**6),
        "GET calls allowed in any window",
        default=500,
    ),
    Setting(
        "HAPPYFOX_POSTS_PER_MINUTE",
        "posts_per_minute",
        ACCOUNT,
        WORKER,
        read.whole(10**6),
        "POST calls allowed in any window",
        default=300,
    ),
    Setting(
        "HAPPYFOX_WINDOW_SECONDS",
        "window_seconds",
        ACCOUNT,
        WORKER,
        read.decimal(86_400),
        "length of the window",
        default=60.0,
        shown="`60`",
    ),
    Setting(
        "HAPPYFOX_LOCKOUT_SECONDS",
        "lockout_seconds",
        ACCOUNT,
        WORKER,
        read.decimal(86_400),
        "how long HappyFox refuses every call after a 429",
        default=600.0,
        shown="`600`",
    ),
    Setting(
        "HAPPYFOX_BUDGET_SHARE",
        "budget_share",
        ACCOUNT,
        WORKER,
        read.decimal(1),
        "the part of the budget we use",
        default=0.9,
    ),
    Setting(
        "HAPPYFOX_IN_FLIGHT",
        "in_flight",
        ACCOUNT,
        WORKER,
        read.whole(1000),
        "calls under way at the same time",
        default=8,
    ),
    Setting(
        "HAPPYFOX_TIMEOUT_SECONDS",
        "timeout_seconds",
        ACCOUNT,
        WORKER,
        read.decimal(3600),
        "total time of one call",
        default=15.0,
        shown="`15` (60 with files)",
    ),
    Setting(
        "HAPPYFOX_DOUBT_SECONDS",
        "doubt_seconds",
        ACCOUNT,
        WORKER,
        read.decimal(86_400, zero=True),
        "how long after its deadline a call may still land",
        default=30.0,
        shown="`30`",
    ),
    HANDLERS,
    Setting("FOXHOOKS_RULES", "rules", SHARED, WORKER, read.path, "path of a rules file"),
    Setting(
        "FOXHOOKS_ALLOW",
        "allow",
        SHARED,
        WORKER,
        read.grants,
        "grants, as vip:reply",
        default=frozenset(),
        shown="none",
        also=("permissions",),
    ),
    Setting(
        "FOXHOOKS_DRY_RUN",
        "dry_run",
        SHARED,
        WORKER,
        read.switch,
        "plan and show everything, send nothing",
        default=False,
        shown="off",
    ),
    Setting(
        "FOXHOOKS_FUSE",
        "fuse",
        SHARED,
        WORKER,
        read.whole(10**6),
        "writes of ours per ticket and hour",
        default=20,
    ),
    Setting(
        "REDIS_URL",
        "redis_url",
        DEPLOYMENT,
        EVERY,
        read.redis_url,
        "the Redis or Valkey server",
        shown="the embedded store",
    ),
    Setting(
        "FOXHOOKS_DATA",
        "data",
        DEPLOYMENT,
        EVERY,
        read.path,
        "folder of the embedded store",
        default=Path(".foxhooks"),
    ),
    DURABILITY,
    Setting(
        "FOXHOOKS_LEASE_SECONDS",
        "lease_seconds",
        DEPLOYMENT,
        WORKER,
        read.decimal(86_400),
        "how long a lane is leased",
        default=15.0,
        shown="`15`",
    ),
    Setting(
        "FOXHOOKS_HANDLER_SECONDS",
        "handler_seconds",
        DEPLOYMENT,
        WORKER,
        read.decimal(86_400),
        "time limit of one handler",
        default=30.0,
        shown="`30`",
    ),
    Setting(
        "FOXHOOKS_RETENTION_HOURS",
        "retention_hours",
        DEPLOYMENT,
        EVERY,
        read.decimal(10 * _YEAR / 3600),
        "how long events, records and trails are kept",
        default=168.0,
        shown="`168`",
    ),
    Setting(
        "FOXHOOKS_THREADS",
        "threads",
        DEPLOYMENT,
        WORKER,
        read.whole(1000),
        "handler threads of a worker process",
        default=8,
    ),
    Setting(
        "FOXHOOKS_PROCESSES", "processes", DEPLOYMENT, WORKER, read.whole(1000), "worker processes", default=1
    ),
    Setting(
        "WEB_CONCURRENCY", "web_concurrency", DEPLOYMENT, WEB, read.whole(1000), "web processes", default=1
    ),
    Setting("PORT", "port", DEPLOYMENT, WEB, read.whole(65_535), "port of the web process", default=8000),
    Setting(
        "HOST",
        "host",
        DEPLOYMENT,
        WEB,
        read.host,
        "address the web process listens on",
        shown="`0.0.0.0` for `web`, `127.0.0.1` for `up`, `demo` and `simulator`",
    ),
    Setting("SENTRY_DSN", "sentry_dsn", DEPLOYMENT, EVERY, read.sentry_dsn, "where errors are reported"),
    Setting(
        "LOG_LEVEL",
        "log_level",
        DEPLOYMENT,
        EVERY,
        read.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "the least serious line that is logged",
        default="INFO",
    ),
    Setting(
        "LOG_FORMAT",
        "log_format",
        DEPLOYMENT,
        EVERY,
        read.choice("json", "console"),
        "how a line is logged",
        default="json",
    ),
    Setting(
        "FOXHOOKS_ADMIN_PASSWORD", "admin_password", DEPLOYMENT, WEB, read.secret, "switches the dashboard on"
    ),
)
