"""The account acme as the tests of commands find it, and how they run a command in process."""

import json
import re
from typing import Any

import redis
from typer.testing import CliRunner, Result

from service.cli import app
from workers.store.client import Store
from workers.store.inbox import accept, receive, unreadable
from workers.store.keys import Keys
from workers.webhook import parse

KEYS = Keys("acme")
DAY = 86_400


def run(*arguments: str, code: int | None = 0) -> Result:
    """Run a command in this process and check its exit code; errors are on `stderr`, as a person sees them."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert code in (None, result.exit_code), result.output
    return result


def printed(*arguments: str, code: int | None = 0) -> str:
    """Run a command and return its output on one line; what was seconds ago was 0 s ago, as the machine may be busy."""
    return re.sub(r"\b\d+ s ago", "0 s ago", " ".join(run(*arguments, code=code).stdout.split()))


def shown(*arguments: str, code: int = 0) -> Any:
    """Run a command with `--json` and return what it prints."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


def refused(*arguments: str) -> str:
    """Run a command that fails and return its message, on one line."""
    return " ".join(run(*arguments, code=1).stderr.split())


def wrong(*arguments: str) -> str:
    """Run a command with wrong usage and return what it prints, without the frame."""
    return " ".join(run(*arguments, code=2).output.replace("│", " ").split())


def take_in(store: redis.Redis) -> None:
    """Accept deliveries for two tickets, one of them twice, an unreadable one, and two refusals."""
    bodies = [b'{"ticket_id": 3}', b'{"ticket_id": 3}', b'{"ticket_id": 4}']
    arrivals = [*(receive(parse(body), body) for body in bodies), unreadable("not JSON", b"?")]
    Store(store).run(accept("acme", arrivals, DAY, {"bad-signature": 2}))
