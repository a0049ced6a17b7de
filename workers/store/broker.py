"""The broker: brings invitations to Dramatiq's threads as messages on the queue ``lanes``.

Invitations tell the threads of a worker process that lanes are due; there are at most as many as threads are free. An
invitation is no lease: the thread claims by itself, and what a killed process was invited to is still due.

Ack, nack and requeue of an invitation mean nothing. Dramatiq's own prefetch, delays and redelivery are not used for
lanes: they lose order and take minutes to recover a killed worker. All other queues are Dramatiq's as they are, for
actors of users.
"""

import logging
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message
from dramatiq.middleware import Middleware

from workers.errors import StoreUnavailable
from workers.store.client import Store, wake
from workers.store.keys import WAKE
from workers.store.lanes import ClaimConfig, due

#: The longest sleep (s) of an idle worker: what a lost wake-up costs.
POLL = 1.0

log = logging.getLogger(__name__)


class Readiness:
    """Which accounts have lanes due, and how many threads of this process are free to take them.

    ``idle`` is a client with a connection of its own, since it blocks on the wake-up list. One account takes all
    threads but one for each other account, at least half of them, so that a backlog of slow turns blocks nobody else.
    """

    def __init__(self, store: Store, idle: "redis.Redis", accounts: Sequence[ClaimConfig], threads: int) -> None:
        self._store, self._idle, self._accounts = store, idle, deque(accounts)
        self._free = threads
        self._cap = max(1, threads // 2, threads - len(accounts) + 1)
        self._busy: Counter[str] = Counter()
        self._own = f"{WAKE}:{secrets.token_hex(8)}"
        self._due: list[ClaimConfig] = []
        self._invited: deque[ClaimConfig] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._down = False
        self._corrupt: set[str] = set()

    def stop(self) -> None:
        """Invite nobody any more; work under way goes on."""
        with self._changed:
            self._stopped = True
            self._invited.clear()
            self._changed.notify_all()

    def stopped(self) -> bool:
        """Return whether the process is on its way out: no further lane is to be claimed."""
        return self._stopped

    def accept(self) -> ClaimConfig | None:
        """Return an invited thread the account to claim from, None when the invitation is void."""
        with self._changed:
            return self._invited.popleft() if self._invited else None

    def leave(self, config: ClaimConfig | None = None) -> None:
        """Mark a thread as free."""
        with self._changed:
            self._free += 1
            capped = config is not None and self._busy[config.account] >= self._cap and self._free > 1
            if config is not None:
                self._busy[config.account] -= 1
            self._changed.notify_all()
        if self._stopped:
            self._hand_over()
        elif capped:
            self._look_again()

    def should_yield(self, config: ClaimConfig) -> bool:
        """Return whether other accounts may wait for the thread that works this one."""
        return len(self._accounts) > 1 and (
            self._free == 0 or any(each.account != config.account for each in self._due)
        )

    def wait(self) -> int:
        """Wait, a second at the most, until lanes are due and threads free; return how many invitations to send."""
        with self._changed:
            if self._stopped:
                # Dramatiq asks on, in a loop, until all threads are done.
                time.sleep(0.05)
                return 0
            if self._free == 0:
                self._changed.wait(POLL)
            if self._free == 0 or self._stopped:
                return 0
            free, busy = self._free, Counter(self._busy)
            pending = Counter(config.account for config in self._invited)
        try:
            found, pause = self._ask(free, busy, pending)
            self._up()
            if found == 0:
                self._idle.blpop([WAKE, self._own], timeout=max(0.005, min(POLL, pause / 1000 if pause >= 0 else POLL)))
        except (StoreUnavailable, redis.RedisError) as error:
            self._unreachable(error)
            return 0
        with self._changed:
            return 0 if self._stopped else self._invite(min(found, self._free))

    def _ask(self, free: int, busy: Counter[str], pending: Counter[str]) -> tuple[int, int]:
        """Ask every account in rotation how many lanes may be claimed, beside those that threads are invited to.

        Return how many threads can be used, and the shortest pause in ms.
        """
        self._accounts.rotate(-1)
        found: list[ClaimConfig] = []
        pauses: list[int] = []
        for config in self._accounts:
            invited = pending[config.account]
            room = min(free, self._cap - busy[config.account])
            most = room + invited
            lanes, pause = self._count(config, most + 1)
            found += [config] * min(lanes - invited, room)
            if pause >= 0 and not (lanes and room <= 0):
                pauses.append(pause)
            if lanes > most:
                # More than this process can take: another one may be asleep.
                self._hint()
        self._due = found
        return len(found), min(pauses, default=-1)

    def _count(self, config: ClaimConfig, most: int) -> tuple[int, int]:
        try:
            found = self._store.run(due(config, most))
        except RuntimeError as error:
            # A corrupt key stops its own account alone.
            if config.account not in self._corrupt:
                self._corrupt.add(config.account)
                log.error("Lanes cannot be claimed", extra={"account": config.account, "error": str(error)})
            return 0, -1
        self._corrupt.discard(config.account)
        return found

    def _invite(self, most: int) -> int:
        chosen = self._spread(most)
        self._invited.extend(chosen)
        self._busy.update(config.account for config in chosen)
        self._free -= len(chosen)
        return len(chosen)

    def _spread(self, most: int) -> list[ClaimConfig]:
        """Take one lane of each account in turn, so that a backlog of one does not keep the others waiting."""
        rounds: Counter[str] = Counter()
        order = []
        for config in self._due:
            rounds[config.account] += 1
            order.append((rounds[config.account], config))
        order.sort(key=lambda entry: entry[0])
        return [config for _, config in order[:most]]

    def _hand_over(self) -> None:
        """Wake another process for what this one leaves; a lost hint costs one poll."""
        try:
            self._hint()
        except redis.RedisError:
            log.warning("No other worker could be woken; it checks within %g s", POLL)

    def _look_again(self) -> None:
        """Wake this process's own consumer, which may sleep because an account had all the threads it may have."""
        try:
            self._store.client.lpush(self._own, 1)
            self._store.client.ltrim(self._own, 0, 0)
            self._store.client.expire(self._own, 60)
        except redis.RedisError:
            log.debug("The consumer could not be woken; it checks within %g s", POLL)

    def _hint(self) -> None:
        wake(self._store.client)

    def _unreachable(self, error: Exception) -> None:
        if not self._down:
            self._down = True
            log.error(
                "The store is unreachable; claims continue when it answers", extra={"error": type(error).__name__}
            )
        time.sleep(POLL)

    def _up(self) -> None:
        if self._down:
            self._down = False
            log.info("The store is reachable again")


QUEUE = "lanes"
ACTOR = "turns"


class LaneConsumer(Consumer):
    """Turn invitations into the messages that Dramatiq hands to its threads."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._ready = 0

    def __next__(self) -> MessageProxy | None:
        if self._ready == 0:
            self._ready = self._readiness.wait()
        if self._ready == 0:
            return None
        self._ready -= 1
        return MessageProxy(Message(queue_name=QUEUE, actor_name=ACTOR, args=(), kwargs={}, options={}))

    def ack(self, message: MessageProxy) -> None:
        """Does nothing: an invitation proves nothing."""

    def nack(self, message: MessageProxy) -> None:
        """Does nothing: what was due is still due."""

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Does nothing: what was due is still due."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class LaneBroker(RedisBroker):
    """Dramatiq's Redis broker, whose queue ``lanes`` is fed by invitations."""

    def __init__(self, readiness: Readiness, client: "redis.Redis", middleware: Sequence[Middleware]) -> None:
        all_of_it = [*middleware, _Shutdown(readiness)]
        super().__init__(client=client, middleware=all_of_it, namespace="{foxhooks}:dramatiq")  # type: ignore[no-untyped-call]
        self._readiness = readiness

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; that of lanes has no delay queue, parking replaces it."""
        if queue_name != QUEUE:
            super().declare_queue(queue_name)
        elif queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Build the consumer of a queue."""
        if queue_name == QUEUE:
            return LaneConsumer(self._readiness)
        return super().consume(queue_name, prefetch, timeout)


class _Shutdown(Middleware):
    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def before_worker_shutdown(self, broker: object, worker: object) -> None:
        self._readiness.stop()
