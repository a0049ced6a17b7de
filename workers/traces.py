"""Traces (OpenTelemetry): one trace from a delivery to each call that it caused, across processes and crashes.

Nothing about traces is stored. The ids of a trace and of its first span follow from the id of the event or the turn, so
the worker that takes an event knows the span of its delivery, and a worker that continues the turn of a killed one adds
to the same trace. Whether a trace is sampled also follows from its id, so all processes agree.

    accept        the delivery; its trace has the event's id
    turn          a child of that; if it takes several events, a trace of its own with a link to each
      read, handler ROUTER.FUNCTION, POST ticket/{n}/staff_update

Attributes are ids and names: account, ticket, event, turn, handler, status. They never contain what a person wrote.
Needs the packages of the extra ``otel`` and the standard variables, such as OTEL_EXPORTER_OTLP_ENDPOINT.
"""

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span, SpanContext

#: What switches traces on, as OpenTelemetry names it.
SWITCHES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")

_NUMBER = re.compile(r"(?<=/)\d+(?=/|$)")
_PERSON = re.compile(r"^/?user/[^/]+")


class Traces:
    """Makes spans; without OpenTelemetry or its settings, makes none and costs nothing."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self._provider: Any = None
        self._ids: Any = None

    @property
    def enabled(self) -> bool:
        """Whether spans are made."""
        return self._tracer is not None

    def start(self, part: str, version: str, environ: Mapping[str, str] = os.environ, exporter: Any = None) -> None:
        """Export the spans of this process, if the environment asks for it; raise ImportError without the packages."""
        if exporter is None and not any(environ.get(name) for name in SWITCHES):
            return
        if exporter is None and environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return
        if exporter is None and find_spec("opentelemetry.sdk") is None:
            raise ImportError("traces need other packages: pip install 'foxhooks[otel]', or remove OTEL_ settings")
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        self._ids = _ids()
        resource = Resource.create({"service.name": f"foxhooks-{part}", "service.version": version})
        provider = TracerProvider(resource=resource, id_generator=self._ids)
        if exporter is not None:
            provider.add_span_processor(SimpleSpanProcessor(exporter))
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("foxhooks", version)
        self._provider = provider

    def stop(self) -> None:
        """Export what is left, and make no more spans."""
        if self._tracer is not None:
            self._provider.shutdown()
        self._tracer = None

    def accepted(self, account: str, event: str, outcome: str, seconds: float) -> None:
        """Add the span of a delivery that has just been answered."""
        if self._tracer is None:
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        now = time.time_ns()
        attributes = {"foxhooks.account": account, "foxhooks.event": event, "foxhooks.outcome": outcome}
        # A delivery that joined an event has a span of its own in the event's trace.
        joined = outcome != "accepted"
        context = self._parent(event) if joined else Context()
        with self._ids.use((None, None) if joined else _id_pair(event)):
            span = self._tracer.start_span(
                "accept",
                context,
                kind=SpanKind.SERVER,
                attributes=attributes,
                start_time=now - int(seconds * 1e9),
            )
        span.end(now)

    def turn(self, account: str, ticket: int, turn: str, events: Sequence[str]) -> "AbstractContextManager[Any]":
        """Return a context in which a turn runs; other spans become its children."""
        if self._tracer is None:
            return nullcontext()
        return self._turn(account, ticket, turn, events)

    @contextmanager
    def _turn(self, account: str, ticket: int, turn: str, events: Sequence[str]) -> Iterator["Span"]:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind, use_span

        attributes = {"foxhooks.account": account, "foxhooks.ticket": ticket, "foxhooks.turn": turn}
        options: dict[str, Any] = {"kind": SpanKind.CONSUMER, "attributes": attributes}
        if len(events) == 1:
            span = self._tracer.start_span("turn", self._parent(events[0]), **options)
        else:
            # A trace of its own, the same for each worker that works on the turn.
            options["links"] = [Link(self._context_of(event)) for event in events]
            with self._ids.use((_id_pair(turn)[0], None)):
                span = self._tracer.start_span("turn", Context(), **options)
        with use_span(span, end_on_exit=True, record_exception=False):
            yield span

    def step(self, name: str, **attributes: object) -> "AbstractContextManager[Any]":
        """Return a context in which one step runs, as a child of the turn."""
        if self._tracer is None:
            return nullcontext()
        named = {f"foxhooks.{key}": value for key, value in attributes.items()}
        span: AbstractContextManager[Any] = self._tracer.start_as_current_span(
            name, attributes=named, record_exception=False
        )
        return span

    def call(self, method: str, path: str) -> "AbstractContextManager[Any]":
        """Return a context in which a call to HappyFox is made; the span has the path without numbers and addresses."""
        if self._tracer is None:
            return nullcontext()
        return self._call(method, path)

    @contextmanager
    def _call(self, method: str, path: str) -> Iterator["Span"]:
        from opentelemetry.trace import SpanKind

        template = path_template(path)
        attributes = {"http.request.method": method, "url.template": template}
        with self._tracer.start_as_current_span(
            f"{method} {template}", kind=SpanKind.CLIENT, attributes=attributes, record_exception=False
        ) as span:
            yield span

    def note(self, **attributes: object) -> None:
        """Add attributes to the current span."""
        if self._tracer is None:
            return
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        for name, value in attributes.items():
            span.set_attribute(f"foxhooks.{name}", value)  # type: ignore[arg-type]

    def _context_of(self, event: str) -> "SpanContext":
        """Return the span of a delivery, wherever it was made; whether it was sampled follows from its id."""
        from opentelemetry.trace import SpanContext, TraceFlags

        trace, span = _id_pair(event)
        sampled = self._provider.sampler.should_sample(None, trace, "accept").decision.is_sampled()
        return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(int(sampled)))

    def _parent(self, event: str) -> Any:
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        return set_span_in_context(NonRecordingSpan(self._context_of(event)))

    def current(self) -> str:
        """Return the id of the current trace for log lines, or nothing."""
        if self._tracer is None:
            return ""
        from opentelemetry.trace import get_current_span

        context = get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else ""


def path_template(path: str) -> str:
    """Return a path of the API without numbers and addresses: ``ticket/{n}/staff_update``."""
    return _NUMBER.sub("{n}", _PERSON.sub("/user/{who}", f"/{path.strip('/')}")).lstrip("/")


def _id_pair(source: str) -> tuple[int, int]:
    """Return the ids of the trace and of the first span of an event or a turn."""
    digest = sha256(source.encode()).digest()
    return int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:24], "big") or 1


def _ids() -> Any:
    """Return a generator of ids that uses given ones when told to."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def __init__(self) -> None:
            self._given = threading.local()

        @contextmanager
        def use(self, pair: tuple[int | None, int | None]) -> Iterator[None]:
            self._given.pair = pair
            try:
                yield
            finally:
                del self._given.pair

        def generate_trace_id(self) -> int:
            return int(getattr(self._given, "pair", (None, None))[0] or super().generate_trace_id())

        def generate_span_id(self) -> int:
            return int(getattr(self._given, "pair", (None, None))[1] or super().generate_span_id())

    return Ids()


#: The traces of this process.
traces = Traces()
