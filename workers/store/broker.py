"""The broker: invite Dramatiq's threads to claim due lanes, with messages on the queue ``lanes``.

There are at most as many invitations as free threads. An invitation is not a lease: the thread claims a lane itself,
and the lanes of a killed process are still due, so ack and nack do nothing. Lanes do not use Dramatiq's prefetch,
delays and redelivery, which lose the order and need minutes to recover from a killed worker. All other queues are
ordinary Dramatiq queues, for the actors of plug-ins. Their messages are called jobs here. Turns come first, and jobs
never use more than half of the threads, so that slow jobs do not stop tickets.
"""

import logging
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name, q_name
from dramatiq.message import Message
from dramatiq.middleware import Middleware, default_middleware
from dramatiq.middleware.current_message import CurrentMessage

from workers.errors import StoreUnavailable
from workers.store.client import Store, wake
from workers.store.failures import concerns_one_account, unavailable
from workers.store.keys import WAKE
from workers.store.lanes import ClaimConfig, due

#: The longest sleep (s) of an idle worker: the delay after a lost wake-up.
POLL = 1.0

QUEUE = "lanes"
ACTOR = "turns"

#: The prefix of Dramatiq's keys.
NAMESPACE = "{foxhooks}:dramatiq"

log = logging.getLogger(__name__)


class Readiness:
    """Which accounts have due lanes, and how many threads of this process are free for them.

    ``idle`` is a client with its own connection, because it blocks on the wake-up list. An account may use all threads
    except one for each other account, and at least half of them, so that a backlog of slow turns blocks no other.
    """

    def __init__(self, store: Store, idle: "redis.Redis", accounts: Sequence[ClaimConfig], threads: int) -> None:
        self._store, self._idle, self._accounts = store, idle, deque(accounts)
        self._free = threads
        self._cap = max(1, threads // 2, threads - len(accounts) + 1)
        self._busy: Counter[str] = Counter()
        self._wake_key = f"{WAKE}:{secrets.token_hex(8)}"
        self._due: list[ClaimConfig] = []
        self._invited: deque[ClaimConfig] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._down = False
        self._corrupt: set[str] = set()

    def stop(self) -> None:
        """Stop inviting threads; turns under way continue."""
        with self._changed:
            self._stopped = True
            self._invited.clear()
            self._changed.notify_all()

    def stopped(self) -> bool:
        """Return whether the process is stopping, so that it must not claim another lane."""
        return self._stopped

    def accept(self) -> ClaimConfig | None:
        """Return the account that an invited thread claims from, None if the invitation was withdrawn."""
        with self._changed:
            return self._invited.popleft() if self._invited else None

    def enter(self) -> None:
        """Mark a thread as busy with a job."""
        with self._changed:
            self._free -= 1

    def leave(self, config: ClaimConfig | None = None) -> None:
        """Mark a thread as free."""
        with self._changed:
            self._free += 1
            capped = config is not None and self._busy[config.account] >= self._cap and self._free > 1
            if config is not None:
                self._busy[config.account] -= 1
            self._changed.notify_all()
        if self._stopped:
            self._wake_another_process()
        elif capped:
            self._wake_consumer()

    def should_yield(self, config: ClaimConfig) -> bool:
        """Return whether another account may need the thread that works on this one."""
        return len(self._accounts) > 1 and (
            self._free <= 0 or any(each.account != config.account for each in self._due)
        )

    def wait(self) -> int:
        """Wait up to a second for due lanes and free threads; return how many invitations to send."""
        with self._changed:
            if self._stopped:
                # Dramatiq keeps asking in a loop until all threads are done.
                time.sleep(0.05)
                return 0
            if self._free <= 0:  # below zero, if a job has taken the thread of an invitation
                self._changed.wait(POLL)
            if self._free <= 0 or self._stopped:
                return 0
            free, busy = self._free, Counter(self._busy)
            pending = Counter(config.account for config in self._invited)
        try:
            found, pause = self._count_due(free, busy, pending)
            self._report(None)
            if found == 0:
                self._sleep(max(0.005, pause))
        except (StoreUnavailable, redis.RedisError) as error:
            self._report(error)
            time.sleep(POLL)
            return 0
        with self._changed:
            return 0 if self._stopped else self._invite(min(found, self._free))

    def _sleep(self, seconds: float) -> None:
        """Sleep until a lane may be due."""
        try:
            self._idle.blpop([WAKE, self._wake_key], timeout=seconds)
        except redis.RedisError as error:
            if not self._store.is_cluster:
                raise
            # The node of the wake-up list is lost, but those of the accounts may answer.
            self._report(error)
            time.sleep(seconds)

    def _count_due(self, free: int, busy: Counter[str], pending: Counter[str]) -> tuple[int, float]:
        """Count the lanes of each account that may be claimed, beyond those that threads are invited to.

        Once there is an account for each free thread, the others are asked the next time: asking all of many accounts
        for each few lanes would take longer than the work.

        Return how many threads can be used, and how long to sleep (s) if there are none.
        """
        self._accounts.rotate(-1)
        found: list[list[ClaimConfig]] = []
        pauses = [POLL]
        for asked, config in enumerate(self._accounts):
            invited = pending[config.account]
            room = min(free, self._cap - busy[config.account])
            most = room + invited
            lanes, pause = self._count_lanes(config, most + 1)
            found.append([config] * min(lanes - invited, room))
            if pause >= 0 and not (lanes and room <= 0):
                pauses.append(pause / 1000)
            if lanes > most:
                # More than this process can use: another one may be asleep.
                self._wake_another_process()
            if sum(map(bool, found)) >= free:
                self._accounts.rotate(-asked)
                break
        # One lane of each account in turn, so that a backlog of one account does not keep the others waiting.
        self._due = [config for each in zip_longest(*found) for config in each if config]
        return len(self._due), min(pauses)

    def _count_lanes(self, config: ClaimConfig, most: int) -> tuple[int, int]:
        try:
            found = self._store.run(due(config, most))
        except (RuntimeError, StoreUnavailable) as error:
            if not self._store.is_cluster and not concerns_one_account(error):
                raise
            if config.account not in self._corrupt:
                self._corrupt.add(config.account)
                report = {"account": config.account, "error": str(error)}
                log.error("Lanes cannot be claimed", extra=report)  # noqa: TRY400 - the error says which key or right it is
            return 0, -1
        self._corrupt.discard(config.account)
        return found

    def _invite(self, most: int) -> int:
        chosen = self._due[:most]
        self._invited.extend(chosen)
        self._busy.update(config.account for config in chosen)
        self._free -= len(chosen)
        return len(chosen)

    def _wake_another_process(self) -> None:
        """Wake another process for the lanes that this one leaves."""
        try:
            wake(self._store.client)
        except redis.RedisError:
            log.warning("No other worker could be woken; it checks within %g s", POLL)

    def _wake_consumer(self) -> None:
        """Wake this process's consumer, which may sleep because an account used all its threads."""
        try:
            self._store.client.lpush(self._wake_key, 1)
            self._store.client.ltrim(self._wake_key, 0, 0)
            self._store.client.expire(self._wake_key, 60)
        except redis.RedisError:
            log.debug("The consumer could not be woken; it checks within %g s", POLL)

    def _report(self, error: Exception | None) -> None:
        """Log when the store stops answering, and when it answers again."""
        if error and not self._down:
            fields = {"error": str(unavailable(error))}
            log.error("The store is unreachable; claims continue when it answers", extra=fields)
        elif self._down and not error:
            log.info("The store is reachable again")
        self._down = error is not None


class LaneConsumer(Consumer):
    """Turn invitations into the messages that Dramatiq passes to its threads."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._invitations = 0

    def __next__(self) -> MessageProxy | None:
        if self._invitations == 0:
            self._invitations = self._readiness.wait()
        if self._invitations == 0:
            return None
        self._invitations -= 1
        return MessageProxy(Message(queue_name=QUEUE, actor_name=ACTOR, args=(), kwargs={}, options={}))

    def ack(self, message: MessageProxy) -> None:
        """Do nothing: an invitation is not a lease."""

    def nack(self, message: MessageProxy) -> None:
        """Do nothing: the lane is still due."""


class JobSlots:
    """How many jobs this process may have at once: half of its threads, at least one."""

    def __init__(self, threads: int) -> None:
        self._free = max(1, threads // 2)
        self.most = self._free
        self._changed = threading.Condition()

    def wait(self, seconds: float) -> bool:
        """Return whether a job may start, after waiting for up to some seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._free > 0, seconds)

    def take(self) -> None:
        """Note that a job has been fetched."""
        with self._changed:
            self._free -= 1

    def free(self, count: int = 1) -> None:
        """Note that jobs have ended or were put back."""
        with self._changed:
            self._free += count
            self._changed.notify_all()


class JobConsumer(Consumer):
    """Fetch the messages of a queue only while a thread may work on them; other processes take the rest."""

    def __init__(self, inner: Consumer, slots: JobSlots, seconds: float) -> None:
        self._inner, self._slots, self._seconds = inner, slots, seconds

    def __next__(self) -> MessageProxy | None:
        if not self._slots.wait(self._seconds):
            return None
        message: MessageProxy | None = next(self._inner)
        if message is not None:
            self._slots.take()
        return message

    def ack(self, message: MessageProxy) -> None:
        """Delete a message that was processed."""
        try:
            self._inner.ack(message)
        finally:
            self._slots.free()

    def nack(self, message: MessageProxy) -> None:
        """Move a message to Dramatiq's dead letters, which are not ours."""
        try:
            self._inner.nack(message)
        finally:
            self._slots.free()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put messages back that were not processed."""
        given = list(messages)
        self._inner.requeue(given)
        self._slots.free(len(given))

    def close(self) -> None:
        """Close the consumer."""
        self._inner.close()


class LaneBroker(RedisBroker):
    """Dramatiq's Redis broker, whose queue ``lanes`` consists of invitations.

    It has Dramatiq's usual middleware. Plug-ins are loaded while it is the global broker, so that their actors belong
    to it; ``serve`` adds what needs their handlers.
    """

    def __init__(self, client: "redis.Redis", threads: int, middleware: Iterable[Middleware] = ()) -> None:
        chain = [*(each() for each in default_middleware), CurrentMessage(), *middleware]
        super().__init__(client=client, middleware=chain, namespace=NAMESPACE)  # type: ignore[no-untyped-call]
        self._slots = JobSlots(threads)
        self._readiness: Readiness | None = None

    def declare_actor(self, actor: Any) -> None:
        """Declare an actor; the actors of plug-ins, which come first, may not use the names of built-in ones."""
        if self._readiness is None and (actor.queue_name == QUEUE or actor.actor_name == ACTOR):
            raise ValueError(f"the queue {QUEUE!r} and the actor {ACTOR!r} are foxhooks' own; use other names")
        super().declare_actor(actor)

    def serve(self, readiness: Readiness) -> None:
        """Invite threads to lanes from now on."""
        self._readiness = readiness
        self.add_middleware(_Threads(readiness))

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue; ``lanes`` has no delay queue, because lanes are parked instead."""
        if queue_name != QUEUE:
            super().declare_queue(queue_name)
        elif queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Return the consumer of a queue."""
        if queue_name == QUEUE:
            assert self._readiness is not None
            return LaneConsumer(self._readiness)
        if queue_name == dq_name(q_name(queue_name)):  # messages that wait for their time use no thread
            return super().consume(queue_name, prefetch, timeout)
        return JobConsumer(super().consume(queue_name, self._slots.most, timeout), self._slots, timeout / 1000)


class _Threads(Middleware):
    """Count the threads that jobs use; stop invitations first when the process stops."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def before_process_message(self, _broker: object, message: MessageProxy) -> None:
        if message.queue_name != QUEUE:
            self._readiness.enter()

    def after_process_message(
        self,
        _broker: object,
        message: MessageProxy,
        *,
        result: Any | None = None,  # noqa: ARG002 - Dramatiq passes it by name
        exception: BaseException | None = None,  # noqa: ARG002 - as above
    ) -> None:
        if message.queue_name != QUEUE:
            self._readiness.leave()

    def after_skip_message(self, _broker: object, message: MessageProxy) -> None:
        self.after_process_message(_broker, message)

    def before_worker_shutdown(self, _broker: object, _worker: object) -> None:
        self._readiness.stop()
