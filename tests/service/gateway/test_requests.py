"""What a request must look like, and that HappyFox gets exactly what was sent."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import redis

from tests.support.gateway import BASE, Gateway, serving
from tests.support.happyfox import Caller, multipart
from workers.simulator import ApiRequest
from workers.simulator.faults import ApiFault
from workers.store.audit import read_audit
from workers.store.client_figures import read_client_figures

CLIENTS: dict[str, dict[str, Any]] = {
    "reporting": {"allow": ["tickets:read"], "class": "bulk"},
    "admin": {"allow": ["*"], "wait": 2},
}


FORM = "multipart/form-data; boundary=B"
PART = b'--B\r\nContent-Disposition: form-data; name="staff"\r\n%s\r\n1\r\n--B--\r\n'


@pytest.fixture(scope="module")
def shared(_valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(_valkey, tmp_path_factory.mktemp("gateway"), CLIENTS) as served:
        yield served


@pytest.fixture
def gateway(valkey_url: str, shared: Gateway) -> Gateway:
    """A gateway whose store and call log are empty."""
    shared.simulator.log.clear()
    return shared


@pytest.fixture
def ticket(gateway: Gateway) -> int:
    return gateway.simulator.create_ticket("sam@example.com").id


def raw(gateway: Gateway, request: bytes) -> bytes:
    """Send bytes as they are, and return the answer."""
    address = httpx.URL(gateway.url)
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
            head, _, body = answer.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            if head and len(body) >= length:
                break
        return answer


def test_basic_and_bearer_name_the_client(gateway: Gateway, ticket: int) -> None:
    url = f"{gateway.url}{BASE}/ticket/{ticket}/"
    for auth in ({"auth": ("reporting", "reporting-token")}, {"headers": {"Authorization": "Bearer reporting-token"}}):
        assert gateway.http.get(url, **auth).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic cmVwb3J0aW5nOmFkbWluLXRva2Vu"},  # reporting:admin-token
        {"Authorization": "Digest reporting-token"},
    ],
)
def test_anybody_else_is_refused(gateway: Gateway, ticket: int, headers: dict[str, str]) -> None:
    answer = gateway.http.get(f"{gateway.url}{BASE}/ticket/{ticket}/", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="foxhooks"')
    assert gateway.calls() == []


@pytest.mark.parametrize(
    "path",
    [
        "/ticket/1/../../users/",
        "/ticket/1/%2e%2e/%2e%2e/users/",
        "/ticket//1/",
        "//ticket/1/",
        "/ticket/1%2fdelete/",
        "/ticket/1/;delete",
        "/ticket/1\\delete",
        "/ticket/%31/",
        "/TICKET/1/",
        "/ticket/01x/",
        "/ticket/1/staff_update/extra/",
        "/user/..%2fticket%2f1/",
        "/user/a%40b%2f..%2f..%2ftickets/",
        "/user/%2e%2e@x/../tickets/",
        "/tickets/?_method=DELETE",
        "/tickets/?q=a&q=b",
        "/tickets/?unknown=1",
        "/tickets/?q",
        "/new_ticket/",
        "/",
        "",
    ],
)
def test_odd_paths_never_arrive(gateway: Gateway, path: str) -> None:
    head = f"GET {BASE}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\n\r\n"
    status = int(raw(gateway, head.encode()).split(b" ", 2)[1])
    assert status in (400, 403, 404), status
    assert gateway.calls() == []


@pytest.mark.parametrize("path", ["/api/1.1/json/staff/", "/gateway/other/api/1.1/json/staff/", "/webhooks/demo/"])
def test_other_paths_and_accounts_are_not_there(gateway: Gateway, path: str) -> None:
    answer = gateway.http.get(f"{gateway.url}{path}", headers={"Authorization": "Bearer admin-token"})
    assert answer.status_code == 404
    assert gateway.calls() == []


@pytest.mark.parametrize(
    "headers",
    [
        "X-HTTP-Method-Override: DELETE",
        "X-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "Content-Encoding: gzip",
        "Idempotency-Key: a\r\nIdempotency-Key: b",
        f"Idempotency-Key: {'k' * 256}",
        "Content-Type: text/plain",
        "Content-Type: application/json; charset=utf-16",
        "Transfer-Encoding: chunked",  # together with a length
    ],
)
def test_odd_headers_never_arrive(gateway: Gateway, ticket: int, headers: str) -> None:
    body = b'{"staff": 1, "text": "x"}'
    kind = "" if headers.startswith("Content-Type") else "Content-Type: application/json\r\n"
    head = f"POST {BASE}/ticket/{ticket}/staff_pvtnote/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\n"
    head += f"{kind}{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
    assert int(raw(gateway, head.encode() + body).split(b" ", 2)[1]) in (400, 413, 415)
    assert gateway.calls() == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"staff": 1, "status": 2, "text": "", "text": "a reply"}'),
        ("application/json", b'{"staff": 1, "status": NaN}'),
        ("application/json", b'{"staff": 1'),
        ("application/json", '{"staff": 1}'.encode("utf-16")),
        ("application/json", b"[" * 100_000),
        ("application/json", b"[" * 900 + b"]" * 900),
        ("application/json", b'"text"'),
        ("application/x-www-form-urlencoded", b"staff=1&status=2&status=3"),
        ("application/x-www-form-urlencoded", b"staff"),
        ("multipart/form-data", b"--B\r\n"),
        ("multipart/form-data; boundary=B; boundary=C", b"--B--"),
        (FORM, b'--B\r\nContent-Disposition: form-data; name="a\\"b"\r\n\r\n1\r\n--B--\r\n'),
        (FORM, PART % b"" + b"more"),
        (FORM, PART % b"Content-Transfer-Encoding: base64\r\n"),
        (FORM, PART.replace(b'"staff"', b"\"staff\"; filename*=utf-8''x") % b""),
    ],
)
def test_a_body_that_may_mean_two_things_never_arrives(gateway: Gateway, ticket: int, kind: str, body: bytes) -> None:
    headers = {"Content-Type": kind}
    answer = gateway.call("admin", "POST", f"/ticket/{ticket}/staff_update/", content=body, headers=headers)
    assert answer.status_code == 400
    assert gateway.calls() == []


def test_a_ticket_comes_byte_for_byte(gateway: Gateway) -> None:
    number = gateway.simulator.create_ticket("sam@example.com", subject="Café ☕").id
    answer = gateway.call("reporting", "GET", f"/ticket/{number}/")
    direct = Caller(gateway.simulator).get(f"ticket/{number}/")
    assert (answer.status_code, answer.content) == (200, direct.body)
    assert answer.headers["content-type"] == direct.headers["Content-Type"]


def test_so_does_a_refusal(gateway: Gateway, ticket: int) -> None:
    answer = gateway.call("admin", "POST", f"/ticket/{ticket}/staff_update/", json={"staff": 1, "status": 99})
    direct = Caller(gateway.simulator).post(f"ticket/{ticket}/staff_update/", {"staff": 1, "status": 99})
    assert (answer.status_code, answer.content) == (400, direct.body)


def test_a_body_arrives_as_it_was_sent(gateway: Gateway, ticket: int) -> None:
    body = '{ "staff" : 1,\n "text":"Caf\\u00e9 ☕" }'.encode()
    seen: list[bytes] = []
    begin = gateway.simulator.begin

    def noting(request: ApiRequest) -> Any:
        seen.append(request.body)
        return begin(request)

    headers = {"Content-Type": "application/json"}
    with patch.object(gateway.simulator, "begin", noting):
        answer = gateway.call("admin", "POST", f"/ticket/{ticket}/staff_pvtnote/", content=body, headers=headers)
    assert answer.status_code == 200
    assert body in seen


def test_a_form_and_its_files_arrive(gateway: Gateway, ticket: int) -> None:
    content = bytes(range(256)) * 4000
    kind, body = multipart(
        {"staff": "1", "text": "see the file"}, [("attachments", "data.bin", "application/x", content)]
    )
    path = f"/ticket/{ticket}/staff_pvtnote/"
    answer = gateway.call("admin", "POST", path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200
    assert [file.content for file in gateway.simulator.account.files.values()][-1] == content


def test_files_of_more_than_25_megabytes_are_refused(gateway: Gateway, ticket: int) -> None:
    kind, body = multipart({"staff": "1", "text": "x"}, [("attachments", "x", "text/plain", b"x" * 25_000_001)])
    path = f"/ticket/{ticket}/staff_pvtnote/"
    assert gateway.call("admin", "POST", path, content=body, headers={"Content-Type": kind}).status_code == 413
    assert gateway.calls() == []


def test_nothing_of_our_credentials_comes_back(gateway: Gateway, ticket: int) -> None:
    for answer in (
        gateway.call("admin", "GET", f"/ticket/{ticket}/"),
        gateway.call("admin", "GET", "/ticket/999/"),
        gateway.call("reporting", "POST", f"/ticket/{ticket}/delete/", json={"staff_id": 1}),
    ):
        shown = answer.content + repr(answer.headers).encode()
        assert b"demo-key" not in shown
        assert b"demo-code" not in shown


def test_a_rejected_api_key_is_not_the_clients(gateway: Gateway, ticket: int) -> None:
    gateway.simulator.faults.add(ApiFault(kind="status", status=401))
    answer = gateway.call("admin", "GET", f"/ticket/{ticket}/")
    assert answer.status_code == 502
    assert "foxhooks doctor" in answer.json()["error"]


def test_every_call_is_in_the_audit_log(gateway: Gateway, ticket: int, store: redis.Redis) -> None:
    gateway.call("reporting", "GET", f"/ticket/{ticket}/")
    gateway.call("reporting", "POST", f"/ticket/{ticket}/delete/", json={"staff_id": 1})
    gateway.call("admin", "POST", f"/ticket/{ticket}/staff_pvtnote/", json={"staff": 1, "text": "a secret"})
    lines = [f"{line.who} {line.what} {line.object} {line.after}".strip() for line in read_audit(store, ["demo"]).items]
    assert lines == [
        f"admin wrote a note on ticket {ticket}",
        f"reporting was denied: delete ticket {ticket} allow tickets:delete",
        f"reporting read ticket {ticket}",
    ]
    admin, reporting = read_client_figures(store, "demo")
    assert (admin.calls, reporting.calls) == ({"done": 1}, {"done": 1, "denied": 1})
    assert reporting.last_denial == f"delete ticket {ticket} (allow tickets:delete)"


def test_an_idempotency_key_belongs_to_its_client(gateway: Gateway, ticket: int) -> None:
    path, headers = f"/ticket/{ticket}/staff_pvtnote/", {"Idempotency-Key": "the-same"}
    kind, body = multipart({"staff": "1", "text": "once"}, [])
    other = (kind.replace("B", "C"), body.replace(b"--B", b"--C"))
    for content_type, content in ((kind, body), other):
        answer = gateway.call("admin", "POST", path, content=content, headers={**headers, "Content-Type": content_type})
        assert answer.status_code == 200
    assert answer.headers["idempotency-replayed"] == "true"
    changed = gateway.call("admin", "POST", path, json={"staff": 1, "text": "other"}, headers=headers)
    assert changed.status_code == 422
    assert len(gateway.calls("POST")) == 1


def test_the_health_checks_need_no_token(gateway: Gateway) -> None:
    assert gateway.http.get(f"{gateway.url}/healthz").json() == {"status": "ok"}
    assert gateway.http.get(f"{gateway.url}/readyz").json() == {"status": "ready", "degraded": []}
    forwarded = gateway.http.get(f"{gateway.url}/readyz", headers={"x-forwarded-for": "192.0.2.1"})
    assert forwarded.json() == {"status": "ready"}


def test_a_lockout_is_answered_at_once(valkey_url: str, tmp_path: Path) -> None:
    with serving(valkey_url, tmp_path, CLIENTS) as gateway:
        number = gateway.simulator.create_ticket().id
        gateway.simulator.gate.lock(gateway.simulator.clock(), seconds=600)
        answers = [gateway.call("admin", "GET", f"/ticket/{number}/") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {429}
        assert all(590 < int(answer.headers["retry-after"]) <= 606 for answer in answers)
        assert len(gateway.calls()) == 1


def test_a_client_that_sends_no_body_is_cut_off_and_others_are_served(gateway: Gateway, ticket: int) -> None:
    async def half() -> bytes:
        address = httpx.URL(gateway.url)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        head = f"POST {BASE}/tickets/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\n"
        head += "Content-Length: 99\r\n\r\n"
        writer.write(head.encode() + b"{")
        await writer.drain()
        assert gateway.call("reporting", "GET", f"/ticket/{ticket}/").status_code == 200
        writer.close()
        return await reader.read()

    asyncio.run(half())
    assert gateway.calls("POST") == []
    assert json.loads(gateway.call("reporting", "GET", f"/ticket/{ticket}/").content)["id"] == ticket
