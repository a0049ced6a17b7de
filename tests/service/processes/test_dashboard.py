"""`foxhooks dashboard`: the dashboard as a process of its own, and users for it."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from typer.testing import CliRunner

from service.cli import app
from service.dashboard.people import HASHER
from tests.support.commands import refused, run
from tests.support.processes import Process, clean, foxhooks, free_port, status_of, wait_until
from workers.settings.parse import dashboard_users


def test_password_makes_a_user() -> None:
    result = CliRunner().invoke(app, ["dashboard", "password", "olga", "--role", "operator"], input="a secret\n")
    (user,) = dashboard_users(result.stdout.strip().splitlines()[-1])
    assert (user.name, user.role) == ("olga", "operator")
    assert HASHER.verify(user.hash.reveal(), "a secret")
    assert "a secret" not in result.stdout


def test_an_invalid_user_is_refused() -> None:
    for arguments in (["a:b"], ["ada", "--role", "emperor"]):
        assert CliRunner().invoke(app, ["dashboard", "password", *arguments], input="x\n").exit_code == 2


def test_it_does_not_start_if_nobody_could_log_in(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", "acme")
    assert "nobody could log in: set FOXHOOKS_ADMIN_PASSWORD" in refused("dashboard")
    assert "as a process of its own" in run("dashboard", "--help").stdout


@pytest.fixture
def own(tmp_path: Path, valkey_url: str, store: redis.Redis) -> Iterator[tuple[Process, str]]:
    """A dashboard process and its address."""
    port = free_port()
    environ = clean(REDIS_URL=valkey_url, HAPPYFOX_ACCOUNT="acme", FOXHOOKS_ADMIN_PASSWORD="a secret", PORT=str(port))
    process = Process(foxhooks("dashboard"), tmp_path, environ)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: status_of(f"{address}/healthz") == 200, f"it answers; it printed:\n{process.output}")
        yield process, address
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_open_stream_does_not_delay_the_end(own: tuple[Process, str], number: int) -> None:
    process, address = own
    with httpx.Client(base_url=address, trust_env=False) as http:
        [token] = re.findall(r'name="csrf" value="(.+?)"', http.get("/dashboard/login").text)
        http.post("/dashboard/login", data={"user": "admin", "password": "a secret", "csrf": token})
        assert http.get("/webhooks/acme").status_code == 404
        assert http.get("/readyz").status_code == 200
        with http.stream("GET", "/dashboard/acme/live") as stream:
            lines = stream.iter_lines()
            assert "status" in next(line for line in lines if line.startswith("data:"))
            process.signal(number)
            assert not [line for line in lines if "error" in line.lower()]
        process.join()
    assert process.code == 0
    assert "ERROR" not in process.output
    assert "Cancel" not in process.output
