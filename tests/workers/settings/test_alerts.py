"""The tables [[alert]]: every mistake is reported with its fix, and no key is shown."""

from pathlib import Path

import pytest

from workers.settings import SettingsError, environ_for, load

WEB = {"HAPPYFOX_ACCOUNT": "acme", "HAPPYFOX_WEBHOOK_SECRETS": "k" * 20, "SLACK": "https://hooks.slack.example/T0/key"}


def problems(folder: Path, table: str, **environ: str) -> str:
    (folder / "foxhooks.toml").write_text(f"[[alert]]\n{table}\n")
    with pytest.raises(SettingsError) as error:
        load("web", WEB | environ, folder)
    return "\n".join(map(str, error.value.problems))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('to = "slack:env:SLACK"', "when is missing"),
        ('when = "locked-out"', "to is missing"),
        ('when = "locked-uot"\nto = "slack:env:SLACK"', "did you mean 'locked-out'?"),
        ('when = "locked-out"\nto = "slack:env:NONE"', "NONE, which is not set"),
        ('when = "locked-out"\nto = "sms:+49"', "write slack:env:VARIABLE"),
        ('when = "locked-out"\nto = "slack:http://a.example"', "sent in the clear"),
        ('when = "locked-out"\nto = "webhook:env:SLACK"', "secret is missing"),
        ('when = "locked-out"\nto = "mail:ops"', "without an email address"),
        ('when = "locked-out"\nto = "mail:ops@a.example"', "FOXHOOKS_SMTP_URL is missing"),
        ('when = "oldest-due"\nage = "long"\nto = "slack:env:SLACK"', "age is not a duration"),
        ('when = "silent"\nsilent = 3\nto = "slack:env:SLACK"', "did you mean 'silent_after'?"),
    ],
)
def test_a_mistake_is_reported_with_its_fix(tmp_path: Path, table: str, words: str) -> None:
    found = problems(tmp_path, table)
    assert words in found
    assert "alert" in found
    assert "T0/key" not in found


def test_alerts_are_read_by_web_and_worker_with_the_variables_that_they_name(tmp_path: Path) -> None:
    toml = 'to = ["slack:env:SLACK", "mail:ops@a.example"]\nwhen = ["no-workers", "dead-letters"]\ncount = 5\n'
    (tmp_path / "foxhooks.toml").write_text(f"[[alert]]\n{toml}")
    environ = WEB | {"FOXHOOKS_SMTP_URL": "smtps://u:p@mail.example", "OTHER": "x"}
    first, second = load("web", environ, tmp_path).alerts
    assert (first.when, second.when, second.count) == ("no-workers", "dead-letters", 5)
    assert [each.shown for each in first.to] == ["slack (SLACK)", "mail to ops@a.example"]
    assert "T0/key" not in repr(first)
    passed = environ_for("web", environ, tmp_path)
    assert {"SLACK", "FOXHOOKS_SMTP_URL"} <= passed.keys()
    assert "OTHER" not in passed
