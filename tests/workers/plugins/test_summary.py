"""What a worker publishes about its routers."""

import sys
from pathlib import Path

import pytest

from workers.plugins.loading import load_accounts
from workers.plugins.summary import summarize
from workers.rules import file as rules
from workers.settings import load
from workers.store.fleet import RunningAccount

PLUGIN = """
from dataclasses import dataclass
from workers import Router
@dataclass(frozen=True)
class Settings:
    url: str
router = Router("fleetvip", settings=Settings)
@router.on("ticket-created", "contact-replied")
def greet(ticket, event): ...
@router.every("1h", find='status:"New"')
def chase(ticket, event): ...
"""
RULES = '[[rule]]\nname = "r"\non = "ticket-created"\nadd_tags = ["a"]\n'
TOML = """
handlers = ["fleetvip:router"]
rules = "rules.toml"
dry_run = ["rules"]
[permissions]
fleetvip = ["reply", "move"]
[accounts.acme]
url = "https://acme.happyfox.com"
api_key = "a-key-of-acme"
auth_code = "a-code-of-acme"
staff_id = 7
gets_per_minute = 77
[router.fleetvip]
url = "https://u:p4ss@crm.example"
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path) -> None:
    (tmp_path / "fleetvip.py").write_text(PLUGIN)
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "foxhooks.toml").write_text(TOML)


def summary(folder: Path) -> RunningAccount:
    sys.modules.pop("fleetvip", None)
    settings = load("worker", {}, folder)
    loaded = load_accounts(settings.accounts.values(), folder, rules.load)
    return summarize(settings.accounts["acme"], loaded["acme"])


def test_routers_are_published_with_kinds_grants_schedules_and_dry_run(tmp_path: Path) -> None:
    found = summary(tmp_path)
    vip, own = found.routers
    assert [(each.name, each.kinds) for each in vip.handlers] == [
        ("fleetvip.greet", ("contact-replied", "ticket-created")),
        ("fleetvip.chase", ("scheduled",)),
    ]
    assert vip.handlers[1].schedule == '1 h: status:"New"'
    assert (vip.grants, vip.dry_run, own.name, own.dry_run) == (("move", "reply"), False, "rules", True)
    assert (found.dry_run, found.dry_routers, found.loop_guard) == (False, ("rules",), 20)
    assert found.budget is not None
    assert found.budget.gets == 77
    assert "p4ss" not in repr(found)


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("fleetvip.py", "greet", "welcome", "handlers"),
        ("foxhooks.toml", "crm.example", "crm2.example", "handlers"),
        ("rules.toml", '"a"', '"b"', "rules"),
    ],
)
def test_an_edited_file_changes_its_digest_only(tmp_path: Path, file: str, old: str, new: str, changed: str) -> None:
    before = summary(tmp_path)
    assert summary(tmp_path) == before
    path = tmp_path / file
    path.write_text(path.read_text().replace(old, new))
    after = summary(tmp_path)
    assert {name for name in ("handlers", "rules") if getattr(after, name) != getattr(before, name)} == {changed}
