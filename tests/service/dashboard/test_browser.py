"""The dashboard in a real browser, over a real deployment; `make e2e` runs it and keeps a picture of every page."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from service.dashboard.live import PER_SESSION
from tests.support.browser import SCHEMES, WIDTHS, Deployment, browsing, context, free_of_violations, log_in, shoot

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.xdist_group("browser")]

#: Pages by the name of their pictures.
PAGES = {
    "accounts": "/dashboard/",
    "now": "/dashboard/demo",
    "events": "/dashboard/demo/events",
    "events-failed": "/dashboard/demo/events?state=failed",
    "events-none": "/dashboard/demo/events?handler=nobody",
    "tickets": "/dashboard/demo/tickets",
    "ticket": "/dashboard/demo/tickets/1",
    "ticket-unknown": "/dashboard/demo/tickets/4711",
    "lanes": "/dashboard/demo/lanes",
    "lanes-pending": "/dashboard/demo/lanes?state=pending",
    "dead": "/dashboard/demo/dead",
    "dead-filtered": "/dashboard/demo/dead?handler=crm",
    "quarantine": "/dashboard/demo/quarantine",
    "handlers": "/dashboard/demo/handlers",
    "rules": "/dashboard/demo/rules",
    "budget": "/dashboard/demo/budget",
    "clients": "/dashboard/demo/clients",
    "signatures": "/dashboard/demo/signatures",
    "completeness": "/dashboard/demo/completeness",
    "fleet": "/dashboard/fleet",
    "settings": "/dashboard/settings",
    "alerts": "/dashboard/alerts",
    "audit": "/dashboard/audit",
    "missing": "/dashboard/demo/nothing",
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    found = Deployment(tmp_path_factory.mktemp("deployment"))
    try:
        found.fill()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def page(browser: Browser, deployment: Deployment) -> Iterator[Page]:
    """A page of somebody who has logged in."""
    with context(browser, deployment.url) as opened:
        found = opened.new_page()
        log_in(found, deployment.password)
        yield found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_is_accessible_and_has_its_picture(
    browser: Browser, deployment: Deployment, width: int, scheme: str
) -> None:
    problems: dict[str, list[str]] = {}
    with context(browser, deployment.url, width, scheme) as opened:
        page = opened.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto("/dashboard/login")
        problems["login"] = free_of_violations(page)
        shoot(page, "login", width, scheme)
        log_in(page, deployment.password)
        page.goto("/dashboard/demo/dead")
        expect(page.get_by_role("heading", name="Dead letters")).to_be_visible()
        letter = page.locator("td[data-label=Handler] a").first.get_attribute("href") or ""
        for name, path in {**PAGES, "dead-letter": letter}.items():
            page.goto(path)
            problems[name] = free_of_violations(page)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            problems[name] += [f"scrolls sideways by {wide} px"] if wide else []
            shoot(page, name, width, scheme)
        page.goto("/dashboard/demo/dead")
        page.get_by_role("button", name=re.compile("Preview all")).click()
        expect(page.get_by_role("heading", name=re.compile("Replay or discard"))).to_be_visible()
        problems["selection"] = free_of_violations(page)
        shoot(page, "selection", width, scheme)
    assert {name: found for name, found in problems.items() if found} == {}
    assert [text for text in complaints if "404" not in text] == []


def test_what_happens_appears_without_a_reload(page: Page, deployment: Deployment) -> None:
    page.goto("/dashboard/demo/tickets/3")
    before = page.locator(".story > li").count()
    deployment.simulate("/ticket/3/contact", {"text": "Is anybody there?"})
    expect(page.locator(".story > li")).not_to_have_count(before)
    expect(page.locator("main")).to_contain_text("contact-replied")


def test_a_page_without_a_stream_reads_itself_again(page: Page, deployment: Deployment) -> None:
    page.goto("/dashboard/audit")  # which has no stream itself
    session = {each["name"]: each["value"] for each in page.context.cookies()}
    with httpx.Client(base_url=deployment.url, cookies=session, trust_env=False) as http, ExitStack() as streams:
        for _ in range(PER_SESSION):
            answer = streams.enter_context(http.stream("GET", "/dashboard/demo/live"))
            assert answer.status_code == 200
        page.goto("/dashboard/demo/tickets/3")
        expect(page.locator("main")).to_contain_text("Too many live pages are open")
        before = page.locator(".story > li").count()
        deployment.simulate("/ticket/3/contact", {"text": "Hello?"})
        expect(page.locator(".story > li")).not_to_have_count(before, timeout=30_000)


def test_the_account_is_paused_by_keyboard_alone(browser: Browser, deployment: Deployment) -> None:
    with context(browser, deployment.url) as opened:
        page = opened.new_page()
        page.goto("/dashboard/demo")
        page.keyboard.type("admin")
        page.keyboard.press("Tab")
        page.keyboard.type(deployment.password)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{deployment.url}/dashboard/demo")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Pause the account")
        page.keyboard.press("Enter")
        expect(page.get_by_text("by admin: new events are queued.")).to_be_visible()
        page.get_by_role("button", name="Resume the account").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Resumed. Queued events are processed now.")).to_be_visible()


def test_everything_works_without_javascript(browser: Browser, deployment: Deployment) -> None:
    with context(browser, deployment.url, java_script_enabled=False) as opened:
        page = opened.new_page()
        log_in(page, deployment.password)
        page.get_by_role("link", name="demo").first.click()
        page.get_by_role("button", name="Pause the account").click()
        expect(page.get_by_text("by admin: new events are queued.")).to_be_visible()
        page.get_by_role("button", name="Resume the account").click()
        page.get_by_role("link", name="Dead letters").first.click()
        page.get_by_role("button", name=re.compile("Preview all")).click()
        expect(page.get_by_label("Reason, for the audit log")).to_be_visible()
        page.goto("/dashboard/demo/events")
        page.get_by_label("State").select_option("failed")
        page.get_by_role("button", name="Filter").click()
        expect(page.get_by_role("cell", name="failed crm.sync").first).to_be_visible()
        page.get_by_text("admin", exact=True).first.click()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/dashboard/login")


def test_a_dead_letter_is_replayed_and_audited(page: Page) -> None:
    page.goto("/dashboard/demo/dead?error=2202")
    page.get_by_role("button", name="Preview all 1").click()
    page.get_by_label("Reason, for the audit log").fill("order 2202 exists now")
    page.get_by_role("button", name="Replay these 1").click()
    expect(page.get_by_text("1 requeued.")).to_be_visible()
    page.goto("/dashboard/audit?what=replay")
    expect(page.get_by_text("order 2202 exists now")).to_be_visible()


def test_a_worker_runs_doctor(page: Page) -> None:
    page.goto("/dashboard/settings")
    page.get_by_role("button", name="Run doctor").click()
    expect(page.get_by_text("Done.")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("processes that run")


def test_a_phone_has_no_table_that_scrolls(browser: Browser, deployment: Deployment, tmp_path: Path) -> None:
    with context(browser, deployment.url, 390) as opened:
        page = opened.new_page()
        log_in(page, deployment.password)
        page.get_by_text("Menu").click()
        expect(page.get_by_role("link", name="Audit log").first).to_be_visible()
