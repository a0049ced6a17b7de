"""Turn templates into pages: the environment, its filters, and what all pages share."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from service.dashboard.admission import STATIC
from service.words import ago, ahead, clock, plural, span
from workers.version import __version__

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Page(NamedTuple):
    """An entry of the navigation."""

    id: str
    path: str
    title: str


ACCOUNT_PAGES = (Page("now", "", "Now"),)
GLOBAL_PAGES = (Page("accounts", "/", "Accounts"),)

#: What a page says after an action, by the word in its address: an address cannot put other words on a page.
NOTICES = {
    "paused": "Paused. New events are queued until you resume.",
    "resumed": "Resumed. Queued events are processed now.",
    "not-paused": "It was not paused.",
}


class Assets:
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
        self.assets = Assets()
        self._environment = Environment(
            loader=PackageLoader("service.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "ago": ago,
            "ahead": ahead,
            "clock": lambda at, form="%Y-%m-%d %H:%M:%S": clock(at, form),
            "iso": _iso,
            "number": lambda value: f"{value:,}",
            "plural": plural,
            "span": span,
        }
        self._environment.globals |= {
            "asset": self.assets.url,
            "account_pages": ACCOUNT_PAGES,
            "global_pages": GLOBAL_PAGES,
            "version": __version__,
        }

    def text(self, template: str, context: Mapping[str, Any]) -> str:
        """Return a rendered template."""
        return self._environment.get_template(template).render(context)

    def respond(self, template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Return a rendered template as a response."""
        return HTMLResponse(self.text(template, context), status)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
