"""The state of one account: what is in it, and what writes do to it."""

from workers.simulator.world.things import Asset, Contact, Json, Row, StoredFile, Table, Ticket
from workers.simulator.world.world import World, split, stamp

__all__ = ["Asset", "Contact", "Json", "Row", "StoredFile", "Table", "Ticket", "World", "split", "stamp"]
