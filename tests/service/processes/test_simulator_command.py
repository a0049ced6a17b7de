"""docs/simulator.md and the command line have every option of the simulator."""

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from service.processes.simulator_command import run_simulator
from tests.support.commands import run, wrong
from workers.simulator import Hook, Options, admin
from workers.simulator.options import descriptions

PAGE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
ROWS = {row[0]: row[1:] for row in re.findall(r"^\| `--([a-z-]+)` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)}


def switches(model: type[Any], prefix: str) -> dict[str, tuple[Any, str]]:
    help = descriptions(model)
    members = [each for each in fields(model) if each.default is not MISSING and each.name != "_"]
    return {prefix + each.name: (each.default, " ".join(help[each.name].split())) for each in members}


SWITCHES = switches(Options, "") | switches(Hook, "hook_")


def default_text(default: Any) -> str:
    if default is None or isinstance(default, bool):
        return {None: "none", True: "on", False: "off"}[default]
    if isinstance(default, tuple):
        return ", ".join(f"`{each}`" for each in default)
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


@pytest.mark.parametrize("name", SWITCHES)
def test_an_option_is_on_the_page_with_its_default_and_meaning(name: str) -> None:
    default, meaning = SWITCHES[name]
    assert ROWS[name.replace("_", "-")] == (default_text(default), meaning)


def test_the_page_has_no_other_options() -> None:
    assert set(ROWS) == {name.replace("_", "-") for name in SWITCHES}


def test_the_page_has_every_call_of_the_simulators_own_api() -> None:
    calls = [line for line in (admin.__doc__ or "").splitlines() if line.startswith("| `")]
    assert [line for line in calls if line not in PAGE] == []


def test_the_command_has_every_option_with_the_same_default() -> None:
    has = {name: each.default for name, each in inspect.signature(run_simulator).parameters.items()}
    expected = {name: list(each) if isinstance(each, tuple) else each for name, (each, _) in SWITCHES.items()}
    assert {name: has.get(name, MISSING) for name in SWITCHES} == expected


def test_the_help_names_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("simulator", "--help").stdout
    assert [name for name in SWITCHES if f"--{name.replace('_', '-')} " not in shown] == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--disabled-status 404", "404"),
        ("--overlap wait", "wait"),
        ("--gets 0", "gets"),
        ("--day-offset nan", "day-offset"),
        ("--hook http://127.0.0.1:1/ --hook-spelling rot13", "no spelling 'rot13'"),
        ("--hook http://127.0.0.1:1/ --hook-events ticket-eaten", "no event 'ticket-eaten'"),
    ],
)
def test_a_wrong_value_is_refused(option: str, said: str) -> None:
    assert said in wrong("simulator", *option.split())
