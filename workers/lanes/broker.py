"""The broker: brings invitations to Dramatiq's threads as messages on the queue ``lanes``.

Ack, nack and requeue of an invitation mean nothing. Dramatiq's own prefetch, delays and redelivery are not used for
lanes: they lose order and take minutes to recover a killed worker. All other queues are Dramatiq's as they are, for
actors of users.
"""

from collections.abc import Iterable, Sequence

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message
from dramatiq.middleware import Middleware

from workers.lanes.invitations import Invitations

QUEUE = "lanes"
ACTOR = "turns"


class LaneConsumer(Consumer):
    """Turns invitations into the messages that Dramatiq hands to its threads."""

    def __init__(self, invitations: Invitations) -> None:
        self._invitations = invitations
        self._ready = 0

    def __next__(self) -> MessageProxy | None:
        if self._ready == 0:
            self._ready = self._invitations.wait()
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
        """Holds nothing to close."""


class LaneBroker(RedisBroker):
    """Dramatiq's Redis broker, whose queue ``lanes`` is fed by invitations."""

    def __init__(self, invitations: Invitations, client: "redis.Redis", middleware: Sequence[Middleware]) -> None:
        all_of_it = [*middleware, _Shutdown(invitations)]
        super().__init__(client=client, middleware=all_of_it, namespace="{foxhooks}:dramatiq")  # type: ignore[no-untyped-call]
        self._invitations = invitations

    def declare_queue(self, queue_name: str) -> None:
        """Declares a queue; that of lanes has no delay queue, parking replaces it."""
        if queue_name != QUEUE:
            super().declare_queue(queue_name)
        elif queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Makes the consumer of a queue."""
        if queue_name == QUEUE:
            return LaneConsumer(self._invitations)
        return super().consume(queue_name, prefetch, timeout)


class _Shutdown(Middleware):
    def __init__(self, invitations: Invitations) -> None:
        self._invitations = invitations

    def before_worker_shutdown(self, broker: object, worker: object) -> None:
        self._invitations.stop()
