"""The command `foxhooks`: what can be typed, in words for a newcomer. The work lies in other modules."""

import math
import re
from typing import Annotated, Literal, NoReturn
from urllib.parse import urlsplit

import typer

START = """\
Handlers for HappyFox webhooks.

[bold]New here?[/bold] `foxhooks demo` shows everything at work with a simulated HappyFox; there is \
nothing to set up.

[bold]With your own HappyFox:[/bold] put your settings into foxhooks.toml or the environment and let \
`foxhooks doctor` check them. `foxhooks up` starts everything, `foxhooks send --sample created --ticket N` \
tries it, `foxhooks status` shows what came in.
"""
AFTER = "Exit codes: 0 done, 1 failed, 2 wrong usage.  `foxhooks COMMAND --help` tells more about one command."

DAY = 86_400
RUN, LOOK, LATER = "Run", "Look and try", "Not available yet"

app = typer.Typer(
    name="foxhooks",
    help=START,
    epilog=AFTER,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
dead = typer.Typer(help="Dead letters: what was given up, with the evidence.", no_args_is_help=True)
rules = typer.Typer(help="Rules: automation in TOML, without code.", no_args_is_help=True)
app.add_typer(dead, name="dead", rich_help_panel=LOOK)
app.add_typer(rules, name="rules", rich_help_panel=LOOK)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
IsChild = Annotated[bool, typer.Option("--child", hidden=True)]


def main() -> None:
    """Runs the command that was typed."""
    try:
        app()
    except Exception as error:
        from service.failures import report

        if not report(error):
            raise
        raise SystemExit(1) from None


@app.command(rich_help_panel=RUN)
def up() -> None:
    """Run store, web and worker in one process tree, with your settings. Ctrl-C stops all of it."""
    from service.processes import up

    up.run()


@app.command(rich_help_panel=RUN)
def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself; exit code 0 only if it all worked.")] = False,
) -> None:
    """Show everything at work, with a simulated HappyFox in a temporary folder. Needs no settings."""
    from service.demo import demo

    raise typer.Exit(demo.run(once))


@app.command(rich_help_panel=RUN)
def web(child: IsChild = False) -> None:
    """Run the web process, which takes HappyFox's webhooks."""
    from service.processes.parts import run_web

    run_web(child)


@app.command(rich_help_panel=RUN)
def worker(child: IsChild = False) -> None:
    """Run the worker process, which runs your handlers and calls HappyFox."""
    from service.processes.parts import run_worker

    raise typer.Exit(run_worker(child))


def _number(value: float) -> float:
    """Refuses nan, which is neither below nor above any limit."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number of seconds")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", value):
        raise typer.BadParameter("use only a to z, 0 to 9 and hyphens, as acme")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if value and not sound:
        raise typer.BadParameter("write an address, as http://127.0.0.1:8000/webhooks/demo/")
    return value


@app.command(rich_help_panel=RUN)
def simulator(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535, envvar="PORT")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")] = "127.0.0.1",
    hook: Annotated[str, typer.Option(help="URL its webhooks go to.", show_default="none", callback=_url)] = "",
    secret: Annotated[str, typer.Option(help="Signing key of its webhooks.")] = "demo-secret",
    account: Annotated[str, typer.Option(help="Name of the account.", callback=_name)] = "demo",
    key: Annotated[str, typer.Option(help="API key that is accepted.")] = "demo-key",
    code: Annotated[str, typer.Option(help="Auth code that is accepted.")] = "demo-code",
    gets: Annotated[int, typer.Option(help="GET calls in a window.", min=1)] = 500,
    posts: Annotated[int, typer.Option(help="POST calls in a window.", min=1)] = 300,
    window: Annotated[float, typer.Option(help="Seconds of a window.", min=0.001, max=DAY, callback=_number)] = 60,
    lockout: Annotated[float, typer.Option(help="Seconds of a lockout.", min=0, max=DAY, callback=_number)] = 600,
    latency: Annotated[float, typer.Option(help="Seconds a write takes.", min=0, max=DAY, callback=_number)] = 0,
    child: IsChild = False,
) -> None:
    """Run a HappyFox of your own to try handlers on: tickets, limits, webhooks, all in memory."""
    from service.processes.parts import Play, run_simulator

    limits = {"gets": gets, "posts": posts, "window": window, "lockout": lockout, "latency": latency}
    run_simulator(Play(host, port, account, key, code, hook, secret, limits), child)


@app.command(rich_help_panel=LOOK)
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Make no calls to HappyFox.")] = False,
    json: Json = False,
) -> None:
    """Check settings, handlers, store and credentials; each finding comes with its cure."""
    from service.doctor import doctor

    raise typer.Exit(doctor.run(offline, json))


@app.command(rich_help_panel=LOOK)
def send(
    file: Annotated[str, typer.Argument(help="A body to send as it is; - reads standard input.")] = "",
    sample: Annotated[
        Literal["created", "reply", "rule"] | None, typer.Option(help="A body as HappyFox would send it.")
    ] = None,
    ticket: Annotated[int | None, typer.Option(help="The ticket the sample speaks of.", min=1)] = None,
    shape: Annotated[
        Literal["flat", "rest", "wrapped"] | None, typer.Option(help="The sample's form.", show_default="flat")
    ] = None,
    to: Annotated[str, typer.Option(help="URL to deliver to; without it the web process of this machine.")] = "",
    account: Annotated[str, typer.Option(help="The account, where there are several.")] = "",
) -> None:
    """Sign a delivery and send it to the web process: a file, or a sample."""
    from service.commands import send

    if bool(file) == bool(sample):
        raise typer.BadParameter("give either a FILE or --sample created, reply or rule")
    if file and (ticket or shape):
        raise typer.BadParameter("a FILE is sent as it is: --ticket and --shape are for samples")
    raise typer.Exit(send.run(send.Order(file, sample, ticket, shape or "flat", to, account)))


@app.command(rich_help_panel=LOOK)
def status(
    worker: Annotated[
        bool, typer.Option("--worker", help="Only tell whether a worker is alive: exit code 0 or 1.")
    ] = False,
    json: Json = False,
) -> None:
    """Show deliveries, budget, gate and backlog of each account."""
    from service.commands import status

    raise typer.Exit(status.run(worker, json))


@app.command(rich_help_panel=LOOK)
def events(
    ticket: Annotated[int | None, typer.Option(help="Only events of this ticket.", min=1)] = None,
    kind: Annotated[str, typer.Option(help="Only events that led to a change of this kind.")] = "",
    since: Annotated[str, typer.Option(help="Only events of the last 90s, 10m, 2h, 1d.")] = "",
    json: Json = False,
) -> None:
    """List what came in lately and what became of it, newest first."""
    from service.commands import events

    raise typer.Exit(events.run(events.Filter(ticket, kind, since), json))


@app.command(rich_help_panel=LOOK)
def explain(
    ticket: Annotated[int, typer.Argument(help="The ticket's number.", min=1)],
    account: Annotated[str, typer.Option(help="The account, where there are several.")] = "",
    json: Json = False,
) -> None:
    """Tell the story of a ticket: what came in, what each handler decided and why, what was done."""
    from service.commands import explain

    raise typer.Exit(explain.run(ticket, account, json))


OfHandler = Annotated[str, typer.Option(help="Only letters of this router or router.function.")]
OfError = Annotated[str, typer.Option(help="Only letters whose error contains this.")]
OfTicket = Annotated[int | None, typer.Option(help="Only letters of this ticket.", min=1)]
Since = Annotated[str, typer.Option(help="Only letters of the last 90s, 10m, 2h, 1d.")]
InQuarantine = Annotated[bool, typer.Option("--quarantine", help="Deliveries that could not be read instead.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, as `foxhooks dead list` shows them.")]


@dead.command("list")
def dead_list(
    handler: OfHandler = "",
    error: OfError = "",
    ticket: OfTicket = None,
    since: Since = "",
    quarantine: InQuarantine = False,
    json: Json = False,
) -> None:
    """List dead letters, newest first."""
    from service.commands import dead, letters, times

    wanted = letters.Filter((), handler, error, ticket, times.span(since))
    raise typer.Exit(dead.run(wanted, quarantine, json))


@dead.command("show")
def dead_show(letter: Annotated[str, typer.Argument(help="Its id.")], json: Json = False) -> None:
    """Show a letter with its evidence."""
    from service.commands import dead

    raise typer.Exit(dead.show(letter, json))


@dead.command("replay")
def dead_replay(
    ids: Ids = None,
    handler: OfHandler = "",
    error: OfError = "",
    ticket: OfTicket = None,
    since: Since = "",
    quarantine: InQuarantine = False,
) -> None:
    """Let handlers run again, with the changes they missed, on the ticket as it is now.

    A handler runs as a whole: what it did besides the thing that failed, it does again. `event.replay` tells it.
    """
    from service.commands import dead, letters, times

    wanted = letters.Filter(tuple(ids or ()), handler, error, ticket, times.span(since))
    raise typer.Exit(dead.act("replay", wanted, quarantine))


@dead.command("discard")
def dead_discard(
    ids: Ids = None,
    handler: OfHandler = "",
    error: OfError = "",
    ticket: OfTicket = None,
    since: Since = "",
    quarantine: InQuarantine = False,
) -> None:
    """Delete letters that need no more work."""
    from service.commands import dead, letters, times

    wanted = letters.Filter(tuple(ids or ()), handler, error, ticket, times.span(since))
    raise typer.Exit(dead.act("discard", wanted, quarantine))


@app.command(rich_help_panel=LOOK)
def api(
    method: Annotated[str, typer.Argument(help="A method, such as ticket; without one they are listed.")] = "",
    arguments: Annotated[
        list[str] | None, typer.Argument(help="What it takes, in its order or as NAME=VALUE; JSON or text.")
    ] = None,
    account: Annotated[str, typer.Option(help="The account, where there are several.")] = "",
    json: Json = False,
) -> None:
    """List the calls of HappyFox's API, or make one within the limits."""
    from service.commands import api

    raise typer.Exit(api.run(method, arguments or [], account, json))


ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


def _not_yet(parent: typer.Typer, path: str, help: str) -> None:
    """Adds a command that is refused until it is built, whatever is typed behind it."""

    def refuse(_: typer.Context) -> NoReturn:
        from service.failures import CommandError

        raise CommandError(f"`foxhooks {path}` is not available yet")

    panel = LATER if parent is app else None
    name = path.rpartition(" ")[2]
    parent.command(name, help=f"(not available yet) {help}", context_settings=ANYTHING, rich_help_panel=panel)(refuse)


for _path, _help in {
    "pause": "Stop taking turns; deliveries are still accepted.",
    "resume": "Take turns again.",
    "backtest": "Run handlers on what was recorded.",
}.items():
    _not_yet(app, _path, _help)
