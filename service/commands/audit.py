"""`foxhooks audit`: who paused, resumed, replayed, discarded and forgot what, and why."""

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from service.commands.format import AsJson, Cursor, Most, clock, duration, page_size, show_page
from service.commands.running import running_system
from service.context import AccountName
from service.reading.source import AuditFilter
from workers.errors import suggest
from workers.store.audit import ACTS, SHELL, AuditLine
from workers.store.pauses import Pause

_PAUSE = msgspec.json.Decoder(Pause)

Who = Annotated[str, typer.Option("--who", help="Only what people did whose name contains this.")]


def audit(
    account: AccountName = "",
    who: Who = "",
    what: Annotated[str, typer.Option("--what", help=f"Only this: {', '.join(ACTS)}, or what a client did.")] = "",
    about: Annotated[str, typer.Option("--about", help='Only about this, such as "ticket 12" or "router vip".')] = "",
    since: Annotated[str, typer.Option(help="Only the last 10m (or 90s, 2h, 1d).")] = "",
    most: Most = None,
    cursor: Cursor = "",
    json: AsJson = False,
) -> None:
    """List who did what and why, newest first."""
    seconds = duration(since)
    with running_system() as system:
        names = system.names(account)
        after = system.now() - int(seconds * 1000) if seconds else 0
        page = system.audit(names, AuditFilter(after, who, what, about), cursor, page_size(most, json))
        if (
            not page.items
            and what
            and what not in ACTS
            and not system.audit(names, AuditFilter(what=what), most=1).items
        ):
            wrong = f"the audit log has no {what!r}; {suggest(what, ACTS)} What clients did is written as it is listed."
            raise typer.BadParameter(wrong, param_hint="--what")
    columns: dict[str, Callable[[AuditLine], object]] = {
        "when": lambda line: clock(line.at, "%Y-%m-%d %H:%M:%S"),
        **({"account": lambda line: line.account} if len(names) > 1 else {}),
        "who": lambda line: line.who + (f" ({line.role}, {line.origin})" if line.role != SHELL else ""),
        "what": lambda line: f"{line.what} {line.object}",
        "result": lambda line: line.after if line.what not in ("pause", "resume") else _describe_pause(line),
        "why": lambda line: line.why,
    }
    show_page(page, columns, json, empty="The audit log has no such line.")


def _describe_pause(line: AuditLine) -> str:
    """Describe a pause that began, or how long one was that ended."""
    if line.what == "resume":
        pause = _PAUSE.decode(line.before)
        return f"paused since {clock(pause.since)} by {pause.by}"
    return "new events are skipped" if _PAUSE.decode(line.after).skip else "new events are queued"
