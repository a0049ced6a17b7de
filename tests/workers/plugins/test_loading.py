import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from workers.handlers import auto_tag, private_note
from workers.plugins.loading import Loaded, LoadError, load_accounts
from workers.rules.file import load as load_rules
from workers.settings import Account, Budget, Secret

VIP = """
    from workers import Router, Ticket

    router = Router("vip")

    @router.on("ticket-created")
    def greet(ticket: Ticket) -> None:
        ticket.add_tags("vip")
"""
CRM = """
    from dataclasses import dataclass
    from workers import Router

    @dataclass(frozen=True)
    class Crm:
        base_url: str
        tries: int = 3

        def __post_init__(self) -> None:
            if self.tries > 9:
                raise LookupError("too many")

    router = Router("crm", settings=Crm)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with the plug-ins greeter.py and crms.py."""
    write(tmp_path, "greeter", VIP)
    write(tmp_path, "crms", CRM)
    return tmp_path


def write(folder: Path, name: str, source: str) -> None:
    (folder / f"{name}.py").write_text(dedent(source).lstrip())


def load(
    folder: Path,
    *names: str,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    allow: frozenset[tuple[str, str]] = frozenset(),
) -> list[Loaded]:
    return load_accounts([account("acme", names, tables or {}, allow)], folder, load_rules)["acme"]


def problems(folder: Path, *names: str, **more: Any) -> list[str]:
    with pytest.raises(LoadError) as raised:
        load(folder, *names, **more)
    return str(raised.value).replace(str(folder), "HERE").splitlines()


def test_routers_are_loaded_in_the_order_of_their_names(folder: Path) -> None:
    loaded = load(folder, "crms:router", "greeter:router", tables={"crm": {"base_url": "https://crm.example"}})
    assert [each.router.name for each in loaded] == ["crm", "vip"]
    assert loaded[0].settings.base_url == "https://crm.example"
    assert loaded[1].settings is None
    assert [handler.name for handler in loaded[1].router.handlers] == ["vip.greet"]


def test_the_folder_is_appended_to_the_path_once(folder: Path) -> None:
    load(folder, "greeter:router")
    load(folder, "greeter:router")
    assert sys.path[-1] == str(folder)
    assert sys.path.count(str(folder)) == 1


def test_the_shipped_routers_have_short_names(folder: Path) -> None:
    loaded = load(folder, "private-note", "auto-tag")
    assert [each.router for each in loaded] == [private_note.router, auto_tag.router]
    assert str(folder) not in sys.path


def test_a_registered_router_runs_only_when_named(folder: Path) -> None:
    register(folder, "acme", "crm-sync = greeter:router")
    sys.path.append(str(folder))
    assert load(folder) == []
    assert [each.router.name for each in load(folder, "crm-sync")] == ["vip"]


def test_a_name_registered_by_two_packages_is_refused(folder: Path) -> None:
    register(folder, "acme", "sync = greeter:router")
    register(folder, "beta", "sync = crms:router")
    sys.path.append(str(folder))
    assert problems(folder, "sync") == [
        "FOXHOOKS_HANDLERS: sync: several packages register it: crms:router, greeter:router; use one of these instead"
    ]


def register(folder: Path, package: str, line: str) -> None:
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[foxhooks.routers]\n{line}\n")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("greter:router", "no module 'greter' in HERE or installed; did you mean 'greeter'?"),
        ("nothing.like:it", "no module 'nothing' in HERE or installed; correct the name, or install its"),
        ("greeter.sub:router", "no module 'greeter.sub' in HERE or installed"),
        ("greeter:rooter", "greeter has no 'rooter'; write greeter:router"),
        ("greeter:greet", "'greet' in greeter is a function, not a Router; write greeter:router"),
        ("bare_one:router", "bare_one has no 'router'; add router = Router(\"bare-one\") to it"),
        ("greeter", "is not an import string; write greeter:router, for `router` in greeter.py"),
        ("auto-tga", "no installed package registers this name; did you mean 'auto-tag'?"),
        ("nothing", "no installed package registers this name; write module:router, such as vip:router"),
        ("greeter:", "is not an import string; write module:router"),
        (":router", "is not an import string; write module:router"),
        ("./vip.py:router", "is not an import string; write module:router"),
        ("calendar:router", "calendar is already the module "),
    ],
)
def test_a_router_that_cannot_be_loaded_is_reported_with_a_fix(folder: Path, name: str, problem: str) -> None:
    write(folder, "bare_one", "x = 1")
    write(folder, "calendar", VIP)
    (message,) = problems(folder, name)
    assert message.startswith(f"FOXHOOKS_HANDLERS: {name}: {problem}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero (HERE/broken.py:2)"),
        ("import helper", "LookupError: from the helper (HERE/helper.py:1)"),
        ("import json\njson.loads('{')", "JSONDecodeError: Expecting property name"),
        ("def x(:", "SyntaxError: invalid syntax (HERE/broken.py:1)"),
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it' (HERE/broken.py:1)"),
        ("raise SystemExit(3)", "SystemExit: 3 (HERE/broken.py:1)"),
        ("raise KeyError", "KeyError (HERE/broken.py:1)"),
        (
            "from workers import Router\nrouter = Router('x')\n@router.on('ticket-creatd')\ndef f(ticket): ...",
            "ValueError: no kind 'ticket-creatd'; did you mean 'ticket-created'? (HERE/broken.py:3)",
        ),
        (
            "from workers import Router\nrouter = Router('x')\n@router.on('ticket-created')\nasync def f(ticket): ...",
            "TypeError: x.f is `async def`; write `def`",
        ),
    ],
)
def test_an_exception_in_a_plug_in_is_reported_with_type_and_line(folder: Path, source: str, message: str) -> None:
    write(folder, "helper", "raise LookupError('from the helper')")
    write(folder, "broken", source)
    (problem,) = problems(folder, "broken:router")
    assert problem.startswith(f"FOXHOOKS_HANDLERS: broken:router: cannot be imported: {message}")


def test_the_reported_line_is_the_plug_ins_if_a_library_raises(folder: Path) -> None:
    write(folder, "broken", "import json\njson.loads('{')")
    assert problems(folder, "broken:router")[0].endswith("(HERE/broken.py:2); fix the module")


def test_two_routers_with_one_name_are_refused(folder: Path) -> None:
    write(folder, "copy_of_greeter", VIP)
    message = "another router is named 'vip'; remove or rename one of them"
    assert problems(folder, "greeter:router", "copy_of_greeter:router") == [
        f"FOXHOOKS_HANDLERS: copy_of_greeter:router: {message}"
    ]
    assert problems(folder, "greeter:router", "greeter:router") == [f"FOXHOOKS_HANDLERS: greeter:router: {message}"]


def test_a_table_that_does_not_fit_is_reported_field_by_field(folder: Path) -> None:
    tables = {"crm": {"tries": "many", "bas_url": "x"}, "vip": {"x": 1}}
    assert problems(folder, "crms:router", "greeter:router", tables=tables) == [
        "router.crm: no setting 'bas_url'; did you mean 'base_url'?",
        "router.crm: base_url is missing; add base_url = ...",
        "router.crm, tries: expected `int`, got `str`; correct it",
        "router.vip: router vip takes no settings; remove the table",
    ]


def test_a_dataclass_that_raises_is_reported_with_its_line(folder: Path) -> None:
    (message,) = problems(folder, "crms:router", tables={"crm": {"base_url": "x", "tries": 10}})
    assert (
        message
        == "router.crm: its dataclass raised LookupError: too many (HERE/crms.py:11); fix the table or the dataclass"
    )


def test_tables_and_grants_for_unknown_routers_are_refused(folder: Path) -> None:
    allow = frozenset({("vpi", "reply"), ("vip", "reply")})
    assert problems(folder, "greeter:router", tables={"vipp": {}}, allow=allow) == [
        "router.vipp: no router 'vipp' is loaded; did you mean 'vip'?",
        "FOXHOOKS_ALLOW: reply is granted to 'vpi', which is not loaded; did you mean 'vip'?",
    ]


def test_settings_of_a_missing_router_are_not_a_second_problem(folder: Path) -> None:
    message = problems(folder, "greter:router", tables={"vip": {}}, allow=frozenset({("vip", "reply")}))
    assert len(message) == 1


@pytest.mark.parametrize("name", ["workers", "service"])
def test_a_module_named_like_a_foxhooks_package_is_refused(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    assert problems(folder, "greeter:router") == [f"HERE/{name}: the name {name} is used by foxhooks itself; rename it"]


def test_the_folder_of_foxhooks_is_accepted() -> None:
    root = Path(__file__).parents[3]
    assert [each.router.name for each in load(root, "workers.handlers.auto_tag:router")] == ["auto-tag"]


def test_all_problems_are_reported_at_once(folder: Path) -> None:
    (folder / "service.py").write_text("")
    write(folder, "broken", "1 / 0")
    message = problems(folder, "broken:router", "rules:x", "greeter:rooter", "crms:router", "nothing")
    assert len(message) == 6


def test_accounts_share_tables_and_may_have_their_own_routers(folder: Path) -> None:
    tables = {"crm": {"base_url": "https://crm.example"}}
    accounts = [
        account("acme", ("greeter:router",), tables, frozenset({("vip", "reply")})),
        account("beta", ("crms:router", "greeter:router"), tables, frozenset()),
    ]
    loaded = load_accounts(accounts, folder, load_rules)
    assert {name: [each.router.name for each in routers] for name, routers in loaded.items()} == {
        "acme": ["vip"],
        "beta": ["crm", "vip"],
    }
    with pytest.raises(LoadError, match=r"router\.crm: no router 'crm' is loaded"):
        load_accounts(accounts[:1], folder, load_rules)


def test_rules_run_in_order_and_each_account_has_its_own(folder: Path) -> None:
    for name in ("acme", "beta"):
        text = f'[[rule]]\nname = "of {name}"\non = "ticket-created"\nadd_tags = ["x"]\n'
        (folder / f"{name}.toml").write_text(text)
    allow = frozenset({("rules", "reply")})
    accounts = [
        account("acme", ("rules", "greeter:router"), {}, allow, folder / "acme.toml"),
        account("beta", ("greeter:router", "rules"), {}, frozenset(), folder / "beta.toml"),
    ]
    loaded = load_accounts(accounts, folder, load_rules)
    assert {
        name: [handler.name for each in routers for handler in each.router.handlers] for name, routers in loaded.items()
    } == {"acme": ["rules.of-acme", "vip.greet"], "beta": ["vip.greet", "rules.of-beta"]}


def test_problems_in_rules_are_reported_with_those_of_plug_ins(folder: Path) -> None:
    (folder / "rules.toml").write_text('[[rule]]\nname = "a"\non = "ticket-creatd"\nadd_tags = ["x"]\n')
    broken = account("acme", ("rules", "greter:router", "crms:router"), {}, frozenset(), folder / "rules.toml")
    with pytest.raises(LoadError) as raised:
        load_accounts([broken], folder, load_rules)
    message = str(raised.value).splitlines()
    assert len(message) == 3
    assert message[0] == "rules.toml, line 3, rule 'a': on: no kind 'ticket-creatd'; did you mean 'ticket-created'?"


def test_a_dry_run_of_an_unknown_router_is_refused_with_the_nearest_name(folder: Path) -> None:
    dry = replace(account("acme", ("greeter:router",), {}, frozenset()), dry_routers=frozenset({"vpi"}))
    with pytest.raises(LoadError, match=r"FOXHOOKS_DRY_RUN: no router 'vpi' is loaded; did you mean 'vip'"):
        load_accounts([dry], folder, load_rules)


def test_a_grant_to_rules_without_a_rules_file_is_refused(folder: Path) -> None:
    (message,) = problems(folder, "greeter:router", allow=frozenset({("rules", "reply")}))
    assert "granted to 'rules', which is not loaded" in message


def account(
    name: str,
    handlers: tuple[str, ...],
    tables: Mapping[str, Mapping[str, Any]],
    allow: frozenset[tuple[str, str]],
    rules: Path | None = None,
) -> Account:
    return Account(
        name=name,
        secrets=(),
        url="https://acme.happyfox.com",
        api_key=Secret("x"),
        auth_code=Secret("x"),
        staff_id=1,
        budget=Budget(gets=500, posts=300, window=60, lockout=600, share=0.9, in_flight=8),
        timeout=15,
        doubt=30,
        handlers=handlers,
        rules=rules,
        allow=allow,
        dry_run=False,
        loop_guard=20,
        router_settings=tables,
    )
