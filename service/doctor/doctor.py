"""The doctor's round: settings, handlers, store, HappyFox; and how the findings are shown."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import redis
from rich.console import Console
from rich.markup import escape

from service.access import settings_of
from service.commands.words import some
from service.doctor import happyfox, plugins, store
from service.doctor.finding import Finding, error, ok, warning
from service.embedded import Embedded
from workers.errors import StoreUnavailable
from workers.lanes.store import connect
from workers.settings import Settings, SettingsError, drafts

MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "error": "[red]✗[/red]"}


def run(offline: bool, as_json: bool) -> int:
    """Prints every finding; 1 if one is an error."""
    findings = list(look(offline))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    return int(any(finding.level == "error" for finding in findings))


def look(offline: bool) -> Iterator[Finding]:
    """Looks at everything; with ``offline`` no call to HappyFox is made and the store may be away."""
    try:
        settings = settings_of("all")
    except SettingsError as wrong:
        for complaint in wrong.complaints:
            yield error("settings", f"{complaint.setting}: {complaint.problem}", complaint.cure)
        if handled := [draft for draft in drafts(os.environ, Path.cwd()) if draft.handlers]:
            yield from plugins.look(handled)
        return
    where = settings.config_path or "the environment"
    yield ok("settings", f"read from {where}; accounts: {', '.join(settings.accounts)}")
    yield from plugins.look(settings.accounts.values())
    yield from _outside(settings, offline)


def _outside(settings: Settings, offline: bool) -> Iterator[Finding]:
    """Looks at what is not ours: the store, and HappyFox, whose calls need the store's permits."""
    if settings.redis_url is None and Embedded(settings.data).answer() is None:
        text = "REDIS_URL is not set, and no embedded store runs"
        yield warning(store.STORE, text, "start `foxhooks up`, or set REDIS_URL; then ask the doctor again")
        return
    url = settings.redis_url or Embedded(settings.data).url
    client = connect(url, connections=2)
    try:
        yield from store.look(client, settings)
        if not offline:
            loaded = plugins.loaded(settings.accounts.values())
            for account in settings.accounts.values():
                yield from happyfox.look(client, account, loaded.get(account.name, ()))
    except (redis.exceptions.RedisError, StoreUnavailable, OSError) as failed:
        level = warning if offline else error
        reason = str(failed) if isinstance(failed, StoreUnavailable) else type(failed).__name__
        yield level(store.STORE, f"it does not answer ({reason})", "check REDIS_URL, its password and the server")
    finally:
        client.close()
        client.connection_pool.disconnect()


def _show(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(f"{MARKS[finding.level]} [bold]{escape(finding.subject)}[/bold]: {escape(finding.text)}")
        if finding.cure:
            console.print(f"    → {escape(finding.cure)}")
    errors, warnings = (sum(finding.level == level for finding in findings) for level in ("error", "warning"))
    console.print(f"{some(errors, 'error')}, {some(warnings, 'warning')}.")
