"""`foxhooks rules check`, and what the doctor says of rules."""

import time
from pathlib import Path

import pytest
import redis

from service.commands import doctor
from service.demo import free_ports
from service.processes.simulator import running
from tests.support.commands import refused, run, shown
from workers.simulator import Simulator
from workers.simulator.faults import ApiFault
from workers.store.client import store_time
from workers.store.keys import Keys

GOOD = """\
[[rule]]
name = "refunds"
on = "ticket-created"
when.status = "New"
add_tags = ["refund"]
"""
REPLY = GOOD + 'reply = "We are on it."\n'
UNKNOWN = GOOD.replace('"New"', '"Nwe"') + 'set.priority = "Hgih"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, with a valid rules file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.toml").write_text(GOOD)
    return tmp_path


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch, valkey_url: str) -> Path:
    """The same with valid settings; HappyFox does not answer."""
    settings = {
        "HAPPYFOX_ACCOUNT": "acme",
        "HAPPYFOX_URL": f"http://127.0.0.1:{free_ports(1)[0]}",
        "HAPPYFOX_API_KEY": "demo-key",
        "HAPPYFOX_AUTH_CODE": "demo-code",
        "HAPPYFOX_WEBHOOK_SECRETS": "hidden-secret",
        "HAPPYFOX_STAFF_ID": "7",
        "FOXHOOKS_RULES": "rules.toml",
        "REDIS_URL": valkey_url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return folder


def test_a_correct_file_is_shown_as_a_table_even_without_settings(folder: Path) -> None:
    text = run("rules", "check", "rules.toml").stdout
    assert "refunds" in text
    assert "ticket-created" in text
    assert "Names were not checked: HAPPYFOX_URL is missing" in text
    assert "1 rule, no problems." in text


def test_a_mistake_is_shown_with_line_and_fix(folder: Path) -> None:
    (folder / "rules.toml").write_text(GOOD.replace("ticket-created", "ticket-creatd"))
    text = run("rules", "check", "rules.toml", code=1).stdout
    assert "rules.toml, line 3, rule 'refunds': no kind" not in text
    assert "✗ rules.toml, line 3, rule 'refunds': on: no kind 'ticket-creatd'" in text
    assert "→ did you mean 'ticket-created'?" in text
    assert "rules.toml: 1 problem, 0 warnings." in text


def test_a_line_that_is_not_toml_is_shown_with_a_caret(folder: Path) -> None:
    (folder / "rules.toml").write_text(GOOD.replace('"New"', "New"))
    text = run("rules", "check", "rules.toml", code=1).stdout
    assert "line 4: is not valid TOML: a text needs quotes\n" in text
    assert '      when.status = New\n                    ^\n    → write when.status = "New"\n' in text


def test_grants_are_read_even_if_other_settings_are_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "rules.toml").write_text(REPLY)
    text = run("rules", "check", "rules.toml").stdout
    assert "! rules.toml, line 6, rule 'refunds': reply needs the grant rules:reply" in text
    assert "→ set FOXHOOKS_ALLOW=rules:reply" in text
    assert "1 rule, 1 warning." in text
    monkeypatch.setenv("FOXHOOKS_ALLOW", "rules:reply")
    run("rules", "check", "rules.toml")
    monkeypatch.delenv("FOXHOOKS_ALLOW")
    (folder / "foxhooks.toml").write_text('rules = "rules.toml"\n[permissions]\nrules = ["reply"]\n')
    run("rules", "check")


def test_one_line_grants_everything_that_is_missing_and_keeps_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOXHOOKS_ALLOW", "vip:move")
    (folder / "rules.toml").write_text(REPLY + "move = 'Billing'\n")
    (report,) = shown("rules", "check", "rules.toml")
    assert {fault["fix"] for fault in report["faults"]} == {"set FOXHOOKS_ALLOW=rules:move,rules:reply,vip:move"}


def test_each_account_that_lacks_the_grant_is_a_finding(folder: Path) -> None:
    (folder / "rules.toml").write_text(REPLY)
    accounts = '[accounts.acme]\nallow = ["rules:reply"]\n[accounts.beta]\n'
    (folder / "foxhooks.toml").write_text('rules = "rules.toml"\n' + accounts)
    (report,) = shown("rules", "check")
    (fault,) = report["faults"]
    assert fault["problem"] == "reply needs the grant rules:reply"
    assert fault["fix"] == 'set rules = ["reply"] in [permissions] of foxhooks.toml'


def test_names_are_read_from_happyfox_once_and_then_from_the_store(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "rules.toml").write_text(UNKNOWN)
    with running(Simulator(time.time)) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        (report,) = shown("rules", "check", "rules.toml", code=1)
    assert [(fault["line"], fault["problem"], fault["fix"][:22]) for fault in report["faults"]] == [
        (4, "when.status: no status 'Nwe' in acme", "did you mean 'New'? (t"),
        (6, "set.priority: no priority 'Hgih' in acme", "did you mean 'High'? ("),
    ]
    assert report["names_not_checked"] == ""
    (project / "rules.toml").write_text(GOOD)
    assert "HappyFox knows all names." in run("rules", "check").stdout


STALE = """\
[[rule]]
name = "stale"
every = "1d"
find = 'status:"New"'
set.status = "Closed"
"""


def test_a_search_that_finds_thousands_of_tickets_is_a_warning(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "rules.toml").write_text(STALE)
    simulator = Simulator(time.time)
    for _ in range(3):
        simulator.create_ticket()
    with running(simulator) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        assert "1 rule, no problems." in run("rules", "check").stdout
        monkeypatch.setattr("service.commands.rules.MOST", 2)
        (report,) = shown("rules", "check")
        (fault,) = report["faults"]
        simulator.faults.add(ApiFault("status", path="tickets", status=400))
        assert "line 4, rule 'stale': find: acme rejects the search" in run("rules", "check", code=1).stdout
    assert (fault["line"], fault["rule"], fault["warning"]) == (4, "rule 'stale'", True)
    assert fault["problem"] == (
        "find matches 3 tickets in acme now: at least 1 minute of its calls, 2 tickets at each run, "
        "after all other work"
    )


def test_without_happyfox_or_a_store_it_says_that_names_were_not_checked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Names were not checked: HappyFox cannot be called" in run("rules", "check").stdout
    monkeypatch.delenv("REDIS_URL")
    assert "Names were not checked: no store answers in" in run("rules", "check").stdout


def test_a_locked_out_account_says_when_names_can_be_checked(project: Path, store: redis.Redis) -> None:
    keys = Keys("acme")
    store.hset(keys.gate, mapping={"state": "denied", "why": "denied", "until": store_time(store) + 59_000})
    text = " ".join(run("rules", "check").stdout.split())
    assert "Names were not checked: HappyFox rejected the API key. Next attempt in 5" in text
    assert "Next attempt in 5" in " ".join(run("doctor", code=1).stdout.split())


def test_without_a_file_it_says_how_to_name_one(folder: Path) -> None:
    assert "set FOXHOOKS_RULES" in refused("rules", "check")
    assert "cannot be read: No such file" in refused("rules", "check", "gone.toml")


def test_the_doctor_reports_mistakes_warnings_and_unknown_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "rules.toml").write_text(UNKNOWN + 'reply = "x"\n')
    with running(Simulator(time.time)) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        found = [(each.level, each.text) for each in doctor.check(offline=False) if each.subject == "rules"]
        assert found == [
            ("warning", "rules.toml, line 7, rule 'refunds': reply needs the grant rules:reply"),
            ("error", "rules.toml, line 4, rule 'refunds': when.status: no status 'Nwe' in acme"),
            ("error", "rules.toml, line 6, rule 'refunds': set.priority: no priority 'Hgih' in acme"),
        ]
        (project / "rules.toml").write_text(GOOD)
        found = [(each.level, each.text) for each in doctor.check(offline=False) if each.subject == "rules"]
        assert found == [("ok", "acme knows the names that rules.toml uses")]
    (project / "rules.toml").write_text("[[rule]]\n")
    assert [each.level for each in doctor.check(offline=True) if "rules.toml, line 1" in each.text] == ["error"] * 3


TABLES = """
[router.staff-update]
match = [
    { status = "New", set.status = "Slved" },
    { any = [{ priority = "Hgih" }], set.assignee = "Ada King", set.fields."Prodct" = "x" },
]

[router.private-note]
match = [{ on = "assigned", to = "Ada Kong", note = "Welcome.", alert = "s" }, { note = "Look.", alert = "Nobody" }]
"""


def test_the_doctor_finds_unknown_names_in_router_settings(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "foxhooks.toml").write_text(TABLES)
    shipped = "workers.handlers.staff_update:router,workers.handlers.private_note:router"
    monkeypatch.setenv("FOXHOOKS_HANDLERS", shipped)
    monkeypatch.delenv("FOXHOOKS_RULES", raising=False)
    with running(Simulator(time.time)) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        found = [each.text for each in doctor.check(offline=False) if each.level == "error"]
    assert found == [
        "router.staff-update, match 1: set.status: no status 'Slved' in acme",
        "router.staff-update, match 2: any: no priority 'Hgih' in acme",
        "router.staff-update, match 2: set.fields.Prodct: no field 'Prodct' in acme",
        "router.private-note, match 1: to: no staff member 'Ada Kong' in acme",
        "router.private-note, match 2: alert: no staff member 'Nobody' in acme",
    ]
