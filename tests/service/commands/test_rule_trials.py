"""`foxhooks rules try` and `foxhooks rules test`."""

import time
from pathlib import Path

import pytest

from service.demo import free_ports
from service.processes.simulator import running
from tests.support.commands import refused, run, shown, wrong
from workers.simulator import Simulator

RULES = """\
[[rule]]
name = "refunds"
on = ["ticket-created", "contact-replied"]
when.text = 'refund'
add_tags = ["refund"]
reply = "We are on it,\\n{{ ticket.contact.name }}."

[[rule]]
name = "billing"
on = "moved"
when.to = "Billing"
once = true
set.status = "Open"
"""
TESTS = """
[[test]]
name = "a refund"
ticket.text = "Refund, please"
event = "ticket-created"
expect.add_tags = ["refund"]
expect.reply = "on it"

[[test]]
name = "a move"
event = { kind = "moved", to = "Sales" }
expect.set.status = "Open"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, with a rules file and no settings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path


def test_rules_are_tried_on_a_sample_without_account_or_store(folder: Path) -> None:
    text = run("rules", "try", "rules.toml", "--sample").stdout
    assert "✓ refunds: would act on ticket-created by contact (imagined)\n    add_tags refund\n" in text
    assert "    reply\n      We are on it,\n      Sam Doe.\n    ! reply is left out: it needs the grant" in text
    assert "! To permit what needs a grant, set FOXHOOKS_ALLOW=rules:reply\n" in text
    assert "- billing: new value is not Billing\n    tried on moved by staff (imagined)\n" in text
    assert "1 of 2 rules would act. Nothing was sent." in text


def test_an_event_of_another_kind_triggers_no_rule(folder: Path) -> None:
    found = shown("rules", "try", "rules.toml", "--sample", "--on", "moved")
    assert found["ticket"] == 1234
    assert [(rule["name"], rule["acts"], rule["reason"]) for rule in found["rules"]] == [
        ("refunds", False, "not triggered by moved, only by ticket-created, contact-replied"),
        ("billing", False, "new value is not Billing"),
    ]


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> Path:
    """The same folder with valid settings but the address of HappyFox."""
    settings = {
        "HAPPYFOX_ACCOUNT": "acme",
        "HAPPYFOX_API_KEY": "demo-key",
        "HAPPYFOX_AUTH_CODE": "demo-code",
        "HAPPYFOX_WEBHOOK_SECRETS": "hidden-secret",
        "HAPPYFOX_STAFF_ID": "7",
        "FOXHOOKS_RULES": "rules.toml",
        "FOXHOOKS_ALLOW": "rules:reply",
        "REDIS_URL": valkey_url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return folder


def test_a_ticket_is_read_from_happyfox_and_nothing_is_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = Simulator(time.time)
    number = simulator.create_ticket("kim@example.org", text="Hello").id
    simulator.contact_replies(number, "Refund me")
    with running(simulator) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        text = run("rules", "try", "rules.toml", "--ticket", str(number)).stdout
        assert "✓ refunds: would act on contact-replied by contact (update " in text
        assert "grant" not in text
        assert {call.method for call in simulator.log} == {"GET"}
        assert "has no ticket 99" in refused("rules", "try", "rules.toml", "--ticket", "99")
    monkeypatch.setenv("HAPPYFOX_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    assert refused("rules", "try", "rules.toml", "--ticket", str(number))


def test_the_check_finds_unknown_names_in_tests(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = TESTS.replace('"Open"', '"Opne"').replace("ticket.text", 'ticket.priority = "Hgih"\nticket.text')
    (project / "rules.toml").write_text(RULES.replace('"Billing"', '"Sales"').replace('"Open"', '"New"') + tests)
    with running(Simulator(time.time)) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        (report,) = shown("rules", "check", code=1)
    found = [(fault["line"], fault["problem"]) for fault in report["faults"]]
    assert (17, "ticket.priority: no priority 'Hgih' in acme") in found
    assert (26, "expect.set.status: no status 'Opne' in acme") in found
    assert report["tests"] == ["a refund", "a move"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "write --ticket N for a ticket in HappyFox, or --sample"),
        (["--sample", "--ticket", "3"], "write --ticket N for a ticket in HappyFox, or --sample"),
        (["--sample", "--on", "movd"], "no kind 'movd'; did you mean 'moved'?"),
    ],
)
def test_wrong_options_are_explained(folder: Path, options: list[str], message: str) -> None:
    assert message in wrong("rules", "try", "rules.toml", *options)


def test_mistakes_in_the_file_are_shown_instead(folder: Path) -> None:
    (folder / "rules.toml").write_text(RULES.replace("moved", "movd"))
    assert "rules.toml, line 10, rule 'billing'" in refused("rules", "try", "rules.toml", "--sample")
    assert "rules.toml, line 10, rule 'billing'" in refused("rules", "test", "rules.toml")


def test_failed_tests_are_shown_with_their_differences(folder: Path) -> None:
    (folder / "rules.toml").write_text(RULES + TESTS)
    text = run("rules", "test", "rules.toml", code=1).stdout
    assert "✓ a refund\n✗ a move (rules.toml, line 22)\n    - set.status = Open\n" in text
    assert "    rule 'billing' does not act: new value is not Billing\n" in text
    assert "rules.toml: 1 test passed, 1 failed." in text
    first, second = shown("rules", "test", "rules.toml", code=1)
    assert (first["name"], first["passed"], first["differences"]) == ("a refund", True, [])
    assert (second["line"], second["passed"], second["differences"][0]) == (22, False, "- set.status = Open")


def test_passed_tests_exit_with_0_also_those_of_the_file_in_the_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rules.toml").write_text(RULES + TESTS.replace("Sales", "Billing"))
    assert "rules.toml: 2 tests passed, 0 failed." in run("rules", "test", "rules.toml").stdout
    monkeypatch.setenv("FOXHOOKS_RULES", "rules.toml")
    run("rules", "test")


def test_a_file_without_tests_is_a_failure(folder: Path) -> None:
    assert "there is no [[test]] in rules.toml: add one" in refused("rules", "test", "rules.toml")


def test_the_check_reports_mistakes_in_tests_and_counts_them(folder: Path) -> None:
    (folder / "rules.toml").write_text(RULES + TESTS)
    text = run("rules", "check", "rules.toml").stdout
    assert "rules.toml: 2 rules, 2 tests, 2 warnings.\n`foxhooks rules test rules.toml` runs the tests." in text
    (folder / "rules.toml").write_text(RULES + TESTS.replace("ticket.text", "ticket.txt"))
    text = run("rules", "check", "rules.toml", code=1).stdout
    assert "✗ rules.toml, line 17, test 'a refund': ticket has no 'txt'\n    → did you mean 'text'?" in text
