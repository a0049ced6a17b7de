"""Write logs and error reports without customers' words and without secrets.

Log messages are constant, with a few known fields passed as ``extra``. Other fields and the text of exceptions are left
out, because a handler may put a customer's words there. What a handler logs itself is in the log, and nowhere else.
"""

import json
import logging
import re
import sys
import sysconfig
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workers.settings import Settings
from workers.traces import traces

if TYPE_CHECKING:
    from sentry_sdk.integrations import Integration

#: The fields a log line or a report may carry.
FIELDS = frozenset(
    {
        *("account", "ticket", "event", "kind", "handler", "router", "permission", "attempt", "effect", "turn"),
        *("client", "call"),
        *("status", "reason", "error", "wait", "seconds", "until", "count", "method", "path", "task", "traceback"),
        *("version", "processes", "threads", "host", "port", "signal", "pid"),
    }
)
#: The fields that say where something happened: all that log lines and reports of others carry.
PLACES = frozenset({"account", "ticket", "event", "handler", "router", "turn"})
#: Request headers without information about a person.
SAFE_HEADERS = frozenset({"content-length", "content-type", "user-agent"})
#: What a report keeps unchanged, and what it keeps of a stack frame.
EVENT_KEYS = (
    *("event_id", "timestamp", "platform", "level", "logger", "transaction", "release", "environment"),
    *("sdk", "modules", "breadcrumbs"),
)
FRAME_KEYS = ("filename", "abs_path", "function", "module", "lineno", "in_app")
#: The text of a report about a log line of a handler or a library.
WITHHELD = "The text is only in the log: it may quote a customer."
#: Our own loggers, whose messages are constant.
OWN_LOGGERS = ("workers", "service")
#: The loggers of what runs actors.
ACTORS = "dramatiq"
#: Libraries that log every call and its URL at INFO, or what they send and receive at DEBUG.
NOISY_LOGGERS = ("httpx", "httpcore", "asyncio", "mcp", "sse_starlette")
#: ANSI colors of the levels on a terminal.
LEVEL_COLORS = {"info": 32, "debug": 32, "warning": 33, "error": 31, "critical": 31}


def init_logging(settings: Settings) -> None:
    """Write all log lines of the process to stderr, as JSON or in a form for people."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(settings.log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for warning in settings.warnings:
        logging.getLogger(__name__).warning("A setting must be changed.", extra={"reason": str(warning)})
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _LineFormatter(logging.Formatter):
    """Format a record as a line: time, level, logger, message and the known fields."""

    def __init__(self, style: Literal["json", "console"]) -> None:
        super().__init__()
        self._console, self._colors = style == "console", sys.stderr.isatty()

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if trace := traces.current():
            line["trace"] = trace
        line.update(_known_fields(record.__dict__, record.name))
        for name, value in getattr(record, "fields", {}).items():
            line[f"{name}_" if name in ("at", "level", "logger", "message") else name] = value
        # Of a handler's error, the engine's frames matter only to whoever debugs foxhooks itself.
        if record.exc_info and record.exc_info[1] is not None and ("traceback" not in line or _debugging()):
            line["raised"] = _frames(record.exc_info[1])
        return self._readable(line) if self._console else json.dumps(line, default=repr)

    def _readable(self, line: dict[str, Any]) -> str:
        at, level, logger, message, *_ = line.values()
        frames = "".join(f"\n    {plain(frame)}" for frame in line.pop("traceback", ()))
        fields = [
            f"{self._paint(36, plain(key))}={self._paint(35, _quoted(each))}" for key, each in list(line.items())[4:]
        ]
        level = self._paint(LEVEL_COLORS.get(level, 0), f"{level:<9}")
        message = self._paint(1, f"{plain(message):<30}")
        return " ".join([self._paint(2, at), f"[{level}]", message, f"[{plain(logger)}]", *fields]) + frames

    def _paint(self, color: int, text: str) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._colors else text


def _message(record: logging.LogRecord) -> str:
    """Return the text of a record; of a message to an actor only the actor's name, because its arguments are words.

    Of asyncio's lines only the beginning: then follow calls with their arguments, and tasks with their exceptions.
    """
    if record.name == "asyncio":
        return re.split(r"[(\n]", record.getMessage())[0]
    if record.name.startswith(ACTORS) and isinstance(record.args, tuple):
        return record.msg % tuple(getattr(each, "actor_name", each) for each in record.args)
    return record.getMessage()


def _quoted(value: object) -> str:
    """Return a value as text, quoted if it is not a single word."""
    text = str(value)
    word = isinstance(value, str) and text.isprintable() and not set(text) & set(" =\"'")
    return text if word else plain(repr(value))


def plain(text: str) -> str:
    """Return a text that cannot control a terminal: control characters and line ends become spaces."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


class HandlerLog(logging.LoggerAdapter[logging.Logger]):
    """The log of a handler, with its account, ticket and name in each line.

    Fields are keywords: ``ctx.log.info("greeted", language="de")``. They are in the log only, not in error reports.
    """

    def __init__(self, router: str, **place: object) -> None:
        super().__init__(logging.getLogger(f"handlers.{router}"), place)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Separate the options of ``logging`` from fields."""
        options = {name: kwargs[name] for name in ("exc_info", "stack_info", "stacklevel") if name in kwargs}
        fields = {**(kwargs.get("extra") or {}), **kwargs}
        for name in ("extra", *options):
            fields.pop(name, None)
        return msg, {**options, "extra": {**(self.extra or {}), "fields": fields}}


def _debugging() -> bool:
    return logging.getLogger().isEnabledFor(logging.DEBUG)


#: Where Python, installed packages and foxhooks are.
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
OWN_FOLDERS = tuple(str(Path(__file__).parents[1] / name) for name in OWN_LOGGERS)


def plugin_frames(error: BaseException, file: str = "") -> list[traceback.FrameSummary]:
    """Return the frames of an exception that are a plug-in's: in ``file`` and beside it, or in no library."""
    folder = str(Path(file).parent) if file else ""
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (folder and str(Path(frame.filename).parent) == folder)
        or not (frame.filename.startswith((*LIBRARIES, *OWN_FOLDERS)) or frame.filename[:1] == "<")
    ]


def _frames(error: BaseException) -> list[str]:
    """Return the stack and the type of an exception, but not its text."""
    stack = traceback.extract_tb(error.__traceback__)
    return [*(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in stack), type(error).__qualname__]


def init_sentry(settings: Settings, part: Literal["web", "worker", "gateway"]) -> None:
    """Start error reports if a DSN is set; call before building broker or app."""
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
        before_send=_scrub_event,
        before_breadcrumb=_scrub_breadcrumb,
    )
    sentry_sdk.set_tag("part", part)


def _integration(part: str) -> "Integration":
    """Return the integration of the process: only one has a web framework."""
    if part == "web":
        from sentry_sdk.integrations.starlette import StarletteIntegration

        return StarletteIntegration()
    from sentry_sdk.integrations.dramatiq import DramatiqIntegration

    return DramatiqIntegration()


def _scrub_event(event: Any, _hint: Any) -> Any:
    """Return a report that has only what cannot contain a customer's words or a secret."""
    kept = {name: event[name] for name in EVENT_KEYS if name in event}
    kept["tags"] = {name: value for name, value in (event.get("tags") or {}).items() if name in ("part", *FIELDS)}
    kept["extra"] = _known_fields(event.get("extra"), event.get("logger"))
    contexts = event.get("contexts") or {}
    kept["contexts"] = {name: value for name, value in contexts.items() if name in ("runtime", "trace")}
    if request := event.get("request"):
        headers = request.get("headers") or {}
        kept["request"] = {
            "method": request.get("method"),
            "url": str(request.get("url", "")).partition("?")[0],
            "headers": {name: value for name, value in headers.items() if name.lower() in SAFE_HEADERS},
        }
    if "logentry" in event or "message" in event:
        message = (event.get("logentry") or {}).get("message", "")
        kept["logentry"] = {"message": message if _is_ours(event.get("logger")) else WITHHELD}
    if errors := (event.get("exception") or {}).get("values"):
        kept["exception"] = {"values": [_scrub_error(error) for error in errors]}
    return kept


def _scrub_error(error: dict[str, Any]) -> dict[str, Any]:
    """Keep the type of an exception and where it was raised, but no source line."""
    frames = (error.get("stacktrace") or {}).get("frames") or []
    places = [{name: frame[name] for name in FRAME_KEYS if name in frame} for frame in frames]
    return {"type": error.get("type"), "module": error.get("module"), "value": "", "stacktrace": {"frames": places}}


def _scrub_breadcrumb(crumb: Any, _hint: Any) -> Any:
    """Keep the text and the fields of our own log lines only."""
    kept = {name: crumb[name] for name in ("type", "category", "level", "timestamp") if name in crumb}
    if _is_ours(crumb.get("category")):
        kept["message"] = crumb.get("message", "")
        kept["data"] = _known_fields(crumb.get("data"), crumb.get("category"))
    return kept


def _is_ours(logger: object) -> bool:
    return str(logger).partition(".")[0] in OWN_LOGGERS


def _known_fields(fields: Any, logger: object) -> dict[str, Any]:
    """Return only the fields that a line or report of a logger may carry."""
    known = FIELDS if _is_ours(logger) else PLACES
    return {name: value for name, value in (fields or {}).items() if name in known}
