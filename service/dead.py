"""`foxhooks dead list`: dead letters, and deliveries in quarantine, newest first."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.access import accounts_of, store_of
from service.times import ago, now_of, span
from workers.lanes.keys import prefix

#: A list longer than this is cut; filters make it shorter.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are wanted; empty members want all."""

    handler: str
    error: str
    ticket: int | None
    since: str

    def takes(self, letter: Mapping[str, Any], now: int, since: float) -> bool:
        """Tells whether a letter is wanted; ``since`` is the longest it may be ago, in seconds."""
        handler = letter.get("handler", "")
        return (
            (not self.handler or handler == self.handler or handler.startswith(f"{self.handler}."))
            and self.error.casefold() in letter["reason"].casefold()
            and self.ticket in (None, letter["ticket"])
            and (not since or letter["at"] >= now - since * 1000)
        )


def run(wanted: Filter, quarantine: bool, as_json: bool) -> int:
    """Prints the list; 0 also when it is empty."""
    since = span(wanted.since)
    settings = accounts_of().settings
    with store_of(settings) as client:
        now = now_of(client)
        read = _quarantined if quarantine else _letters
        found = [each for name in settings.accounts for each in read(client, name) if wanted.takes(each, now, since)]
    found.sort(key=lambda letter: letter["at"], reverse=True)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        _show(found, "quarantine" if quarantine else "dead letters", now)
    return 0


def _letters(client: redis.Redis, account: str) -> Iterator[dict[str, Any]]:
    keys = prefix(account)
    for identity in cast(list[bytes], client.zrange(keys + "dead", 0, MOST - 1, desc=True)):
        stored = cast(dict[bytes, bytes], client.hgetall(keys + "letter:" + identity.decode()))
        if stored:
            evidence = json.loads(stored[b"evidence"])
            yield {
                "id": identity.decode(),
                "account": account,
                "ticket": int(stored[b"ticket"]),
                "at": int(stored[b"at"]),
                "handler": evidence.get("handler", ""),
                "attempts": evidence.get("attempts", 1),
                "reason": evidence.get("reason", ""),
            }


def _quarantined(client: redis.Redis, account: str) -> Iterator[dict[str, Any]]:
    keys = prefix(account)
    for identity in cast(list[bytes], client.lrange(keys + "quarantine", -MOST, -1)):
        key = keys + "event:" + identity.decode()
        at, reason = cast(list[bytes | None], client.hmget(key, "at", "reason"))
        if at is not None:
            reason_text = (reason or b"").decode("utf-8", "replace")
            base = {"id": identity.decode(), "account": account, "ticket": None, "at": int(at)}
            yield {**base, "reason": reason_text}


def _show(found: list[dict[str, Any]], what: str, now: int) -> None:
    console = Console(highlight=False)
    if not found:
        console.print(f"No {what}.")
        return
    table = Table("when", "account", "ticket", "handler", "why", "id", box=None, header_style="dim")
    for each in found:
        ticket = str(each["ticket"] or "")
        row = (ago(each["at"], now), each["account"], ticket, each.get("handler", ""), each["reason"], each["id"])
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
