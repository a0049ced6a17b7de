"""A user's handlers run as deployed: on Heroku from this project or from the starter, and on Kubernetes.

A web and a worker process are started with the commands of the deployment files. Then a webhook arrives, and the
starter's handlers change the ticket.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import redis

from service.processes.simulator import running
from tests.support import stores
from tests.support.deploy import CONTAINED, PREFIX, STARTER, config, pod, procfile, resources
from tests.support.processes import ROOT, Process, free_port, status_of
from workers.simulator import Simulator
from workers.webhook import HEADER, sign

#: The files that a user adds to the project.
FILES = ("handlers.py", "rules.toml", "foxhooks.toml")
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
SECRET = "a-signing-key"

pytestmark = pytest.mark.timeout(600)


@dataclass
class Platform:
    """How a platform starts and stops processes: folder, commands and environment."""

    store: str
    folder: Path
    commands: Mapping[str, list[str]]
    environment: Callable[[str], dict[str, str]]
    stop: Callable[[int, int], None]
    started: dict[str, Process] = field(default_factory=dict)

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.commands[name],
            cwd=self.folder,
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, name: str) -> None:
        """Start a process."""
        self.started[name] = Process(self.commands[name], self.folder, self.environment(name))

    def start_web(self) -> str:
        """Start the web process, wait until deliveries can be stored, and return its address."""
        self.start("web")
        url = f"http://127.0.0.1:{self.environment('web')['PORT']}"
        self.wait_until(lambda: status_of(f"{url}/readyz") == 200, "readiness")
        return url

    def wait_until(self, condition: Callable[[], bool], what: str, *, seconds: float = 60, alive: bool = True) -> None:
        """Return when the condition holds; fail after `seconds`, or if a process that must stay alive ends."""
        give_up = time.monotonic() + seconds
        while not condition():
            ended = [name for name, process in self.started.items() if process.code is not None]
            if time.monotonic() > give_up or (ended and alive):
                pytest.fail(f"{what} never happened; ended: {ended}\n{self.logs()}")
            time.sleep(0.02)

    def terminate(self) -> dict[str, int | None]:
        """Stop the processes as the platform does and return their exit codes; both kill after 30 s."""
        for process in self.started.values():
            self.stop(process.pid, signal.SIGTERM)
        self.wait_until(
            lambda: all(one.code is not None for one in self.started.values()), "the end", seconds=30, alive=False
        )
        return {name: process.code for name, process in self.started.items()}

    def kill(self) -> None:
        """Kill everything that still runs."""
        for process in self.started.values():
            process.kill()

    def logs(self) -> str:
        """Return everything the processes have printed."""
        return "\n".join(f"{name}:\n{process.output}" for name, process in self.started.items())


@pytest.fixture(scope="session")
def _small_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a store like Heroku's smallest: 20 connections, only TLS, a self-signed certificate."""
    if shutil.which("openssl") is None and not os.environ.get("CI"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=store -keyout key -out certificate"
    subprocess.run(new.split(), cwd=folder, capture_output=True, check=True)
    port = str(free_port())
    tls = ["--tls-port", port, "--tls-auth-clients", "no", "--bind", "127.0.0.1", "--maxclients", "20"]
    with stores.running("redis", *tls, "--tls-cert-file", f"{folder}/certificate", "--tls-key-file", f"{folder}/key"):
        yield f"rediss://127.0.0.1:{port}?ssl_cert_reqs=none"


@pytest.fixture
def small_store(_small_store: str) -> str:
    """Return the URL of that store, emptied."""
    stores.flush(_small_store)
    return _small_store


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(time.time)


@pytest.fixture
def happyfox(simulator: Simulator) -> Iterator[str]:
    """Yield the URL of the simulated HappyFox."""
    with running(simulator) as url:
        yield url


def settings(happyfox: str, store: str) -> dict[str, str]:
    """Return all settings."""
    return {
        "HAPPYFOX_ACCOUNT": "demo",
        "HAPPYFOX_URL": happyfox,
        "HAPPYFOX_STAFF_ID": "7",
        "HAPPYFOX_API_KEY": "demo-key",
        "HAPPYFOX_AUTH_CODE": "demo-code",
        "HAPPYFOX_WEBHOOK_SECRETS": SECRET,
        "REDIS_URL": store,
    }


def as_heroku(folder: Path, binaries: Path, happyfox: str, store: str) -> Platform:
    """Run like Heroku: a shell reads .profile and runs a line of the Procfile; signals go to the whole dyno."""
    port, given = str(free_port()), settings(happyfox, store)
    return Platform(
        store,
        folder,
        {name: ["sh", "-c", f". ./.profile; exec {line}"] for name, line in procfile(folder).items()},
        lambda name: {**given, "PATH": f"{binaries}:{SYSTEM}", "PORT": port, "DYNO": f"{name}.1"},
        os.killpg,
    )


def as_kubernetes(folder: Path, binaries: Path, happyfox: str, store: str) -> Platform:
    """Run like Kubernetes: with the arguments, settings and secrets of the manifests; signals go to one process."""
    port, given = str(free_port()), settings(happyfox, store)
    containers = {name: pod(f"foxhooks-{name}")["containers"][0] for name in ("web", "worker")}
    secrets = {
        found["metadata"]["name"]: set(found["stringData"]) for found in resources() if found["kind"] == "Secret"
    }

    def environment(name: str) -> dict[str, str]:
        part = "worker" if name == "probe" else name
        keys = config().keys() | secrets[f"foxhooks-{part}"] | {"HAPPYFOX_ACCOUNT"}
        return {
            **{key: value for key, value in given.items() if key in keys},
            "PATH": f"{binaries}:{SYSTEM}",
            "PORT": port,
            "LOG_FORMAT": "json",
        }

    commands = {name: container["args"] for name, container in containers.items()}
    commands["probe"] = containers["worker"]["readinessProbe"]["exec"]["command"]
    return Platform(
        store,
        folder,
        {name: [str(binaries / command), *rest] for name, (command, *rest) in commands.items()},
        environment,
        os.kill,
    )


def as_container(folder: Path, root: Path, happyfox: str, store: str) -> Platform:
    """Run like Kubernetes in the image itself."""
    platform = as_kubernetes(folder, Path(PREFIX) / "bin", happyfox, store)
    contained = ["unshare", "--mount", "sh", "-euc", CONTAINED, "sh", str(root), str(folder)]
    platform.commands = {name: [*contained, *command] for name, command in platform.commands.items()}
    return platform


def mounted(folder: Path, files: Mapping[str, str]) -> None:
    """Write files as the kubelet mounts a ConfigMap: read-only, as links into a hidden folder."""
    (folder / "..revision").mkdir(parents=True)
    (folder / "..data").symlink_to("..revision")
    for name, text in files.items():
        (folder / "..revision" / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")
    (folder / "..revision").chmod(0o555)
    folder.chmod(0o555)


def without_the_project(image: Path, folder: Path) -> Path:
    """Create an environment with only the locked requirements, as Heroku does from requirements.txt."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [source] = image.parent.glob("lib/python*/site-packages")
    [target] = folder.glob("lib/python*/site-packages")
    for entry in source.iterdir():
        if not entry.name.startswith(("foxhooks", "service", "workers")):
            (target / entry.name).symlink_to(entry)
    return folder / "bin"


PLATFORMS = ("project on Heroku", "starter on Heroku", "Kubernetes", "image")


@pytest.fixture(params=PLATFORMS)
def deployment(request: pytest.FixtureRequest, tmp_path: Path, image: Path, happyfox: str) -> Iterator[Platform]:
    app = tmp_path / "app"
    if request.param == "Kubernetes":
        mounted(app, {name: (STARTER / name).read_text() for name in FILES})
        deployment = as_kubernetes(app, image, happyfox, request.getfixturevalue("valkey_url"))
    elif request.param == "image":
        mounted(app, {name: (STARTER / name).read_text() for name in FILES})
        container, store = request.getfixturevalue("container"), request.getfixturevalue("small_store")
        deployment = as_container(app, container, happyfox, store)
    else:
        if request.param == "starter on Heroku":
            shutil.copytree(STARTER, app)
        else:
            ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "tests")
            shutil.copytree(ROOT, app, ignore=ignored)
            for path in (ROOT / ".profile", *(STARTER / name for name in FILES)):
                shutil.copy(path, app)
            image = without_the_project(image, tmp_path / "python")
        deployment = as_heroku(app, image, happyfox, request.getfixturevalue("small_store"))
    try:
        yield deployment
    finally:
        deployment.kill()


@pytest.mark.parametrize("deployment", PLATFORMS[:2], indirect=True)  # Kubernetes has no release phase
def test_a_release_passes_its_check(deployment: Platform) -> None:
    done = deployment.run("release")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_web_process_accepts_deliveries_and_stops_on_a_signal(deployment: Platform) -> None:
    url = deployment.start_web()
    body = b'{"ticket_id": 1}'
    answer = httpx.post(f"{url}/webhooks/demo", content=body, headers={HEADER: sign(SECRET, body)})
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    assert deployment.terminate() == {"web": 0}, deployment.logs()


def test_a_users_own_handlers_and_rules_act(deployment: Platform, simulator: Simulator, happyfox: str) -> None:
    url = deployment.start_web()
    deployment.start("worker")
    if "probe" in deployment.commands:
        deployment.wait_until(lambda: deployment.run("probe").returncode == 0, "a successful probe")

    hooks = [{"url": f"{url}/webhooks/demo", "key": SECRET}]
    httpx.put(f"{happyfox}/simulator/hooks", json=hooks).raise_for_status()
    opened = httpx.post(f"{happyfox}/simulator/tickets", json={"email": "sam@bigcorp.example", "text": "Refund!"})
    number = opened.raise_for_status().json()["id"]
    deployment.wait_until(lambda: {"vip", "refund"} <= set(simulator.account.tickets[number].tags), "the tags")

    with redis.Redis.from_url(deployment.store) as client:
        own, web, worker = 1, 4, 10
        assert client.info("clients")["connected_clients"] <= own + web + worker
    assert deployment.terminate() == {"web": 0, "worker": 0}, deployment.logs()


def test_a_release_stops_at_a_handler_that_does_not_import(image: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    shutil.copytree(STARTER, app)
    (app / "handlers.py").write_text("import nothing_of_that_name\n")
    with stores.running("valkey") as store:
        deployment = as_heroku(app, image, "https://acme.happyfox.com", store)
        done = deployment.run("release")
    assert done.returncode == 1
    assert "nothing_of_that_name" in done.stdout + done.stderr


def test_the_probe_fails_without_a_worker(image: Path, tmp_path: Path, valkey_url: str) -> None:
    app = tmp_path / "app"
    mounted(app, {})
    deployment = as_kubernetes(app, image, "https://acme.happyfox.com", valkey_url)
    assert deployment.run("probe").returncode == 1


def test_the_config_map_has_only_settings_that_these_tests_use() -> None:
    assert config().keys() <= settings("", "").keys() | {"LOG_FORMAT"}
