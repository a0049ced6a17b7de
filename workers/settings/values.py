"""The settings as frozen values, read once at start and passed to whoever needs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workers.settings.secret import Secret

Durability = Literal["memory", "everysec", "fsync"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What HappyFox allows one account, and how much of it is ours.

    `gets` and `posts` are calls in any window of `window` seconds; `lockout` is the seconds HappyFox refuses
    every call after a 429; `share` is the part of the budget we use, above 0 and at most 1; `in_flight`
    bounds the calls under way at the same time.
    """

    gets: int
    posts: int
    window: float
    lockout: float
    share: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class Account:
    """One HappyFox help desk. What the loaded part does not read is empty or has its default."""

    name: str
    secrets: tuple[Secret, ...]
    """Signing keys of its webhooks, newest first."""
    url: str
    """Scheme and host, without a slash at the end."""
    api_key: Secret
    auth_code: Secret
    staff_id: int
    """The staff member our writes are made as; 0 when not loaded."""
    budget: Budget
    timeout: float
    """Total seconds of one call."""
    doubt: float
    """Seconds after its deadline in which a call may still land."""
    handlers: tuple[str, ...]
    """Import strings or entry-point names, in the order they run; `rules` is among them when there is a rules file."""
    rules: Path | None
    """The rules file."""
    allow: frozenset[tuple[str, str]]
    """Grants, as (router, permission)."""
    dry_run: bool
    fuse: int
    """Writes of ours per ticket and hour."""
    router_settings: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """The [handlers.NAME] tables by router name; not shown, for they may hold keys."""
    dry_routers: frozenset[str] = frozenset()
    """The routers that run dry while the others act."""
    off_tag: str = ""
    """The tag that pauses its ticket, empty for none."""
    off_skips: bool = False
    """Whether what comes to such a ticket is skipped instead of waiting."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process may be told. What the loaded part does not read has its default."""

    accounts: Mapping[str, Account]
    redis_url: str | None = field(repr=False)
    """None is the embedded store. Not shown, for it may hold a password."""
    data: Path
    """Folder of the embedded store."""
    durability: Durability
    lease: float
    handler_seconds: float
    retention_hours: float
    threads: int
    processes: int
    web_concurrency: int
    host: str | None
    """None leaves the choice to the command."""
    port: int
    sentry_dsn: Secret | None
    log_level: str
    """A level name of `logging`, in capitals."""
    log_format: Literal["json", "console"]
    config_path: Path | None
    """The file that was read, if any."""
