"""Admission: who may log in, what a session may do, and what is refused."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from starlette.requests import Request

from service.dashboard.admission import ADDRESS_LIMIT, NAME_LIMIT, ROUTER_LIMIT, Throttle
from service.dashboard.people import People
from service.web.app import build
from tests.support.dashboard import HOST, PASSWORD, TOKEN, TOKENS, Visitor, users, visiting, words
from tests.support.intake import P, settings
from tests.support.stores import Server, untyped
from workers.store.keys import failed_logins
from workers.store.sessions import REMEMBERED, Sessions, digest

PAGES = ("/dashboard/", "/dashboard/acme", "/dashboard/acme/live", "/dashboard/live")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.dashboard.admission.DELAY", 0)


def is_in(visitor: Visitor) -> bool:
    return bool(visitor.get("/dashboard/").status_code == 200)


def test_there_is_no_dashboard_unless_somebody_can_log_in(valkey_url: str, store: redis.Redis) -> None:
    for more in ({"FOXHOOKS_DASHBOARD_USERS": ""}, {"FOXHOOKS_DASHBOARD": "off"}):
        with visiting(valkey_url, **more) as visitor:
            answers = [visitor.get(path).status_code for path in ("/", "/dashboard", "/dashboard/login", *PAGES)]
            assert set(answers) == {404}


def test_a_user_logs_in_and_out(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url) as visitor:
        assert visitor.get("/").headers["location"] == "/dashboard/"
        assert visitor.get("/dashboard").headers["location"] == "/dashboard/"
        answer = visitor.login("olga")
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/")
        assert "olga operator" in words(visitor.get("/dashboard/acme"))
        cookie = visitor.http.cookies["foxhooks"]
        assert visitor.post("/dashboard/logout").headers["location"] == "/dashboard/login"
        visitor.http.cookies.set("foxhooks", cookie)
        assert not is_in(visitor)


def test_the_admin_password_is_that_of_the_user_admin(valkey_url: str, store: redis.Redis, quick: None) -> None:
    with visiting(valkey_url, FOXHOOKS_DASHBOARD_USERS="", FOXHOOKS_ADMIN_PASSWORD="a secret") as visitor:
        assert visitor.login("admin", "another").status_code == 401
        assert visitor.login("ada", "a secret").status_code == 401
        assert visitor.login("admin", "a secret").status_code == 303
        assert "admin admin" in words(visitor.get("/dashboard/"))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_without_a_session_leads_to_the_login(valkey_url: str, store: redis.Redis, path: str) -> None:
    with visiting(valkey_url) as visitor:
        answer = visitor.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/dashboard/login")
        assert "acme" not in answer.text


def test_after_the_login_the_wanted_page_opens(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url) as visitor:
        login = visitor.get("/dashboard/acme?a=b").headers["location"]
        assert 'name="next" value="/dashboard/acme?a=b"' in visitor.get(login).text
        answer = visitor.post("/dashboard/login", user="ada", password=PASSWORD, next="/dashboard/acme?a=b")
        assert answer.headers["location"] == "/dashboard/acme?a=b"


@pytest.mark.parametrize("next", ["//evil.example", "https://evil.example", "/dashboard/../x", "/\\evil", "/elsewhere"])
def test_the_login_leads_to_no_other_site(valkey_url: str, store: redis.Redis, next: str) -> None:
    with visiting(valkey_url) as visitor:
        visitor.get("/dashboard/login")
        answer = visitor.post("/dashboard/login", user="ada", password=PASSWORD, next=next)
        assert answer.headers["location"] == "/dashboard/"


def test_a_link_from_elsewhere_opens_the_page(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url) as visitor:
        answer = visitor.get("/dashboard/acme", sec_fetch_site="cross-site")
        assert (answer.status_code, 'http-equiv="refresh"' in answer.text) == (200, True)
        assert visitor.get("/dashboard/acme", sec_fetch_site="same-origin").status_code == 303


def test_a_forged_cookie_opens_nothing(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url) as visitor:
        visitor.http.cookies.set("foxhooks", "forged")
        assert not is_in(visitor)


def test_the_store_has_no_cookie(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as visitor:
        kept = str([(key, untyped(store).get(key)) for key in untyped(store).scan_iter("*session*")])
        assert visitor.http.cookies["foxhooks"] not in kept
        assert PASSWORD not in kept


@pytest.mark.parametrize(
    "more", [{"FOXHOOKS_DASHBOARD_USERS": "vera:viewer:"}, {"FOXHOOKS_DASHBOARD_USERS": "ada:admin:"}]
)
def test_a_session_ends_with_its_user_and_with_the_password(
    valkey_url: str, store: redis.Redis, more: dict[str, str]
) -> None:
    from service.dashboard.people import HASHER

    with visiting(valkey_url, "ada") as visitor:
        cookie = visitor.http.cookies["foxhooks"]
    changed = {name: value + HASHER.hash("another") for name, value in more.items()}
    with visiting(valkey_url, **changed) as visitor:
        visitor.http.cookies.set("foxhooks", cookie)
        assert not is_in(visitor)


def test_cookies_are_for_https_except_on_this_machine(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, host="foxhooks.example") as visitor:
        cookie = visitor.get("/dashboard/login").headers["set-cookie"]
        assert cookie.startswith("__Host-foxhooks-login=")
        assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"))
    with visiting(valkey_url) as visitor:
        cookie = visitor.login().headers["set-cookie"]
        assert cookie.startswith("foxhooks=")
        assert "Secure" not in cookie


# Forms


def test_an_action_needs_its_token_and_our_own_origin(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "olga") as visitor:
        visitor.get("/dashboard/acme")
        own, token = {"origin": "http://127.0.0.1:8000"}, visitor.csrf
        refused = [
            visitor.post("/dashboard/acme/pause", headers={}),
            visitor.post("/dashboard/acme/pause", headers={"origin": "https://evil.example"}),
            visitor.post("/dashboard/acme/pause", headers={"origin": "null"}),
            visitor.post("/dashboard/acme/pause", headers={**own, "sec-fetch-site": "cross-site"}),
            visitor.post("/dashboard/acme/pause", headers=own, csrf=""),
            visitor.post("/dashboard/acme/pause", headers=own, csrf=token[:-1] + "x"),
        ]
        assert [answer.status_code for answer in refused] == [403] * 6
        assert not store.hgetall(P + "paused")
        assert visitor.post("/dashboard/acme/pause", csrf=token).status_code == 303


def test_the_token_of_another_session_is_refused(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as other:
        other.get("/dashboard/acme")
        with visiting(valkey_url, "ada") as visitor:
            assert visitor.post("/dashboard/acme/pause", csrf=other.csrf).status_code == 403


def test_a_viewer_sees_no_buttons_and_can_do_nothing(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "vera") as visitor:
        assert "Pause the account" not in words(visitor.get("/dashboard/acme"))
        assert visitor.post("/dashboard/acme/pause").status_code == 403
        assert not store.hgetall(P + "paused")


def test_requests_have_limits(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as visitor:
        assert visitor.get("/dashboard/acme?" + "a" * 3000).status_code == 414
        visitor.get("/dashboard/acme")
        assert visitor.post("/dashboard/acme/pause", skip="x" * 70_000).status_code == 413
        assert visitor.get("/dashboard/acme/..%2f..%2fetc").status_code == 404
        assert visitor.get("/dashboard/static/..%2fapp.py").status_code == 404


async def sent_back(url: str, receive: Callable[[], Awaitable[Any]], path: str = "/dashboard/login") -> int:
    """Return the status of the answer to a POST whose body comes from ``receive``."""
    app, answers = build(settings(url, FOXHOOKS_DASHBOARD_USERS=users(), FOXHOOKS_TOKENS=TOKENS)), list[Any]()
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {TOKEN}-admin".encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "scheme": "http"}

    async def send(message: Any) -> None:
        answers.append(message)

    await app({**scope, "client": ("192.0.2.1", 50000), "root_path": ""}, receive, send)
    status: int = answers[0]["status"]
    return status


@pytest.mark.parametrize("path", ["/dashboard/login", "/dashboard/api/v1/accounts/acme/resume"])
def test_a_body_that_does_not_arrive_is_cut_off(valkey_url: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("admission", "api"):
        monkeypatch.setattr(f"service.dashboard.{module}.BODY_SECONDS", 0.01)

    async def receive() -> Any:
        await asyncio.Event().wait()

    assert asyncio.run(asyncio.wait_for(sent_back(valkey_url, receive, path), 5)) == 408


@pytest.mark.parametrize("path", ["/dashboard/login", "/dashboard/api/v1/accounts/acme/resume"])
def test_a_sender_that_disconnects_is_no_error_of_ours(valkey_url: str, path: str) -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    assert asyncio.run(sent_back(valkey_url, receive, path)) in (400, 413)


def test_strangers_do_not_fill_the_log(valkey_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with visiting(valkey_url) as visitor:
        for headers in ({"origin": "https://evil.example"}, {}):
            assert {visitor.post("/dashboard/login", headers=headers).status_code for _ in range(4)} == {403}
    assert Counter(record.getMessage() for record in caplog.records if record.name.startswith("service.dash")) == {
        "A form was refused: it was sent from another site.": 1,
        "A form was refused: its token is not that of the session.": 1,
    }


def test_only_a_cookie_of_ours_is_sent_back(valkey_url: str) -> None:
    with visiting(valkey_url) as visitor:
        sent = visitor.get("/dashboard/login", cookie='foxhooks-login="x\\015\\012Set-Cookie: a=b"').headers
        assert "a=b" not in str(sent)


# Guessing


def test_guesses_at_the_same_time_are_counted_before_they_are_checked(
    valkey_url: str, store: redis.Redis, quick: None
) -> None:
    throttle = Throttle(People(settings(valkey_url, FOXHOOKS_DASHBOARD_USERS=users())), Sessions(store))
    request = Request({"type": "http", "headers": [], "client": ("192.0.2.1", 50000)})

    async def guess() -> list[bool | None]:
        return await asyncio.gather(*(throttle.check(request, "ada", "wrong") for _ in range(NAME_LIMIT + 7)))

    assert Counter(asyncio.run(guess())) == {False: NAME_LIMIT, None: 7}


def test_a_login_that_succeeds_counts_for_nobody(valkey_url: str, store: redis.Redis) -> None:
    sessions, address = Sessions(store), failed_logins(digest("192.0.2.1"))
    assert sessions.attempt("ada 192.0.2.1", "192.0.2.1") == [1, 1]
    sessions.succeed("ada 192.0.2.1", "192.0.2.1")
    assert sessions.attempt("ada 192.0.2.1", "192.0.2.1") == [1, 1]
    store.delete(address)
    sessions.succeed("ada 192.0.2.1", "192.0.2.1")
    assert 0 < untyped(store).pttl(address) <= REMEMBERED


def test_five_wrong_passwords_lock_a_name_for_an_address(valkey_url: str, store: redis.Redis, quick: None) -> None:
    with visiting(valkey_url, "ada") as inside, visiting(valkey_url) as visitor:
        answers = [visitor.login("ada", "wrong").status_code for _ in range(NAME_LIMIT + 1)]
        assert answers == [401] * NAME_LIMIT + [429]
        assert visitor.login("ada").status_code == 429
        assert is_in(inside)
        assert visitor.login("olga").status_code == 303
        with visiting(valkey_url, address="10.0.0.9") as elsewhere:
            assert elsewhere.login("ada").status_code == 303


def guess(visitor: Visitor, number: int, forwarded: str) -> int:
    visitor.get("/dashboard/login")
    headers = {"origin": f"http://{HOST}", "x-forwarded-for": forwarded}
    return int(visitor.post("/dashboard/login", headers=headers, user=f"n{number}", password="wrong").status_code)


def test_a_stranger_behind_a_router_locks_out_only_itself(valkey_url: str, store: redis.Redis, quick: None) -> None:
    with visiting(valkey_url, address="10.1.2.3") as visitor:
        answers = [guess(visitor, number, "8.8.8.8, 192.0.2.7") for number in range(ADDRESS_LIMIT + 1)]
        assert answers == [401] * ADDRESS_LIMIT + [429]
        assert guess(visitor, 0, "192.0.2.7, 192.0.2.8") == 401
    with visiting(valkey_url, address="9.9.9.9") as visitor:  # not our router, so its header may be made up
        assert guess(visitor, 0, "192.0.2.7") == 401


def test_made_up_addresses_are_counted_together(valkey_url: str, store: redis.Redis, quick: None) -> None:
    Sessions(store).attempt(*["router 10.1.2.3"] * ROUTER_LIMIT)
    with visiting(valkey_url, address="10.1.2.3") as visitor:
        assert guess(visitor, 0, "192.0.2.9") == 429


def test_an_address_that_guesses_names_is_locked(valkey_url: str, store: redis.Redis, quick: None) -> None:
    with visiting(valkey_url) as visitor:
        answers = [visitor.login(f"name{number}", "wrong").status_code for number in range(ADDRESS_LIMIT + 1)]
        assert answers == [401] * ADDRESS_LIMIT + [429]
        assert all(0 < untyped(store).pttl(key) <= 900_000 for key in untyped(store).scan_iter("*login*"))


def test_a_failed_login_is_logged_without_words(
    valkey_url: str, store: redis.Redis, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with visiting(valkey_url) as visitor:
        answer = visitor.login("my password by mistake", "wrong words")
    assert "The user or the password is wrong." in words(answer)
    assert "A login failed." in caplog.text
    assert "mistake" not in str([record.__dict__ for record in caplog.records if "login" in record.getMessage()])


# A proxy that logs people in

PROXY = "X-Forwarded-User from 10.0.0.0/8 role X-Role secret X-Proxy-Secret=s3cret-of-the-proxy"


def proxied(visitor: Visitor, **changed: str) -> int:
    named = {"x_forwarded_user": "pia", "x_role": "operator", "x_proxy_secret": "s3cret-of-the-proxy", **changed}
    return int(visitor.get("/dashboard/acme", **{name: value for name, value in named.items() if value}).status_code)


def test_a_proxy_logs_people_in(valkey_url: str, store: redis.Redis) -> None:
    more = {"FOXHOOKS_DASHBOARD_PROXY": PROXY, "FOXHOOKS_DASHBOARD_USERS": ""}
    with visiting(valkey_url, address="10.1.2.3", **more) as visitor:
        visitor.http.headers.update(
            {"x-forwarded-user": "pia", "x-role": "operator", "x-proxy-secret": "s3cret-of-the-proxy"}
        )
        assert "pia operator" in words(visitor.get("/dashboard/acme"))
        assert visitor.post("/dashboard/acme/pause").status_code == 303
        assert b'"by":"pia' in untyped(store).hget(P + "paused", "account")
        visitor.http.headers["x-forwarded-user"] = "ben"
        assert visitor.post("/dashboard/acme/resume").status_code == 403


def test_a_header_of_the_proxy_from_elsewhere_is_refused(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, address="192.0.2.1", FOXHOOKS_DASHBOARD_PROXY=PROXY) as visitor:
        assert proxied(visitor) == 400
        assert visitor.login("ada").status_code == 303
        assert proxied(visitor) == 400
    with visiting(valkey_url, address="10.1.2.3", FOXHOOKS_DASHBOARD_PROXY=PROXY) as visitor:
        assert [proxied(visitor, x_proxy_secret=secret) for secret in ("", "wrong")] == [400, 400]
        assert proxied(visitor, x_role="emperor") == 303
        assert proxied(visitor, x_forwarded_user="") == 303
        assert proxied(visitor) == 200


def test_a_proxied_person_is_not_the_user_of_the_same_name(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, address="10.1.2.3", FOXHOOKS_DASHBOARD_PROXY=PROXY) as visitor:
        assert proxied(visitor, x_forwarded_user="ada", x_role="viewer") == 200
        assert visitor.http.cookies["foxhooks"]
        assert not is_in(visitor)


# Answers


@pytest.mark.parametrize("host", ["[::1", "a b", "", "x" * 300, "127.0.0.1:99999999"])
def test_an_invalid_host_is_no_error_of_ours(valkey_url: str, store: redis.Redis, host: str) -> None:
    with visiting(valkey_url) as visitor:
        for path in ("/dashboard/acme", "/dashboard/login", "/dashboard/api/v1/accounts", "/dashboard/static/x"):
            assert visitor.get(path, host=host).status_code < 500


def test_a_proxy_may_change_the_host(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "olga") as visitor:
        visitor.get("/dashboard/acme")
        headers = {"origin": "https://ops.example", "sec-fetch-site": "same-origin"}
        assert visitor.post("/dashboard/acme/pause", headers=headers).status_code == 303


def test_every_answer_has_the_headers_that_protect_it(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as visitor:
        for path in ("/dashboard/", "/dashboard/acme", "/dashboard/nothing", "/dashboard/login"):
            headers = visitor.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers


def test_static_files_are_kept_by_browsers(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url) as visitor:
        page = visitor.get("/dashboard/login").text
        path = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert "immutable" in answer.headers["cache-control"]


def test_no_page_has_inline_scripts_or_styles(valkey_url: str, store: redis.Redis) -> None:
    with visiting(valkey_url, "ada") as visitor:
        for path in ("/dashboard/", "/dashboard/acme"):
            page = visitor.get(path).text
            assert " style=" not in page
            assert " onclick=" not in page
            assert "<script>" not in page


def test_without_the_store_pages_say_so(server: Callable[..., Server]) -> None:
    with visiting(server().url) as visitor:
        visitor.http.cookies.set("foxhooks", "a-cookie")
        answer = visitor.get("/dashboard/acme")
        assert (answer.status_code, "does not answer" in answer.text) == (503, True)
        assert visitor.get("/dashboard/static/none").status_code == 404


def test_without_the_store_the_login_says_so(server: Callable[..., Server]) -> None:
    with visiting(server().url) as visitor:
        answer = visitor.login()
        assert (answer.status_code, "The store does not answer" in answer.text) == (503, True)


def test_with_a_frozen_store_pages_say_what_to_do(
    server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.dashboard.app.GIVE_UP", 0.2)
    store = server()
    store.start()
    with visiting(store.url, "vera") as visitor:
        store.freeze()
        pages = [visitor.get("/dashboard/acme"), Visitor(visitor.http).login()]
        store.thaw()
    for page in pages:
        assert page.status_code == 503
        assert "it says whether the store is stopped, full or stuck" in words(page)


def test_tokens_open_no_pages(valkey_url: str, store: redis.Redis) -> None:
    assert TOKENS.startswith("viewer:viewer:")
    assert users().startswith("vera:viewer:")
    with visiting(valkey_url) as visitor:
        assert visitor.get("/dashboard/acme", authorization="Bearer a-token-of-a-program-admin").status_code == 303
        assert visitor.get("/dashboard/api/v1/accounts").status_code == 401
