"""`foxhooks demo`: show everything at work with a simulated HappyFox, in a temporary folder.

`run` starts the processes, `Demo.play` plays three scenes, and each scene is checked on the simulator's tickets.
"""

import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import redis
import typer
from msgspec.structs import replace
from rich.console import Console

from service.commands.format import details, line, plural
from service.commands.status import describe_budget
from service.embedded import Embedded
from service.errors import CommandError
from service.processes.entrypoints import BOT_ID, LOOPBACK
from service.processes.supervisor import HOPELESS, Child, Output, Supervisor
from service.reading.tickets import describe_record
from workers.engine.plan import Record, read_record
from workers.http_library import httpx
from workers.settings import load, plain_environ
from workers.store.client import Store, connect, store_time
from workers.store.keys import Keys
from workers.store.permits import Governor
from workers.store.records import AccountRecords

Json = dict[str, Any]

ACCOUNT = "demo"
#: The staff member of the simulated account that foxhooks writes as.
BOT_NAME = "Foxhooks Bot"
NOTE = "VIP contact: answer within the hour."
REPLY = "Thank you, we are on it again."
RULE = "Unresponded for 60 min"

#: Seconds to wait for each step; a busy laptop needs a few of them.
TIMEOUT = 60.0

#: The settings of the demo's handlers: three that ship with foxhooks, each with a table of matches.
HANDLERS = f"""\
handlers = [
    "workers.handlers.auto_tag:router",
    "workers.handlers.private_note:router",
    "workers.handlers.staff_update:router",
]

[permissions]
staff-update = ["reply"]                # answering a customer needs a grant

[router.auto-tag]
match = [
    {{ text = "refund|chargeback", tags = ["refund"] }},
    {{ contact_domain = "bigcorp.example", tags = ["vip"] }},
]

[router.private-note]
match = [
    {{ on = "ticket-created", contact_domain = "bigcorp.example", note = "{NOTE}" }},
]

[router.staff-update]
match = [
    {{ on = "contact-replied", status = "Closed", set.status = "In Progress", reply = "{REPLY}" }},
    {{ on = "smart-rule", rule = "{RULE}", set = {{ assignee = "Ada King", priority = "High" }} }},
]
"""  # noqa: S608 - this is TOML, no SQL

OK, FAILED = ("✓ ", "green"), ("✗ ", "red")


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop at the end; exit with 0 if everything worked.")] = False,
) -> None:
    """Show everything working, with a simulated HappyFox in a temporary folder.

    Needs no settings.
    """
    raise typer.Exit(run(once))


def run(once: bool, handlers: str = HANDLERS) -> int:
    """Play the demo; return 0 if the simulator's tickets show every effect.

    Without ``once``, keep everything running until Ctrl-C.
    """
    with TemporaryDirectory(prefix="foxhooks-demo-", ignore_cleanup_errors=True) as name:
        setup = Setup(Path(name).resolve(), handlers)
        store = Embedded(setup.folder / ".foxhooks", bound=True)
        with setup.log.open("w") as log:
            supervisor = Supervisor(setup.children(), store, Output(log))
            with supervisor.running(), connect(store.url) as client, setup.simulator() as simulator:
                try:
                    return Demo(setup, supervisor, client, simulator).play(once)
                except KeyboardInterrupt:
                    return 1
                except (CommandError, httpx.HTTPError, redis.RedisError) as error:
                    line()
                    line(FAILED, str(error))
                    line("The last lines of the processes:")
                    for logged in setup.log.read_text().splitlines()[-25:]:
                        line((f"  {logged}", "dim"))
                    return 1


class Setup:
    """The folder of the demo with its settings file, free ports and new keys."""

    def __init__(self, folder: Path, handlers: str) -> None:
        self.folder, self.log = folder, folder / "demo.log"
        web, self._port = free_ports(2)
        self.web, self.happyfox = f"http://{LOOPBACK}:{web}", f"http://{LOOPBACK}:{self._port}"
        self.hook = f"{self.web}/webhooks/{ACCOUNT}/"
        self._key, self._code, self._secret, self.password = (secrets.token_hex(8) for _ in range(4))
        (folder / "foxhooks.toml").write_text(f"""\
port = {web}
host = "{LOOPBACK}"
log_format = "console"
admin_password = "{self.password}"
{handlers}
[accounts.{ACCOUNT}]
url = "{self.happyfox}"
api_key = "{self._key}"
auth_code = "{self._code}"
webhook_secrets = ["{self._secret}"]
staff_id = {BOT_ID}
""")

    def children(self) -> list[Child]:
        """Return the processes in the order in which they start and stop; the simulator outlives the worker."""
        simulator = ["simulator", "--host", LOOPBACK, "--port", str(self._port), "--hook", self.hook]
        simulator += ["--account", ACCOUNT, "--key", self._key, "--code", self._code, "--secret", self._secret]
        # Settings that a person may have in the environment do not reach the demo.
        environ = plain_environ(os.environ)
        return [Child(command[0], command, environ, self.folder) for command in (["web"], ["worker"], simulator)]

    def simulator(self) -> httpx.Client:
        """Return a client of the simulator's own API, which uses none of the account's budget."""
        return httpx.Client(base_url=f"{self.happyfox}/simulator", timeout=10, trust_env=False)


def free_ports(count: int) -> list[int]:
    """Return different free ports of the loopback address."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


class Demo:
    """Play three scenes one after another; wait after each until every event has been handled."""

    def __init__(self, setup: Setup, supervisor: Supervisor, client: redis.Redis, simulator: httpx.Client) -> None:
        self._setup, self._supervisor, self._client, self._simulator = setup, supervisor, client, simulator
        self._deliveries_shown = self._calls_shown = self._records_shown = 0

    def play(self, once: bool) -> int:
        """Play the scenes; return 0 if all of them had their effects."""
        line(("foxhooks demo", "bold"))
        line("Embedded store, simulated HappyFox, web and worker: all running on this machine.")
        happyfox = f"{self._setup.happyfox} (simulated)"
        dashboard = f"{self._setup.web}/dashboard/ (user admin, password {self._setup.password})"
        places = {"HappyFox": happyfox, "webhooks": self._setup.hook, "dashboard": dashboard}
        details([*places.items(), ("folder", self._setup.folder)])
        self._wait(self._ready, "the processes to start")
        passed = all([self._customer_opens_ticket(), self._customer_replies(), self._smart_rule_fires()])
        self._show_budget()
        line()
        if passed:
            line(OK, "The tickets in HappyFox show everything that the handlers decided.")
        else:
            line(FAILED, ("Some effects are missing in HappyFox.", "bold"))
        if not once:
            self._suggest_next_steps()
            while not self._supervisor.stopping:
                self._supervisor.poll(0.5)
        return 0 if passed else 1

    def _customer_opens_ticket(self) -> bool:
        text = "It arrived broken, I want a refund."
        number = self._open_ticket("sam@bigcorp.example", "Order 1138", text)
        return self._report(
            "1. A customer opens a ticket",
            f'Sam Reed of bigcorp.example writes: "{text}"',
            number,
            ["tag refund", "tag vip", f'private note "{NOTE}"'],
        )

    def _customer_replies(self) -> bool:
        text = "It is still broken."
        self._post("/ticket/1/staff", {"staff": "Ada King", "status": "Closed"})
        self._settle()
        self._post("/ticket/1/contact", {"text": text})
        return self._report(
            "2. The customer replies to a closed ticket",
            f'Ada King closes the ticket, then Sam Reed replies: "{text}"',
            1,
            ["status In Progress", f'public reply "{REPLY}"'],
        )

    def _smart_rule_fires(self) -> bool:
        number = self._open_ticket("mia@smallshop.example", "Opening hours", "Are you open on Sunday?")
        self._settle()
        self._post(f"/ticket/{number}/rule", {"name": RULE})
        return self._report(
            "3. A smart rule fires",
            f'Mia Novak asks about opening hours and gets no answer: the rule "{RULE}" fires.',
            number,
            ["assignee Ada King", "priority High"],
        )

    def _open_ticket(self, email: str, subject: str, text: str) -> int:
        return int(self._post("/tickets", {"email": email, "subject": subject, "text": text})["id"])

    def _post(self, path: str, body: Json) -> Any:
        return self._simulator.post(path, json=body).raise_for_status().json()

    def _get(self, path: str) -> Any:
        return self._simulator.get(path).raise_for_status().json()

    def _settle(self) -> None:
        self._wait(self._settled, "all events to be handled")

    def _ready(self) -> bool:
        try:
            self._get("/")
            return httpx.get(f"{self._setup.web}/readyz", trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False

    def _settled(self) -> bool:
        """Return whether every webhook was answered and no lane has anything left to do."""
        before = self._get("/deliveries")
        if not before or any(delivery["finished"] is None for delivery in before):
            return False
        idle = self._client.zcard(Keys(ACCOUNT).schedule) == 0
        return idle and len(self._get("/deliveries")) == len(before)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition while the supervisor restarts what ends."""
        deadline = time.monotonic() + TIMEOUT
        with Console(highlight=False).status(f"Waiting for {what} ..."):
            while not condition():
                self._supervisor.poll(0.05)
                if self._supervisor.stopping:
                    raise KeyboardInterrupt
                if (name := self._supervisor.hopeless()) is not None:
                    raise CommandError(f"The process {name} ended {HOPELESS} times in a row.")
                if time.monotonic() > deadline:
                    raise CommandError(f"Waited {TIMEOUT:g} s for {what}.")

    def _report(self, title: str, story: str, number: int, expected: Sequence[str]) -> bool:
        """Wait until everything is handled and show the scene; return whether the ticket shows what is expected."""
        self._settle()
        shown = _facts(self._get(f"/ticket/{number}"))
        deliveries = self._get(f"/deliveries?after={self._deliveries_shown}")
        calls = self._get(f"/calls?after={self._calls_shown}")
        records = list(AccountRecords(self._client, ACCOUNT).records(oldest_first=True))
        new = filter(None, map(read_record, records[self._records_shown :]))  # a turn caused by our own writes has none
        line()
        line((title, "bold"), f" (ticket {number})")
        line(story)
        webhooks = [("webhook", text) for text in _webhook_lines(deliveries)]
        turns = [row for record in new for row in describe_record(_without_skipped(record))]
        details([*webhooks, *turns, *(("API call", text) for text in _call_lines(calls))])
        for fact in expected:
            line("  ", OK if fact in shown else FAILED, fact)
        self._deliveries_shown += len(deliveries)
        self._calls_shown += len(calls)
        self._records_shown = len(records)
        return shown.issuperset(expected)

    def _show_budget(self) -> None:
        budget = load("worker", {}, self._setup.folder).accounts[ACCOUNT].budget
        with Store(self._client) as store:
            forecast = store.run(Governor(ACCOUNT, budget).forecast())
        line()
        details(describe_budget(forecast, store_time(self._client)))

    def _suggest_next_steps(self) -> None:
        mia = f"{self._setup.happyfox}/simulator/ticket/2"
        called = Path(sys.argv[0])
        foxhooks = str(called.absolute()) if called.name == "foxhooks" else f"{sys.executable} -m service"
        commands = {
            "Mia writes again; her ticket gets a tag": f'curl {mia}/contact -d \'{{"text": "I want a refund"}}\'',
            "her ticket as HappyFox shows it": f"curl {mia}",
            "deliveries, budget and backlog": f"{foxhooks} status",
            "what each handler decided for her ticket, and why": f"{foxhooks} explain 2",
            "the settings of handlers and account": "less foxhooks.toml",
            "the output of the processes": f"less {self._setup.log.name}",
        }
        line()
        line(("Everything keeps running until you press Ctrl-C.", "bold"), " Try this in another terminal:")
        line(f"  cd {self._setup.folder}")
        for comment, command in commands.items():
            line((f"  # {comment}", "dim"))
            line(f"  {command}")


def _webhook_lines(deliveries: Sequence[Json]) -> Iterator[str]:
    """Describe each webhook, and those of our own writes in one line."""
    own = 0
    for delivery in deliveries:
        update = json.loads(delivery["body"]).get("update") or {}
        by = update.get("by", {}).get("name")
        if by == BOT_NAME:
            own += 1
            continue
        about = ", ".join(filter(None, (by, update.get("message_type"))))
        answer = delivery["status"] or delivery["error"]
        yield f"{delivery['label']}{f' ({about})' if about else ''}, signed, answered {answer}"
    if own:
        yield f"{plural(own, 'webhook')} caused by our own writes: recognized, no handler runs"


def _call_lines(calls: Sequence[Json]) -> Iterator[str]:
    """Describe each call as HappyFox received it."""
    for call in calls:
        path = call["path"].rpartition("/api/1.1/json/")[2].strip("/")
        note = " (cached for an hour)" if call["ticket"] is None else ""
        yield f"{call['method']:4} {path}{note}" + ("" if call["status"] == 200 else f": {call['status']}")


def _without_skipped(record: Record) -> Record:
    return replace(record, verdicts=tuple(verdict for verdict in record.verdicts if verdict.state != "skipped"))


def _facts(ticket: Json) -> set[str]:
    """Return what HappyFox shows of a ticket, in the same words as the expectations of the scenes."""
    names = {"status": "status", "assignee": "assigned_to", "priority": "priority"}
    facts = {f"{label} {(ticket[member] or {}).get('name')}" for label, member in names.items()}
    facts |= {f"tag {tag.strip()}" for tag in ticket["tags"].split(",")}  # the API shows them as one text
    for update in ticket["updates"]:
        if update["message"] and update["by"]["type"] == "staff":
            kind = "private note" if update["message"]["message_type"] == "p" else "public reply"
            facts.add(f'{kind} "{update["message"]["text"].strip()}"')
    return facts
