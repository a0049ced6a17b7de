"""Alerts: said once, again and over, by one process, to Slack, webhooks and mail."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.stores import untyped
from workers.alerts import watchman
from workers.alerts.sending import sign
from workers.alerts.watchman import AGAIN, CALM, NOT_STORING, Watchman, read_alerts
from workers.settings import Settings, load
from workers.store.client import Store, connect, store_time
from workers.store.client_figures import note_call
from workers.store.fleet import Presence, Process
from workers.store.keys import ALERTS, WATCHMAN, Keys
from workers.store.recorder import record_shape
from workers.webhook.shapes import shape_of

KEYS = Keys("acme")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """A Slack, or another receiver of webhooks, that keeps what it gets."""

    url: str = ""
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]


@pytest.fixture
def slack() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            if found.status == 200:
                found.raw.append(content)
                found.bodies.append(json.loads(content))
                found.headers.append(dict(self.headers.items()))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@contextmanager
def mail_server() -> Iterator[tuple[int, list[bytes]]]:
    """Run a mail server that takes one mail."""
    mails: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:

                def say(line: bytes) -> None:
                    stream.write(line + b"\r\n")
                    stream.flush()

                say(b"220 here")
                while line := stream.readline():
                    if line.upper().startswith(b"DATA"):
                        say(b"354 go on")
                        mail = b""
                        while (part := stream.readline()) != b".\r\n":
                            mail += part
                        mails.append(mail)
                    say(b"221 bye" if line.upper().startswith(b"QUIT") else b"250 ok")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], mails
        thread.join(10)


def settings(folder: Path, toml: str, **environ: str) -> Settings:
    (folder / "foxhooks.toml").write_text(toml)
    given = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "k" * 20, "HOOK_SECRET": SECRET}
    return load("web", given | environ, folder)


def alert(when: str, more: str = "", to: str = "slack:env:SLACK_URL") -> str:
    return f'[[alert]]\nwhen = "{when}"\nto = "{to}"\n{more}\n'


def lock(store: redis.Redis) -> None:
    until = store_time(store) + 600_000
    store.hset(KEYS.gate, mapping={"state": "locked", "why": "limited", "until": until})


def work(store: redis.Redis, version: str = "1") -> None:
    Presence(store, Process(name=version, part="worker", version=version, host="desk", pid=1)).beat()


def backdate(store: redis.Redis, milliseconds: int) -> None:
    """Let every alert have been said earlier."""
    for name, stored in untyped(store).hgetall(ALERTS).items():
        state = json.loads(stored)
        state["told"] -= milliseconds
        store.hset(ALERTS, name, json.dumps(state))


def test_a_trouble_is_said_once_again_after_hours_and_when_it_is_over(
    store: redis.Redis, slack: Receiver, tmp_path: Path
) -> None:
    work(store)
    watch = Watchman(store, settings(tmp_path, alert("locked-out"), SLACK_URL=slack.url), "web-1")
    watch.look()
    assert slack.texts == []
    lock(store)
    for _ in range(3):
        watch.look()
    (said,) = slack.texts
    assert said.startswith("foxhooks. Alert: acme: locked out until")
    assert "What to do: find what else uses the API" in said
    backdate(store, AGAIN)
    watch.look()
    watch.look()
    assert [text.split(":")[0] for text in slack.texts] == ["foxhooks. Alert", "foxhooks. Still"]
    (state,) = read_alerts(store)
    assert (state.when, state.account) == ("locked-out", "acme")
    store.delete(KEYS.gate)
    for _ in range(CALM + 2):
        watch.look()
    assert [text.split(":")[0] for text in slack.texts][2:] == ["foxhooks. Over"]
    assert "It ended at" in slack.texts[-1]
    assert read_alerts(store) == []


def test_a_trouble_that_flickers_is_not_over(store: redis.Redis, slack: Receiver, tmp_path: Path) -> None:
    work(store)
    watch = Watchman(store, settings(tmp_path, alert("locked-out"), SLACK_URL=slack.url), "web-1")
    for _ in range(3):
        lock(store)
        watch.look()
        store.delete(KEYS.gate)
        watch.look()
    assert len(slack.texts) == 1


def test_what_could_not_be_sent_is_sent_with_the_next_look(
    store: redis.Redis, slack: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work(store)
    lock(store)
    watch = Watchman(store, settings(tmp_path, alert("locked-out"), SLACK_URL=slack.url), "web-1")
    slack.status = 500
    watch.look()
    assert "An alert could not be sent" in caplog.text
    assert slack.url not in caplog.text
    slack.status = 200
    watch.look()
    watch.look()
    assert len(slack.texts) == 1


def test_one_process_watches_and_another_takes_over(store: redis.Redis, slack: Receiver, tmp_path: Path) -> None:
    lock(store)
    work(store)
    chosen = settings(tmp_path, alert("locked-out"), SLACK_URL=slack.url)
    first, second = Watchman(store, chosen, "web-1"), Watchman(store, chosen, "worker-2")
    first.look()
    second.look()
    assert store.get(WATCHMAN) == b"web-1"
    store.delete(WATCHMAN)  # it has expired
    second.look()
    first.look()
    assert store.get(WATCHMAN) == b"worker-2"
    assert len(slack.texts) == 1


def test_a_webhook_is_signed_as_standard_webhooks_are(store: redis.Redis, slack: Receiver, tmp_path: Path) -> None:
    lock(store)
    work(store)
    toml = alert("locked-out", 'secret = "env:HOOK_SECRET"', to="webhook:env:SLACK_URL")
    Watchman(store, settings(tmp_path, toml, SLACK_URL=slack.url), "web-1").look()
    (body,), (headers,) = slack.bodies, slack.headers
    assert (body["type"], body["data"]["when"], body["data"]["account"]) == ("alert.begun", "locked-out", "acme")
    expected = sign(SECRET, headers["webhook-id"], headers["webhook-timestamp"], slack.raw[0])
    assert headers["webhook-signature"] == expected


def test_the_signature_is_that_of_the_specifications_example() -> None:
    body = b'{"test": 2432232314}'
    found = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_alert_is_mailed(store: redis.Redis, tmp_path: Path) -> None:
    lock(store)
    work(store)
    with mail_server() as (port, mails):
        environ = {"FOXHOOKS_SMTP_URL": f"smtp://127.0.0.1:{port}", "FOXHOOKS_MAIL_FROM": "bot@acme.example"}
        Watchman(store, settings(tmp_path, alert("locked-out", to="mail:ops@acme.example"), **environ), "web-1").look()
    (mail,) = mails
    assert b"Subject: foxhooks: Alert: acme: locked out until" in mail
    assert b"To: ops@acme.example" in mail
    assert b"Auto-Submitted: auto-generated" in mail


def test_a_name_with_two_lines_is_mailed_in_one(store: redis.Redis, tmp_path: Path) -> None:
    work(store)
    work(store, "2\nBcc: eve@evil.example")
    with mail_server() as (port, mails):
        environ = {"FOXHOOKS_SMTP_URL": f"smtp://127.0.0.1:{port}", "FOXHOOKS_MAIL_FROM": "bot@acme.example"}
        Watchman(
            store, settings(tmp_path, alert("version-skew", to="mail:ops@acme.example"), **environ), "web-1"
        ).look()
    (mail,) = mails
    assert b"\nBcc:" not in mail.partition(b"\r\n\r\n")[0]


def test_a_name_calls_nobody_in_slack(store: redis.Redis, slack: Receiver, tmp_path: Path) -> None:
    work(store)
    work(store, "<!channel>")
    Watchman(store, settings(tmp_path, alert("version-skew"), SLACK_URL=slack.url), "web-1").look()
    assert "&lt;!channel&gt;" in slack.texts[0]


def bury(store: redis.Redis, *names: str) -> None:
    for name in names:
        store.zadd(KEYS.dead_letters, {name: 1})
        store.hset(KEYS.dead_letter(name), mapping={"ticket": 7, "at": 1, "evidence": "{}"})


def reject(store: redis.Redis) -> None:
    store.hset(KEYS.gate, mapping={"state": "denied", "why": "denied"})


def differ(store: redis.Redis) -> None:
    work(store)
    work(store, "2")


def wait_long(store: redis.Redis) -> None:
    store.zadd(KEYS.schedule, {"7": store_time(store) - 700_000})


def miss_many(store: redis.Redis) -> None:
    day = store_time(store) // 86_400_000
    store.hset(KEYS.learned, mapping={f"delivery@{day}": 20, f"sweep@{day}": 4})


def fall_silent(store: redis.Redis) -> None:
    store.hset(KEYS.counts, mapping={"accepted": 3, "accepted:at": store_time(store) - 7 * 3_600_000})


def change_form(store: redis.Redis) -> None:
    """Have HappyFox send a form that was never seen, after 31 that are known for long."""
    for number in range(32):
        shape = shape_of("delivery", {f"member{number}": 1}, signature="hex", form="flat", event="e1")
        assert Store(store, None if number > 30 else lambda: 1_000_000).run(record_shape("acme", shape))


def deny(store: redis.Redis) -> None:
    with Store(store) as opened:
        for client, times in (("reporting", 9), ("triage", 10)):
            for _ in range(times):
                opened.run(note_call("acme", client, "denied", "delete", "ticket 7", denial="delete ticket 7"))


@pytest.mark.parametrize(
    ("when", "more", "spoil", "words"),
    [
        ("no-workers", "", lambda store: store.set(KEYS.store_epoch, 1), "no worker runs"),
        ("credentials-refused", "", reject, "rejects the API key"),
        ("version-skew", "", differ, "different versions"),
        ("dead-letters", "count = 2", lambda store: bury(store, "n1", "n2"), "acme: 2 dead letters"),
        ("loop-guard-tripped", "", lambda store: bury(store, "loop-guard-7-99", "n1"), "the handlers of ticket 7"),
        ("oldest-due", 'age = "10m"', wait_long, "due for 11 min"),
        ("completeness-below", "ratio = 0.9", miss_many, "only 83%"),
        ("silent", 'silent_after = "6h"', fall_silent, "no delivery for 420 min"),
        ("client-denied", "", deny, "10 calls of triage were denied; the last: delete ticket 7"),
        ("new-form", "", change_form, "1 form of deliveries came from HappyFox for the first time within a day"),
        ("client-denied", "count = 9", deny, "10 calls of triage, 9 calls of reporting were denied"),
    ],
)
def test_each_condition_is_said_in_a_sentence(
    store: redis.Redis, slack: Receiver, tmp_path: Path, when: str, more: str, spoil: Any, words: str
) -> None:
    watch = Watchman(store, settings(tmp_path, alert(when, more), SLACK_URL=slack.url), "web-1")
    watch.look()
    assert slack.texts == []
    spoil(store)
    watch.look()
    (said,) = slack.texts
    assert words in said
    assert "What to do" in said


def test_too_few_dead_letters_and_a_paused_backlog_are_no_trouble(
    store: redis.Redis, slack: Receiver, tmp_path: Path
) -> None:
    toml = alert("dead-letters", "count = 2") + alert("oldest-due")
    watch = Watchman(store, settings(tmp_path, toml, SLACK_URL=slack.url), "web-1")
    bury(store, "n1")
    wait_long(store)
    lock(store)
    watch.look()
    assert slack.texts == []


def test_a_store_that_accepts_nothing_is_said_without_it(slack: Receiver, tmp_path: Path) -> None:
    now = [0.0]
    gone = connect("redis://127.0.0.1:1", connections=1)
    chosen = settings(tmp_path, alert("not-storing"), SLACK_URL=slack.url)
    watch = Watchman(gone, chosen, "web-1", stores=True, clock=lambda: now[0])
    for now[0] in (0, NOT_STORING - 1, NOT_STORING, NOT_STORING + 1):
        watch.look()
    (said,) = slack.texts
    assert "deliveries cannot be stored and get a 503" in said


def test_without_alerts_nobody_watches(store: redis.Redis, tmp_path: Path) -> None:
    before = threading.active_count()
    Watchman(store, settings(tmp_path, ""), "web-1").start()
    assert threading.active_count() == before
    assert watchman.INTERVAL == 15


@pytest.mark.parametrize("junk", ["\xff{junk", "[]", '{"when": 3}'])
def test_a_state_that_cannot_be_read_counts_as_unknown_and_stops_no_other_alert(
    store: redis.Redis, slack: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, junk: str
) -> None:
    work(store)
    lock(store)
    Presence(store, Process(name="2", part="worker", version="2", host="desk", pid=2)).beat()
    both = alert("locked-out") + alert("version-skew")
    watch = Watchman(store, settings(tmp_path, both, SLACK_URL=slack.url), "web-1")
    watch.look()
    said = sorted(slack.texts)
    assert len(said) == 2
    [name] = [each for each in untyped(store).hkeys(ALERTS) if each.startswith(b"locked-out")]
    store.hset(ALERTS, name, junk.encode("latin-1"))
    store.hset(ALERTS, b"\xff", b"{}")
    assert [state.when for state in read_alerts(store)] == ["version-skew"]
    watch.look()
    watch.look()
    assert [text for text in slack.texts[2:] if "locked out" in text] == slack.texts[2:]  # the other was not said again
    assert len(slack.texts) == 3
    assert caplog.text.count("The state of an alert cannot be read: it counts as new") == 2  # of each alert
    assert len(read_alerts(store)) == 2
