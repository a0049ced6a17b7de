"""Webhooks: what is told, signed over exactly the bytes that are sent, and the log of deliveries."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from workers.events.signature import HEADER, sign
from workers.simulator.api.route import Label, News
from workers.simulator.faults import HookFault, Switchboard
from workers.simulator.telling import Hook, Shape, body
from workers.simulator.world import World

__all__ = ["Delivery", "Hook", "Postbox", "Shape"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request to a hook's URL, and one line of the delivery log.

    `due` is when to send it, in epoch seconds. `status` and `error` stay None until `Simulator.delivered` is
    told; a dropped one is logged with the error "dropped" and never handed out.
    """

    number: int
    hook: Hook
    label: Label
    ticket: int
    update_id: int | None
    body: bytes
    headers: dict[str, str]
    due: float
    attempt: int = 1
    status: int | None = None
    error: str | None = None
    finished: float | None = None


class Postbox:
    """What the configured hooks are told, waiting to be sent, and the delivery log."""

    def __init__(self, keep: int, hooks: Iterable[Hook] = ()) -> None:
        self.keep = keep
        self.hooks = list(hooks)
        self.faults: Switchboard[HookFault] = Switchboard()
        self.log: dict[int, Delivery] = {}
        self.waiting: list[Delivery] = []
        self.held: list[Delivery] = []
        self.last_number = 0

    def post(self, world: World, news: News) -> None:
        """Write, sign and queue the deliveries that this news makes."""
        row = news.ticket.rows[-1] if news.row else None
        for hook in self.hooks:
            if news.label in hook.events:
                text = json.dumps(body(world, hook, news), ensure_ascii=hook.escape, separators=(", ", ": "))
                self._emit(hook, news, row.update_id if row else None, text.encode(), world.now())

    def take(self) -> list[Delivery]:
        """What has to be sent, in order of time, and is not handed out again."""
        taken = sorted(self.waiting, key=lambda delivery: (delivery.due, delivery.number))
        self.waiting.clear()
        return taken

    def finished(self, delivery: Delivery, now: float, status: int | None, error: str | None) -> None:
        """Note how a delivery went; one that failed is queued again while its hook has tries left."""
        done = replace(delivery, status=status, error=error, finished=now)
        if delivery.number in self.log:
            self.log[delivery.number] = done
        succeeded = status is not None and 200 <= status < 300
        if not succeeded and delivery.attempt < delivery.hook.tries:
            due = now + delivery.hook.backoff * 2 ** (delivery.attempt - 1)
            self._queue(replace(delivery, number=self._next(), attempt=delivery.attempt + 1, due=due))

    def fork(self) -> "Postbox":
        """An independent copy."""
        other = Postbox(self.keep, self.hooks)
        other.faults = Switchboard(self.faults.faults)
        other.log, other.waiting, other.held = dict(self.log), list(self.waiting), list(self.held)
        other.last_number = self.last_number
        return other

    def _emit(self, hook: Hook, news: News, update_id: int | None, body: bytes, now: float) -> None:
        fault = self.faults.take(news.label)
        kind = None if fault is None else fault.kind
        headers = {"Content-Type": "application/json", "User-Agent": "HappyFox-Simulator"}
        if kind != "unsigned":
            headers[HEADER] = sign(hook.key + ("-wrong" if kind == "wrong-key" else ""), body, hook.spelling)
        if kind == "truncate":
            body = body[: len(body) // 2]
        due = now + fault.seconds if fault is not None and kind == "delay" else now
        delivery = Delivery(self._next(), hook, news.label, news.ticket.id, update_id, body, headers, due)
        if kind == "drop":
            self._note(replace(delivery, error="dropped", finished=now))
        elif kind == "reorder":
            self.held.append(delivery)
            self._note(delivery)
        else:
            self._queue(delivery)
            if kind == "duplicate":
                self._queue(replace(delivery, number=self._next()))
            for late in self.held:
                self.waiting.append(replace(late, number=self._renumber(late), due=due))
            self.held.clear()

    def _renumber(self, delivery: Delivery) -> int:
        """Numbers follow the order of sending, so a held delivery gets a new one."""
        self.log.pop(delivery.number, None)
        number = self._next()
        self._note(replace(delivery, number=number))
        return number

    def _queue(self, delivery: Delivery) -> None:
        self._note(delivery)
        self.waiting.append(delivery)

    def _note(self, delivery: Delivery) -> None:
        self.log[delivery.number] = delivery
        if len(self.log) > self.keep:
            del self.log[next(iter(self.log))]

    def _next(self) -> int:
        self.last_number += 1
        return self.last_number
