"""The layout: layers import lower ones only, pure parts stay pure, and importing has no side effects."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Lowest first. A layer is a folder, or a module that lies beside folders; a folder counts with all that is in it unless
# a layer of its own is named deeper. A layer imports lower ones and itself, never its neighbors in the same row.
LAYERS = (
    {"workers.errors", "workers.http_library", "workers.traces", "workers.version"},
    {"workers.settings", "workers.tickets", "workers.webhook"},
    {"workers.logs", "workers.timeouts", "workers.store"},
    {"workers.alerts", "workers.happyfox"},
    {"workers.plugins"},
    {"workers.engine"},
    {"workers.rules", "workers.gateway"},
    {"workers"},
    {"workers.handlers", "workers.testing", "workers.runner"},
    {"workers.scheduler"},
    {"workers.worker"},
    {"service", "service.address", "service.errors", "service.tokens", "service.words"},
    {"service.embedded"},
    {"service.context"},
    {"service.reading"},
    {"service.dashboard", "service.metrics"},
    {"service.web"},
    {"service.gateway"},
    {"service.mcp"},
    {"service.processes"},
    {"service.commands"},
    {"service.demo"},
    {"service.cli"},
    {"service.__main__"},
)
HEIGHT = {layer: height for height, layers in enumerate(LAYERS) for layer in layers}
# Outside the layers, or restricted: it imports only these modules of the project (and itself).
ALLOWED = {
    "workers.simulator": {"workers.tickets", "workers.webhook"},
    "workers.handlers": {"workers"},
}
MAY_USE_THE_SIMULATOR = ("service", "workers.testing")
PURE = ("workers.tickets", "workers.webhook", "workers.engine", "workers.gateway", "workers.rules", "workers.simulator")
IMPURE = {
    *("asyncio", "concurrent", "dramatiq", "multiprocessing", "queue", "redis", "requests", "selectors"),
    *("signal", "socket", "subprocess", "threading", "time", "urllib3"),
}
HTTP_LIBRARY = "workers.http_library"
WEB = {"starlette", "uvicorn", "typer", "rich"}
USES_HTTP = {"workers.alerts.sending", "workers.happyfox.http"}
CLIENTS = {"aiohttp", "http.client", "httpcore", "httpx", "requests", "urllib.request", "urllib3"}


@dataclass(frozen=True)
class Import:
    importer: str
    line: int
    name: str
    """Dotted name, with the imported name as last label: `from a import b` is `a.b`."""

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.name}"


@cache
def modules() -> dict[str, Path]:
    """Return every module of the two packages with its file."""
    found = {}
    for package in ("service", "workers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


@cache
def imports(module: str) -> list[Import]:
    return list(_imports(module))


def _imports(module: str) -> Iterator[Import]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (Import(module, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: write the full name instead of dots"
            yield from (Import(module, node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def all_imports() -> list[Import]:
    return [found for module in modules() for found in imports(module)]


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def layer_of(name: str) -> str:
    """Return the layer of a module or of a name in it: the deepest one that contains it."""
    while name not in HEIGHT and name not in ALLOWED:
        name, _, last = name.rpartition(".")
        assert last, "give every folder a layer"
    return name


def test_every_folder_and_module_beside_folders_has_a_layer() -> None:
    beside = {module for module in modules() if module.count(".") == 1}
    folders = {module.rpartition(".")[0] for module in modules() if module.count(".") > 1}
    assert beside | folders == (HEIGHT.keys() | ALLOWED.keys()) - {"workers", "service"}


def test_no_folder_has_folders_of_its_own() -> None:
    assert [module for module in modules() if module.count(".") > 2] == []


def test_a_layer_imports_lower_layers_only() -> None:
    wrong = []
    for found in all_imports():
        if not within(found.name, "workers") and not within(found.name, "service"):
            continue
        importer, imported = layer_of(found.importer), layer_of(found.name)
        if importer in ALLOWED:
            fits = imported in {importer, *ALLOWED[importer]}
        elif imported in ALLOWED and imported not in HEIGHT:
            fits = importer.startswith(MAY_USE_THE_SIMULATOR)
        else:
            fits = importer == imported or HEIGHT[imported] < HEIGHT[importer]
        if not fits:
            wrong.append(str(found))
    assert wrong == []


def test_the_architecture_page_lists_the_layers_in_their_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().partition("\n## The layers\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1:3] for row in page.splitlines() if re.match(r"\| \d", row)]
    shown = {int(number): {dotted(path) for path in re.findall("`(.+?)`", paths)} for number, paths in rows}
    engine = [layers for layers in LAYERS if not any(within(layer, "service") for layer in layers)]
    assert shown == {**dict(enumerate(engine)), len(engine): {"service"}}
    order = re.findall("`(.+?)`", page.partition("Within `service/`")[2].partition("\n\n")[0])
    above = [layer for layers in LAYERS[len(engine) :] for layer in sorted(layers - {"service"})]
    assert [dotted(path) for path in order] == above


def dotted(path: str) -> str:
    """Return the dotted name of a module or a folder."""
    parts = path.removesuffix(".py").rstrip("/").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_modules_import_each_other_in_one_direction() -> None:
    edges = {module: {target(found.name) for found in imports(module)} - {module, ""} for module in modules()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for other in sorted(edges[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def target(name: str) -> str:
    """Return the module of the project that an import runs, empty for others."""
    return name if name in modules() else name.rpartition(".")[0] if name.rpartition(".")[0] in modules() else ""


def test_only_one_module_imports_the_http_library() -> None:
    importers = {found.importer for found in all_imports() if any(within(found.name, each) for each in CLIENTS)}
    assert importers == {HTTP_LIBRARY}


def test_only_the_transport_and_alerts_make_http_calls() -> None:
    importers = {found.importer for found in all_imports() if within(found.name, HTTP_LIBRARY)}
    assert {name for name in importers if within(name, "workers")} == USES_HTTP


def test_only_the_service_uses_a_web_framework_and_the_terminal() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if within(found.importer, "workers") and any(within(found.name, package) for package in WEB)
    ]
    assert wrong == []


def test_only_fixtures_import_pytest_and_only_tests_and_rule_trials_the_test_kit() -> None:
    importers = {found.importer for found in all_imports() if within(found.name, "pytest")}
    assert importers == {"workers.testing.fixtures"}
    users = {found.importer for found in all_imports() if within(found.name, "workers.testing")}
    assert {name for name in users if not within(name, "workers.testing")} == {"service.commands.rule_trials"}


def test_pure_parts_import_no_store_network_thread_or_clock() -> None:
    wrong = [
        str(found) for found in all_imports() if layer_of(found.importer) in PURE and found.name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_pure_parts_read_no_clock() -> None:
    wrong = [
        f"{module}, line {node.lineno}: {ast.unparse(node)}"
        for module in modules()
        if layer_of(module) in PURE
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "utcnow", "today"}
        and ast.unparse(node.func.value) in {"datetime", "date", "datetime.datetime", "datetime.date"}
    ]
    assert wrong == []


# Run in an interpreter of its own: prints the side effects of each import as JSON.
PROBE = """
import json, os, sys, threading
import prometheus_client  # its WSGI server copies the environment
import urllib3  # asks the machine for IPv6 by binding a socket when it is imported; Sentry's client needs it

OURS = ("FOXHOOKS_", "HAPPYFOX_", "REDIS_URL", "SENTRY_DSN")
module, effects = None, []

def audit(event, arguments):
    if module and event in {"socket.__new__", "socket.connect", "socket.bind", "subprocess.Popen", "os.fork"}:
        effects.append(f"{module}: {event}")

class Watched(type(os.environ)):
    def __getitem__(self, key):
        if module and str(key).startswith(OURS):
            effects.append(f"{module}: reads {key}")
        return super().__getitem__(key)

    def __contains__(self, key):
        if module and str(key).startswith(OURS):
            effects.append(f"{module}: looks for {key}")
        return super().__contains__(key)

os.environ.__class__ = Watched
sys.addaudithook(audit)
for module in json.loads(sys.argv[1]):
    __import__(module)
    if threading.active_count() > 1:
        effects.append(f"{module}: starts a thread")
        break
if "dramatiq" in sys.modules and sys.modules["dramatiq"].broker.global_broker is not None:
    effects.append("a global broker is set")
module = None
print(json.dumps(effects))
"""


def effects_of(names: list[str], folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE, json.dumps(names)],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "FOXHOOKS_PROBE": "set", "HAPPYFOX_PROBE": "set"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def test_importing_a_module_opens_nothing_and_reads_no_setting() -> None:
    assert effects_of(list(modules()), ROOT) == []


@pytest.mark.parametrize(
    ("source", "effect"),
    [
        ("import socket; socket.socket().close()", "guilty: socket.__new__"),
        ("import os; os.environ.get('REDIS_URL')", "guilty: reads REDIS_URL"),
        ("import os; 'FOXHOOKS_DATA' in os.environ", "guilty: looks for FOXHOOKS_DATA"),
        ("import os; dict(os.environ)", "guilty: reads HAPPYFOX_PROBE"),
        ("import dramatiq; dramatiq.get_broker()", "a global broker is set"),
        (
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "guilty: starts a thread",
        ),
    ],
)
def test_an_import_with_a_side_effect_is_noticed(tmp_path: Path, source: str, effect: str) -> None:
    (tmp_path / "guilty.py").write_text(source)
    assert effect in effects_of(["guilty"], tmp_path)


def test_no_test_module_is_imported_by_another() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}, line {node.lineno}: move what is shared to tests/support"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and within(node.module, "tests")
        if node.module.split(".")[-1].startswith(("test_", "conftest"))
    ]
    assert wrong == []
