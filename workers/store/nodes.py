"""Where the primaries are: ask the Sentinels of a store, or the nodes of a cluster.

Nothing is kept open, because such a question is rare: when a client connects, or when a server refuses its work.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError, ResponseError
from redis.utils import str_if_bytes

Node = tuple[str, int]
"""Host and port of a server."""

Ask = Callable[[Node, Sequence[str]], Any]
"""Send one command to a server on a connection of its own, and return the answer."""

#: How many slots a cluster has.
SLOTS: Final = 16384


class UnknownPrimary(LostConnection):
    """The Sentinels answer, but know no store of that name."""


class SilentNodes(LostConnection):
    """No Sentinel, or no node of a cluster, answers; the first error is the cause."""


class NoCluster(LostConnection):
    """The server is not a cluster, but the address says so."""


class UncoveredSlot(LostConnection):
    """No node of the cluster has a slot."""


class Sentinels:
    """The Sentinels of a store, which know its primary."""

    def __init__(self, hosts: Iterable[Node], name: str, ask: Ask) -> None:
        self._hosts, self._name, self._ask = tuple(hosts), name, ask

    def primary(self) -> Node:
        """Return the server that is the primary now."""
        failed: RedisError | None = None
        unknown, hosts = False, self._hosts
        for host in hosts:
            try:
                found = self._ask(host, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name))
            except RedisError as error:
                failed = failed or error
                continue
            if found:
                self._hosts = (host, *(each for each in hosts if each != host))
                return str_if_bytes(found[0]), int(found[1])
            unknown = True
        if unknown:
            raise UnknownPrimary("the Sentinels know no store of that name")
        raise SilentNodes("no Sentinel answers") from failed


class Slots:
    """The slots of a cluster, and the primary that has each of them.

    A lost node keeps its slots until the cluster has given them to another one.
    """

    def __init__(self, hosts: Iterable[Node], ask: Ask) -> None:
        self._seeds, self._ask = tuple(hosts), ask
        self._table: list[Node | None] = []
        self._known: list[Node] = []
        self._reads = 0
        self._lock = threading.Lock()

    @property
    def known(self) -> bool:
        """Whether a node has answered before, so that nothing is asked now."""
        return bool(self._table)

    def node(self, slot: int) -> Node:
        """Return the primary that has a slot, as far as is known."""
        if not self._table:
            self.read()
        if (found := self._table[slot]) is None:
            raise UncoveredSlot(f"no node of the cluster has the slot {slot}")
        return found

    def primaries(self) -> list[Node]:
        """Return all primaries."""
        if not self._table:
            self.read()
        return list(dict.fromkeys(node for node in self._table if node is not None))

    def read(self) -> None:
        """Ask the nodes who has which slot; raise ``SilentNodes`` if none answers."""
        before = self._reads
        with self._lock:
            if self._reads != before:
                return  # another thread has just done it
            failed: RedisError | None = None
            for node in dict.fromkeys([*self._known, *self._seeds]):
                try:
                    answer = self._ask(node, ("CLUSTER", "SLOTS"))
                except ResponseError as error:
                    if "cluster support disabled" in str(error):
                        raise NoCluster("the server is not a cluster") from error
                    failed = failed or error
                    continue
                except RedisError as error:
                    failed = failed or error
                    continue
                if answer:
                    self._note(node, answer)
                    return
            raise SilentNodes("no node of the cluster answers") from failed

    def _note(self, asked: Node, answer: Iterable[Sequence[Any]]) -> None:
        table: list[Node | None] = [None] * SLOTS
        known: dict[Node, None] = {}
        for first, last, *nodes in answer:
            listed = [_address(each, asked) for each in nodes]
            table[first : last + 1] = [listed[0]] * (last + 1 - first)
            known |= dict.fromkeys(listed)
        # Ask another node the next time: the one that has answered may be the one that is lost.
        others = [node for node in known if node != asked]
        self._table, self._known, self._reads = table, [*others, asked], self._reads + 1


def _address(listed: Sequence[Any], asked: Node) -> Node:
    """Return the address of a node; one that does not know its own has that at which it was asked."""
    host = str_if_bytes(listed[0]) if listed[0] else ""
    return (asked[0] if host in ("", "?") else host), int(listed[1])
