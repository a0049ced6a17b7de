"""What leaves a process besides its work: logs and error reports, without a customer's words or a secret.

Log lines are constant sentences; what they are about stands in a few known fields, passed as ``extra``. All
else that is passed is left out, and so is the text of exceptions, in which a handler may put a customer's
words.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import structlog

from workers.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.integrations import Integration

Part = Literal["web", "worker"]

#: The fields a log line or a report may carry.
FIELDS = frozenset(
    {
        *(
            "account",
            "ticket",
            "event",
            "kind",
            "handler",
            "router",
            "permission",
            "attempt",
            "effect",
            "turn",
        ),
        *("status", "reason", "error", "wait", "seconds", "until", "count", "method", "path"),
        *("version", "processes", "threads", "host", "port", "signal", "pid"),
    }
)
#: Headers of a request that say nothing about a person.
HEADERS = frozenset({"content-length", "content-type", "user-agent"})
#: Loggers whose sentences are ours, and therefore constant.
OURS = ("workers", "service")
#: Libraries that tell every call and its address at INFO.
TALKATIVE = ("httpx", "httpcore", "asyncio")


def init_logging(settings: Settings) -> None:
    """Sends every log line of the process to the standard error, as JSON or for a person's eyes."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(settings.log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for warning in settings.warnings:
        logging.getLogger(__name__).warning("A setting must be changed.", extra={"reason": str(warning)})
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Lines(logging.Formatter):
    """Makes a line of a record: when, how grave, who, what, and the known fields."""

    def __init__(self, style: Literal["json", "console"]) -> None:
        super().__init__()
        self._render: Any = structlog.processors.JSONRenderer()
        if style == "console":
            self._render = structlog.dev.ConsoleRenderer(
                timestamp_key="at", event_key="message", colors=sys.stderr.isatty(), sort_keys=False
            )

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: value for name, value in record.__dict__.items() if name in FIELDS})
        if record.exc_info and record.exc_info[1] is not None:
            line["raised"] = _frames(record.exc_info[1])
        return str(self._render(None, "", line))


def _frames(error: BaseException) -> list[str]:
    """Tells where an exception came from and of which type it is, but not what it says."""
    found = traceback.extract_tb(error.__traceback__)
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in found]
    return [*frames, type(error).__qualname__]


def init_sentry(settings: Settings, part: Part) -> None:
    """Starts error reports when a DSN is set; to be called before the broker or the application is built."""
    if settings.sentry_dsn is None:
        return
    import sentry_sdk  # slow to import, and most processes have no DSN

    sentry_sdk.init(
        dsn=settings.sentry_dsn.reveal(),
        integrations=[_integration(part)],
        auto_enabling_integrations=False,
        include_local_variables=False,
        max_request_body_size="never",
        send_default_pii=False,
        trace_propagation_targets=[],
        before_send=_scrub,
        before_breadcrumb=_crumb,
    )
    sentry_sdk.set_tag("part", part)


def _integration(part: Part) -> "Integration":
    """Gives the part's integration; the worker knows no web framework, the web process no broker."""
    if part == "web":
        from sentry_sdk.integrations.starlette import StarletteIntegration

        return StarletteIntegration()
    from sentry_sdk.integrations.dramatiq import DramatiqIntegration

    return DramatiqIntegration()


def _scrub(event: Any, _hint: Any) -> Any:
    """Takes out of a report whatever could hold a customer's words or a secret."""
    request = event.pop("request", None)
    if request:
        headers = request.get("headers") or {}
        event["request"] = {
            "method": request.get("method"),
            "url": str(request.get("url", "")).partition("?")[0],
            "headers": {name: value for name, value in headers.items() if name.lower() in HEADERS},
        }
    event.pop("user", None)
    event.pop("server_name", None)
    event["extra"] = _known(event.get("extra"))
    contexts = event.get("contexts") or {}
    event["contexts"] = {name: value for name, value in contexts.items() if name in ("runtime", "trace")}
    entry = event.get("logentry")
    if entry:
        event["logentry"] = {"message": entry.get("message", "")}
    for error in (event.get("exception") or {}).get("values") or []:
        error["value"] = ""
        error.pop("mechanism", None)
        for frame in (error.get("stacktrace") or {}).get("frames") or []:
            frame.pop("vars", None)
    return event


def _crumb(crumb: Any, _hint: Any) -> Any:
    kept = {name: crumb[name] for name in ("type", "category", "level", "timestamp") if name in crumb}
    if str(crumb.get("category", "")).startswith(OURS):
        kept["message"] = crumb.get("message", "")
        kept["data"] = _known(crumb.get("data"))
    return kept


def _known(fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (fields or {}).items() if name in FIELDS}
