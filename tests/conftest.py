"""Fixtures every test may ask for: real stores, emptied for each test, and a clean environment."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dramatiq.broker
import hypothesis
import pytest
import redis

from tests.support import sentry as sentries
from tests.support import stores
from tests.support.stores import Server

if TYPE_CHECKING:
    from tests.support.fleet import Fleet

# Measuring coverage leaves the plugin out (see the Makefile).
if "workers.testing.fixtures" not in sys.modules:
    from workers.testing.fixtures import simulator  # noqa: F401

# Tests run in parallel, so how long an example takes depends on what else runs.
hypothesis.settings.register_profile("parallel", deadline=None, max_examples=50)
hypothesis.settings.load_profile("parallel")

OURS = ("FOXHOOKS_", "HAPPYFOX_")
#: Tests of real processes, which wait for most of their time, and those that try many seeds.
LONG = ("tests/chaos/", "tests/deploy/", "tests/real/", "tests/simulation/", "tests/service/")
#: Tests that share what takes long to make: one image, all modules parsed.
TOGETHER = ("tests/deploy/", "tests/test_layout.py")
#: What makes a command color its output or fold its lines, as CI services and terminals set it.
TERMINAL = {"CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "LINES", "NO_COLOR", "PY_COLORS"}
COMMON = {"HOST", "LOG_FORMAT", "LOG_LEVEL", "PORT", "REDIS_URL", "SENTRY_DSN", "WEB_CONCURRENCY"}


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Hide the terminal from the tests: pytest has read these variables by now, Typer reads them when imported."""
    for name in TERMINAL & os.environ.keys():
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first, so that no worker is busy with one when all others are done."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each test to the next free worker, but those to one that share what takes long to make."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return next((start for start in TOGETHER if nodeid.startswith(start)), nodeid)

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and no folder that a test put on Python's path reaches the next."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in list(os.environ):
        if name.startswith(OURS) or name in COMMON:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No plug-in that a test wrote is found, under the same name, instead of the one that a later test writes."""
    yield
    temporary = str(tmp_path_factory.getbasetemp())
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(temporary):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _stub_broker() -> Iterator[None]:
    """Actors that a later test imports belong to the stub, not to the broker of a worker that a test has built."""
    before = dramatiq.broker.global_broker
    yield
    dramatiq.broker.global_broker = before


@pytest.fixture(scope="session")
def _valkey() -> Iterator[str]:
    with stores.running("valkey") as url:
        yield url


@pytest.fixture(scope="session")
def _redis() -> Iterator[str]:
    with stores.running("redis") as url:
        yield url


@pytest.fixture(scope="session")
def _cluster() -> Iterator[str]:
    with stores.cluster() as url:
        yield url


@pytest.fixture
def cluster_url(_cluster: str) -> str:
    """URL of an empty cluster of one node, which refuses a function that uses keys of two slots."""
    stores.flush(_cluster)
    return _cluster


@pytest.fixture
def valkey_url(_valkey: str) -> str:
    """URL of an empty Valkey, the store `foxhooks up` brings along."""
    stores.flush(_valkey)
    return _valkey


@pytest.fixture(scope="session")
def foxhooks_store(_valkey: str) -> str:
    """The store of `desk`, which is the one of all tests."""
    return _valkey


@pytest.fixture
def store(valkey_url: str) -> Iterator[redis.Redis]:
    """Client of that empty Valkey; answers are bytes."""
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.redis)])
def store_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty store; the test runs twice, on Valkey and on Debian's Redis."""
    url: str = request.getfixturevalue(f"_{request.param}")
    stores.flush(url)
    return url


@pytest.fixture
def either_store(store_url: str) -> Iterator[redis.Redis]:
    """Client of `store_url`: the test runs twice; answers are bytes."""
    with redis.Redis.from_url(store_url) as client:
        yield client


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Make stores, not started yet, that can be killed: `server("redis", "--appendonly", "no")`."""
    with contextlib.ExitStack() as stack:

        def make(kind: str = "valkey", *options: str) -> Server:
            made = Server(kind, *options)
            stack.callback(made.remove)
            return made

        yield make


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., "Fleet"]]:
    """Make a deployment of real processes: `deploy(plugin, gets=30)`; it ends with the test."""
    from tests.support.fleet import deployed  # slow to import, and few tests need it

    with contextlib.ExitStack() as stack:
        yield lambda plugin, **options: stack.enter_context(deployed(plugin, tmp_path, **options))


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """Collect no garbage during the test: a store collected at the bottom of a recursion could not be closed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def sentry() -> Iterator[sentries.FakeSentry]:
    """A fake Sentry that keeps what is reported to it."""
    with sentries.listening() as listener:
        yield listener
