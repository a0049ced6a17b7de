"""Dead letters of a world: read from the store, put back into their lanes."""

from typing import Any

import msgspec

from workers.lanes.letters import replay
from workers.testing.world import ACCOUNT, World

P = f"foxhooks:{{{ACCOUNT}}}:"


def letters(store: Any) -> dict[str, dict[str, Any]]:
    """Gives the dead letters that name one handler, by their id."""
    found = {id.decode(): store.hget(f"{P}letter:{id.decode()}", "evidence") for id in store.zrange(f"{P}dead", 0, -1)}
    decoded = {id: msgspec.json.decode(evidence) for id, evidence in found.items()}
    return {id: letter for id, letter in decoded.items() if letter["handler"] not in ("", "*")}


def put_back(world: World) -> None:
    """Replays the one letter there is, and lets everything come to rest."""
    [id] = letters(world.client)
    world.store.run(replay(ACCOUNT, id))
    world.settle_down()
