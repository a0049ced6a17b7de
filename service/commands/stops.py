"""Why the handlers of a ticket do not run at present: what is paused, and its fuse."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import redis

from workers.events.last_seen import LastSeen
from workers.lanes.keys import prefix
from workers.lanes.pauses import listed
from workers.settings import Account
from workers.turns.deciding import fuse, pausing
from workers.turns.plan.owed import EVERYONE
from workers.turns.plan.stored import decode_owed


def stops(client: redis.Redis, account: Account, ticket: int, seen: LastSeen | None) -> Iterator[str]:
    """Gives the reasons, each with since when and by whom, as far as that is known."""
    keys = prefix(account.name)
    paused = listed(cast(dict[bytes, bytes], client.hgetall(keys + "paused")))
    for (scope, name), pause in paused.items():
        if scope != "ticket" or name == str(ticket):
            yield pausing.told(f"the {scope} {name}".strip() if scope == "router" else f"the {scope}", pause)
    if seen is None:
        return
    if pausing.tagged(seen.tags, account.off_tag):
        owed = decode_owed(cast(bytes | None, client.hget(f"{keys}turn:{ticket}", "owed")))
        since = next((debt.first_at for debt in owed if debt.handler == EVERYONE and debt.paused), 0)
        when = f" since {datetime.fromtimestamp(since / 1000, UTC):%Y-%m-%d %H:%M} UTC" if since else ""
        yield f"the ticket is paused{when} by its tag {account.off_tag}"
    if blown := fuse.told(seen.fuse):
        yield blown
