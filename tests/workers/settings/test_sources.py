from pathlib import Path

import pytest

from tests.support.settings import WHOLE, Loaded, Refused
from workers.settings import SettingsError, load


def test_without_a_file_there_is_none(loaded: Loaded) -> None:
    assert loaded().config_path is None


def test_the_file_in_the_folder_is_read(loaded: Loaded, tmp_path: Path) -> None:
    settings = loaded(toml="port = 9000")

    assert (settings.port, settings.config_path) == (9000, tmp_path / "foxhooks.toml")


def test_the_variable_names_another_file(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "other.toml").write_text('data = "store"')

    settings = loaded({"FOXHOOKS_CONFIG": "conf/other.toml"}, toml="port = 9000")

    assert (settings.port, settings.config_path) == (8000, tmp_path / "conf" / "other.toml")


def test_a_path_is_relative_to_the_file_or_for_a_variable_to_the_folder(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "other.toml").write_text('data = "store"')
    config = {"FOXHOOKS_CONFIG": "conf/other.toml"}

    assert loaded(config).data == tmp_path / "conf" / "store"
    assert loaded({**config, "FOXHOOKS_DATA": "store"}).data == tmp_path / "store"
    assert loaded({**config, "FOXHOOKS_DATA": "/var/foxhooks"}).data == Path("/var/foxhooks")


@pytest.mark.parametrize("part", ["web", "worker", "all", "store"])
def test_a_named_file_that_is_missing_is_reported_to_every_part(tmp_path: Path, part: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(part, {"FOXHOOKS_CONFIG": "gone.toml"}, tmp_path)  # type: ignore[arg-type]

    (problem,) = caught.value.problems
    assert problem.setting == "FOXHOOKS_CONFIG (environment)"
    assert problem.problem == "cannot be read: No such file or directory"
    assert "gone.toml" in problem.fix


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a\udcff"])
def test_an_impossible_file_name_is_reported(refused: Refused, name: str) -> None:
    (problem,) = refused({"FOXHOOKS_CONFIG": name})

    assert problem.setting == "FOXHOOKS_CONFIG (environment)"


def test_a_folder_instead_of_a_file_is_reported(refused: Refused) -> None:
    (problem,) = refused({"FOXHOOKS_CONFIG": "."})

    assert "cannot be read" in problem.problem


def test_broken_toml_is_reported_with_its_line(refused: Refused) -> None:
    (problem,) = refused(toml="port = 9000\nhost = \n")

    assert problem.setting == "foxhooks.toml"
    assert "is not valid TOML" in problem.problem
    assert "line 2" in problem.problem


def test_no_setting_is_called_missing_if_the_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text("[accounts.acme\n")

    with pytest.raises(SettingsError) as caught:
        load("all", {"PORT": "x"}, tmp_path)

    assert [problem.setting for problem in caught.value.problems] == [
        "foxhooks.toml",
        "PORT (environment)",
    ]


def test_a_file_that_is_not_utf8_is_reported(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_bytes(b'host = "\xff"')

    (problem,) = refused()

    assert "not valid UTF-8" in problem.problem


def test_a_byte_order_mark_is_accepted(loaded: Loaded) -> None:
    assert loaded(toml="\ufeffport = 9000").port == 9000


# "file:PATH"


def test_secrets_are_read_from_files(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-from-a-file\n")
    (tmp_path / "hooks").write_text("new-signing-key,old-signing-key\n")
    key = f"file:{tmp_path}/key"

    acme = loaded(
        {"HAPPYFOX_AUTH_CODE": key, "HAPPYFOX_API_KEY": None, "HAPPYFOX_WEBHOOK_SECRETS": None, "PLACE": key},
        f'[accounts.acme]\napi_key = "env:PLACE"\nwebhook_secrets = ["file:{tmp_path}/hooks"]',
    ).accounts["acme"]

    assert acme.api_key.reveal() == acme.auth_code.reveal() == "key-from-a-file"
    assert [secret.reveal() for secret in acme.secrets] == ["new-signing-key", "old-signing-key"]


def test_a_relative_path_starts_from_the_folder_of_the_settings_file(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "key").write_text("key-from-a-file")
    (tmp_path / "conf" / "other.toml").write_text('[accounts.acme]\napi_key = "file:./key"')

    settings = loaded({"FOXHOOKS_CONFIG": "conf/other.toml", "HAPPYFOX_API_KEY": None})

    assert settings.accounts["acme"].api_key.reveal() == "key-from-a-file"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b" \n", "is empty"), (b"\xff\xfe", "not a UTF-8 text")]
)
def test_a_file_that_cannot_be_used_is_named(
    refused: Refused, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)

    (problem,) = refused({"HAPPYFOX_API_KEY": f"file:{tmp_path}/key"})

    assert f"{tmp_path}/key" in problem.problem
    assert reason in problem.problem


def test_a_url_of_a_file_stays_a_text(loaded: Loaded) -> None:
    settings = loaded(toml='[router.crm]\nbase = "file:///var/crm.db"')

    assert settings.accounts["acme"].router_settings == {"crm": {"base": "file:///var/crm.db"}}


# "env:NAME"


def test_any_value_of_the_file_may_come_from_the_environment(loaded: Loaded) -> None:
    toml = """
        port = "env:MY_PORT"
        allow = ["env:MY_GRANTS", "crm:move"]
        [router.crm]
        deep = [{token = "env:MY_TOKEN"}]
    """

    settings = loaded({"MY_PORT": "9000", "MY_GRANTS": "vip:reply, vip:move", "MY_TOKEN": "abc"}, toml)

    assert settings.port == 9000
    assert settings.accounts["acme"].allow == {("vip", "reply"), ("vip", "move"), ("crm", "move")}
    assert settings.accounts["acme"].router_settings == {"crm": {"deep": [{"token": "abc"}]}}


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_not_set_is_named(refused: Refused, value: str | None) -> None:
    problems = refused({"MY_PORT": value}, 'port = "env:MY_PORT"\n[router.crm]\ntoken = "env:MY_TOKEN"')

    assert [str(problem) for problem in problems] == [
        "port (foxhooks.toml): is read from MY_PORT, which is not set; set MY_PORT",
        "router.crm.token (foxhooks.toml): is read from MY_TOKEN, which is not set; set MY_TOKEN",
    ]


def test_a_key_written_after_env_by_mistake_is_not_repeated(refused: Refused) -> None:
    toml = '[accounts.acme]\napi_key = "env:a1b2c3d4"'

    (problem,) = refused({"HAPPYFOX_API_KEY": None}, toml)

    assert "a1b2c3d4" not in str(problem)


def test_only_the_file_reads_from_other_variables(loaded: Loaded) -> None:
    assert loaded({"HAPPYFOX_AUTH_CODE": "env:OTHER"}).accounts["acme"].auth_code.reveal() == "env:OTHER"


def test_a_variable_the_file_refers_to_may_have_any_name(loaded: Loaded) -> None:
    assert loaded({"FOXHOOKS_MY_PORT": "9000"}, 'port = "env:FOXHOOKS_MY_PORT"').port == 9000


# [router.NAME]


def test_the_list_of_handlers_and_the_tables_of_routers_are_in_one_file(loaded: Loaded) -> None:
    toml = 'handlers = ["crm:router"]\nport = 9000\n[router.crm]\nurl = "x"\n[ router . "vip" ]\nn = 1\n'

    settings = loaded({"FOXHOOKS_HANDLERS": None}, toml)

    assert settings.accounts["acme"].handlers == ("crm:router",)
    assert settings.accounts["acme"].router_settings == {"crm": {"url": "x"}, "vip": {"n": 1}}
    assert settings.warnings == ()


def test_lists_of_tables_of_a_router_are_read(loaded: Loaded) -> None:
    toml = """
handlers = ["staff-update"]
[[router.staff-update.match]]
status = "Closed"
[[ router.staff-update.match ]]
status = "New"
"""

    account = loaded({"FOXHOOKS_HANDLERS": None}, toml).accounts["acme"]

    assert account.router_settings == {"staff-update": {"match": [{"status": "Closed"}, {"status": "New"}]}}


def test_a_text_that_looks_like_a_header_is_left_alone(loaded: Loaded) -> None:
    lines = "\n[handlers.crm]\n[[handlers.crm.match]]\n"
    toml = f'handlers = ["crm:router"]\n[router.crm]\nhelp = """{lines}"""\n'

    account = loaded({"FOXHOOKS_HANDLERS": None}, toml).accounts["acme"]

    assert account.router_settings == {"crm": {"help": lines.removeprefix("\n")}}


@pytest.mark.parametrize("top", ["", 'foxhooks_handlers = ["crm:router"]\n'])
def test_the_old_tables_are_accepted_with_a_warning(loaded: Loaded, top: str) -> None:
    settings = loaded({}, f'{top}[handlers.crm]\nurl = "x"\n[router.vip]\nn = 1\n')

    assert settings.accounts["acme"].router_settings == {"crm": {"url": "x"}, "vip": {"n": 1}}
    assert [str(warning) for warning in settings.warnings] == [
        "[handlers.crm] (foxhooks.toml): is an old form, and the next release will reject it; write [router.crm]"
    ]
    assert loaded({}, f'{top}[handlers.crm]\nurl = "x"\n', part="web").warnings == ()


@pytest.mark.parametrize("header", ["[handlers.crm]", "[[handlers.crm.match]]"])
def test_the_old_tables_beside_the_list_are_refused_with_the_new_form(refused: Refused, header: str) -> None:
    (problem,) = refused({"FOXHOOKS_HANDLERS": None}, f'handlers = ["crm:router"]\n{header}\na = 1\n')

    assert "line 2" in problem.problem
    assert problem.fix == "write [router.NAME] instead of [handlers.NAME]"


def test_a_table_under_both_names_is_refused(refused: Refused) -> None:
    (problem,) = refused(toml="[handlers.crm]\na = 1\n[router.crm]\na = 1\n")

    assert str(problem) == "handlers.crm (foxhooks.toml): is given twice under two names; keep only [router.crm]"


def test_router_settings_apply_to_every_account_and_cannot_be_changed(loaded: Loaded) -> None:
    settings = loaded(toml="[router.crm]\nsize = 3\n").accounts["acme"].router_settings

    assert settings == {"crm": {"size": 3}}
    with pytest.raises(TypeError):
        settings["crm"]["size"] = 4  # type: ignore[index]


@pytest.mark.parametrize(
    ("toml", "setting"),
    [
        ("accounts = 3", "accounts"),
        ("accounts.acme = 3", "accounts.acme"),
        ("router.crm = 3", "router.crm"),
        ("handlers.crm = 3", "handlers.crm"),
        ("[[accounts]]", "accounts"),
    ],
)
def test_a_value_in_place_of_a_table_is_refused(refused: Refused, toml: str, setting: str) -> None:
    (problem,) = refused(toml=toml)

    assert problem.setting == f"{setting} (foxhooks.toml)"
    assert problem.problem == "is not a table"


def test_a_broken_table_of_a_router_does_not_stop_web(loaded: Loaded) -> None:
    assert loaded(toml="router.crm = 3", part="web")
    assert loaded(toml="accounts = 3", part="store")


def test_the_mapping_passed_in_is_the_only_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foxhooks.toml").write_text("threads = 3")
    (tmp_path / "empty").mkdir()

    settings = load("all", WHOLE, tmp_path / "empty")

    assert (settings.port, settings.threads) == (8000, 8)


# [hooks.NAME]


HOOKS = '[hooks.jira]\nsecret = "env:JIRA_SECRET"\n[hooks.billing]\nsecret = ["new", "old"]\nheader = "X-Digest"\n'


def test_hooks_are_read_for_the_web_process_only(loaded: Loaded) -> None:
    hooks = loaded({"JIRA_SECRET": "s3cret"}, HOOKS).hooks
    assert {name: [each.reveal() for each in hook.secrets] for name, hook in hooks.items()} == {
        "jira": ["s3cret"],
        "billing": ["new", "old"],
    }
    assert [hook.header for hook in hooks.values()] == ["", "X-Digest"]
    assert loaded({}, HOOKS, part="worker").hooks == {}


@pytest.mark.parametrize(
    ("toml", "setting", "problem"),
    [
        ("[hooks.jira]", "hooks.jira", "has no secret"),
        ('[hooks.jira]\nsecret = ""', "hooks.jira.secret", "contains no signing key"),
        ('[hooks.jira]\nsecret = "env:NOWHERE"', "hooks.jira.secret", "is read from NOWHERE, which is not set"),
        ('[hooks.jira]\nsecret = "x"\nsecrt = "y"', "hooks.jira.secrt", "is not a setting of a hook"),
        ('[hooks.jira]\nsecret = "x"\nheader = "a b"', "hooks.jira.header", "is not the name of a header"),
        ('[hooks.Jira]\nsecret = "x"', "hooks.Jira", "is not a valid name"),
        ('[hooks]\njira = "x"', "hooks.jira", "is not a table"),
        ('hooks = "x"', "hooks", "is not a table"),
    ],
)
def test_a_mistake_in_a_hook_is_named(refused: Refused, toml: str, setting: str, problem: str) -> None:
    [found] = refused({}, toml)
    assert found.setting == f"{setting} (foxhooks.toml)"
    assert problem in found.problem
    assert found.fix
