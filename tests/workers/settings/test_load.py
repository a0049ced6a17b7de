from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from tests.support.settings import WHOLE, Loaded, Refused
from workers.settings import Budget, Part, RulesFile, Secret, SettingsError, load, load_account, rules_files

TABLES = """
[accounts.acme]
url = "https://acme.happyfox.com"
api_key = "key-a"
auth_code = "code-a"
webhook_secrets = ["hook-a"]
staff_id = 1

[accounts.beta]
url = "https://beta.happyfox.net"
api_key = "key-b"
auth_code = "code-b"
webhook_secrets = ["hook-b"]
staff_id = 2
"""
NO_ACCOUNT: dict[str, str | None] = {name: None for name in WHOLE if name.startswith("HAPPYFOX_")}
"""Takes the account out of the environment."""


HOOKS = "HAPPYFOX_WEBHOOK_SECRETS"


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ("new-key, old-key,", ["new-key", "old-key"]),
        ('["with,comma", "old-key"]', ["with,comma", "old-key"]),
        ("[no list", ["[no list"]),
        ("[" * 10_000, ["[" * 10_000]),
    ],
)
def test_keys_are_a_text_with_commas_or_a_json_list(loaded: Loaded, given: str, keys: list[str]) -> None:
    assert [each.reveal() for each in loaded({HOOKS: given}).accounts["acme"].secrets] == keys


def test_a_variable_that_the_file_names_may_hold_a_json_list(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text('[accounts.acme]\nwebhook_secrets = ["env:HOOK"]')
    (account,) = load("web", {"HOOK": '["with,comma"]'}, tmp_path).accounts.values()
    assert account.secrets == (Secret("with,comma"),)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ('"signing-key"', "is in quotes"),
        ("\u201csigning-key\u201d", "is in quotes"),
        ("\ufeffsigning-key", "an invisible character"),
        ("signing\xa0key", "an invisible character"),
        ("c2lnbmluZy1rZXk=", "base64 or hexadecimal"),
        ("7369676e696e672d6b6579", "base64 or hexadecimal"),
        ("signing,key-with-comma", "is very short"),
    ],
)
def test_a_doubtful_key_is_accepted_with_a_warning(loaded: Loaded, given: str, problem: str) -> None:
    (found,) = loaded({HOOKS: given}, part="web").warnings
    assert HOOKS in found.setting
    assert problem in found.problem
    assert "signing" not in str(found)


@pytest.mark.parametrize(
    "given", ["signing-key", "new-signing-key,old-signing-key", "s", "two words", "0123456789abcdef"]
)
def test_an_ordinary_key_causes_no_warning(loaded: Loaded, given: str) -> None:
    assert loaded({HOOKS: given}, part="web").warnings == ()


def test_the_web_process_uses_a_valid_url_and_ignores_any_other(loaded: Loaded) -> None:
    assert loaded(part="web").accounts["acme"].url == "https://acme.happyfox.com"
    assert loaded({"HAPPYFOX_URL": "nonsense", "HAPPYFOX_ACCOUNT": "acme"}, part="web").accounts["acme"].url == ""
    assert loaded({"HAPPYFOX_URL": None, "HAPPYFOX_ACCOUNT": "acme"}, part="web").accounts["acme"].url == ""


def test_a_whole_environment_sets_every_value(loaded: Loaded, tmp_path: Path) -> None:
    settings = loaded()
    account = settings.accounts["acme"]

    assert account.secrets == (Secret("hook-new"), Secret("hook-old"))
    assert account.url == "https://acme.happyfox.com"
    assert (account.api_key.reveal(), account.auth_code.reveal()) == ("the-key", "the-code")
    assert (account.staff_id, account.handlers) == (7, ("vip:router",))
    assert account.budget == Budget(gets=500, posts=300, window=60.0, lockout=600.0, share=0.9, in_flight=8)
    assert (account.timeout, account.doubt, account.loop_guard) == (15.0, 30.0, 20)
    assert (account.rules, account.allow, account.dry_run) == (None, frozenset(), False)
    assert account.router_settings == {}
    assert (settings.redis_url, settings.data) == (None, tmp_path / ".foxhooks")
    assert (settings.lease, settings.handler_seconds, settings.retention_hours) == (15.0, 30.0, 168.0)
    assert (settings.threads, settings.processes, settings.web_concurrency) == (8, 1, 1)
    assert (settings.host, settings.port, settings.sentry_dsn) == (None, 8000, None)
    assert (settings.log_level, settings.log_format, settings.config_path) == ("INFO", "json", None)


def test_settings_cannot_be_changed(loaded: Loaded) -> None:
    settings = loaded()

    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.accounts["beta"] = settings.accounts["acme"]  # type: ignore[index]


@pytest.mark.parametrize(("redis_url", "durability"), [(None, "fsync"), ("redis://store:6379/0", "everysec")])
def test_durability_follows_the_store(loaded: Loaded, redis_url: str | None, durability: str) -> None:
    assert loaded({"REDIS_URL": redis_url}).durability == durability
    assert loaded({"REDIS_URL": redis_url, "FOXHOOKS_DURABILITY": "memory"}).durability == "memory"


# Parts


def test_web_needs_only_the_name_and_the_secrets() -> None:
    settings = load("web", {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "hook"}, Path())
    account = settings.accounts["acme"]

    assert account.secrets == (Secret("hook"),)
    assert (account.url, account.api_key, account.staff_id, account.handlers) == ("", Secret(""), 0, ())


def test_the_worker_needs_no_webhook_secret(loaded: Loaded) -> None:
    settings = loaded({"HAPPYFOX_WEBHOOK_SECRETS": None}, part="worker")

    assert settings.accounts["acme"].secrets == ()
    assert settings.accounts["acme"].api_key == Secret("the-key")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HAPPYFOX_STAFF_ID", "nobody"),
        ("HAPPYFOX_API_KEY", None),
        ("HAPPYFOX_BUDGET_SHARE", "7"),
        ("FOXHOOKS_HANDLERS", "!"),
        ("FOXHOOKS_RULES", "a\nb"),
        ("FOXHOOKS_ALLOW", "vip"),
        ("FOXHOOKS_THREADS", "many"),
        ("FOXHOOKS_HANDLRS", "a misspelt one"),
        ("HAPPYFOX_URL", "https://acme.happyfox.com/api"),
    ],
)
def test_a_broken_worker_value_does_not_stop_web(loaded: Loaded, refused: Refused, name: str, value: str) -> None:
    assert list(loaded({name: value}, part="web").accounts) == ["acme"]
    assert len(refused({name: value}, part="worker")) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("HAPPYFOX_WEBHOOK_SECRETS", None), ("PORT", "http"), ("FOXHOOKS_DASHBOARD_USERS", "ada")],
)
def test_a_broken_web_value_does_not_stop_the_worker(loaded: Loaded, refused: Refused, name: str, value: str) -> None:
    assert list(loaded({name: value}, part="worker").accounts) == ["acme"]
    assert len(refused({name: value}, part="web")) == 1


def test_web_does_not_resolve_references_of_the_worker(loaded: Loaded) -> None:
    toml = TABLES.replace('"key-a"', '"env:NOT_SET"') + '[router.crm]\ntoken = "env:NOT_SET_EITHER"\n'

    assert list(loaded(NO_ACCOUNT, toml, part="web").accounts) == ["acme", "beta"]


def test_a_store_command_reads_no_account(loaded: Loaded) -> None:
    settings = loaded({**NO_ACCOUNT, "FOXHOOKS_HANDLERS": "!", "REDIS_URL": "unix:///run/redis.sock"}, part="store")

    assert settings.accounts == {}
    assert settings.redis_url == "unix:///run/redis.sock"


def test_all_needs_what_both_need(refused: Refused) -> None:
    problems = refused(dict.fromkeys(WHOLE))

    assert {problem.setting for problem in problems} == set(WHOLE)
    assert {problem.problem for problem in problems} == {"is missing"}


@pytest.mark.parametrize(
    ("name", "value", "reported"),
    [
        ("FOXHOOKS_ALLOW", "vip:fly,X:reply,vip:move", ["grants vip the unknown permission 'fly'", "grants to 'X'"]),
        ("FOXHOOKS_HANDLERS", "vip:router,a b,c d", ["contains 'a b'", "contains 'c d'"]),
    ],
)
def test_every_wrong_word_of_a_list_is_reported(refused: Refused, name: str, value: str, reported: list[str]) -> None:
    problems = refused({name: value}, part="worker")

    assert {problem.setting for problem in problems} == {f"{name} (environment)"}
    assert [text for text, problem in zip(reported, problems, strict=True) if text not in problem.problem] == []


@pytest.mark.parametrize("part", ["web", "worker", "all"])
def test_a_missing_setting_is_reported_once_with_where_to_put_it(refused: Refused, part: Part) -> None:
    problems = refused(dict.fromkeys(WHOLE), part=part)

    assert len(problems) == len({problem.setting for problem in problems})
    assert all("set it" in problem.fix for problem in problems)


def test_all_problems_are_listed_one_per_line(refused: Refused, tmp_path: Path) -> None:
    changes = {
        "HAPPYFOX_STAFF_ID": "x",
        "PORT": "0",
        "FOXHOOKS_DURABILITY": "sometimes",
        "REDIS_URL": "http://x",
    }
    problems = refused(changes)

    assert [problem.setting for problem in problems] == [f"{name} (environment)" for name in (
        "REDIS_URL", "FOXHOOKS_DURABILITY", "PORT", "HAPPYFOX_STAFF_ID"
    )]  # fmt: skip
    assert str(SettingsError(problems)).splitlines() == [str(problem) for problem in problems]


def test_a_problem_of_all_accounts_is_reported_once(refused: Refused) -> None:
    (problem,) = refused({**NO_ACCOUNT, "FOXHOOKS_LOOP_GUARD": "none"}, TABLES)

    assert problem.setting == "FOXHOOKS_LOOP_GUARD (environment)"


# The name of an account


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://acme.happyfox.com", "acme"),
        ("https://Acme.HappyFox.net/", "acme"),
        ("https://support.acme.example:8443", "support"),
    ],
)
@pytest.mark.parametrize("part", ["web", "worker", "all"])
def test_the_name_is_the_first_label_of_the_host(loaded: Loaded, url: str, name: str, part: Part) -> None:
    assert list(loaded({"HAPPYFOX_URL": url}, part=part).accounts) == [name]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8100", "http://localhost:8100", "http://[::1]:8100", "https://10.0.0.7"]
)
@pytest.mark.parametrize("part", ["web", "worker", "all"])
def test_a_loopback_or_ip_host_is_no_account_name(loaded: Loaded, refused: Refused, url: str, part: Part) -> None:
    (problem,) = refused({"HAPPYFOX_URL": url}, part=part)

    assert problem.setting == "HAPPYFOX_ACCOUNT"
    assert "contains no account name" in problem.problem
    assert list(loaded({"HAPPYFOX_URL": url, "HAPPYFOX_ACCOUNT": "local"}, part=part).accounts) == ["local"]


def test_a_given_name_wins_over_the_host(loaded: Loaded) -> None:
    assert list(loaded({"HAPPYFOX_ACCOUNT": "support-2"}).accounts) == ["support-2"]


@pytest.mark.parametrize("name", ["Acme", "acme_1", "ac me", "a/b", "acmé", "a\x07b", "a\udcffb"])
def test_a_name_is_lower_case_letters_digits_and_hyphens(refused: Refused, name: str) -> None:
    (problem,) = refused({"HAPPYFOX_ACCOUNT": name})

    assert problem.setting == "HAPPYFOX_ACCOUNT (environment)"


def test_web_without_a_readable_url_asks_for_the_name(refused: Refused) -> None:
    (problem,) = refused({"HAPPYFOX_URL": "acme"}, part="web")

    assert problem.setting == "HAPPYFOX_ACCOUNT"
    assert "HAPPYFOX_URL cannot be read" in problem.problem


def test_a_broken_url_is_reported_to_the_worker_only_once(refused: Refused) -> None:
    (problem,) = refused({"HAPPYFOX_URL": "acme"}, part="worker")

    assert problem.setting == "HAPPYFOX_URL (environment)"


# Environment and file


def test_the_environment_wins_over_the_file(loaded: Loaded) -> None:
    settings = loaded({"FOXHOOKS_THREADS": "3"}, 'threads = 5\nprocesses = 2\nhandlers = ["crm:router"]')

    assert (settings.threads, settings.processes) == (3, 2)
    assert settings.accounts["acme"].handlers == ("vip:router",)


def test_the_same_names_in_lower_case_are_keys_of_the_file(loaded: Loaded) -> None:
    lines = [f'{name.lower()} = "{value}"' for name, value in WHOLE.items()]

    account = loaded(dict.fromkeys(WHOLE), "\n".join(lines)).accounts["acme"]

    assert account.secrets == (Secret("hook-new"), Secret("hook-old"))
    assert (account.staff_id, account.handlers) == (7, ("vip:router",))


def test_each_table_is_an_account(loaded: Loaded) -> None:
    accounts = loaded(NO_ACCOUNT, TABLES).accounts

    assert [(name, account.name, account.staff_id) for name, account in accounts.items()] == [
        ("acme", "acme", 1),
        ("beta", "beta", 2),
    ]
    assert accounts["beta"].secrets == (Secret("hook-b"),)


def test_the_environment_overrides_the_single_table(loaded: Loaded) -> None:
    single = TABLES[: TABLES.index("[accounts.beta]")]

    accounts = loaded(
        {**NO_ACCOUNT, "HAPPYFOX_URL": "http://127.0.0.1:8100", "HAPPYFOX_STAFF_ID": "9"}, single
    ).accounts

    assert list(accounts) == ["acme"]
    assert (accounts["acme"].url, accounts["acme"].staff_id) == ("http://127.0.0.1:8100", 9)
    assert accounts["acme"].api_key == Secret("key-a")


def test_a_name_other_than_that_of_the_single_table_is_refused(loaded: Loaded, refused: Refused) -> None:
    single = TABLES[: TABLES.index("[accounts.beta]")]

    assert list(loaded({**NO_ACCOUNT, "HAPPYFOX_ACCOUNT": "acme"}, single).accounts) == ["acme"]
    (problem,) = refused({**NO_ACCOUNT, "HAPPYFOX_ACCOUNT": "gamma"}, single)
    assert problem.problem == "is gamma, but the account in the file is acme"


def test_with_several_accounts_a_variable_for_one_is_refused(refused: Refused) -> None:
    problems = refused({**NO_ACCOUNT, "HAPPYFOX_STAFF_ID": "9", "HAPPYFOX_ACCOUNT": "acme"}, TABLES)

    assert [problem.setting for problem in problems] == [
        "HAPPYFOX_ACCOUNT (environment)",
        "HAPPYFOX_STAFF_ID (environment)",
    ]
    assert problems[1].fix == "set staff_id in each [accounts.NAME] instead"


def test_a_variable_of_the_other_part_is_not_ambiguous(loaded: Loaded) -> None:
    assert loaded({**NO_ACCOUNT, "HAPPYFOX_STAFF_ID": "9"}, TABLES, part="web")


def test_a_setting_missing_in_one_account_is_reported_with_its_table(refused: Refused) -> None:
    (problem,) = refused(NO_ACCOUNT, TABLES.replace("staff_id = 2", ""))

    assert problem.setting == "accounts.beta.staff_id (foxhooks.toml)"
    assert problem.fix.startswith("set staff_id in [accounts.beta] of foxhooks.toml")


def test_an_account_may_have_its_own_handlers_grants_dry_run_and_loop_guard(loaded: Loaded) -> None:
    own = 'handlers = ["own:router"]\ndry_run = true\nloop_guard = 3\npermissions = { own = ["move"] }\n'
    top = 'handlers = ["top:router"]\nloop_guard = 5\nallow = ["top:reply"]\n'

    accounts = loaded({**NO_ACCOUNT, "FOXHOOKS_HANDLERS": None}, top + TABLES + own).accounts

    assert (accounts["acme"].handlers, accounts["beta"].handlers) == (("top:router",), ("own:router",))
    assert (accounts["acme"].dry_run, accounts["beta"].dry_run) == (False, True)
    assert (accounts["acme"].loop_guard, accounts["beta"].loop_guard) == (5, 3)
    assert accounts["acme"].allow == {("top", "reply")}
    assert accounts["beta"].allow == {("own", "move")}


def test_dry_run_in_the_environment_applies_to_every_account(loaded: Loaded) -> None:
    accounts = loaded({**NO_ACCOUNT, "FOXHOOKS_DRY_RUN": "1"}, TABLES + "dry_run = false\n").accounts

    assert all(account.dry_run for account in accounts.values())


def test_an_account_may_run_some_routers_dry(loaded: Loaded) -> None:
    accounts = loaded(NO_ACCOUNT, 'dry_run = ["vip"]\n' + TABLES + "dry_run = true\n").accounts

    assert (accounts["acme"].dry_run, accounts["acme"].dry_routers) == (False, {"vip"})
    assert (accounts["beta"].dry_run, accounts["beta"].dry_routers) == (True, frozenset())


def test_a_blank_off_tag_is_none(loaded: Loaded) -> None:
    tags = [loaded({"FOXHOOKS_OFF_TAG": given}).accounts["acme"].off_tag for given in ("", " ", None, " Bot-Off ")]
    in_file = loaded({}, 'off_tag = ""\noff = "skip"').accounts["acme"]

    assert tags == ["", "", "foxhooks-off", "Bot-Off"]
    assert (in_file.off_tag, in_file.off_skips) == ("", True)


def test_an_off_tag_is_a_single_tag(refused: Refused) -> None:
    assert refused({"FOXHOOKS_OFF_TAG": "off,foxhooks-off"})[0].problem == "is more than one tag"


def test_a_blank_value_counts_as_not_set(loaded: Loaded, refused: Refused) -> None:
    assert loaded({"REDIS_URL": " ", "FOXHOOKS_RULES": "", "FOXHOOKS_CONFIG": ""}, 'sentry_dsn = ""').redis_url is None
    assert refused({"HAPPYFOX_API_KEY": " "})[0].problem == "is missing"


# Old names


@pytest.mark.parametrize(
    ("changes", "toml", "where"),
    [
        ({"FOXHOOKS_FUSE": "3"}, "", "FOXHOOKS_FUSE (environment): {}; write FOXHOOKS_LOOP_GUARD"),
        ({}, "fuse = 3", "fuse (foxhooks.toml): {}; write loop_guard"),
        ({}, "foxhooks_fuse = 3", "foxhooks_fuse (foxhooks.toml): {}; write loop_guard"),
        ({}, "[accounts.acme]\nfuse = 3", "accounts.acme.fuse (foxhooks.toml): {}; write loop_guard"),
    ],
)
def test_an_old_name_is_accepted_with_a_warning(
    loaded: Loaded, changes: dict[str, str | None], toml: str, where: str
) -> None:
    settings = loaded(changes, toml)

    assert settings.accounts["acme"].loop_guard == 3
    problem = "was renamed in 0.2.0, and the next release will reject this name"
    assert [str(warning) for warning in settings.warnings] == [where.format(problem)]
    assert loaded(changes, toml, part="web").warnings == ()


@pytest.mark.parametrize(
    ("changes", "toml", "where"),
    [
        ({"FOXHOOKS_FUSE": "3", "FOXHOOKS_LOOP_GUARD": "4"}, "", "FOXHOOKS_FUSE (environment)"),
        ({}, "fuse = 3\nloop_guard = 4", "loop_guard (foxhooks.toml)"),
        ({}, "[accounts.acme]\nfuse = 3\nloop_guard = 4", "accounts.acme.loop_guard (foxhooks.toml)"),
    ],
)
def test_an_old_name_beside_the_new_one_is_refused(
    refused: Refused, changes: dict[str, str | None], toml: str, where: str
) -> None:
    (problem,) = refused(changes, toml)

    assert (problem.setting, problem.problem) == (where, "is given twice under two names")


# Rules


def test_rules_run_last_unless_they_are_named(loaded: Loaded, tmp_path: Path) -> None:
    def handlers(names: str | None) -> tuple[str, ...]:
        account = loaded({"FOXHOOKS_RULES": "rules.toml", "FOXHOOKS_HANDLERS": names}).accounts["acme"]
        assert account.rules == tmp_path / "rules.toml"
        return account.handlers

    assert handlers("vip:router") == ("vip:router", "rules")
    assert handlers("rules,vip:router") == ("rules", "vip:router")
    assert handlers(None) == ("rules",)


def test_the_word_rules_needs_a_rules_file(refused: Refused) -> None:
    (problem,) = refused({"FOXHOOKS_HANDLERS": "vip:router,rules"})

    assert str(problem) == (
        "FOXHOOKS_HANDLERS (environment): names rules, but FOXHOOKS_RULES is not set; "
        "set it to the path of a rules file, or remove the word rules"
    )


def test_each_account_may_have_its_own_rules(loaded: Loaded, tmp_path: Path) -> None:
    toml = 'rules = "all.toml"\n' + TABLES + 'rules = "beta.toml"\n'

    accounts = loaded(NO_ACCOUNT, toml).accounts

    assert [accounts[name].rules for name in ("acme", "beta")] == [tmp_path / "all.toml", tmp_path / "beta.toml"]
    assert accounts["beta"].handlers[-1] == "rules"


def test_rules_files_are_found_despite_other_mistakes(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text('rules = "r.toml"\nallow = ["rules:reply"]\nnonsense = 3\n')
    (found,) = rules_files({"FOXHOOKS_THREADS": "many"}, tmp_path)
    assert found == RulesFile("", tmp_path / "r.toml", frozenset({("rules", "reply")}))

    with pytest.raises(SettingsError, match="FOXHOOKS_ALLOW"):
        rules_files({"FOXHOOKS_ALLOW": "rules"}, tmp_path)
    assert rules_files({}, tmp_path / "elsewhere") == [RulesFile("", None, frozenset())]


# A script

LEAST = {"HAPPYFOX_URL": "https://acme.happyfox.com", "HAPPYFOX_API_KEY": "k", "HAPPYFOX_AUTH_CODE": "c"}


def test_address_and_credentials_are_enough(tmp_path: Path) -> None:
    found = load_account(LEAST, tmp_path)
    assert (found.account.name, found.account.staff_id, found.redis_url) == ("acme", 0, None)
    assert found.account.budget.gets == 500
    assert found.data == tmp_path / ".foxhooks"


def test_given_values_replace_the_defaults(tmp_path: Path) -> None:
    more = {"HAPPYFOX_STAFF_ID": "7", "HAPPYFOX_GETS_PER_MINUTE": "9", "REDIS_URL": "redis://127.0.0.1:6379/0"}
    found = load_account({**LEAST, **more, "FOXHOOKS_HANDLERS": "???"}, tmp_path)
    assert (found.account.staff_id, found.account.budget.gets) == (7, 9)
    assert found.redis_url == more["REDIS_URL"]
    assert "6379" not in repr(found)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as wrong:
        load_account({"HAPPYFOX_URL": "http://acme.happyfox.com", "HAPPYFOX_STAFF_ID": "Ann"}, tmp_path)
    named = {problem.setting.partition(" ")[0] for problem in wrong.value.problems}
    assert named == {"HAPPYFOX_URL", "HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE", "HAPPYFOX_STAFF_ID"}


def test_a_broken_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text("[accounts")
    with pytest.raises(SettingsError, match=r"foxhooks\.toml"):
        load_account(LEAST, tmp_path)
