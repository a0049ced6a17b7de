"""`foxhooks demo`: show everything at work with a simulated HappyFox, in a temporary folder.

`run` starts the processes, `Demo.play` plays three scenes, and each scene is checked on the simulator's tickets.
"""

import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import httpx
import redis
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from service.embedded import Embedded
from service.errors import CommandError
from service.processes.entrypoints import BOT_ID, LOOPBACK
from service.processes.supervisor import HOPELESS, Child, Output, Supervisor
from workers.engine.plan import Record, read_record, split
from workers.settings import load
from workers.store.client import Store
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
"""

#: Settings that a person may have in the environment; none may reach the demo.
PREFIXES = ("FOXHOOKS_", "HAPPYFOX_")
COMMON = {"HOST", "LOG_FORMAT", "LOG_LEVEL", "PORT", "REDIS_URL", "SENTRY_DSN", "WEB_CONCURRENCY"}

OK, FAILED = "[green]✓[/green]", "[red]✗[/red]"


def run(once: bool, handlers: str = HANDLERS) -> int:
    """Play the demo; return 0 if the simulator's tickets show every effect.

    Without ``once``, keep everything running until Ctrl-C.
    """
    console = Console(highlight=False)
    with TemporaryDirectory(prefix="foxhooks-demo-", ignore_cleanup_errors=True) as name:
        setup = Setup(Path(name).resolve(), handlers)
        store = Embedded(setup.folder / ".foxhooks", bound=True)
        with setup.log.open("w") as log:
            supervisor = Supervisor(setup.children(), store, Output(log))
            with supervisor.running(), redis.Redis.from_url(store.url) as client, setup.simulator() as simulator:
                try:
                    demo = Demo(setup=setup, supervisor=supervisor, client=client, simulator=simulator, console=console)
                    return demo.play(once)
                except KeyboardInterrupt:
                    return 1
                except (CommandError, httpx.HTTPError, redis.RedisError) as error:
                    console.print(f"\n{FAILED} {escape(str(error))}\n\n[dim]The last lines of the processes:[/dim]")
                    for line in setup.log.read_text().splitlines()[-25:]:
                        console.print(f"  {escape(line)}", style="dim", soft_wrap=True)
                    return 1


class Setup:
    """The folder of the demo with its settings file, free ports and new keys."""

    def __init__(self, folder: Path, handlers: str) -> None:
        self.folder, self.log = folder, folder / "demo.log"
        web, self._port = free_ports(2)
        self.web, self.happyfox = f"http://{LOOPBACK}:{web}", f"http://{LOOPBACK}:{self._port}"
        self.hook = f"{self.web}/webhooks/{ACCOUNT}/"
        self._key, self._code, self._secret = (secrets.token_hex(8) for _ in range(3))
        (folder / "foxhooks.toml").write_text(f"""\
port = {web}
host = "{LOOPBACK}"
log_format = "console"
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
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(PREFIXES) and name not in COMMON
        }
        commands = {"web": ["web"], "worker": ["worker"], "simulator": simulator}
        return [Child(name, arguments, environ, self.folder) for name, arguments in commands.items()]

    def simulator(self) -> httpx.Client:
        """Return a client of the simulator's own API, which uses none of the account's budget."""
        return httpx.Client(base_url=f"{self.happyfox}/simulator", timeout=10, trust_env=False)


def free_ports(count: int) -> list[int]:
    """Return different free ports of the loopback address."""
    listeners = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Demo:
    """Three scenes, one after another; each waits until every event has been handled."""

    def __init__(
        self,
        *,
        setup: Setup,
        supervisor: Supervisor,
        client: redis.Redis,
        simulator: httpx.Client,
        console: Console,
    ) -> None:
        self._setup, self._supervisor, self._console = setup, supervisor, console
        self._client, self._simulator = client, simulator
        self._deliveries_shown = self._calls_shown = self._turns_shown = 0

    def play(self, once: bool) -> int:
        """Play the scenes; return 0 if all of them had their effects."""
        self._introduce()
        self._wait(self._ready, "the processes to start")
        effects_shown = [self._customer_opens_ticket(), self._customer_replies(), self._smart_rule_fires()]
        self._show_budget()
        if all(effects_shown):
            self._console.print(f"\n{OK} The tickets in HappyFox show everything that the handlers decided.")
        else:
            self._console.print(f"\n{FAILED} [bold]Some effects are missing in HappyFox.[/bold]")
        if not once:
            self._suggest_next_steps()
            while not self._supervisor.stopping:
                self._supervisor.poll(0.5)
        return 0 if all(effects_shown) else 1

    def _customer_opens_ticket(self) -> bool:
        text = "It arrived broken, I want a refund."
        number = self._open_ticket("sam@bigcorp.example", "Order 1138", text)
        ticket = self._settle(number)
        return self._report(
            "1. A customer opens a ticket",
            f'Sam Reed of bigcorp.example writes: "{text}"',
            ticket,
            {
                "tags refund and vip": {"refund", "vip"} <= _tags(ticket),
                f'private note "{NOTE}"': _has_message(ticket, NOTE, private=True),
            },
        )

    def _customer_replies(self) -> bool:
        text = "It is still broken."
        self._post("/ticket/1/staff", {"staff": "Ada King", "status": "Closed"})
        self._settle(1)
        self._post("/ticket/1/contact", {"text": text})
        ticket = self._settle(1)
        return self._report(
            "2. The customer replies to a closed ticket",
            f'Ada King closes the ticket, then Sam Reed replies: "{text}"',
            ticket,
            {
                "status In Progress": _name(ticket, "status") == "In Progress",
                f'public reply "{REPLY}"': _has_message(ticket, REPLY, private=False),
            },
        )

    def _smart_rule_fires(self) -> bool:
        number = self._open_ticket("mia@smallshop.example", "Opening hours", "Are you open on Sunday?")
        self._settle(number)
        self._post(f"/ticket/{number}/rule", {"name": RULE})
        ticket = self._settle(number)
        return self._report(
            "3. A smart rule fires",
            f'Mia Novak asks about opening hours and gets no answer: the rule "{RULE}" fires.',
            ticket,
            {
                "assignee Ada King": _name(ticket, "assigned_to") == "Ada King",
                "priority High": _name(ticket, "priority") == "High",
            },
        )

    def _open_ticket(self, email: str, subject: str, text: str) -> int:
        return int(self._post("/tickets", {"email": email, "subject": subject, "text": text})["id"])

    def _post(self, path: str, body: Json) -> Any:
        return self._simulator.post(path, json=body).raise_for_status().json()

    def _get(self, path: str) -> Any:
        return self._simulator.get(path).raise_for_status().json()

    def _settle(self, number: int) -> Json:
        """Wait until every event has been handled, then return the ticket."""
        self._wait(self._settled, "all events to be handled")
        return cast(Json, self._get(f"/ticket/{number}"))

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
        with self._console.status(f"Waiting for {what} ..."):
            while not condition():
                self._supervisor.poll(0.05)
                if self._supervisor.stopping:
                    raise KeyboardInterrupt
                if (name := self._supervisor.hopeless()) is not None:
                    raise CommandError(f"The process {name} ended {HOPELESS} times in a row.")
                if time.monotonic() > deadline:
                    raise CommandError(f"Waited {TIMEOUT:g} s for {what}.")

    def _introduce(self) -> None:
        self._console.print(
            "[bold]foxhooks demo[/bold]\n"
            "Embedded store, simulated HappyFox, web and worker: all running on this machine.\n"
        )
        rows = {
            "HappyFox": f"{self._setup.happyfox} [dim](simulated)[/dim]",
            "Webhooks": self._setup.hook,
            "Folder": escape(str(self._setup.folder)),
        }
        self._console.print(_sections((label, [value]) for label, value in rows.items()))

    def _report(self, title: str, story: str, ticket: Json, checks: Mapping[str, bool]) -> bool:
        """Show one scene; return whether the ticket shows every effect."""
        deliveries = self._get(f"/deliveries?after={self._deliveries_shown}")
        calls = self._get(f"/calls?after={self._calls_shown}")
        self._deliveries_shown += len(deliveries)
        self._calls_shown += len(calls)
        self._console.print()
        self._console.rule(f"[bold]{title}[/bold] [dim](ticket {ticket['id']})[/dim]", align="left", style="dim")
        self._console.print(f"{escape(story)}\n")
        sections: dict[str, Iterable[RenderableType]] = {
            "Webhooks": _webhook_lines(deliveries),
            "Handlers": _handler_lines(self._new_records()),
            "API calls": _call_lines(calls),
            "Result": (f"{OK if passed else FAILED} {escape(effect)}" for effect, passed in checks.items()),
        }
        self._console.print(_sections(sections.items()))
        return all(checks.values())

    def _new_records(self) -> list[Record]:
        """Return the records of the turns since the last scene; a turn caused by our own writes has none."""
        turns = cast(list[bytes], self._client.zrange(Keys(ACCOUNT).turns, self._turns_shown, -1))
        self._turns_shown += len(turns)
        records = AccountRecords(self._client, ACCOUNT)
        return [record for turn in turns if (record := read_record(records.record(turn.decode()))) is not None]

    def _show_budget(self) -> None:
        budget = load("worker", {}, self._setup.folder).accounts[ACCOUNT].budget
        with Store(self._client) as store:
            forecast = store.run(Governor(ACCOUNT, budget).forecast())
        self._console.print()
        self._console.rule("[bold]API budget[/bold]", align="left", style="dim")
        self._console.print(
            f"Left in this minute: [bold]{forecast.gets_free}[/bold] of {forecast.gets} GET calls "
            f"and [bold]{forecast.posts_free}[/bold] of {forecast.posts} POST calls."
        )
        if forecast.gate != "open":
            self._console.print(f"[red]HappyFox accepts no calls now ({forecast.why}).[/red]")

    def _suggest_next_steps(self) -> None:
        mia = f"{self._setup.happyfox}/simulator/ticket/2"
        foxhooks = _own_command()
        commands = {
            "Mia writes again; her ticket gets a tag": f'curl {mia}/contact -d \'{{"text": "I want a refund"}}\'',
            "her ticket as HappyFox shows it": f"curl {mia}",
            "deliveries, budget and backlog": f"{foxhooks} status",
            "what each handler decided for her ticket, and why": f"{foxhooks} explain 2",
            "the settings of handlers and account": "less foxhooks.toml",
            "the output of the processes": f"less {self._setup.log.name}",
        }
        self._console.print(
            "\n[bold]Everything keeps running until you press Ctrl-C.[/bold] Try this in another terminal:\n"
        )
        self._console.print(f"  cd {escape(str(self._setup.folder))}", soft_wrap=True)
        for comment, command in commands.items():
            self._console.print(f"\n  [dim]# {comment}[/dim]\n  {escape(command)}", soft_wrap=True)


def _sections(sections: Iterable[tuple[str, Iterable[RenderableType]]]) -> Padding:
    """Lay out labelled lines in two columns."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="dim", no_wrap=True, min_width=9)
    table.add_column()
    for label, lines in sections:
        table.add_row(label, Group(*lines))
    return _indented(table)


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, 2), expand=False)


def _webhook_lines(deliveries: Sequence[Json]) -> Iterator[RenderableType]:
    """Describe each webhook; summarise those of our own writes in one line."""
    own = 0
    for delivery in deliveries:
        update = json.loads(delivery["body"]).get("update") or {}
        by = update.get("by", {}).get("name")
        if by == BOT_NAME:
            own += 1
            continue
        details = ", ".join(filter(None, (by, update.get("message_type"))))
        answer = delivery["status"] or delivery["error"]
        yield f"{delivery['label']}{f' ({escape(details)})' if details else ''}, signed, answered {answer}"
    if own:
        webhooks = "1 webhook" if own == 1 else f"{own} webhooks"
        yield f"[dim]{webhooks} caused by our own writes: recognised, no handler runs[/dim]"


def _handler_lines(records: Sequence[Record]) -> Iterator[RenderableType]:
    """Show the changes of each turn, and what each handler decided about them."""
    for record in records:
        changes = ", ".join(f"{change.kind} by {change.actor.name or change.actor.kind}" for change in record.changes)
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        idle = []
        for verdict in record.verdicts:
            if verdict.state == "decided":
                result = "\n".join(_actions(record, verdict.handler))
            else:
                result = "" if verdict.state == "skipped" else f"{verdict.state}: {verdict.reason}"
            result += "".join(f" (denied; to allow it, add {line})" for line in verdict.denied)
            if result:
                table.add_row(f"[bold]{escape(verdict.handler)}[/bold]", escape(result))
            else:
                idle.append(verdict.handler)
        yield f"on [cyan]{escape(changes)}[/cyan]"
        yield _indented(table)
        if idle:
            yield _indented(f"[dim]no action: {escape(', '.join(idle))}[/dim]")


def _actions(record: Record, handler: str) -> Iterator[str]:
    for effect in record.effects:
        for part in split(effect):
            if handler in part.handlers:
                yield f'{part.words}: "{part.text}"' if part.text else part.words


def _call_lines(calls: Sequence[Json]) -> Iterator[RenderableType]:
    """Show the calls as HappyFox received them; summarise the lists of names in one line."""
    lists = [call for call in calls if call["method"] == "GET" and call["ticket"] is None]
    if lists:
        names = ", ".join(map(_path, lists))
        yield f"GET  {names} [dim]({len(lists)} lists of names and ids, cached for an hour)[/dim]"
    for call in calls:
        if call not in lists:
            status = "" if call["status"] == 200 else f" [red]{call['status']}[/red]"
            yield f"{call['method']:4} {_path(call)}{status}"


def _path(call: Json) -> str:
    return escape(call["path"].rpartition("/api/1.1/json/")[2].strip("/"))


def _tags(ticket: Json) -> set[str]:
    """Return the ticket's tags, which the API shows as one text."""
    return {tag.strip() for tag in ticket["tags"].split(",")} - {""}


def _name(ticket: Json, member: str) -> str:
    return str((ticket[member] or {}).get("name", ""))


def _has_message(ticket: Json, text: str, *, private: bool) -> bool:
    """Return whether a staff member wrote this text, as a private note or to the customer."""
    return any(
        text in update["message"]["text"] and (update["message"]["message_type"] == "p") == private
        for update in ticket["updates"]
        if update["message"] and update["by"]["type"] == "staff"
    )


def _own_command() -> str:
    """Return how to call this command from another folder."""
    called = Path(sys.argv[0])
    return str(called.absolute()) if called.name == "foxhooks" else f"{sys.executable} -m service"
