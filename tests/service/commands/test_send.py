"""send: signs a body and delivers it; samples are read as what they say they are."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.commands.send import Sample, Shape, body
from tests.support.commands import refused, run
from tests.support.processes import Project, end, wait_ready
from workers.webhook import parse


@pytest.mark.parametrize("shape", ["flat", "rest", "wrapped"])
@pytest.mark.parametrize(
    ("sample", "kind", "actor"),
    [("created", "created", "unknown"), ("reply", "updated", "contact"), ("rule", "updated", "rule")],
)
def test_each_sample_is_parsed_as_its_kind(sample: Sample, shape: Shape, kind: str, actor: str) -> None:
    read = parse(body(sample, 42, shape))
    assert (read.ticket, read.kind, read.form, read.actor) == (42, kind, shape, actor)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def web(project: Project, valkey_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = project.up("web", REDIS_URL=valkey_url, HOST="127.0.0.1")
    try:
        wait_ready(project)
        yield process
    finally:
        end(process)


@pytest.mark.usefixtures("web")
def test_a_sample_and_a_file_are_accepted(project: Project) -> None:
    sent = run("send", "--sample", "reply", "--ticket", "7", "--shape", "wrapped")
    assert sent.stdout.startswith('200 {"status":"accepted"')
    (project.folder / "body.json").write_bytes(body("reply", 7, "wrapped"))
    again = run("send", "body.json")
    assert again.stdout.startswith('200 {"status":"duplicate"')


@pytest.mark.usefixtures("web")
def test_a_refusal_is_exit_code_1(project: Project) -> None:
    to = f"http://127.0.0.1:{project.port}/webhooks/nobody/"
    assert run("send", "--sample", "created", "--to", to, code=1).stdout.startswith("404")


@pytest.mark.usefixtures("project")
def test_without_a_ticket_only_a_simulated_happyfox_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPPYFOX_URL", "https://acme.happyfox.example")
    assert "--ticket" in refused("send", "--sample", "created")


@pytest.mark.usefixtures("project")
def test_a_missing_web_process_and_a_missing_file_are_reported() -> None:
    assert "foxhooks up" in refused("send", "--sample", "created", "--ticket", "1")
    assert "cannot be read" in refused("send", "nowhere.json")
