import pytest

from tests.support.settings import Loaded, Refused
from workers.settings import Part


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("HAPPYFOX_WEBHOOK_SECRET", "HAPPYFOX_WEBHOOK_SECRETS"),
        ("FOXHOOKS_LEASE_SECOND", "FOXHOOKS_LEASE_SECONDS"),
        ("FOXHOOKS_DRYRUN", "FOXHOOKS_DRY_RUN"),
        ("FOXHOOKS_URL", "HAPPYFOX_URL"),
        ("FOXHOOKS_REDIS_URL", "REDIS_URL"),
        ("HAPPYFOX_APIKEY", "HAPPYFOX_API_KEY"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(refused: Refused, name: str, nearest: str) -> None:
    (problem,) = refused({name: "1"})

    assert problem.setting == f"{name} (environment)"
    assert problem.fix == f"did you mean {nearest!r}?"


@pytest.mark.parametrize("part", ["web", "worker", "all", "store"])
def test_a_variable_like_no_setting_is_reported_to_every_part(refused: Refused, part: Part) -> None:
    (problem,) = refused({"FOXHOOKS_XYZZY_PLUGH": "1"}, part=part)

    assert "docs/settings.md" in problem.fix


def test_variables_of_other_programs_are_ignored(loaded: Loaded) -> None:
    assert loaded({"PATH": "/bin", "REDIS_HOST": "x", "foxhooks_port": "1", "FOXHOOK": "x"})


def test_a_variable_with_a_name_that_does_not_print_is_escaped(refused: Refused) -> None:
    (problem,) = refused({"FOXHOOKS_\x1b[31m": "1"})

    assert problem.setting == r"'FOXHOOKS_\x1b[31m' (environment)"


@pytest.mark.parametrize(
    ("toml", "setting", "fix"),
    [
        ("thread = 3", "thread", "did you mean 'threads'?"),
        ("foxhooks_thread = 3", "foxhooks_thread", "did you mean 'threads'?"),
        ("loop_gard = 3", "loop_gard", "did you mean 'loop_guard'?"),
        ("fused = 3", "fused", "remove it; docs/settings.md lists all settings"),
        ("[account.acme]", "account", "did you mean 'accounts'?"),
        ("xyzzy_plugh = 3", "xyzzy_plugh", "remove it; docs/settings.md lists all settings"),
        ('url = "x"', "url", "move it into [accounts.NAME]"),
        ('foxhooks_config = "x"', "foxhooks_config", "set FOXHOOKS_CONFIG instead"),
        ("[accounts.acme]\nstaf_id = 3", "accounts.acme.staf_id", "did you mean 'staff_id'?"),
        ("[accounts.acme]\nhappyfox_staff_id = 3", "accounts.acme.happyfox_staff_id", "write staff_id"),
        ("[accounts.acme]\nfoxhooks_loop_guard = 3", "accounts.acme.foxhooks_loop_guard", "write loop_guard"),
        (
            "[accounts.acme]\nthreads = 3",
            "accounts.acme.threads",
            "move it to the top of the file, above the first [table]",
        ),
        (
            '[accounts.acme]\n"\\u001b" = 3',
            r"'accounts.acme.\x1b'",
            "remove it; docs/settings.md lists all settings",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_where_it_belongs(refused: Refused, toml: str, setting: str, fix: str) -> None:
    (problem,) = refused(toml=toml)

    assert (problem.setting, problem.fix) == (f"{setting} (foxhooks.toml)", fix)


def test_a_misspelled_key_of_the_worker_does_not_stop_web(loaded: Loaded, refused: Refused) -> None:
    toml = "[accounts.acme]\nstaf_id = 3"

    assert loaded(toml=toml, part="web")
    assert refused(toml=toml, part="worker")


@pytest.mark.parametrize(
    ("toml", "setting"),
    [
        ("threads = 3\nfoxhooks_threads = 4", "threads"),
        ('allow = []\n[permissions]\nvip = ["reply"]', "permissions"),
        (
            '[accounts.acme]\nallow = []\n[accounts.acme.permissions]\nvip = ["reply"]',
            "accounts.acme.permissions",
        ),
    ],
)
def test_a_setting_given_under_two_names_is_refused(refused: Refused, toml: str, setting: str) -> None:
    (problem,) = refused(toml=toml)

    assert problem.setting == f"{setting} (foxhooks.toml)"
    assert problem.problem == "is given twice under two names"


def test_a_workers_setting_given_twice_does_not_stop_web(loaded: Loaded) -> None:
    assert loaded(toml="threads = 3\nfoxhooks_threads = 4", part="web")


@pytest.mark.parametrize("name", ["Acme", "ac me", "ac\\u0007me", "é"])
def test_the_name_of_a_table_is_the_name_of_an_account(refused: Refused, name: str) -> None:
    (problem,) = refused(toml=f'[accounts."{name}"]')

    assert problem.problem in ("is not a valid account name", "contains a control character")
    assert problem.setting.isascii()
    assert problem.setting.isprintable()


def test_the_table_of_a_router_has_a_valid_name(refused: Refused) -> None:
    (problem,) = refused(toml="[router.Crm]")

    assert problem.setting == "router.Crm (foxhooks.toml)"
    assert problem.problem == "is not a valid router name"


@pytest.mark.parametrize("name", ["acme\\n", " acme", "acme\\t"])
def test_white_space_is_no_part_of_an_accounts_name(refused: Refused, name: str) -> None:
    problems = refused({"HAPPYFOX_ACCOUNT": None}, f'[accounts."{name}"]\n')
    assert ("begins or ends with white space", "remove it") in [(each.problem, each.fix) for each in problems]
