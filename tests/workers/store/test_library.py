"""The library of store functions: loaded where it is missing, side by side with other versions, complete."""

import ast
import re
from pathlib import Path

import pytest
import redis

import workers
from workers.errors import StoreUnavailable
from workers.settings import Budget
from workers.store import keys, scripts
from workers.store.client import Store, connect
from workers.store.permits import Governor
from workers.store.scripts import VERSIONS, Library, assemble, library, modules

GOVERNOR = Governor("acme", Budget(gets=10, posts=10, window=60, lockout=600, share=1, in_flight=1))


def stored(client: redis.Redis) -> set[str]:
    """Names of the libraries in the store."""
    found = client.function_list("foxhooks_*")
    return {(each[b"library_name"] if isinstance(each, dict) else each[1]).decode() for each in found}


def version(number: int) -> Library:
    """Another version of the library: its text differs."""
    return assemble({**modules(), "header": f"{modules()['header']}\n-- version {number}"})


@pytest.fixture
def without_library(either_store: redis.Redis) -> redis.Redis:
    either_store.function_flush()
    return either_store


def test_a_missing_library_is_loaded_and_survives_flushall(without_library: redis.Redis) -> None:
    with Store(without_library) as store:
        assert store.run(GOVERNOR.forecast()).gate == "open"
        without_library.flushall()
        assert stored(without_library) == {library().name}
        without_library.function_flush()
        assert store.run(GOVERNOR.permit("GET", "one", "normal", 1_000)).wait == 0
    assert stored(without_library) == {library().name}


def test_a_library_that_another_process_has_just_loaded_is_not_an_error(without_library: redis.Redis) -> None:
    with Store(without_library) as store:
        store.run(GOVERNOR.forecast())
        store._load(without_library)
    assert stored(without_library) == {library().name}


def test_two_versions_run_side_by_side_and_old_ones_are_deleted(
    without_library: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(without_library) as store:

        def run(number: int) -> None:
            monkeypatch.setattr(scripts, "library", lambda: version(number))
            assert store.run(GOVERNOR.forecast()).gate == "open"

        for number in range(VERSIONS):
            run(number)
        assert stored(without_library) == {version(number).name for number in range(VERSIONS)}
        run(VERSIONS)
        assert stored(without_library) == {version(VERSIONS).name}
        run(0)  # a process of an older version that still runs
        run(VERSIONS)
        assert stored(without_library) == {version(0).name, version(VERSIONS).name}


def test_a_library_with_a_syntax_error_is_reported(
    without_library: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = assemble({"header": "this is not Lua"})
    monkeypatch.setattr(scripts, "library", lambda: broken)
    with Store(without_library) as store, pytest.raises(RuntimeError, match="compiling function"):
        store.run(GOVERNOR.forecast())


def test_the_error_names_the_permissions_that_a_user_lacks(store: redis.Redis, valkey_url: str) -> None:
    store.acl_setuser("limited", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-fcall"])
    url = valkey_url.replace("unix://", "unix://limited:any@")
    try:
        with connect(url) as client, Store(client) as limited, pytest.raises(StoreUnavailable, match="FCALL"):
            limited.run(GOVERNOR.forecast())
    finally:
        store.acl_deluser("limited")


def test_a_full_store_still_runs_functions_that_only_read(either_store: redis.Redis) -> None:
    with Store(either_store) as store:
        store.run(GOVERNOR.forecast())
        either_store.config_set("maxmemory", "1")
        try:
            assert store.run(GOVERNOR.forecast()).gate == "open"
            with pytest.raises(StoreUnavailable, match="it is full"):
                store.run(GOVERNOR.permit("GET", "one", "normal", 1_000))
        finally:
            either_store.config_set("maxmemory", "0")


def test_every_function_is_used_and_says_what_it_takes_and_returns() -> None:
    texts = modules()
    registered = [
        name for text in texts.values() for name in re.findall(r"^(?:register|publish)\('(\w+)'", text, re.MULTILINE)
    ]
    code = "\n".join(texts.values())
    for name in registered:
        header = re.search(
            rf"^-- {name}: (?:.+\n(?:-- .+\n)*?)-- ARGV {{4}}1 now.*\n"
            rf"(?:--.*\n)*-- Return  .+\n(?:--.*\n)*(?:register|publish)\('{name}'",
            code,
            re.MULTILINE,
        )
        assert header, f"{name} has no header with ARGV and Return"
    used = set()
    for path in Path(workers.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if called in ("Script", "_script", "_under_lease"):
                    used.add(node.args[0].value)
    assert used == set(registered)
    assert len(registered) == len(set(registered))


def test_every_key_is_documented_and_every_documented_key_is_used() -> None:
    code = "\n".join(modules().values())
    spelled = set(re.findall(r"P \.\. '([\w:]+)'", code))
    documented = set(re.findall(r"^    P ([\w:]+)", keys.__doc__ or "", re.MULTILINE))

    def match(one: str, other: str) -> bool:
        """A name that ends in a colon stands for all names that begin with it."""
        return (
            one == other
            or (one.endswith(":") and other.startswith(one))
            or (other.endswith(":") and one.startswith(other))
        )

    assert [name for name in spelled if not any(match(name, each) for each in documented)] == []
    acme = keys.Keys("acme")
    named = [method(acme, "x") for name, method in vars(keys.Keys).items() if callable(method) and name[0] != "_"]
    by_python = {key.removeprefix(keys.prefix("acme")).removesuffix("x") for key in (*vars(acme).values(), *named)}
    assert [name for name in documented if not any(match(name, each) for each in spelled | by_python)] == []
