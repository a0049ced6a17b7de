"""People who use the dashboard in tests: an application in this process, and a visitor with a browser's cookies."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Any

from starlette.testclient import TestClient

from service.dashboard.people import HASHER
from service.web.app import build
from tests.support.intake import settings
from tests.support.web import on_socket

HOST = "127.0.0.1:8000"
PASSWORD = "correct horse battery"
TOKEN = "a-token-of-a-program"
TOKENS = ",".join(
    f"{role}:{role}:{sha256(f'{TOKEN}-{role}'.encode()).hexdigest()}" for role in ("viewer", "operator", "admin")
)


@cache
def users() -> str:
    """Return three users, one of each role, with the same password."""
    hashed = HASHER.hash(PASSWORD)
    return " ".join(
        f"{name}:{role}:{hashed}" for name, role in (("vera", "viewer"), ("olga", "operator"), ("ada", "admin"))
    )


class Visitor:
    """Somebody with a browser: it keeps cookies, and sends the headers that browsers send with forms."""

    def __init__(self, http: TestClient) -> None:
        self.http = http
        self.csrf = ""

    def get(self, path: str, **headers: str) -> Any:
        """Open a page and remember the token of its forms."""
        answer = self.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        if found := re.search(r'name="csrf" value="([0-9a-f]+)"', answer.text):
            self.csrf = found[1]
        return answer

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Any:
        """Send a form of the page that was opened last."""
        own = {"origin": f"http://{HOST}"} if headers is None else headers
        return self.http.post(path, data={"csrf": self.csrf, **fields}, headers=own)

    def login(self, user: str = "ada", password: str = PASSWORD) -> Any:
        """Log in."""
        self.get("/dashboard/login")
        return self.post("/dashboard/login", user=user, password=password)

    def api(self, path: str, role: str = "viewer", method: str = "GET", **fields: Any) -> Any:
        """Call the API as a program with a role."""
        headers = {"authorization": f"Bearer {TOKEN}-{role}"}
        return self.http.request(method, f"/dashboard/api/v1{path}", headers=headers, json=fields or None)


@contextmanager
def visiting(url: str, user: str = "", host: str = HOST, address: str = "127.0.0.1", **more: str) -> Iterator[Visitor]:
    """Serve the dashboard of a store in this process; yield a visitor, logged in as a user if one is named."""
    names = {"FOXHOOKS_DASHBOARD_USERS": users(), "FOXHOOKS_TOKENS": TOKENS, **more}
    app = build(settings(url, **{name: value for name, value in names.items() if value}))
    with TestClient(app, base_url=f"http://{host}", follow_redirects=False, client=(address, 50000)) as http:
        visitor = Visitor(http)
        if user:
            assert visitor.login(user).status_code == 303
        yield visitor


@contextmanager
def served(url: str, **more: str) -> Iterator[str]:
    """Serve the dashboard of a store on a socket; yield its address."""
    with on_socket(build(settings(url, FOXHOOKS_DASHBOARD_USERS=users(), FOXHOOKS_TOKENS=TOKENS, **more))) as port:
        yield f"http://127.0.0.1:{port}"


def words(answer: Any) -> str:
    """Return the text of a page without its markup; what was seconds ago was 0 s ago, as the machine may be busy."""
    body = re.sub(r"(?s)<(script|style|svg).*?</\1>", " ", answer.text)
    return re.sub(r"\b\d+ s ago", "0 s ago", " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split()))


ACCOUNT_PAGES = (
    "",
    "/events",
    "/tickets",
    "/lanes",
    "/dead",
    "/quarantine",
    "/handlers",
    "/rules",
    "/budget",
    "/clients",
    "/signatures",
    "/completeness",
)
GLOBAL_PAGES = ("/", "/fleet", "/settings", "/alerts", "/audit")


def addresses(account: str) -> list[str]:
    """Return the addresses of all pages that need no further name."""
    return [f"/dashboard{path}" for path in (*GLOBAL_PAGES, *(f"/{account}{page}" for page in ACCOUNT_PAGES))]
