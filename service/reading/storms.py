"""Storms of deliveries: what people read about the present one, or the last."""

from collections.abc import Iterator

from rich.text import Text

from service.words import ago, clock, span
from workers.store.storms import Storm


def describe_storm(storm: Storm | None, drained: float | None, now: int) -> Iterator[tuple[str, object]]:
    """Describe the last storm at the time ``now`` (ms); ``drained`` is when (s) the backlog is processed."""
    if storm is None:
        return
    usual = f"{storm.usual} are usual" if storm.usual else "what is usual is not known yet"
    if storm.is_on(now):
        text = f"since {clock(storm.since, '%H:%M')}, {storm.arrivals} deliveries in the last minute, {usual}."
        pace = " Creations and contacts' replies keep their pace; everything else is bulk and waits up to 30 s."
        left = f" Done in about {drained:.0f} s." if drained else ""
        yield "storm", Text(text, "red").append(pace + left, "default")
    else:
        lasted = f"it lasted {span(storm.last - storm.since + 60_000)}, {storm.peak} deliveries in its busiest minute"
        yield "storm", f"over since {ago(storm.last + 60_000, now)}: {lasted}, {usual}"
