"""Every setting, once. Reading, checking, the nearest name and the documentation follow this table.

It is as long as there are settings, and is read as one.
"""

from pathlib import Path

from workers.settings import lists
from workers.settings import readers as read
from workers.settings.secret import Secret
from workers.settings.setting import BOTH, CALLS, EVERY, WEB, WORKER, Setting

NOT_YET = frozenset({"FOXHOOKS_ADMIN_PASSWORD"})
"""Settings with a meaning that is not built yet: refused, never ignored."""

_DAY = 86_400
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

CONFIG = Setting(
    "FOXHOOKS_CONFIG",
    "environment",
    EVERY,
    read.path,
    "the settings file",
    shown="`foxhooks.toml` in the current folder, if there is one",
)
NAME = Setting(
    "HAPPYFOX_ACCOUNT",
    "single",
    BOTH | CALLS,
    read.account_name,
    "the account's name in the path of the webhook",
    shown="the first label of the host in `HAPPYFOX_URL`",
)
URL = Setting(
    "HAPPYFOX_URL",
    "account",
    CALLS,
    read.url,
    "the help desk, as https://acme.happyfox.com",
    "",
    required=CALLS,
)
HANDLERS = Setting(
    "FOXHOOKS_HANDLERS",
    "shared",
    WORKER,
    lists.handlers,
    "the routers that run, in order, as vip:router",
    (),
    shown="required, unless `FOXHOOKS_RULES` is set",
)
RULES = Setting("FOXHOOKS_RULES", "shared", WORKER, read.path, "a rules file")
ALLOW = Setting(
    "FOXHOOKS_ALLOW",
    "shared",
    WORKER,
    lists.grants,
    "grants, as vip:reply",
    frozenset(),
    also=("permissions",),
)
REDIS = Setting(
    "REDIS_URL",
    "deployment",
    EVERY,
    read.redis_url,
    "the Redis or Valkey server",
    shown="the embedded store",
)
DATA = Setting("FOXHOOKS_DATA", "deployment", EVERY, read.path, "folder of the embedded store", Path(".foxhooks"))
DURABILITY = Setting(
    "FOXHOOKS_DURABILITY",
    "deployment",
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
        "account",
        WEB,
        lists.secrets,
        "the signing keys of the webhooks, newest first",
        (),
        required=WEB,
    ),
    URL,
    Setting(
        "HAPPYFOX_API_KEY",
        "account",
        CALLS,
        read.api_key,
        "the first half of the Basic auth pair",
        Secret(""),
        required=CALLS,
    ),
    Setting(
        "HAPPYFOX_AUTH_CODE",
        "account",
        CALLS,
        read.auth_code,
        "the second half of the Basic auth pair",
        Secret(""),
        required=CALLS,
    ),
    Setting(
        "HAPPYFOX_STAFF_ID",
        "account",
        CALLS,
        read.whole(10**15),
        "the number of the staff member we write as",
        0,
        required=WORKER,
    ),
    Setting(
        "HAPPYFOX_GETS_PER_MINUTE",
        "account",
        CALLS,
        read.whole(10**6),
        "GET calls allowed in any window",
        500,
    ),
    Setting(
        "HAPPYFOX_POSTS_PER_MINUTE",
        "account",
        CALLS,
        read.whole(10**6),
        "POST calls allowed in any window",
        300,
    ),
    Setting("HAPPYFOX_WINDOW_SECONDS", "account", CALLS, read.decimal(_DAY), "length of the window", 60.0),
    Setting(
        "HAPPYFOX_LOCKOUT_SECONDS",
        "account",
        CALLS,
        read.decimal(_DAY),
        "how long HappyFox refuses after a 429",
        600.0,
    ),
    Setting("HAPPYFOX_BUDGET_SHARE", "account", CALLS, read.decimal(1), "the part of the budget we use", 0.9),
    Setting("HAPPYFOX_IN_FLIGHT", "account", CALLS, read.whole(1000), "calls in flight", 8),
    Setting(
        "HAPPYFOX_TIMEOUT_SECONDS",
        "account",
        CALLS,
        read.decimal(3600),
        "total time of one call",
        15.0,
        shown="`15` (60 with files)",
    ),
    Setting(
        "HAPPYFOX_DOUBT_SECONDS",
        "account",
        CALLS,
        read.decimal(_DAY, least=0),
        "how long after its deadline a call may land",
        30.0,
    ),
    HANDLERS,
    RULES,
    ALLOW,
    Setting("FOXHOOKS_DRY_RUN", "shared", WORKER, lists.dry_run, "plan and show everything, send nothing", False),
    Setting(
        "FOXHOOKS_OFF_TAG",
        "shared",
        WORKER,
        read.tag,
        "the tag that pauses its ticket",
        "foxhooks-off",
        blank=True,
    ),
    Setting(
        "FOXHOOKS_OFF",
        "shared",
        WORKER,
        read.choice("wait", "skip"),
        "what becomes of what comes to a ticket with that tag",
        "wait",
    ),
    Setting("FOXHOOKS_FUSE", "shared", WORKER, read.whole(10**6), "writes of ours per ticket and hour", 20),
    REDIS,
    DATA,
    DURABILITY,
    Setting("FOXHOOKS_LEASE_SECONDS", "deployment", WORKER, read.decimal(_DAY), "how long a lane is leased", 15.0),
    Setting(
        "FOXHOOKS_HANDLER_SECONDS",
        "deployment",
        WORKER,
        read.decimal(_DAY),
        "time limit of one handler",
        30.0,
    ),
    Setting(
        "FOXHOOKS_RETENTION_HOURS",
        "deployment",
        EVERY,
        read.decimal(87_600),
        "how long events are kept",
        168.0,
    ),
    Setting("FOXHOOKS_THREADS", "deployment", WORKER, read.whole(1000), "handler threads of a worker process", 8),
    Setting("FOXHOOKS_PROCESSES", "deployment", WORKER, read.whole(1000), "worker processes", 1),
    Setting("WEB_CONCURRENCY", "deployment", WEB, read.whole(1000), "web processes", 1),
    Setting(
        "PORT",
        "deployment",
        WEB,
        read.whole(65_535),
        "port of the web process",
        8000,
        shown="`8000`, `8010` for `simulator`",
    ),
    Setting(
        "HOST",
        "deployment",
        WEB,
        read.host,
        "address of the web process",
        shown="`0.0.0.0` for `web`, `127.0.0.1` for `up`, `demo` and `simulator`",
    ),
    Setting("SENTRY_DSN", "deployment", EVERY, read.sentry_dsn, "where errors are reported"),
    Setting(
        "LOG_LEVEL",
        "deployment",
        EVERY,
        read.choice(*_LEVELS),
        "the least serious line that is logged",
        "INFO",
    ),
    Setting("LOG_FORMAT", "deployment", EVERY, read.choice("json", "console"), "how a line is logged", "json"),
    Setting("FOXHOOKS_ADMIN_PASSWORD", "deployment", WEB, read.secret, "switches the dashboard on"),
)
