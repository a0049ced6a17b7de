"""`foxhooks record`: the form of HappyFox's webhooks and answers, and which open questions it settles."""

from dataclasses import dataclass
from typing import Annotated

import typer

from service.commands.format import AsJson, details, line, print_json
from service.context import AccountName, accounts_of, one_account, store_of
from service.errors import CommandError
from service.words import ago, plural
from workers.errors import suggest
from workers.store.client import store_time
from workers.store.recorder import left_out, read_shapes
from workers.webhook.questions import DELIVERY, Question, settle
from workers.webhook.shapes import Shape

record = typer.Typer(
    help="Show the form of HappyFox's webhooks and answers, and what it settles.", add_completion=False
)


@dataclass(frozen=True, slots=True)
class RecordReport:
    """What is known of the form of one account's deliveries and answers."""

    account: str
    questions: list[Question]
    shapes: dict[str, Shape]
    """By their digests, oldest first."""
    left_out: int
    """Shapes that were not kept, because there were too many."""


@record.callback(invoke_without_command=True)
def show(context: typer.Context, account: AccountName = "", json: AsJson = False) -> None:
    """Show the form of HappyFox's webhooks and answers, and what it settles."""
    if context.invoked_subcommand:
        return
    accounts = accounts_of()
    with store_of(accounts.settings) as client:
        reports = []
        for each in accounts.chosen(account):
            shapes = read_shapes(client, each.name)
            reports.append(RecordReport(each.name, settle(shapes.items()), shapes, left_out(client, each.name)))
        now = store_time(client)
    if json:
        print_json({"accounts": reports})
        return
    for report in reports:
        line((report.account, "bold"))
        details((f"{one.number:2}", f"{one.text}\n{_seen(one, now)}") for one in report.questions)
        deliveries = sum(shape.what == DELIVERY for shape in report.shapes.values())
        rest = f", {report.left_out} more not kept" if report.left_out else ""
        answers = plural(len(report.shapes) - deliveries, "form of answers", "forms of answers")
        line(f"{plural(deliveries, 'form of deliveries', 'forms of deliveries')}, {answers}{rest}.")
        line("`foxhooks record export DIGEST` prints a sample without anything that people wrote.")


def _seen(question: Question, now: int) -> str:
    return f"{question.answer} ({question.by}, {ago(question.at, now)})" if question.answer else "open"


@record.command()
def export(
    digest: Annotated[str, typer.Argument(help="The digest of a form; default: the newest delivery's.")] = "",
    account: AccountName = "",
) -> None:
    """Print a sample of a form as JSON, for tests and for `foxhooks send FILE`."""
    accounts = accounts_of()
    with store_of(accounts.settings) as client:
        shapes = read_shapes(client, one_account(accounts.settings, account).name)
    deliveries = [name for name, shape in shapes.items() if shape.what == DELIVERY]
    if not digest and not deliveries:
        raise CommandError("no delivery has been recorded yet")
    digest = digest or deliveries[-1]
    if digest not in shapes:
        raise CommandError(f"there is no form {digest!r}; {suggest(digest, shapes)}")
    print_json(shapes[digest].sample)
