"""Templates: texts of a rule with values of the ticket in them, checked when they are loaded.

    Hi {{ ticket.contact.name|default("there") }}{% if ticket.assignee %}, {{ ticket.assignee.name }} will{% endif %}

jinja2 parses a template, and `_Checker` checks every node of it before anything is evaluated or compiled: variables,
filters and `if` are allowed. Each expression has a type - a text, a list, an object with members - and what fits by
its type cannot fail in a turn. Rendering with sample tickets instead would miss mistakes in branches that no sample
takes, and comparisons that can never hold, such as `ticket.id in ticket.tags`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import SandboxedEnvironment

from workers.errors import suggest
from workers.tickets.change import Actor, Change, Event
from workers.tickets.model import Contact, Named, Staff, Status, TicketRead

#: The size limit of a template (characters in the file) and of its text (bytes).
LIMIT = 65_536

TEXT: Final = "a text"
NUMBER: Final = "a number"
FLAG: Final = "yes or no"
TIME: Final = "a time"
LIST: Final = "a list"
FIELDS: Final = "the custom fields"

Type = str | Mapping[str, Any]
"""The type of an expression: one of the above, the members it has, or empty when it is unknown."""

_NAMED = {"id": NUMBER, "name": TEXT}

#: The variables of templates with their members.
VARIABLES: Mapping[str, Mapping[str, Any]] = {
    "ticket": {
        **dict.fromkeys(("display_id", "subject", "first_message", "message", "source", "url"), TEXT),
        **dict.fromkeys(("priority", "category"), _NAMED),
        **dict.fromkeys(("due_date", "created_at", "modified_at"), TIME),
        "id": NUMBER,
        "status": {**_NAMED, "closed": FLAG},
        "assignee": {**_NAMED, "email": TEXT},
        "contact": {**_NAMED, "email": TEXT, "domain": TEXT, "phones": LIST, "groups": LIST, "fields": FIELDS},
        "tags": LIST,
        "fields": FIELDS,
        "unresponded": FLAG,
    },
    "event": {"account": TEXT, "kind": TEXT, "at": TIME, "replay": FLAG},
    "change": {
        **dict.fromkeys(("kind", "text", "html", "field"), TEXT),
        "at": TIME,
        "update_id": NUMBER,
        "actor": {**_NAMED, "kind": TEXT},
        "old": _NAMED,
        "new": _NAMED,
        "added": LIST,
        "removed": LIST,
        "attachments": LIST,
    },
}


class InvalidTemplateError(ValueError):
    """A template cannot be used; `problems` lists everything that is wrong with it, each with its fix."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("; ".join(problem for problem, _ in self.problems))


class Template:
    """A text with variables in it, ready to be rendered. Raises InvalidTemplateError when it cannot be used."""

    def __init__(self, source: str) -> None:
        self.fixed = not any(mark in source for mark in ("{{", "{%", "{#"))
        self._source = source
        self._compiled = None if self.fixed else _compiled(source)

    def render(self, variables: Mapping[str, "TemplateView"]) -> str:
        """Return the text, plain: callers that need markup escape all of it. Cut off what exceeds 64 kB."""
        if self._compiled is None:
            return self._source
        pieces, left = [], LIMIT
        for piece in self._compiled.generate(variables):
            pieces.append(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        return "".join(pieces).encode("utf-8", "replace")[:LIMIT].decode("utf-8", "ignore")


# Values


class TemplateView:
    """Members by name, without attributes; without members it is false, and each member is empty.

    Whatever HappyFox does not have is empty, so that no expression of a template can fail in a turn.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Any:
        value = self._members.get(name)
        return "" if value is None else value

    def __bool__(self) -> bool:
        return bool(self._members)


class FieldsView(TemplateView):
    """Custom fields by name, in any case."""

    __slots__ = ()

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__({name.strip().casefold(): value for name, value in values.items()})

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.strip().casefold())


def views(ticket: TicketRead, event: Event, change: Change) -> dict[str, TemplateView]:
    """Return the variables of a template with their values."""
    return {
        "ticket": TemplateView(
            {
                **_plain_members("ticket", ticket),
                "status": _named(ticket.status),
                "priority": _named(ticket.priority),
                "category": _named(ticket.category),
                "assignee": _named(ticket.assignee),
                "contact": _contact(ticket.contact),
                "tags": tuple(sorted(ticket.tags)),
                "fields": FieldsView(ticket.fields),
            }
        ),
        "event": TemplateView(_plain_members("event", event)),
        "change": TemplateView(
            {
                **_plain_members("change", change),
                "actor": _named(change.actor),
                "old": _named(change.old),
                "new": _named(change.new),
                "added": tuple(sorted(change.added)),
                "removed": tuple(sorted(change.removed)),
                "attachments": tuple(each.filename for each in change.attachments),
            }
        ),
    }


def _plain_members(variable: str, thing: object) -> dict[str, Any]:
    return {name: getattr(thing, name) for name, type_ in VARIABLES[variable].items() if isinstance(type_, str)}


def _named(thing: Named | Staff | Actor | None) -> TemplateView:
    if thing is None:
        return TemplateView({})
    members: dict[str, Any] = {"id": thing.id, "name": thing.name}
    if isinstance(thing, Status):
        members["closed"] = thing.closed
    if isinstance(thing, Staff):
        members["email"] = thing.email
    if isinstance(thing, Actor):
        members["kind"] = thing.kind
    return TemplateView(members)


def _contact(contact: Contact) -> TemplateView:
    members = {name: getattr(contact, name) for name in ("id", "name", "email", "domain", "phones", "groups")}
    return TemplateView({**members, "fields": FieldsView(contact.fields)})


def _shown(value: Any) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return str(value)


# Filters


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFilter:
    """A filter, as in {{ ticket.subject|upper }}."""

    accepts: frozenset[str]
    """The types it is for."""
    run: Callable[..., Any]
    arguments: tuple[type, ...] = ()
    required: int = 0
    """How many of the arguments are required."""
    returns: str = TEXT

    def example(self, name: str) -> str:
        """Return how it is written."""
        examples = ("40" if kind is int else '"there"' if name == "default" else '", "' for kind in self.arguments)
        return f"|{name}({', '.join(examples)})" if self.arguments else f"|{name}"


def _text_filter(run: Callable[..., Any], *arguments: type) -> TemplateFilter:
    return TemplateFilter(accepts=frozenset({TEXT}), run=run, arguments=arguments)


def _list_filter(run: Callable[..., Any], *arguments: type) -> TemplateFilter:
    return TemplateFilter(accepts=frozenset({LIST}), run=run, arguments=arguments)


def _time_filter(kind: type, form: str) -> TemplateFilter:
    return TemplateFilter(accepts=frozenset({TIME}), run=lambda at: f"{at:{form}}" if isinstance(at, kind) else "")


def _truncate(text: str, most: int = 255) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 0)].rstrip()}…"


FILTERS: Mapping[str, TemplateFilter] = {
    "upper": _text_filter(str.upper),
    "lower": _text_filter(str.lower),
    "capitalize": _text_filter(str.capitalize),
    "title": _text_filter(str.title),
    "trim": _text_filter(str.strip),
    "truncate": _text_filter(_truncate, int),
    "default": TemplateFilter(
        accepts=frozenset({TEXT, NUMBER, FLAG, TIME, LIST}),
        run=lambda value, other: other if value in ("", ()) else value,
        arguments=(str,),
        required=1,
    ),
    "join": _list_filter(lambda values, between=", ": between.join(map(str, values)), str),
    "first": _list_filter(lambda values: values[0] if values else ""),
    "last": _list_filter(lambda values: values[-1] if values else ""),
    "length": TemplateFilter(accepts=frozenset({LIST, TEXT}), run=len, returns=NUMBER),
    "date": _time_filter(date, "%Y-%m-%d"),
    "time": _time_filter(datetime, "%H:%M"),
}


# Checks

_REFUSED: Mapping[type[nodes.Node], str] = {
    **dict.fromkeys((nodes.Assign, nodes.AssignBlock), "set"),
    **dict.fromkeys((nodes.CallBlock, nodes.Call), "a call"),
    **dict.fromkeys((nodes.Import, nodes.FromImport), "import"),
    **dict.fromkeys((nodes.BinExpr, nodes.UnaryExpr), "arithmetic"),
    **dict.fromkeys((nodes.List, nodes.Tuple), "a list"),
    nodes.For: "a loop",
    nodes.Macro: "a macro",
    nodes.Block: "a block",
    nodes.Extends: "extends",
    nodes.Include: "include",
    nodes.Concat: "~",
    nodes.Test: "is",
    nodes.Slice: "a slice",
    nodes.Dict: "a table",
}


class _Checker:
    """One pass over a parsed template that collects every problem with its fix."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []

    def statements(self, body: Iterable[nodes.Node]) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                for each in node.nodes:
                    if not isinstance(each, nodes.TemplateData):
                        self.output(each)
            elif isinstance(node, nodes.If):
                self.type_of(node.test)
                for part in (node.body, node.elif_, node.else_):
                    self.statements(part)
            else:
                self.refuse(node)

    def output(self, node: nodes.Expr) -> None:
        before = len(self.problems)
        type_, written = self.type_of(node), _written(node)
        if len(self.problems) > before:
            return
        if type_ == FIELDS:
            self.report(f"{written} is not a text", f'write {written}["Name of the field"]')
        elif isinstance(type_, Mapping):
            member = "name" if "name" in type_ else next(iter(type_))
            self.report(f"{written} is not a text", f"write {written}.{member}")

    def type_of(self, node: nodes.Node | None) -> Type:
        """Return the type of an expression, empty when it is unknown or wrong."""
        if isinstance(node, nodes.Const):
            return self.constant(node)
        if isinstance(node, nodes.Name):
            return self.member(VARIABLES, node.name, "")
        if isinstance(node, nodes.Getattr):
            return self.member(self.type_of(node.node), node.attr, _written(node.node))
        if isinstance(node, nodes.Getitem):
            return self.item(node)
        if isinstance(node, nodes.Filter):
            return self.filtered(node)
        if isinstance(node, nodes.Compare):
            return self.compare(node)
        if isinstance(node, nodes.Not):
            self.type_of(node.node)
            return FLAG
        if isinstance(node, nodes.And | nodes.Or):
            return self.either(node.left, node.right)
        if isinstance(node, nodes.CondExpr):
            self.type_of(node.test)
            if node.expr2 is None:
                return self.report("an if without else between {{ and }}", 'add else ""')
            return self.either(node.expr1, node.expr2)
        return self.refuse(node)

    def constant(self, node: nodes.Const) -> Type:
        if isinstance(node.value, bool):
            return FLAG
        if isinstance(node.value, str):
            return TEXT
        if isinstance(node.value, int | float):
            return NUMBER
        return self.report(f"{node.value!r} is not allowed", "write if ticket.assignee, or if not ticket.assignee")

    def member(self, type_: Type, name: str, of: str) -> Type:
        if name.startswith("_"):
            return self.report(f"{name!r} cannot be used in a template", "remove it")
        if isinstance(type_, Mapping):
            if name in type_:
                found: Type = type_[name]
                return found
            return self.report(f"{of} has no {name!r}" if of else f"no variable {name!r}", suggest(name, type_))
        if type_ == FIELDS or not type_:
            return TEXT if type_ else ""
        return self.report(f"{of} is {type_} and has no {name!r}", f"write {of}")

    def item(self, node: nodes.Getitem) -> Type:
        if not isinstance(node.arg, nodes.Const) or not isinstance(node.arg.value, str):
            return self.report(f"{_written(node.node)}[...] takes a name", 'write ticket.fields["Name of the field"]')
        type_ = self.type_of(node.node)
        return TEXT if type_ == FIELDS else self.member(type_, node.arg.value, _written(node.node))

    def filtered(self, node: nodes.Filter) -> Type:
        type_, known = self.type_of(node.node), FILTERS.get(node.name)
        if known is None:
            return self.report(f"no filter {node.name!r}", suggest(node.name, FILTERS))
        given = [each.value if isinstance(each, nodes.Const) else None for each in node.args]
        fits = (
            known.required <= len(given) <= len(known.arguments)
            and all(type(value) is kind for value, kind in zip(given, known.arguments, strict=False))
            and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        )
        if not fits:
            return self.report(f"{node.name} has invalid arguments", f"write it as {known.example(node.name)}")
        if type_ and (not isinstance(type_, str) or type_ not in known.accepts):
            problem = f"{node.name} is for {' or '.join(sorted(known.accepts))}"
            return self.report(problem, f"{_written(node.node)} is {type_ if isinstance(type_, str) else 'an object'}")
        return known.returns

    def compare(self, node: nodes.Compare) -> Type:
        left = self.type_of(node.expr)
        for operand in node.ops:
            right = self.type_of(operand.expr)
            if operand.op not in ("eq", "ne", "in", "notin"):
                return self.report("< and > are not allowed", "use ==, !=, in or not in")
            if operand.op in ("in", "notin") and left and right and (left != TEXT or right not in (TEXT, LIST)):
                return self.report("in searches for a text in a text or a list", 'write it as "vip" in ticket.tags')
        return FLAG

    def either(self, one: nodes.Expr, other: nodes.Expr) -> Type:
        first, second = self.type_of(one), self.type_of(other)
        if first == second:
            return first
        return next((each for each in (first, second) if not isinstance(each, str) or each == FIELDS), "")

    def refuse(self, node: nodes.Node | None) -> Type:
        what = next((what for kind, what in _REFUSED.items() if isinstance(node, kind)), "this")
        return self.report(f"{what} is not allowed in a template", "use variables, filters and if")

    def report(self, problem: str, fix: str) -> Type:
        self.problems.append((problem, fix))
        return ""


def _written(node: nodes.Node | None) -> str:
    """Return an expression as it is written in the template."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_written(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{_written(node.node)}[{node.arg.value!r}]"
    return "it"


def _environment() -> SandboxedEnvironment:
    # Not escaped here: the whole text is plain, also what the author wrote, and is escaped once when it is sent.
    made = SandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown, autoescape=False, cache_size=0
    )
    made.globals = {}
    made.tests = {}
    made.filters = {name: each.run for name, each in FILTERS.items()}
    return made


_ENVIRONMENT = _environment()


def _compiled(source: str) -> Compiled:
    if len(source) > LIMIT:
        raise InvalidTemplateError([(f"the text is longer than {LIMIT // 1024} kB", "shorten it")])
    try:
        parsed = _ENVIRONMENT.parse(source)
        checker = _Checker()
        checker.statements(parsed.body)
        found = checker.problems
        if not found:
            return _ENVIRONMENT.from_string(parsed)
    except TemplateError as error:
        found = [(f"the template is broken ({error.message})", "write values as {{ ... }} and if as {% ... %}")]
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):
        found = [("the template is nested too deeply, or has too long a number", "make it simpler")]
    raise InvalidTemplateError(found)
