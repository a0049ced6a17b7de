"""A real browser and a real deployment to look at: the demo with failures, refused deliveries and a pause."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.processes import ROOT, Process, clean, wait_until

CHROMIUM = "/usr/bin/chromium"

#: The ms to wait for something to appear: other tests use the machine, too.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

#: Where screenshots go: an artifact of CI.
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "build" / "screenshots"))

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")

CRM = '''\
"""Tell the CRM about orders. It does not know all of them."""

from workers import Event, GiveUp, Retry, Router, Ticket

router = Router("crm")


@router.on("ticket-created", "contact-replied")
def sync(ticket: Ticket, event: Event) -> None:
    if "Order" in ticket.subject:
        raise GiveUp(f"the CRM has no order {ticket.subject.split()[-1]}")
    if "Invoice" in ticket.subject:
        raise Retry("the CRM answered 503", after="45m")
    ticket.add_tags("crm")
'''

PROGRAM = """
from service.demo import HANDLERS, run
raise SystemExit(run(False, HANDLERS.replace('staff_update:router",', 'staff_update:router",\\n    "crm:router",')))
"""

#: Who writes what, after the scenes of the demo.
TICKETS = (
    ("lena@smallshop.example", "Order 2201", "Where is it? It should have come on Monday."),
    ("omar@harbour.example", "Invoice for March", "Please send it again, with our new address."),
    ("jo@bigcorp.example", "Login does not work", "The page says that my account is locked."),
    ("kim@harbour.example", "Order 2202", "I want a refund, it is the wrong color."),
    ("ana@fields.example", "Change of address", "We have moved to Harbour Street 12."),
    ("tim@fields.example", "Order 2207", "Two of the five boxes are missing."),
)


class Deployment:
    """The demo with more tickets, failures and refusals."""

    def __init__(self, folder: Path) -> None:
        (folder / "crm.py").write_text(CRM)
        environ = clean(PYTHONPATH=f"{folder}{os.pathsep}{ROOT}", COLUMNS="200")
        self._process = Process([sys.executable, "-c", PROGRAM], folder, environ)
        wait_until(self._is_up, "the demo has played its scenes", 300)
        shown = self._process.output
        self.url = self._found(r"dashboard +(http\S+?)/dashboard/", shown)
        self.password = self._found(r"user admin, password (\w+)", shown)
        self.happyfox = self._found(r"HappyFox +(http\S+) ", shown)

    def _is_up(self) -> bool:
        assert self._process.code is None, self._process.output
        return "Everything keeps running" in self._process.output

    @staticmethod
    def _found(pattern: str, text: str) -> str:
        match = re.search(pattern, text)
        assert match, text
        return match[1]

    def simulate(self, path: str, body: Any) -> Any:
        """Let somebody do something in the simulated HappyFox."""
        answer = httpx.post(f"{self.happyfox}/simulator{path}", json=body, trust_env=False, timeout=30)
        return answer.raise_for_status().json()

    def fill(self) -> None:
        """Open tickets, some of which fail, and send what is refused."""
        for email, subject, text in TICKETS:
            self.simulate("/tickets", {"email": email, "subject": subject, "text": text})
        self.simulate("/ticket/2/contact", {"text": "And on holidays? I want a refund otherwise."})
        for body in (b"{}", b'{"ticket_id": 1}'):
            for path in ("demo/updated", "demo"):
                headers = {"x-happyfox-webhook-signature": "0" * 40}
                httpx.post(f"{self.url}/webhooks/{path}", content=body, headers=headers, trust_env=False)
        httpx.post(f"{self.url}/webhooks/dmeo/updated", content=b"{}", trust_env=False)

    def close(self) -> None:
        """Stop everything."""
        self._process.terminate()


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def context(
    browser: Browser, url: str, width: int = 1280, scheme: Any = "light", **more: Any
) -> Iterator[BrowserContext]:
    """Open a window of its own, which keeps cookies."""
    height = 844 if width < 600 else 800
    opened = browser.new_context(
        base_url=url, viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB", **more
    )
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()


def log_in(page: Page, password: str, user: str = "admin") -> None:
    """Log in as a person does."""
    page.goto("/dashboard/login")
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/dashboard/")


def shoot(page: Page, name: str, width: int, scheme: str) -> None:
    """Keep a picture of a page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)


def free_of_violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with a page."""
    from importlib.resources import files

    script = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    page.evaluate(script)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes']][:3]}" for each in result["violations"]]
