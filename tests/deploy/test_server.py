"""The files for one small server: systemd units, proxies, Compose, and a backup that proves itself."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
import yaml

from service.embedded import Embedded
from tests.support.intake import KEY
from tests.support.processes import ROOT, free_port, wait_until
from tests.support.web import Web
from workers.store.client import Store
from workers.store.inbox import accept, receive
from workers.webhook import HEADER, parse, sign

BODY = b'{"ticket_id": 3}'
SERVER = ROOT / "deploy" / "server"
BIN = Path(sys.executable).parent


def program(name: str) -> str:
    """Return the path of a program; without it, the test is skipped, but not in CI."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed, but CI needs it")
        pytest.skip(f"{name} is not installed")
    return found


def backup(data: Path, backups: Path) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}:/usr/bin:/bin"
    command = ["sh", str(SERVER / "backup.sh"), str(data), str(backups)]
    return subprocess.run(
        command, env={"PATH": path, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Embedded]:
    """An embedded store in which one delivery waits."""
    store = Embedded(tmp_path / "data", bound=True, maxmemory=64 * 1024**2)
    store.start()
    with redis.Redis.from_url(store.url) as client:
        Store(client).run(accept("acme", [receive(parse(BODY), BODY)], 3600))
    yield store
    store.stop()


def test_a_backup_of_a_running_store_proves_that_it_can_be_restored(running: Embedded, tmp_path: Path) -> None:
    done = backup(running.folder, tmp_path / "backups")
    assert done.returncode == 0, done.stderr
    assert "acme: 1 waiting event" in done.stdout
    assert "This backup can be restored." in done.stdout
    [copy] = (tmp_path / "backups").iterdir()
    assert copy.name in done.stdout
    restored = Embedded(tmp_path / "restored", bound=True, maxmemory=64 * 1024**2)
    shutil.copytree(copy / "appendonlydir", restored.folder / "appendonlydir")
    restored.start()
    with redis.Redis.from_url(running.url) as before, redis.Redis.from_url(restored.url) as after:
        assert set(after.scan_iter()) == set(before.scan_iter())
    restored.stop()


@pytest.mark.e2e
def test_only_the_latest_backups_are_kept(running: Embedded, tmp_path: Path) -> None:
    for day in range(1, 21):
        (tmp_path / "backups" / f"2020-01-{day:02}T000000Z").mkdir(parents=True)
    (tmp_path / "backups" / "notes").mkdir()
    assert backup(running.folder, tmp_path / "backups").returncode == 0
    kept = sorted(path.name for path in (tmp_path / "backups").iterdir())
    assert kept[:13] == [f"2020-01-{day:02}T000000Z" for day in range(8, 21)]
    assert (len(kept), kept[-1]) == (15, "notes")


def test_a_damaged_backup_is_refused_and_not_kept(running: Embedded, tmp_path: Path) -> None:
    [log] = (running.folder / "appendonlydir").glob("*.incr.aof")
    content = log.read_bytes()
    log.write_bytes(b"\0" * 100 + content[100:])
    done = backup(running.folder, tmp_path / "backups")
    log.write_bytes(content)
    assert done.returncode != 0
    assert "could not start" in done.stderr
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    done = backup(tmp_path, tmp_path / "backups")
    assert (done.returncode, (tmp_path / "backups").exists()) == (1, False)
    assert "there is no store in" in done.stderr


def test_compose_gives_each_process_only_its_own_secrets() -> None:
    services = yaml.safe_load((SERVER / "compose.yaml").read_text())["services"]
    common = {"REDIS_URL", "FOXHOOKS_DURABILITY", "HAPPYFOX_ACCOUNT"}
    assert services["web"]["environment"].keys() == common | {"HAPPYFOX_WEBHOOK_SECRETS"}
    worker = {"HAPPYFOX_URL", "HAPPYFOX_STAFF_ID", "HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE"}
    assert services["worker"]["environment"].keys() == common | worker
    assert services["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert "ports" not in services["store"]
    assert all(service["logging"]["options"]["max-size"] for service in services.values())


@pytest.mark.e2e
@pytest.mark.parametrize("unit", ["foxhooks.service", "foxhooks-backup.service", "foxhooks-backup.timer"])
def test_systemd_accepts_the_units(unit: str, tmp_path: Path) -> None:
    for path in SERVER.glob("foxhooks*"):
        text = re.sub("(?m)^(ExecStart=)\\S+", r"\1/bin/true", path.read_text())
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        [program("systemd-analyze"), "verify", str(tmp_path / unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.e2e
def test_systemd_finds_the_service_well_restricted() -> None:
    command = [program("systemd-analyze"), "security", "--offline=yes", "--threshold=20"]
    done = subprocess.run([*command, str(SERVER / "foxhooks.service")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def proxied(tmp_path: Path, valkey_url: str) -> Iterator[tuple[int, Web]]:
    """The port of a real nginx with our configuration, in front of a real web process.

    The times for which connections are kept are a thirtieth, in the same relation, so that the test sees many ends.
    """
    port = free_port()
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=hooks.example.com"
    subprocess.run([*new.split(), "-keyout", key, "-out", certificate], capture_output=True, check=True)
    web = Web(valkey_url, TEST_IDLE="3")
    text = (SERVER / "nginx.conf").read_text()
    for ours, test in {
        "127.0.0.1:8000": f"127.0.0.1:{web.port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "keepalive_timeout 60s": "keepalive_timeout 2s",
        "/etc/letsencrypt/live/hooks.example.com/fullchain.pem": str(certificate),
        "/etc/letsencrypt/live/hooks.example.com/privkey.pem": str(key),
    }.items():
        assert ours in text, ours
        text = text.replace(ours, test)
    folders = "".join(f"{name}_temp_path {tmp_path}/{name};\n" for name in TEMPORARY)
    main = f"daemon off;\npid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nevents {{}}\n"
    (tmp_path / "nginx.conf").write_text(f"{main}http {{\naccess_log off;\n{folders}{text}}}\n")
    command = [program("nginx"), "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]
    server = subprocess.Popen(command)
    try:
        wait_until(lambda: _answers(port) or server.poll() is not None, "nginx answers")
        assert server.poll() is None, (tmp_path / "log").read_text()
        yield port, web
    finally:
        server.terminate()
        server.wait()
        web.close()


TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"https://127.0.0.1:{port}/webhooks/acme", verify=False, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.e2e
def test_no_delivery_is_lost_when_idle_connections_of_nginx_end(proxied: tuple[int, Web]) -> None:
    port, _ = proxied
    answers: list[int] = []
    pause = threading.Event()

    def sender(first: int) -> None:
        with httpx.Client(verify=False, trust_env=False) as http:
            for number in range(10):
                body = b'{"ticket_id": %d}' % (first * 100 + number)
                url = f"https://127.0.0.1:{port}/webhooks/acme"
                answers.append(http.post(url, content=body, headers={HEADER: sign(KEY, body)}).status_code)
                pause.wait(1.7 + (first * 10 + number) % 17 / 10)  # on both sides of both limits

    threads = [threading.Thread(target=sender, args=(first,)) for first in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 200


@pytest.mark.e2e
def test_nginx_shows_the_public_only_the_webhooks(proxied: tuple[int, Web]) -> None:
    port, _ = proxied
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False, trust_env=False) as http:
        found = {
            path: http.get(path).status_code for path in ("/", "/metrics", "/readyz", "/dashboard/", "/webhooks/acme")
        }
    assert found == {"/": 404, "/metrics": 404, "/readyz": 404, "/dashboard/": 403, "/webhooks/acme": 200}
