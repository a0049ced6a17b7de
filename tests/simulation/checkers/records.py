"""The records that the engine keeps of settled turns: its own account, for what it says that it did not do."""

import zlib
from typing import Any

import msgspec

from tests.simulation.history import History
from workers.engine.plan import Record
from workers.testing.desk import ACCOUNT


def record_of(history: History, turn: str) -> Record | None:
    """Reads the record of a turn."""
    stored: Any = history.world.client.get(f"foxhooks:{{{ACCOUNT}}}:record:{turn}")
    return None if stored is None else msgspec.json.decode(zlib.decompress(stored), type=Record)


def dry_turns(history: History) -> set[str]:
    """Gives the turns that were decided dry: they have a record and no stored plan."""
    found = set()
    for settled in history.witness.settled:
        record = None if settled.turn in history.witness.plans else record_of(history, settled.turn)
        if record is not None and record.dry:
            found.add(settled.turn)
    return found
