"""`foxhooks send`: sign a delivery with the account's newest secret and send it to the web process.

Samples look like deliveries from HappyFox: a receiver in production has seen the flat shape; public sources describe
the shapes rest and wrapped.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service.commands.format import line, ticket_option
from service.context import AccountName, one_account, settings_of
from service.errors import CommandError
from workers.http_library import httpx
from workers.settings import Account, host_of, is_loopback
from workers.webhook import HEADER, sign

Sample = Literal["created", "reply", "rule"]
Shape = Literal["flat", "rest", "wrapped"]
Body = dict[str, Any]

CONTACT = {"name": "Sam Reed", "email": "sam@bigcorp.example"}
SUBJECT = "A delivery by foxhooks send"
STATUS = {"id": 1, "name": "New"}
RULE = "Unresponded for 60 min"

#: The update of each sample in the flat shape.
UPDATES: dict[Sample, Body | None] = {
    "created": None,
    "reply": {"message_type": "Client Reply", "by": {"type": "user", "name": CONTACT["name"]}},
    "rule": {"by": {"type": "smartrule", "name": RULE}},
}


def body(sample: Sample, ticket: int, shape: Shape) -> bytes:
    """Return the body of a delivery about a ticket; only the ticket's number matters."""
    update = UPDATES[sample]
    label = "ticket-updated" if update else "ticket-created"
    written: Body = {"event_type": label, "display_id": f"#DC{ticket:08}", "subject": SUBJECT}
    if shape == "flat":
        written |= {"ticket_id": ticket, "priority_name": "Medium", "assignee_name": None}
        written |= {"client_details": CONTACT, "update": update}
    elif shape == "rest":
        message = {"text": SUBJECT, "message_type": None}
        written |= {"id": ticket, "status": STATUS, "user": CONTACT}
        written["updates"] = [{"by": update["by"], "message": message}] if update else []
    else:
        inner = {"id": ticket, "subject": SUBJECT, "status": STATUS, "user": CONTACT}
        written = {"event": label.replace("-", "_"), "ticket": inner | ({"update": update} if update else {})}
    return json.dumps(written, ensure_ascii=False).encode()


def send(
    file: Annotated[str, typer.Argument(help="A body to send unchanged; - reads standard input.")] = "",
    sample: Annotated[Sample | None, typer.Option(help="A body as HappyFox would send it.")] = None,
    ticket: Annotated[int | None, ticket_option("The ticket of the sample.")] = None,
    shape: Annotated[Shape | None, typer.Option(help="The form of the sample.", show_default="flat")] = None,
    to: Annotated[str, typer.Option(help="URL to deliver to; default: the web process on this machine.")] = "",
    account: AccountName = "",
) -> None:
    """Sign a delivery and send it to the web process: a file, or a sample."""
    if bool(file) == bool(sample):
        raise typer.BadParameter("use either FILE or --sample created, reply or rule")
    if file and (ticket or shape):
        raise typer.BadParameter("a FILE is sent unchanged: --ticket and --shape are for samples")
    settings = settings_of("web")
    chosen = one_account(settings, account)
    content = body(sample, ticket or _simulated(chosen), shape or "flat") if sample else _content(file)
    host = settings.host if settings.host not in (None, "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - only compared
    url = to or f"http://{host}:{settings.port}/webhooks/{chosen.name}/"
    headers = {"Content-Type": "application/json", HEADER: sign(chosen.secrets[0].reveal(), content)}
    try:
        answer = httpx.post(url, content=content, headers=headers, timeout=15, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        raise CommandError(
            f"{url} does not answer ({type(failed).__name__}): is `foxhooks up` or `foxhooks web` running there?"
        ) from None
    line(f"{answer.status_code} {answer.text.strip()}")
    raise typer.Exit(0 if answer.is_success else 1)


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as failed:
        raise CommandError(f"{file} cannot be read: {failed.strerror}") from None


def _simulated(account: Account) -> int:
    """Return ticket 1 if HappyFox is simulated; raise ``CommandError`` if it is real, because handlers would act."""
    url = settings_of("all").accounts[account.name].url
    if not is_loopback(host_of(url)):
        raise CommandError("choose a ticket with --ticket N; your handlers will act on it in your real HappyFox")
    return 1
