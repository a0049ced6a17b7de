"""Turn templates into pages: the environment, its filters, and what all pages share."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from service.dashboard.admission import STATIC
from service.dashboard.people import Person
from service.words import ago, ahead, clock, plural, span
from workers.store.usage import size
from workers.version import __version__

#: A word, and the domain if it is an address. HTML escapes the other characters that a local part may contain. Words
#: without a domain match, too: a search for addresses only would read a long word again from each of its letters.
_WORD = re.compile(r"([A-Za-z0-9._%+'&#;-]+)(@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)?")
_LETTER = re.compile(r"[A-Za-z0-9]")

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class MenuEntry(NamedTuple):
    """An entry of the navigation."""

    id: str
    path: str
    title: str


ACCOUNT_PAGES = (
    MenuEntry("now", "", "Now"),
    MenuEntry("events", "/events", "Events"),
    MenuEntry("tickets", "/tickets", "Tickets"),
    MenuEntry("lanes", "/lanes", "Lanes"),
    MenuEntry("dead", "/dead", "Dead letters"),
    MenuEntry("handlers", "/handlers", "Handlers"),
    MenuEntry("rules", "/rules", "Rules"),
    MenuEntry("budget", "/budget", "Budget"),
    MenuEntry("clients", "/clients", "Clients"),
    MenuEntry("signatures", "/signatures", "Signatures"),
    MenuEntry("completeness", "/completeness", "Completeness"),
)
GLOBAL_PAGES = (
    MenuEntry("accounts", "/", "Accounts"),
    MenuEntry("fleet", "/fleet", "Fleet"),
    MenuEntry("settings", "/settings", "Settings"),
    MenuEntry("alerts", "/alerts", "Alerts"),
    MenuEntry("audit", "/audit", "Audit log"),
)

#: What a page says after an action, by the word in its address: an address cannot put other words on a page.
NOTICES = {
    "paused": "Paused. New events are queued until you resume.",
    "resumed": "Resumed. Queued events are processed now.",
    "not-paused": "It was not paused.",
    "looks": "A worker reads the ticket next.",
    "sweeps": "A worker looks for missed changes now.",
    "nothing-ticked": "No dead letter was selected.",
}


class StaticFiles:
    """The static files, under names that change with their content, so that browsers may keep them."""

    def __init__(self) -> None:
        folder = files("service.dashboard").joinpath("static")
        contents = {path.name: path.read_bytes() for path in folder.iterdir()}
        self._names = {name: self._named(name, content) for name, content in contents.items()}
        self._contents = {self._names[name]: content for name, content in contents.items()}

    @staticmethod
    def _named(name: str, content: bytes) -> str:
        stem, _, kind = name.rpartition(".")
        return f"{stem}.{sha256(content).hexdigest()[:10]}.{kind}"

    def url(self, name: str) -> str:
        """Return the address of a file."""
        return STATIC + self._names[name]

    def respond(self, name: str) -> Response:
        """Answer with a file."""
        if name not in self._contents:
            return Response(status_code=404)
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(self._contents[name], headers=headers, media_type=TYPES[name.rpartition(".")[2]])


class Renderer:
    """Render templates."""

    def __init__(self) -> None:
        self.assets = StaticFiles()
        self._environment = Environment(
            loader=PackageLoader("service.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "ago": ago,
            "capitalize_first": lambda text: text[:1].upper() + text[1:],
            "code": _code,
            "duration": _duration,
            "ahead": ahead,
            "clock": lambda at, form="%Y-%m-%d %H:%M:%S": clock(at, form),
            "iso": _iso,
            "limit": _limit,
            "number": lambda value: f"{value:,}",
            "plural": plural,
            "size": size,
            "span": span,
        }
        self._environment.globals |= {
            "asset": self.assets.url,
            "account_pages": ACCOUNT_PAGES,
            "global_pages": GLOBAL_PAGES,
            "version": __version__,
        }

    def text(self, template: str, context: Mapping[str, Any], person: Person | None = None) -> str:
        """Return a rendered template, with shortened email addresses for a viewer."""
        text = self._environment.get_template(template).render(context)
        return text if person is None or person.may("operator") else mask(text)

    def respond(self, template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Return a rendered template as a response."""
        return HTMLResponse(self.text(template, context, context.get("person")), status)


def mask(text: str) -> str:
    """Return a text with shortened email addresses: s***@bigcorp.example."""
    return _WORD.sub(_mask, text)


def _mask(found: re.Match[str]) -> str:
    local, domain = found.groups()
    first = _LETTER.search(local) if domain else None
    return f"{local[: first.end()]}***{domain}" if first else found[0]


def _code(text: str) -> Markup:
    """Return a text with what is between backticks as code."""
    parts = (f"<code>{escape(part)}</code>" if odd % 2 else escape(part) for odd, part in enumerate(text.split("`")))
    return Markup("".join(map(str, parts)))  # noqa: S704 - each part is escaped


def _limit(seconds: float) -> str:
    """Return the upper limit of a bucket of a histogram."""
    if seconds == float("inf"):
        return "longer"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:g} s"


def _duration(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 10_000 else span(milliseconds)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
