"""No secret is ever printed: not by settings, not by problems, not by an exception and its context."""

import json
import string
import tempfile
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.support.settings import WHOLE
from workers.settings import Part, SettingsError, load

# Marked, so that finding one in a text is no accident.
KEYS = some.text(string.ascii_letters + string.digits + ':/@#?[]%"\\,=- \x07éß', max_size=20).map(
    lambda text: f"qZ7{text}7Zq"
)
PARTS: some.SearchStrategy[Part] = some.sampled_from(["web", "worker", "all", "store"])
HOLDERS = ["HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE", "HAPPYFOX_WEBHOOK_SECRETS", "SENTRY_DSN", "REDIS_URL"]
MISTAKES = ["", "PORT", "HAPPYFOX_STAFF_ID", "FOXHOOKS_UNKNOWN", "FOXHOOKS_DRY_RUN"]


def printed(part: Part, environ: dict[str, str], folder: Path) -> str:
    """Everything a person could get to see of a load."""
    try:
        settings = load(part, environ, folder)
    except SettingsError as error:
        shown = "".join(traceback.format_exception(error))
        return f"{error}{error!r}{error.args}{error.problems}{shown}"
    return f"{settings}{settings!r}{settings.accounts}"


def leaked(key: str, text: str) -> bool:
    return any(word in text for word in ("qZ7", "7Zq")) or (len(key) > 10 and key in text)


@given(part=PARTS, key=KEYS, holder=some.sampled_from(HOLDERS), mistake=some.sampled_from(MISTAKES))
def test_no_secret_of_the_environment_is_printed(part: Part, key: str, holder: str, mistake: str) -> None:
    environ = {**WHOLE, holder: key, **({mistake: "wrong"} if mistake else {})}

    assert not leaked(key, printed(part, environ, Path("/nonexistent")))


@given(part=PARTS, key=KEYS, mistake=some.sampled_from(MISTAKES))
def test_no_password_in_an_address_is_printed(part: Part, key: str, mistake: str) -> None:
    environ = {
        **WHOLE,
        "REDIS_URL": f"rediss://:{key}@store:6379/0",
        "SENTRY_DSN": f"https://{key}@errors.example/4",
        "HAPPYFOX_URL": f"https://{key}@acme.happyfox.com",
        **({mistake: "wrong"} if mistake else {}),
    }

    assert not leaked(key, printed(part, environ, Path("/nonexistent")))


@given(part=PARTS, key=KEYS, ending=some.sampled_from(["", "staff_id = 3\n", "staf_id = 3\n", "broken\n"]))
def test_no_secret_of_the_file_is_printed(part: Part, key: str, ending: str) -> None:
    quoted = json.dumps(key)
    file = (
        f"redis_url = {quoted}\n[router.crm]\ntoken = {quoted}\n[accounts.acme]\nurl = 'https://acme.happyfox.com'\n"
        f"api_key = {quoted}\nauth_code = {quoted}\nwebhook_secrets = [{quoted}]\n{ending}"
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "foxhooks.toml").write_text(file, encoding="utf-8")

        assert not leaked(key, printed(part, {"FOXHOOKS_HANDLERS": "vip:router"}, Path(folder)))


@given(part=PARTS, key=KEYS, variable=some.sampled_from([*WHOLE, "PORT", "HOST", "LOG_LEVEL", "FOXHOOKS_DATA"]))
def test_a_key_pasted_into_another_setting_is_not_repeated(part: Part, key: str, variable: str) -> None:
    if variable == "FOXHOOKS_HANDLERS":
        return  # names of routers are repeated, they are no secrets
    shown = ""
    try:
        load(part, {**WHOLE, variable: key}, Path("/nonexistent"))
    except SettingsError as error:
        shown = str(error)

    assert not leaked(key, shown)


@pytest.mark.parametrize(
    "key", ["0f3b9c41d2aa4e7799c0b1e5a6d87f23", "b7d4a1c9-93f2-4e1b-8a60-52c7d9e0f341", "aGVsbG8wd29ybGQxMjM0NTY="]
)
@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({"FOXHOOKS_HANDLERS": "{}"}, ""),
        ({"FOXHOOKS_HANDLERS": "vip:router,{}:x!"}, ""),
        ({"FOXHOOKS_ALLOW": "{}"}, ""),
        ({"FOXHOOKS_ALLOW": "vip:{}"}, ""),
        ({"FOXHOOKS_DRY_RUN": "vip,{}!"}, ""),
        ({"HAPPYFOX_ACCOUNT": "{}"}, "[accounts.acme]\n"),
        ({}, "'{}' = 1\n"),
        ({}, "[accounts.'{}']\nurl = 1\n"),
        ({}, "[accounts.acme]\n'{}' = 1\n"),
        ({}, "[router.'{}_']\n"),
    ],
)
def test_a_key_pasted_as_a_name_is_not_repeated(key: str, environ: dict[str, str], file: str, tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text(file.replace("{}", key))
    pasted = {name: value.format(key) for name, value in environ.items()}
    shown = ""
    try:
        load("all", {**({} if "accounts" in file else WHOLE), **pasted}, tmp_path)
    except SettingsError as error:
        shown = str(error)
    assert key not in shown
    assert shown or "FOXHOOKS_HANDLERS" in pasted  # the loader of plug-ins refuses a name of an entry point


@given(part=PARTS, key=some.text(string.ascii_letters, max_size=20).map(lambda text: f"qZ7{text}7Zq"))
def test_settings_that_load_print_no_secret(part: Part, key: str) -> None:
    environ = dict.fromkeys(["HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE", "HAPPYFOX_WEBHOOK_SECRETS"], key)
    addresses = {"REDIS_URL": f"redis://:{key}@store:6379", "SENTRY_DSN": f"https://{key}@errors.example/4"}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "foxhooks.toml").write_text(f"[router.crm]\ntoken = '{key}'", encoding="utf-8")

        shown = printed(part, {**WHOLE, **environ, **addresses}, Path(folder))

    assert shown.startswith("Settings(")
    assert not leaked(key, shown)
