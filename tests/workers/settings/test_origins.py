"""Each setting knows where its value in force is defined, so that a fix names the right place."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.settings import Loaded
from workers.settings import Account, rules_files

NO_ACCOUNT = dict.fromkeys(("HAPPYFOX_URL", "HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE", "HAPPYFOX_STAFF_ID"))
HOOKS = {"HAPPYFOX_WEBHOOK_SECRETS": None}
TABLE = """
[accounts.{0}]
url = "https://{0}.happyfox.com"
api_key = "env:KEY"
auth_code = "code"
webhook_secrets = ["hook"]
staff_id = 2
"""


def acme(loaded: Loaded, environ: Mapping[str, str | None] | None = None, toml: str | None = None) -> Account:
    return loaded(environ or {}, toml).accounts["acme"]


def grants(loaded: Loaded, environ: Mapping[str, str | None] | None = None, toml: str | None = None) -> tuple[str, str]:
    """Return what a missing and an existing grant look like."""
    found = acme(loaded, environ, toml).grants
    return found.adding("rules", ["reply"]), found.source("vip", "move")


def test_a_variable_is_repeated_with_the_grants_it_has(loaded: Loaded) -> None:
    line, source = grants(loaded, {"FOXHOOKS_ALLOW": "vip:move,crm:move"}, '[permissions]\nrules = ["move"]')
    assert line == "FOXHOOKS_ALLOW=crm:move,rules:reply,vip:move"
    assert source == "FOXHOOKS_ALLOW=vip:move"


def test_a_table_is_named_with_the_line_of_the_router(loaded: Loaded) -> None:
    line, source = grants(loaded, {}, '[permissions]\nvip = ["move"]\nrules = ["move"]')
    assert line == 'rules = ["move", "reply"] in [permissions] of foxhooks.toml'
    assert source == "[permissions] vip in foxhooks.toml"


def test_the_table_of_an_account_is_named(loaded: Loaded) -> None:
    toml = '[permissions]\nrules = ["move"]\n' + TABLE.format("acme") + '[accounts.acme.permissions]\nvip = ["move"]'
    line, source = grants(loaded, {**NO_ACCOUNT, **HOOKS, "KEY": "k"}, toml)
    assert line == 'rules = ["reply"] in [accounts.acme.permissions] of foxhooks.toml'
    assert source == "[accounts.acme.permissions] vip in foxhooks.toml"


def test_a_list_is_repeated_with_the_grants_it_has(loaded: Loaded) -> None:
    line, source = grants(loaded, {}, 'allow = ["vip:move"]')
    assert line == 'allow = ["rules:reply", "vip:move"] in foxhooks.toml'
    assert source == "allow in foxhooks.toml"


def test_a_value_that_the_file_reads_from_a_variable_is_defined_there(loaded: Loaded) -> None:
    environ = {"OUR_GRANTS": "vip:move"}
    assert grants(loaded, environ, 'allow = "env:OUR_GRANTS"')[0] == "OUR_GRANTS=rules:reply,vip:move"


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (None, "FOXHOOKS_ALLOW=rules:reply"),
        ("threads = 4", 'rules = ["reply"] in [permissions] of foxhooks.toml'),
    ],
)
def test_without_grants_the_file_is_the_place_if_there_is_one(loaded: Loaded, toml: str | None, line: str) -> None:
    assert grants(loaded, {}, toml)[0] == line


def test_a_message_names_a_setting_by_its_place(loaded: Loaded) -> None:
    toml = 'handlers = ["vip:router"]\nthreads = 4\n' + TABLE.format("acme") + "dry_run = true\n"
    toml += TABLE.format("beta")
    environ = {**NO_ACCOUNT, **HOOKS, "KEY": "k", "FOXHOOKS_HANDLERS": None, "LOG_LEVEL": "DEBUG"}
    settings = loaded(environ, toml)
    account = settings.accounts["acme"]
    assert account.where("HAPPYFOX_STAFF_ID") == "staff_id in [accounts.acme] of foxhooks.toml"
    assert account.where("HAPPYFOX_IN_FLIGHT") == "in_flight in [accounts.acme] of foxhooks.toml"
    assert account.where("HAPPYFOX_API_KEY") == "KEY"
    assert account.where("FOXHOOKS_HANDLERS") == "handlers in foxhooks.toml"
    assert account.where("FOXHOOKS_DRY_RUN") == "dry_run in [accounts.acme] of foxhooks.toml"
    assert account.where("FOXHOOKS_RULES") == "FOXHOOKS_RULES"
    assert settings.where("FOXHOOKS_THREADS") == "threads in foxhooks.toml"
    assert settings.where("LOG_LEVEL") == "LOG_LEVEL"
    assert settings.where("REDIS_URL") == "REDIS_URL"


def test_rules_files_know_where_their_grants_are_defined(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text('[permissions]\nrules = ["move"]\n')
    (found,) = rules_files({}, tmp_path)
    assert found.grants.adding("rules", ["reply"]) == 'rules = ["move", "reply"] in [permissions] of foxhooks.toml'
