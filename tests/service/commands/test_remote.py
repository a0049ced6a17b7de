"""--at: commands print the same from a dashboard's API as from the store, and say plainly what prevents it."""

import http.server
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from tests.support.commands import refused, run, shown
from tests.support.dashboard import TOKEN, served
from tests.support.processes import wait_until
from tests.support.sample_store import SampleAccount
from tests.support.stores import untyped
from workers.store.jobs import Job, Jobs
from workers.store.keys import Keys
from workers.testing.desk import ACCOUNT


@pytest.fixture(autouse=True)
def _shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings, and a token of the role operator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOXHOOKS_TOKEN", f"{TOKEN}-operator")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def sample(store: redis.Redis) -> SampleAccount:
    account = SampleAccount(store)
    account.run()
    return account


@pytest.fixture
def address(valkey_url: str, sample: SampleAccount, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The dashboard's address; without --at, commands find the same store."""
    with served(valkey_url, HAPPYFOX_ACCOUNT=ACCOUNT) as url:
        monkeypatch.setenv("REDIS_URL", valkey_url)
        monkeypatch.setenv("HAPPYFOX_ACCOUNT", ACCOUNT)
        monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "test-secret")
        yield url


def undated(text: str) -> str:
    """Return a text without what depends on the moment."""
    return re.sub(r"\b\d+ (s|min|h)\b|in \d+ \w+|\bnow\b|\d\d:\d\d|[\d.]+ [kMG]B", "…", text)


#: What differs from one moment to the next.
PASSING = ("at", "used", "dead_letters_left", "no_calls_until")


def lasting(found: Any) -> Any:
    """Return what a command prints as JSON without what depends on the moment."""
    if isinstance(found, dict):
        return {name: lasting(each) for name, each in found.items() if name not in PASSING}
    return [lasting(each) for each in found] if isinstance(found, list) else found


def test_reading_commands_print_what_they_print_beside_the_store(address: str, sample: SampleAccount) -> None:
    ticket, [dead, *_] = str(sample.tickets["settled"]), [each["id"] for each in shown("dead", "list")]
    run("pause", "--ticket", ticket, "--why", "a test")
    for command in (
        ("status",),
        ("events",),
        ("events", "--ticket", ticket, "--since", "1h"),
        ("explain", ticket),
        ("explain", str(sample.tickets["pending"])),
        ("audit",),
        ("alerts",),
        ("dead", "list"),
        ("dead", "list", "--error", "contact"),
        ("dead", "show", dead),
    ):
        assert undated(run("--at", address, *command).stdout) == undated(run(*command).stdout), command
        assert lasting(shown("--at", address, *command)) == lasting(shown(*command)), command


def test_a_list_is_continued(address: str) -> None:
    for command in (("events", "--most", "2"), ("audit", "--most", "1"), ("dead", "list", "--most", "1")):
        assert run("--at", address, *command).stdout.splitlines()[-1] == run(*command).stdout.splitlines()[-1], command


def test_a_pause_begins_and_ends(address: str, sample: SampleAccount) -> None:
    ticket = str(sample.tickets["settled"])
    begun = run("--at", f"{address}/dashboard/", "pause", "--ticket", ticket, "--why", "a test").stdout
    assert f"Paused ticket {ticket}. New events are queued until you resume." in begun
    assert "Updated the pause of" in run("--at", address, "pause", "--ticket", ticket, "--skip").stdout
    [line, *_] = shown("audit", "--about", f"ticket {ticket}")
    assert (line["what"], line["who"], line["role"]) == ("pause", "operator", "operator")
    assert f"Resumed ticket {ticket}. " in run("--at", address, "resume", "--ticket", ticket).stdout
    assert f"ticket {ticket} is not paused" in refused("--at", address, "resume", "--ticket", ticket)
    assert "No worker runs the router 'x'" in refused("--at", address, "pause", "--router", "x")


def test_dead_letters_are_replayed_and_discarded(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.dashboard.operations.PACE", 0)
    ids = [each["id"] for each in shown("dead", "list", "--error", "contact")]
    assert "give a reason with --why" in refused("--at", address, "dead", "replay", *ids)
    assert run("--at", address, "dead", "replay", *ids, "--why", "known now").stdout == "".join(
        f"{each}: Requeued.\n" for each in reversed(ids)
    )
    assert "no such dead letter" in refused("--at", address, "dead", "discard", *ids, "--why", "x")
    assert not {*ids} & {each["id"] for each in shown("dead", "list")}


def test_a_worker_runs_doctor(address: str, store: redis.Redis) -> None:
    keys, jobs = Keys(ACCOUNT), Jobs(store, ACCOUNT)

    def begun() -> list[Job]:
        names = [name.decode().removeprefix(keys.job("")) for name in untyped(store).keys(keys.job("*"))]
        return [job for job in map(jobs.read, names) if job is not None and job.kind == "doctor"]

    def work() -> None:
        wait_until(begun, "a job was begun")
        [job] = begun()
        jobs.write(replace(job, state="done", lines=("x settings: wrong", "1 error"), exit_code=1))

    worker = threading.Thread(target=work)
    worker.start()
    assert run("--at", address, "doctor", code=1).stdout == "x settings: wrong\n1 error\n"
    worker.join()
    assert "a worker checks everything" in refused("--at", address, "doctor", "--json")


def test_what_cannot_be_asked_for_is_said_plainly(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "`foxhooks rules` needs the store or this machine's files; --at works with alerts, audit" in refused(
        "--at", address, "rules", "check"
    )
    assert "quarantine" in refused("--at", address, "dead", "list", "--quarantine")
    assert "--worker looks at the store" in refused("--at", address, "status", "--worker")
    assert "there is no account 'x'" in refused("--at", address, "events", "--account", "x")
    assert "No webhook received for ticket 999 yet." in refused("--at", address, "explain", "999")
    assert "there is no dead letter 'x'" in refused("--at", address, "dead", "show", "x")
    monkeypatch.setenv("FOXHOOKS_TOKEN", f"{TOKEN}-viewer")
    assert "this needs a token of the role operator" in refused("--at", address, "pause")
    monkeypatch.setenv("FOXHOOKS_TOKEN", "wrong")
    assert "does not accept the token: FOXHOOKS_TOKEN must be" in refused("--at", address, "status")
    monkeypatch.delenv("FOXHOOKS_TOKEN")
    assert "wants a token: set FOXHOOKS_TOKEN" in refused("--at", address, "status")


def test_a_viewer_sees_what_happened_without_the_words_of_customers(
    address: str, sample: SampleAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = shown("dead", "list")[0]["id"]
    monkeypatch.setenv("FOXHOOKS_TOKEN", f"{TOKEN}-viewer")
    [turn, *_] = shown("--at", address, "explain", str(sample.tickets["settled"]))["turns"]
    assert turn["record"] is None
    assert "tag +seen" in run("--at", address, "explain", str(sample.tickets["settled"])).stdout
    assert shown("--at", address, "dead", "show", dead)["evidence"] == {}


@pytest.mark.parametrize("command", ["explain 1 --account a", "pause --account a", "dead show x", "audit", "doctor"])
def test_answers_in_another_form_are_explained(command: str) -> None:
    body = b'{"items": [{"account": "a", "at": "x", "ticket": "x"}], "at": 1, "now": {}, "info": [], "was_paused": "x"}'
    with answering(200, body) as port:
        assert "in a form that is not known here" in refused("--at", f"http://127.0.0.1:{port}", *command.split())


@pytest.mark.parametrize(
    "url", ["foxhooks.example", "ftp://x", "https://", "https://u:p@x", "http://x:y", "http://[", "http://x"]
)
def test_an_address_must_protect_the_token(url: str) -> None:
    text = refused("--at", url, "status")
    assert "takes the address of a dashboard" in text or "use https" in text


@contextmanager
def answering(
    status: int, body: bytes, kind: str = "application/json", context: ssl.SSLContext | None = None, location: str = ""
) -> Iterator[int]:
    """Run another server, which answers every request in the same way; yield its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


OLD = json.dumps({"error": "there is no such address; see openapi.json", "info": {"version": "0.1.0"}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (404, OLD, "application/json", "does not offer this: it runs version 0.1.0, and this is"),
        (200, b'{"info": {"version": "9.0"}}', "application/json", "in a form that is not known here"),
        (200, b"<html>", "text/html", "there is no dashboard of foxhooks at"),
        (404, b"[]", "application/json", "there is no dashboard of foxhooks at"),
        (502, b"<html>", "text/html", "answers 502: see the logs of its web process"),
        (301, b"", "text/html", "redirects to 'https://there.example/login': use that"),
        (503, b'{"error": "the store is down"}', "application/json", "refuses this (503): the store is down"),
    ],
)
def test_another_answer_is_explained(status: int, body: bytes, kind: str, said: str) -> None:
    with answering(status, body, kind, location="https://there.example/login?next=x") as port:
        assert said in refused("--at", f"http://127.0.0.1:{port}", "status")


def test_no_answer_is_explained() -> None:
    with answering(200, b"{}") as port:
        pass
    assert "does not answer" in refused("--at", f"http://127.0.0.1:{port}", "status")


def test_a_certificate_must_be_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=foxhooks -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*new.split(), "-keyout", "key", "-out", "cert"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with answering(404, OLD, context=context) as port:
        text = refused("--at", f"https://127.0.0.1:{port}", "status")
        assert "is not valid" in text
        assert "SSL_CERT_FILE" in text
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        assert "does not offer this" in refused("--at", f"https://127.0.0.1:{port}", "status")
