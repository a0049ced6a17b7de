"""Environments: each process gets what it reads, and no secret of another one."""

from pathlib import Path

import pytest

from workers.settings import environ_for, load, plain_environ

SECRETS = {
    "HAPPYFOX_API_KEY": "key",
    "HAPPYFOX_AUTH_CODE": "code",
    "CRM_TOKEN": "token",
    "AWS_SECRET_ACCESS_KEY": "other",
}
WEB = {
    "HAPPYFOX_URL": "https://acme.happyfox.com",
    "HAPPYFOX_WEBHOOK_SECRETS": "signing-key-1",
    "REDIS_URL": "redis://:word@store.example",
    "SENTRY_DSN": "https://key@errors.example/4",
    "SENTRY_ENVIRONMENT": "production",
    "WEB_CONCURRENCY": "2",
}
PLAIN = {"PATH": "/usr/bin", "LC_ALL": "C", "TZ": "UTC", "PYTHONPATH": "/app"}


def test_the_web_process_gets_what_it_reads_and_no_other_secret(tmp_path: Path) -> None:
    assert environ_for("web", {**SECRETS, **WEB, **PLAIN}, tmp_path) == {**WEB, **PLAIN}


def test_it_gets_the_variables_that_the_file_names_for_its_settings(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text("""
        redis_url = "env:STORE"
        [accounts.acme]
        url = "https://acme.happyfox.com"
        api_key = "env:ACME_KEY"
        auth_code = "env:ACME_CODE"
        webhook_secrets = ["env:ACME_HOOK", "env:ACME_OLD_HOOK"]
        [router.crm]
        token = "env:CRM_TOKEN"
    """)
    given = {"STORE": "redis://store.example", "ACME_HOOK": "signing-key-1", "ACME_OLD_HOOK": "signing-key-2"}
    environ = environ_for("web", {**given, **SECRETS, "ACME_KEY": "key", "ACME_CODE": "code"}, tmp_path)
    assert environ == given
    assert len(load("web", environ, tmp_path).accounts["acme"].secrets) == 2


@pytest.mark.parametrize("environ", [SECRETS, WEB])
def test_other_programs_get_no_setting(environ: dict[str, str]) -> None:
    assert plain_environ({**environ, **PLAIN}) == PLAIN
