"""The demo's course: set the stage, start the processes, play the scenes, look at the tickets."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import redis
from rich.console import Console

from service.demo import stage as stages
from service.demo.happyfox import HappyFox
from service.demo.scenes import Scene, scenes
from service.demo.stage import HANDLERS, Stage
from service.demo.turns import Turns
from service.demo.view import View
from service.embedded import Embedded
from service.errors import CommandError
from service.processes.output import Output
from service.processes.supervisor import Supervisor
from workers.settings import load

#: Seconds after which something that has to happen is said to have failed; a laptop under load needs a few.
PATIENCE = 60.0


def run(once: bool, handlers: str = HANDLERS) -> int:
    """Plays the demo; 0 if the simulator's tickets show every effect. Without ``once`` it stays up until Ctrl-C."""
    view = View(Console(highlight=False))
    with TemporaryDirectory(prefix="foxhooks-demo-", ignore_cleanup_errors=True) as folder:
        stage = stages.build(Path(folder).resolve(), handlers)
        with (stage.folder / "demo.log").open("w+") as log:
            store = Embedded(stage.folder / ".foxhooks", bound=True)
            supervisor = Supervisor(stage.children(), store, Output(log).show)
            with supervisor.running():
                try:
                    return _play(stage, supervisor, store, view, once)
                except KeyboardInterrupt:
                    return 1
                except (CommandError, httpx.HTTPError, redis.RedisError) as error:
                    view.failure(str(error), _last_lines(stage.folder / "demo.log"))
                    return 1


def _play(stage: Stage, supervisor: Supervisor, store: Embedded, view: View, once: bool) -> int:
    account = load("worker", {}, stage.folder).accounts[stages.ACCOUNT]
    happyfox = HappyFox(stage.happyfox)
    with redis.Redis.from_url(store.url) as client:
        play = Play(stage, supervisor, happyfox, Turns(client, account.budget), view)
        view.begin(stage)
        play.wait(play.ready, "HappyFox, web and worker are ready")
        shown = [play.perform(number, scene) for number, scene in enumerate(scenes(), 1)]
        fulfilled = all(shown)
        view.budget(play.turns.forecast())
        view.verdict(fulfilled)
        if not once:
            view.stay(stage)
            while not supervisor.stopping:
                supervisor.poll(0.5)
        happyfox.close()
        return 0 if fulfilled else 1


class Play:
    """The scenes, one after another, each waited for until the engine has nothing left to do."""

    def __init__(self, stage: Stage, supervisor: Supervisor, happyfox: HappyFox, turns: Turns, view: View) -> None:
        self._stage, self._supervisor = stage, supervisor
        self._happyfox, self.turns, self._view = happyfox, turns, view
        self._calls = self._deliveries = 0

    def perform(self, number: int, scene: Scene) -> bool:
        """Lets one scene happen and shows what came of it; True if the ticket shows every effect."""
        with self._view.console.status(f"{scene.title} ..."):
            ticket = scene.before(self._happyfox)
            self.wait(self.settled, "the engine has settled what came in")
            scene.act(self._happyfox, ticket)
            self.wait(self.settled, "the engine has settled what came in")
        deliveries = self._happyfox.deliveries(self._deliveries)
        calls = self._happyfox.calls(self._calls)
        self._deliveries += len(deliveries)
        self._calls += len(calls)
        shown = self._happyfox.ticket(ticket)
        return self._view.scene(number, scene, shown, deliveries, self.turns.new_records(), calls)

    def ready(self) -> bool:
        """Tells whether a webhook can come in."""
        if not self._happyfox.answers():
            return False
        try:
            return httpx.get(f"{self._stage.web}/readyz", trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False

    def settled(self) -> bool:
        """Tells whether every webhook has been answered and no lane has anything left to do."""
        before = self._happyfox.deliveries()
        if not before or any(each["finished"] is None for each in before):
            return False
        return self.turns.idle() and len(self._happyfox.deliveries()) == len(before)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for a condition while the processes are looked after."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            self._supervisor.poll(0.05)
            if self._supervisor.stopping:
                raise KeyboardInterrupt
            if (part := self._supervisor.hopeless()) is not None:
                raise CommandError(f"{part} ends again and again; the processes said last:")
            if time.monotonic() > give_up:
                raise CommandError(f"waited {PATIENCE:g} s in vain until {what}; the processes said last:")


def _last_lines(log: Path, most: int = 25) -> list[str]:
    return log.read_text().splitlines()[-most:]
