"""The client for scripts against a simulator on a socket."""

import contextlib
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from service.processes.simulator import running
from tests.support import stores
from tests.support.happyfox import FakeClock
from tests.support.peer import Behaviour, Peer, peer, resets, says, sends
from workers.errors import Broken, CheckCredentials, Gone, InDoubt, Locked, Refused, Unfit, UnknownName, Unsent
from workers.happyfox import File, HappyFox, search
from workers.settings import SettingsError
from workers.simulator import ApiFault, Simulator
from workers.store import embedded
from workers.store.keys import prefix
from workers.tickets.model import Attachment

ENVIRON = {
    "HAPPYFOX_ACCOUNT": "acme",
    "HAPPYFOX_API_KEY": "demo-key",
    "HAPPYFOX_AUTH_CODE": "demo-code",
    "HAPPYFOX_STAFF_ID": "7",
}
ROOT = Path(__file__).parents[3]
SECRETS = ("demo-key", "demo-code", "ZGVtby1rZXk6", "signature=")


@pytest.fixture(autouse=True)
def private_store(monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> None:
    """The store of a process is the one of all tests, empty again for each."""
    monkeypatch.setattr(embedded, "_private_url", lambda: valkey_url)


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(FakeClock())


@pytest.fixture
def hf(simulator: Simulator, tmp_path: Path) -> Iterator[HappyFox]:
    with running(simulator) as url, HappyFox.from_env({**ENVIRON, "HAPPYFOX_URL": url}, tmp_path) as client:
        yield client


@contextlib.contextmanager
def script(
    url: str, folder: Path, sleep: Callable[[float], None] = lambda _: None, **changed: str
) -> Iterator[HappyFox]:
    """A client of any server; pauses are not waited for."""
    with HappyFox.from_env({**ENVIRON, "HAPPYFOX_URL": url, **changed}, folder) as client:
        client._sleep = sleep
        yield client


def test_a_script_needs_nothing_but_address_and_credentials(hf: HappyFox) -> None:
    made = hf.create_ticket({"client": 1, "subject": "Printer", "text": "on fire", "category": 1, "tags": ["vip"]})
    note = hf.private_note(made.id, text="Coming.")
    assert note
    assert note.history[-1].author_name == "Foxhooks Bot"
    assert [ticket.id for ticket in hf.all_tickets(q=search(tag="vip"))] == [made.id]
    assert made.url.startswith("http://127.0.0.1:")


def test_all_missing_settings_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as wrong:
        HappyFox.from_env({}, tmp_path)
    assert {complaint.setting for complaint in wrong.value.problems} >= {
        "HAPPYFOX_URL",
        "HAPPYFOX_API_KEY",
        "HAPPYFOX_AUTH_CODE",
    }
    with pytest.raises(SettingsError, match="https"):
        HappyFox.from_env({**ENVIRON, "HAPPYFOX_URL": "http://acme.happyfox.com"}, tmp_path)


def test_one_of_several_accounts_is_chosen_by_name(tmp_path: Path) -> None:
    table = 'url = "https://{0}.happyfox.com"\napi_key = "k"\nauth_code = "c"\n'
    (tmp_path / "foxhooks.toml").write_text(
        "".join(f"[accounts.{name}]\n{table.format(name)}" for name in ("acme", "beta"))
    )
    with HappyFox.from_env({}, tmp_path, account="beta") as client:
        assert client.site == "https://beta.happyfox.com"
        with pytest.raises(Unfit, match="HAPPYFOX_STAFF_ID"):
            client.delete_ticket(3)
    for name in ("", "gamma"):
        with pytest.raises(SettingsError, match="acme, beta"):
            HappyFox.from_env({}, tmp_path, account=name)


def test_a_call_waits_for_its_permit(tmp_path: Path) -> None:
    slept: list[float] = []
    with (
        peer(says(200, b"[]")) as server,
        script(server.url, tmp_path, HAPPYFOX_GETS_PER_MINUTE="2", HAPPYFOX_WINDOW_SECONDS="0.2") as client,
    ):
        pause = threading.Event()

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            pause.wait(seconds)

        client._sleep = sleep
        for _ in range(4):
            client.statuses()
        assert len(server.requests) == 4
    assert slept


def test_a_lockout_longer_than_the_patience_raises_locked(tmp_path: Path) -> None:
    with peer(says(429)) as server, script(server.url, tmp_path) as client:
        client._patience = 5.0
        with pytest.raises(Locked, match="try later"):
            client.statuses()
        assert len(server.requests) == 1


def test_the_budget_is_shared_through_a_store(valkey_url: str, tmp_path: Path) -> None:
    with stores.running("valkey") as url, redis.Redis.from_url(url) as other, peer(says(200, b"[]")) as server:
        for _ in range(2):
            with script(server.url, tmp_path, REDIS_URL=url) as client:
                client.statuses()
        assert other.zcard(f"{prefix('acme')}permits:get") == 2


def test_without_a_store_the_budget_is_kept_by_the_process(tmp_path: Path) -> None:
    program = """
import pathlib, sys
from workers.happyfox import HappyFox
from workers.store import embedded
from workers.store.keys import prefix
environ = dict(pair.split("=", 1) for pair in sys.argv[2:])
folder = pathlib.Path(sys.argv[1])
with HappyFox.from_env(environ, folder) as first, HappyFox.from_env(environ, folder) as second:
    first.statuses(), second.statuses()
    print(embedded._private_url(), second._store.client.zcard(prefix('acme') + 'permits:get'))
"""
    with peer(says(200, b"[]")) as server:
        environ = [f"{name}={value}" for name, value in {**ENVIRON, "HAPPYFOX_URL": server.url}.items()]
        command = [sys.executable, "-W", "error", "-c", program, str(tmp_path), *environ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    url, used = done.stdout.split()
    assert (used, done.stderr) == ("2", "")
    assert not Path(url.removeprefix("unix://")).parent.exists()
    assert list(tmp_path.iterdir()) == []


class Moody:
    """Fails so often, then answers."""

    def __init__(self, failure: Behaviour, times: int) -> None:
        self.failure, self.times = failure, times

    def __call__(self, server: Peer, connection: socket.socket, request: bytes) -> None:
        self.times -= 1
        (self.failure if self.times >= 0 else says(200, b'{"id": 3}'))(server, connection, request)


@pytest.mark.parametrize(
    "failure",
    [
        says(500),
        says(502, b"<html>Bad gateway</html>"),
        resets,
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
        says(200, b'{"id": 3, "subject": "Hel'),
        says(200, b""),
    ],
)
def test_a_read_is_repeated_and_a_write_is_not(failure: Behaviour, tmp_path: Path) -> None:
    with peer(Moody(failure, 2)) as server, script(server.url, tmp_path) as client:
        assert client.ticket(3).id == 3
        assert len(server.requests) == 3
    with peer(Moody(failure, 2)) as server, script(server.url, tmp_path) as client:
        with pytest.raises((InDoubt, Broken)):
            client.staff_update(3, text="x")
        assert len(server.requests) == 1


def test_a_read_that_keeps_failing_raises(tmp_path: Path) -> None:
    with peer(says(500)) as server, script(server.url, tmp_path) as client:
        with pytest.raises(Broken):
            client.ticket(3)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("behaviour", "error", "cure"),
    [
        (says(302, b"", "Location: https://elsewhere.example/?signature=x\r\n"), Refused, "set HAPPYFOX_URL"),
        (says(200, b"<html>Welcome</html>"), Broken, "check that HAPPYFOX_URL"),
        (says(401, b"demo-key"), CheckCredentials, "check HAPPYFOX_API_KEY"),
        (says(403), CheckCredentials, "rights"),
        (says(404, b"<html></html>"), Gone, "deleted, or the key may not see it"),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), InDoubt, "check whether it was done"),
        (resets, InDoubt, "check whether it was done"),
    ],
)
def test_every_failure_has_a_type_and_a_fix_and_no_secret(
    behaviour: Behaviour, error: type[Exception], cure: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with peer(behaviour) as server, script(server.url, tmp_path) as client:
        with pytest.raises(error, match=cure) as raised:
            client.staff_update(3, text="x")
        assert len(server.requests) == 1
    said = repr(raised.value) + repr(raised.value.__cause__) + caplog.text
    assert not [secret for secret in SECRETS if secret in said]


def test_a_certificate_for_another_host_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=other.example"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        url, cure = f"https://127.0.0.1:{listener.getsockname()[1]}", r"nothing was sent.*not for this host"
        with script(url, tmp_path) as client, pytest.raises(Unsent, match=cure):
            client.staff_update(3, text="x")
        thread.join()


def attached(hf: HappyFox, content: bytes, name: str = "a.txt") -> tuple[int, Attachment]:
    made = hf.create_ticket(
        {"client": 1, "subject": "s", "text": "t", "category": 1}, files=[File(name, content=content)]
    )
    message = made.history[0].message
    assert message
    return made.id, message.attachments[0]


def test_files_are_uploaded_and_downloaded(hf: HappyFox, tmp_path: Path) -> None:
    (tmp_path / "up.bin").write_bytes(bytes(range(256)) * 4_000)
    number, _ = attached(hf, b"first")
    replied = hf.staff_update(number, html="<p>see</p>", files=[tmp_path / "up.bin"])
    noted = hf.private_note(number, text="see", files=[tmp_path / "up.bin"])
    answered = hf.contact_reply(number, contact=1, text="see", files=[tmp_path / "up.bin"])
    hf.forward_ticket(number, to=["a@x.example"], subject="s", message="m", files=[tmp_path / "up.bin"])
    assert noted
    assert answered
    for ticket in (replied, noted, answered):
        message = ticket.history[-1].message
        assert message
        saved = hf.download(ticket, message.attachments[0], tmp_path / "down.bin")
        assert saved.read_bytes() == (tmp_path / "up.bin").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["down.bin", "up.bin"]


def test_a_download_sends_no_credentials_and_needs_no_permit(
    hf: HappyFox, simulator: Simulator, tmp_path: Path
) -> None:
    number, attachment = attached(hf, b"content")
    calls = len(simulator.log)
    assert hf.download(number, attachment, tmp_path).read_bytes() == b"content"
    assert [(call.path.split("/")[1], call.counted) for call in simulator.log[calls:]] == [("attachments", False)]


@pytest.mark.parametrize("spent", [True, False])
def test_a_dead_link_is_renewed(hf: HappyFox, simulator: Simulator, tmp_path: Path, spent: bool) -> None:
    number, attachment = attached(hf, b"content")
    if spent:
        hf.download(number, attachment, tmp_path)
    else:
        simulator.clock.now += 301  # type: ignore[attr-defined]
    assert hf.download(number, attachment, tmp_path / "again.txt").read_bytes() == b"content"
    assert simulator.log[-2].path.endswith(f"/ticket/{number}/")


def test_a_missing_attachment_leaves_no_file(hf: HappyFox, tmp_path: Path) -> None:
    number, attachment = attached(hf, b"content")
    hf.download(number, attachment, tmp_path / "kept.txt")
    other = hf.create_ticket({"client": 1, "subject": "s", "text": "t", "category": 1})
    with pytest.raises(Gone, match="not on ticket"):
        hf.download(other, attachment, tmp_path / "no.txt")
    hf.delete_ticket(number)
    with pytest.raises(Gone):
        hf.download(number, attachment, tmp_path / "no.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_too_large_attachment_leaves_no_file_and_shows_no_link(hf: HappyFox, tmp_path: Path) -> None:
    number, attachment = attached(hf, b"x" * 5_000)
    with pytest.raises(InDoubt, match="4000 bytes") as raised:
        hf.download(number, attachment, tmp_path, most=4_000)
    assert "signature" not in repr(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "C:\\boot.ini", ".bashrc", "a\x00b", "é" * 300 + ".png"])
def test_a_file_name_cannot_leave_the_folder(hf: HappyFox, tmp_path: Path, name: str) -> None:
    number, attachment = attached(hf, b"content")
    saved = hf.download(number, Attachment(attachment.id, name, attachment.url), tmp_path)
    assert saved.parent == tmp_path
    assert not saved.name.startswith(".")


def test_an_unencrypted_link_to_another_machine_is_refused(hf: HappyFox, tmp_path: Path) -> None:
    number, attachment = attached(hf, b"content")
    with pytest.raises(ValueError, match="https"):
        hf.download(number, Attachment(attachment.id, "a", "http://storage.example/a?signature=x"), tmp_path)


def test_relative_links_of_old_accounts_are_followed(tmp_path: Path) -> None:
    with running(Simulator(FakeClock(), relative_links=True)) as url, script(url, tmp_path) as client:
        number, attachment = attached(client, b"content")
        assert attachment.url.startswith("/")
        assert client.download(number, attachment, tmp_path).read_bytes() == b"content"


def test_names_become_ids_and_ids_names(hf: HappyFox) -> None:
    assert (hf.names.status("in progress"), hf.names.priority("HIGH"), hf.names.category("billing")) == (2, 3, 2)
    assert hf.names.staff_member("lin@support.example") == 2
    assert hf.names.choice("Product", "scanner") == 2
    assert hf.names.ticket_fields({"Amount": "3", "Regions": ["north"]}) == {"t-cf-2": 3, "t-cf-4": [1]}
    assert hf.names.contact_fields({"Plan": "Gold"}) == {"c-cf-3": 3}
    assert (hf.names.name("status", 4), hf.names.name("contact_field", 3)) == ("Closed", "Plan")
    with pytest.raises(UnknownName, match="did you mean 'Billing'"):
        hf.names.category("Biling")
    with pytest.raises(UnknownName):
        hf.names.name("status", 99)


def test_faults_of_happyfox_do_not_stop_a_walk(hf: HappyFox, simulator: Simulator) -> None:
    hf._sleep = lambda _: None
    for _ in range(60):
        simulator.create_ticket()
    simulator.faults.add(ApiFault("status", path="tickets", count=2))
    assert len(list(hf.all_tickets())) == 60


def test_the_client_prints_no_secret(hf: HappyFox) -> None:
    said: Any = (repr(hf), repr(hf._connection), str(vars(hf)))
    assert not [secret for secret in SECRETS if secret in str(said)]


def test_the_budget_is_shared_with_a_store_that_runs_in_this_folder(store: redis.Redis, tmp_path: Path) -> None:
    socket_of_store = tmp_path / ".foxhooks" / "store.sock"
    socket_of_store.parent.mkdir()
    used = f"{prefix('acme')}permits:get"
    with peer(says(200, b"[]")) as server, stores.running("valkey") as url, redis.Redis.from_url(url) as other:
        socket_of_store.symlink_to(url.removeprefix("unix://"))
        with script(server.url, tmp_path) as client:
            client.statuses()
        assert (other.zcard(used), store.zcard(used)) == (1, 0)
        socket_of_store.unlink()
        with socket.socket(socket.AF_UNIX) as ended:
            ended.bind(str(socket_of_store))
        with script(server.url, tmp_path) as client:
            client.statuses()
        assert (other.zcard(used), store.zcard(used)) == (1, 1)
