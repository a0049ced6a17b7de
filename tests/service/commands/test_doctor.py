"""doctor: each finding with its level and its fix."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from service.commands import doctor_store
from service.commands.doctor import check
from service.commands.doctor_store import check_address, check_store
from service.commands.findings import Finding
from service.demo import free_ports
from service.processes.simulator import running
from tests.support import stores
from tests.support.commands import printed, run, shown
from workers.happyfox.directory import Directory
from workers.plugins.loading import load_accounts
from workers.plugins.summary import summarize
from workers.rules import file as rules_file
from workers.settings import Settings, load
from workers.simulator import Simulator
from workers.store.client import Store, store_time
from workers.store.fleet import Presence, describe_process
from workers.store.keys import Keys
from workers.store.records import read_lists
from workers.store.refusals import Notes

IDLE = 'from workers import Router\nrouter = Router("quiet")\n'
HANDLER = (
    IDLE
    + """
@router.on("ticket-created")
def look(ticket, event):
    pass
"""
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, with valid settings in the environment and a handler in it."""
    (tmp_path / "doctored.py").write_text(HANDLER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAPPYFOX_ACCOUNT", "acme")
    monkeypatch.setenv("HAPPYFOX_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("HAPPYFOX_API_KEY", "demo-key")
    monkeypatch.setenv("HAPPYFOX_AUTH_CODE", "demo-code")
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", "hidden-secret")
    monkeypatch.setenv("HAPPYFOX_STAFF_ID", "7")
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "doctored:router")
    return tmp_path


def errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]


def test_a_sound_project_has_no_finding_to_fix(project: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    with running(Simulator(time.time)) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        text = run("doctor").stdout
    with redis.Redis.from_url(valkey_url) as client, Store(client) as scripts:
        kept = scripts.run(read_lists("acme", list(Directory.LISTS)))
    assert all(kept), "its lists of names are left for the other commands"
    assert "0 errors, 0 warnings." in text
    assert "Foxhooks Bot" in text
    assert "hidden-secret" not in text


def test_doubtful_keys_are_warnings_and_refused_signatures_errors(
    project: Path, valkey_url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", '"hidden-secret"')
    notes = Notes()
    notes.cause("acme", "quotes-here")
    for command in notes.commands(store_time(store)):
        store.execute_command(*command)  # type: ignore[no-untyped-call]
    text = printed("doctor", "--offline", code=1)
    assert "! settings: HAPPYFOX_WEBHOOK_SECRETS (environment): contains a key (number 1) that is in quotes" in text
    assert "✗ webhooks: acme: signatures were refused (1 delivery, last 0 s ago): our key has quotes around it" in text
    assert "hidden-secret" not in text


def test_a_router_without_handlers_is_a_warning(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "idle.py").write_text(IDLE.replace("quiet", "idle"))
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "doctored:router,idle:router")
    found = [finding for finding in check(offline=True) if finding.subject == "handlers"]
    assert [(finding.level, "idle has no handler" in finding.text) for finding in found] == [
        ("ok", False),
        ("warning", True),
    ]


def test_offline_makes_no_call_and_a_missing_store_is_only_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_ports(1)[0]}")
    run("doctor", "--offline")
    run("doctor", code=1)
    assert not any("HappyFox" in finding.subject for finding in check(offline=True))


def test_every_wrong_setting_is_a_finding(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPPYFOX_STAFF_ID", "nobody")
    monkeypatch.setenv("PORT", "many")
    found = [each for each in shown("doctor", "--offline", code=1) if each["level"] == "error"]
    assert {finding["subject"] for finding in found} == {"settings"}
    assert all(finding["fix"] for finding in found)
    assert len(found) == 2


def test_handlers_are_checked_even_if_other_settings_are_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HAPPYFOX_ACCOUNT", "HAPPYFOX_URL", "HAPPYFOX_API_KEY", "HAPPYFOX_STAFF_ID"):
        monkeypatch.delenv(name)
    found = list(check(offline=True))
    assert {finding.subject for finding in errors(found)} == {"settings"}
    assert found[-1] == Finding("ok", "handlers", "the account runs in this order: quiet")
    (project / "broken.py").write_text("import nowhere\n")
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "broken:router")
    assert "No module named 'nowhere'" in list(check(offline=True))[-1].text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FOXHOOKS_HANDLERS", "nowhere_at_all:router", "nowhere_at_all"),
        ("FOXHOOKS_ALLOW", "somebody:reply", "somebody"),
    ],
)
def test_a_plug_in_that_does_not_load_is_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    found = errors(list(check(offline=True)))
    assert any(words in finding.text and finding.fix for finding in found)


def test_a_rule_or_a_schedule_that_emails_again_and_again_is_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = HANDLER.replace('on("ticket-created")', "every('1h', find='status:New')").replace(
        "pass", "ticket.reply('x')"
    )
    (project / "reminding.py").write_text(schedule.replace("quiet", "reminding"))
    (project / "rules.toml").write_text('[[rule]]\nname = "it"\non = "ticket-updated"\nreply = "x"\n')
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "reminding:router")
    monkeypatch.setenv("FOXHOOKS_RULES", "rules.toml")
    monkeypatch.setenv("FOXHOOKS_ALLOW", "rules:reply,reminding:reply")
    found = [each.text for each in check(offline=True) if each.level == "warning" and each.subject != "store"]
    assert [text.partition(":")[0] for text in found] == [
        "reminding.look (reminding.py, line 4)",
        "rules.toml, line 4, rule 'it'",
    ]


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("HAPPYFOX_API_KEY", "another-key", "Apps > Goodies > API"),
        ("HAPPYFOX_STAFF_ID", "99", "Foxhooks Bot is 7"),
        ("HAPPYFOX_URL", "http://127.0.0.1:9", "HAPPYFOX_URL"),
    ],
)
def test_a_call_that_happyfox_rejects_is_an_error_with_its_fix(
    project: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, fix: str
) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    with running(Simulator(time.time)) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        monkeypatch.setenv(name, value)
        found = errors(list(check(offline=False)))
    assert len(found) == 1
    assert fix in found[0].fix


def test_it_warns_of_a_staff_member_that_is_probably_a_person(
    project: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_STAFF_ID", "1")
    with running(Simulator(time.time)) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        found = [each for each in check(offline=False) if "Ada King" in each.text]
    assert [each.level for each in found] == ["warning"]
    assert "create a staff member for foxhooks alone" in found[0].fix


@pytest.mark.parametrize(("minutes", "level"), [("", "warning"), ("2", "ok")])
def test_it_reports_categories_that_require_a_time(
    project: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch, minutes: str, level: str
) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("HAPPYFOX_TIME_SPENT", minutes)
    simulator = Simulator(time.time)
    account = simulator.account
    account.categories = {**account.categories, 2: {**account.categories[2], "time_spent_mandatory": True}}
    with running(simulator) as url:
        monkeypatch.setenv("HAPPYFOX_URL", url)
        [found] = [each for each in check(offline=False) if "require a time" in each.text]
    assert (found.level, "Billing" in found.text) == (level, True)
    assert "HAPPYFOX_TIME_SPENT" in (found.fix or found.text)


def test_a_fix_names_the_table_of_the_account(project: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", valkey_url)
    for name in ("ACCOUNT", "URL", "API_KEY", "AUTH_CODE", "WEBHOOK_SECRETS", "STAFF_ID"):
        monkeypatch.delenv(f"HAPPYFOX_{name}")
    with running(Simulator(time.time)) as url:
        tables = [
            f'[accounts.{name}]\nurl = "{url}"\napi_key = "{key}"\nauth_code = "demo-code"\n'
            f'webhook_secrets = ["x"]\nstaff_id = {staff}\n'
            for name, key, staff in (("acme", "demo-key", 99), ("beta", "another", 7))
        ]
        (project / "foxhooks.toml").write_text("".join(tables))
        staff, key = errors(list(check(offline=False)))
    assert staff.fix.startswith("set staff_id in [accounts.acme] of foxhooks.toml to the id of")
    pair = "api_key in [accounts.beta] of foxhooks.toml and auth_code in [accounts.beta] of foxhooks.toml"
    assert key.fix.startswith(f"copy {pair} from")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://10.0.0.7:6379/0", ["in the clear to 10.0.0.7", "has no password"]),
        ("redis://u:secret@store.example", ["in the clear to store.example"]),
        ("rediss://store.example", ["has no password"]),
        ("rediss://:secret@store.example?ssl_cert_reqs=none", ["does not verify the certificate of store.example"]),
        ("rediss://:secret@store.example?ssl_check_hostname=false", ["does not verify"]),
        ("rediss://store.example?password=secret", []),
        ("redis://127.0.0.1:6379", []),
        ("redis://localhost", []),
        ("unix:///run/store.sock", []),
        ("", []),
    ],
)
def test_a_store_elsewhere_that_others_could_use_is_a_warning(url: str, words: list[str]) -> None:
    found = list(check_address(load("store", {"REDIS_URL": url}, Path("/nowhere"))))
    assert [word in each.text for each, word in zip(found, words, strict=True)] == [True] * len(words)
    assert [each.level for each in found] == ["warning"] * len(words)
    assert all("docs/security.md" in each.fix for each in found)
    assert "secret" not in str(found)


def judge(*options: str, **environ: str) -> list[Finding]:
    """Return what the doctor finds in a new store with these options."""
    with stores.running("valkey", *options) as url, redis.Redis.from_url(url) as client:
        settings: Settings = load("store", {"REDIS_URL": url, **environ}, Path("/nowhere"))
        return [finding for finding in check_store(client, settings) if finding.level != "ok"]


def test_a_store_without_a_file_is_an_error_only_if_a_200_promises_fsync() -> None:
    off = ("--appendonly", "no")
    assert [finding.level for finding in judge(*off, FOXHOOKS_DURABILITY="fsync")] == ["error"]
    assert [finding.level for finding in judge(*off, FOXHOOKS_DURABILITY="everysec")] == ["warning"]
    assert judge(*off, FOXHOOKS_DURABILITY="memory") == []


def test_a_store_that_evicts_is_an_error() -> None:
    (finding,) = judge("--maxmemory-policy", "allkeys-lru")
    assert finding.level == "error"
    assert "noeviction" in finding.fix


def test_a_store_with_little_memory_left_is_a_warning() -> None:
    (finding,) = judge("--maxmemory-policy", "noeviction", "--maxmemory", "1200kb")
    assert finding.level == "warning"
    assert re.search(r"it uses .+ of 1\.2 MB of memory, .+ left", finding.text)
    assert "FOXHOOKS_RETENTION_HOURS" in finding.fix


def test_a_store_with_too_few_connections_is_an_error() -> None:
    (finding,) = judge("--maxclients", "8")
    assert finding.level == "error"
    assert "FOXHOOKS_PROCESSES" in finding.fix
    assert judge("--maxclients", "20") == []


def test_connections_are_counted_for_each_kind_of_process() -> None:
    settings = replace(load("store", {"REDIS_URL": "redis://localhost"}, Path("/nowhere")), processes=2, threads=4)
    needs = "a web machine needs up to 4, a worker machine 12, a gateway 5, a dashboard 12, a command 2"

    def said(**state: int) -> str:
        return doctor_store._connections(state, settings).text

    assert said(connected_clients=7, maxclients=40) == (
        f"connections: 7 of 40 in use; {needs}: enough for 2 web and worker machines each"
    )
    assert said(maxclients=40).startswith("connections: unknown of 40 in use")
    assert said(connected_clients=7) == f"connections: 7 are in use, its limit is unknown; {needs}"
    assert said() == f"connections: its limit is unknown; {needs}"
    assert doctor_store._connections({"connected_clients": 39, "maxclients": 40}, settings).level == "warning"


@pytest.mark.parametrize(
    "secret", ["k", "brief", "changeme", "secret-of-acme", "xxxxxxxxxxxx", "<your key>", "12345678"]
)
def test_a_secret_that_can_be_guessed_is_a_warning(project: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("HAPPYFOX_WEBHOOK_SECRETS", f"{secret},b7c1d9e2f0a34856")
    [found] = [each for each in check(offline=True) if "can be guessed" in each.text]
    assert (found.level, found.text.split()[0]) == ("warning", "HAPPYFOX_WEBHOOK_SECRETS")
    assert secret not in found.text.split()


@pytest.mark.parametrize("name", ["foxhooks.toml", ".env"])
def test_a_file_with_secrets_that_everybody_can_read_is_a_warning(project: Path, name: str) -> None:
    path = project / name
    path.write_text("# hidden-secret\n")
    path.chmod(0o600)
    assert [each.text for each in check(offline=True) if name in each.text and each.level == "warning"] == []
    path.chmod(0o644)
    [found] = [each for each in check(offline=True) if name in each.text and each.level == "warning"]
    assert found.text == f"every user of this machine can read the secrets in {name}"
    assert found.fix == f"run `chmod 600 {name}`"


def test_a_readable_file_that_only_names_variables_is_fine(project: Path) -> None:
    (project / "foxhooks.toml").write_text('sentry_dsn = "env:SENTRY"\n')
    (project / "foxhooks.toml").chmod(0o644)
    assert not any("can read the secrets" in each.text for each in check(offline=True))


def test_the_fix_for_herokus_certificate_is_that_it_is_meant_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNO", "web.1")
    monkeypatch.setenv("REDIS_URL", "rediss://:word@ec2-3-80-1-2.compute-1.amazonaws.com:6380?ssl_cert_reqs=none")
    [found] = check_address(load("all", os.environ, project))
    assert ".profile switches the check off" in found.fix


def test_the_level_replica_needs_a_connected_replica(
    project: Path, server: Callable[..., stores.Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, replica = stores.pair(server)
    store.start()
    monkeypatch.setenv("REDIS_URL", store.url)
    monkeypatch.setenv("FOXHOOKS_DURABILITY", "replica")
    settings = load("all", os.environ, project)
    with redis.Redis.from_url(store.url) as client:
        [finding] = errors(list(check_store(client, settings)))
        assert "no replica is connected" in finding.text
        replica.start()
        stores.await_replica(store.url)
        assert errors(list(check_store(client, settings))) == []


def publish(store: redis.Redis, folder: Path, **environ: str) -> None:
    """Publish a worker that runs with the settings of this process, but for some variables."""
    settings = load("worker", dict(os.environ) | environ, folder)
    loaded = load_accounts(settings.accounts.values(), folder, rules_file.load)
    Presence(store, describe_process("worker", settings, lambda each: summarize(each, loaded[each.name]))).beat()


@pytest.fixture
def online(project: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose store runs."""
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.syspath_prepend(project)
    return project


def test_it_fails_when_the_running_system_is_unwell(online: Path, store: redis.Redis) -> None:
    publish(store, online)
    run("doctor", "--offline")
    store.hset(Keys("acme").gate, mapping={"state": "denied", "why": "denied", "until": store_time(store) + 9_000})
    found = run("doctor", "--offline", code=1).stdout
    assert "✗ running: acme: HappyFox rejects the API key" in found


def test_it_shows_where_this_shell_differs_from_what_runs(online: Path, store: redis.Redis) -> None:
    publish(store, online, FOXHOOKS_DRY_RUN="1")
    (online / "doctored.py").write_text(HANDLER.replace("pass", "return"))
    texts = [finding.text for finding in check(offline=True) if finding.subject == "running"]
    assert "FOXHOOKS_DRY_RUN of acme is on in the workers that run, but off here" in texts
    assert "the handlers of acme here differ from those that the workers have loaded" in texts


def test_workers_with_different_settings_are_an_error(online: Path, store: redis.Redis) -> None:
    publish(store, online)
    publish(store, online, FOXHOOKS_LOOP_GUARD="9")
    (found,) = errors(list(check(offline=True)))
    assert "different values of FOXHOOKS_LOOP_GUARD of acme: 20 in worker" in found.text


def test_a_shell_without_settings_checks_what_runs(
    online: Path, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, online)
    for name in list(os.environ):
        if name.startswith(("HAPPYFOX_", "FOXHOOKS_")):
            monkeypatch.delenv(name)
    found = run("doctor", "--offline").stdout
    assert "processes that run: 1 worker" in found
    store.hset(Keys("acme").gate, mapping={"state": "locked", "why": "limited", "until": store_time(store) + 9_000})
    assert "acme: locked out until" in run("doctor", "--offline", code=1).stdout
    assert shown("status")["accounts"][0]["account"] == "acme"


def test_a_hook_that_nobody_receives_and_a_weak_secret_are_warnings(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOXHOOKS_HANDLERS", "hooked:router")
    (project / "hooked.py").write_text(HANDLER + '@router.on("hook", name="jira")\ndef receive(ticket): pass\n')
    hooks = '[hooks.jira]\nsecret = "a long enough text"\n[hooks.billing]\nsecret = "short"\n'
    (project / "foxhooks.toml").write_text(hooks)
    found = {(finding.level, finding.text) for finding in check(offline=True)}
    assert ("warning", "no handler receives the hook billing, so its calls become dead letters") in found
    weak = "the secret of the hook billing is very short or a placeholder, which can be guessed"
    assert ("warning", weak) in found
    assert not [text for _, text in found if "hook jira" in text]
