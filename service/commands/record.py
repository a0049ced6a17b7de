"""`foxhooks record`: the form of HappyFox's webhooks and answers, and which open questions it settles."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from service.commands.format import AsJson, details, line, print_json
from service.context import AccountName, Why, accounts_of, acting, one_account, store_of
from service.errors import CommandError
from service.words import ago, plural
from workers.errors import suggest
from workers.store.audit import By
from workers.store.client import Store, store_time
from workers.store.recorder import READ_SECONDS, Lesson, allow, left_out, read_lessons, read_shapes, refuse
from workers.store.scripts import Script
from workers.webhook.learning import MEANINGS
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
    lessons: list[Lesson]
    """What deliveries have taught, and what a person has refused to learn."""


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
            lessons = read_lessons(client, each.name)
            reports.append(
                RecordReport(each.name, settle(shapes.items()), shapes, left_out(client, each.name), lessons)
            )
        now = store_time(client)
    if json:
        print_json({"accounts": reports})
        return
    for report in reports:
        line((report.account, "bold"))
        details((f"{one.number:2}", f"{one.text}\n{_seen(one, now)}") for one in report.questions)
        for lesson in report.lessons:
            line(describe_lesson(lesson, now))
        deliveries = sum(shape.what == DELIVERY for shape in report.shapes.values())
        rest = f", {report.left_out} more not kept" if report.left_out else ""
        answers = plural(len(report.shapes) - deliveries, "form of answers", "forms of answers")
        line(f"{plural(deliveries, 'form of deliveries', 'forms of deliveries')}, {answers}{rest}.")
        line("`foxhooks record export DIGEST` prints a sample without anything that people wrote.")


def _seen(question: Question, now: int) -> str:
    seen = f"{question.answer} ({question.by}, {ago(question.at, now)})" if question.answer else "open"
    return f"{seen}\nEither way: {question.either_way}."


def describe_lesson(lesson: Lesson, now: int) -> str:
    """Describe something that was learned or refused, with the command that changes it."""
    if not lesson.value:
        return (
            f"Not learned since {ago(lesson.at, now)}: {lesson.what}. `foxhooks record learn {lesson.what}` allows it."
        )
    meaning = MEANINGS[lesson.what].format(lesson.value)
    return (
        f"Learned: {meaning} ({lesson.digest}, {ago(lesson.at, now)}). "
        f"`foxhooks record forget {lesson.what}` takes it back."
    )


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


What = Annotated[
    Literal["number", "event", "contact"], typer.Argument(help="What was learned: number, event, contact.")
]


@record.command()
def forget(what: What, account: AccountName = "", why: Why = "") -> None:
    """Forget what deliveries have taught, and do not learn it again."""
    if not _change(refuse, what, account, why):
        raise CommandError(f"{what} is forgotten already; `foxhooks record learn {what}` allows it again")
    line(f"Forgotten. `foxhooks record learn {what}` learns it again.")
    line(f"A web process notices this with a delivery, after at most {READ_SECONDS} s.")


@record.command()
def learn(what: What, account: AccountName = "", why: Why = "") -> None:
    """Learn again from deliveries what was forgotten."""
    if not _change(allow, what, account, why):
        raise CommandError(f"nobody has forgotten {what}, so it is learned from deliveries anyway")
    line(f"It is learned again from the next deliveries of three tickets, after at most {READ_SECONDS} s.")


def _change(change: Callable[[str, str, By], Script[bool]], what: str, account: str, why: str) -> bool:
    accounts = accounts_of()
    name = one_account(accounts.settings, account).name
    with store_of(accounts.settings) as client, Store(client) as store:
        return store.run(change(name, what, acting(why)))
