"""docs/settings.md describes every setting correctly."""

import re
from pathlib import Path

from workers.settings import load
from workers.settings.table import SETTINGS, Setting

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
# The page speaks of processes, not of scripts, which read what calls need.
READ_BY = {
    frozenset({"web", "all"}): "web",
    frozenset({"worker", "all"}): "worker",
    frozenset({"web", "worker", "all"}): "web, worker",
    frozenset({"web", "dashboard", "all"}): "web, dashboard",
    frozenset({"gateway", "all"}): "gateway",
    frozenset({"web", "dashboard", "gateway", "all"}): "web, dashboard, gateway",
    frozenset({"worker", "gateway", "all"}): "worker, gateway",
    frozenset({"web", "worker", "dashboard", "gateway", "all"}): "all",
    frozenset({"web", "worker", "dashboard", "gateway", "all", "store"}): "all",
}
# Defaults that are not a single value.
DEFAULTS = {
    "FOXHOOKS_CONFIG": "`foxhooks.toml` in the current folder, if there is one",
    "HAPPYFOX_ACCOUNT": "the first label of the host in `HAPPYFOX_URL`",
    "HAPPYFOX_TIMEOUT_SECONDS": "`15` (60 with files)",
    "FOXHOOKS_HANDLERS": "required, unless `FOXHOOKS_RULES` is set",
    "REDIS_URL": "the embedded store",
    "FOXHOOKS_DURABILITY": "`fsync` with the embedded store, else `everysec`",
    "FOXHOOKS_STORE_MAXMEMORY": "half of the memory of the machine or the container, whichever has less",
    "PORT": "`8000`, `8010` for `simulator`",
    "HOST": "`0.0.0.0` for `web` and `dashboard`, `127.0.0.1` for `up`, `demo`, `gateway` and `simulator`",
}


def default_text(setting: Setting) -> str:
    if setting.variable in DEFAULTS or setting.required:
        return DEFAULTS.get(setting.variable, "required")
    if not setting.default:
        return "off" if setting.default is False else "none"
    if setting.default is True:
        return "on"
    return f"`{setting.default:g}`" if isinstance(setting.default, float) else f"`{setting.default}`"


def rows() -> list[tuple[str, ...]]:
    return re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)


def test_every_setting_is_on_the_page_once_with_its_default_and_its_readers() -> None:
    expected = {(row.variable, default_text(row), READ_BY[row.parts - {"calls"}]) for row in SETTINGS}

    assert {row[:3] for row in rows()} == expected
    assert len(rows()) == len(SETTINGS)


def test_the_page_names_what_was_renamed() -> None:
    renamed = [row.renamed.variable for row in SETTINGS if row.renamed]
    assert [variable for variable in renamed if f"`{variable}`" not in PAGE.read_text()] == []


def test_the_file_on_the_page_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example
    (tmp_path / "foxhooks.toml").write_text(example[1])
    names = re.findall(r"env:(\w+)", example[1])

    settings = load("all", dict.fromkeys(names, "something"), tmp_path)

    assert list(settings.accounts) == ["acme", "beta"]
    assert settings.threads == 4
    assert settings.accounts["acme"].allow == {("vip", "reply")}
    assert settings.accounts["beta"].allow == {("crm", "move"), ("crm", "subscribe")}
    assert settings.accounts["beta"].dry_routers == {"crm"}
    assert settings.accounts["acme"].router_settings["crm"]["token"] == "something"
