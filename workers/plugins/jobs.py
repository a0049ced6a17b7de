"""Jobs: the Dramatiq actors of plug-ins, which do slow work on the same workers.

In a worker, they belong to its broker, and return to a ticket with ``Router.post``. Where no worker runs (commands,
tests), they belong to a stub, so that a plug-in can be imported anywhere and sends nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dramatiq
import dramatiq.broker
import msgspec
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import dq_name, q_name
from dramatiq.message import Message
from dramatiq.middleware import default_middleware
from dramatiq.middleware.current_message import CurrentMessage

from workers.store.inbox import Arrival, receive_hook
from workers.webhook.hooks import MOST_BYTES, event_id

#: Stores an event in a ticket's lane, by account.
Post = Callable[[str, Arrival], None]

_post: list[Post] = []


def connect(post: Post) -> None:
    """Let jobs of this process return to tickets; the last call counts."""
    _post[:] = [post]


def disconnect() -> None:
    """End what ``connect`` has begun."""
    _post.clear()


def post(account: str, ticket: int, router: str, name: str, data: Mapping[str, Any]) -> None:
    """Store an event of the kind ``hook`` in a ticket's lane; see ``Router.post``."""
    if not _post:
        raise RuntimeError("router.post works in a worker, and in tests with the fixture desk; call it from an actor")
    try:
        body = msgspec.json.encode({"ticket": ticket, **data})
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"the data for the hook {name!r} is not JSON; pass strings, numbers and lists") from None
    if len(body) > MOST_BYTES:
        raise ValueError(f"the data for the hook {name!r} has {len(body)} bytes; send at most {MOST_BYTES}")
    job = CurrentMessage.get_current_message()
    identity = event_id(account, router, name, str(ticket), job.message_id) if job else ""
    _post[0](account, receive_hook(ticket, router, name, body, id=identity))


def ensure_broker() -> None:
    """Make a stub the global broker if there is none: Dramatiq's default would connect to a Redis on this machine."""
    if dramatiq.broker.global_broker is None:
        dramatiq.set_broker(StubBroker([*(each() for each in default_middleware), CurrentMessage()]))


def run_waiting() -> int:
    """Run the jobs that wait in the stub, oldest first, also delayed ones; return how many ran.

    Raise what a job raises: nothing is retried.
    """
    broker, count = dramatiq.get_broker(), 0
    if not isinstance(broker, StubBroker):
        return 0
    names = sorted({q_name(name) for name in broker.queues})
    while message := _next(broker, names):
        broker.emit_before("process_message", message)
        try:
            broker.get_actor(message.actor_name)(*message.args, **message.kwargs)
        finally:
            broker.emit_after("process_message", message)
        count += 1
    return count


def discard_waiting() -> None:
    """Discard the jobs that wait in the stub."""
    broker = dramatiq.broker.global_broker
    if isinstance(broker, StubBroker):
        broker.flush_all()


def _next(broker: StubBroker, names: list[str]) -> MessageProxy | None:
    for name in names:
        for queue in (broker.queues[name], broker.queues[dq_name(name)]):
            if not queue.empty():
                encoded: bytes = queue.get_nowait()
                queue.task_done()
                return MessageProxy(Message.decode(encoded))
    return None
