"""Templates: texts of a rule with words of the ticket in them, checked when they are loaded.

    Hi {{ ticket.contact.name|default("there") }}{% if ticket.assignee %}, {{ ticket.assignee.name }} will{% endif %}

Words, filters and `if` may stand in them and nothing else: jinja2 parses a template, and what was parsed is checked
node by node before any of it is evaluated or compiled. What is known here by its type cannot fail in a turn.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import SandboxedEnvironment

from workers.rules.views import FIELDS, FLAG, LIST, NUMBER, TEXT, TIME, WORDS, Shape, View, shown
from workers.turns.fitting import near

#: How much (characters of the file, bytes that come out) a template may have.
LIMIT = 65_536

#: What is said of a node that may not stand in a template.
REFUSED: Mapping[type[nodes.Node], str] = {
    nodes.For: "a loop",
    nodes.Assign: "set",
    nodes.AssignBlock: "set",
    nodes.Macro: "a macro",
    nodes.CallBlock: "a call",
    nodes.Call: "a call",
    nodes.Block: "a block",
    nodes.Extends: "extends",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.BinExpr: "arithmetic",
    nodes.UnaryExpr: "arithmetic",
    nodes.Concat: "~",
    nodes.Test: "is",
    nodes.Slice: "a slice",
    nodes.List: "a list",
    nodes.Tuple: "a list",
    nodes.Dict: "a table",
}

Problem = tuple[str, str]
"""What is wrong, and the cure."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: what it is for, what it may be given behind its name, what it gives."""

    for_: frozenset[str]
    run: Callable[..., Any]
    takes: tuple[type, ...] = ()
    needed: int = 0
    gives: str = TEXT


LEAVES = frozenset({TEXT, NUMBER, FLAG, TIME, LIST})
FILTERS: Mapping[str, Filter] = {
    "upper": Filter(frozenset({TEXT}), str.upper),
    "lower": Filter(frozenset({TEXT}), str.lower),
    "capitalize": Filter(frozenset({TEXT}), str.capitalize),
    "title": Filter(frozenset({TEXT}), str.title),
    "trim": Filter(frozenset({TEXT}), str.strip),
    "truncate": Filter(frozenset({TEXT}), lambda text, most=255: _truncate(text, most), (int,)),
    "default": Filter(LEAVES, lambda value, other: other if value in ("", ()) else value, (str,), 1),
    "join": Filter(frozenset({LIST}), lambda values, between=", ": between.join(map(str, values)), (str,)),
    "first": Filter(frozenset({LIST}), lambda values: values[0] if values else ""),
    "last": Filter(frozenset({LIST}), lambda values: values[-1] if values else ""),
    "length": Filter(frozenset({LIST, TEXT}), len, gives=NUMBER),
    "date": Filter(frozenset({TIME}), lambda at: f"{at:%Y-%m-%d}" if isinstance(at, date) else ""),
    "time": Filter(frozenset({TIME}), lambda at: f"{at:%H:%M}" if isinstance(at, datetime) else ""),
}


class TemplateFault(ValueError):
    """A template cannot be used; `problems` says everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("; ".join(problem for problem, _ in self.problems))


class Template:
    """A text with words in it, ready to be filled. Raises TemplateFault when it cannot be used."""

    def __init__(self, source: str) -> None:
        self.fixed = not any(mark in source for mark in ("{{", "{%", "{#"))
        self._source = source
        self._compiled = None if self.fixed else _compiled(source)

    def fill(self, words: Mapping[str, View]) -> str:
        """Gives the text, plain: whoever puts it into markup escapes it whole. What is over 64 kB is cut off."""
        if self._compiled is None:
            return self._source
        pieces, left = [], LIMIT
        for piece in self._compiled.generate(words):
            pieces.append(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        return "".join(pieces).encode("utf-8", "replace")[:LIMIT].decode("utf-8", "ignore")


def _environment() -> SandboxedEnvironment:
    # Not escaped here: the whole text is plain, also what the author wrote, and is escaped once when it is sent.
    made = SandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=shown, autoescape=False, cache_size=0
    )
    made.globals = {}
    made.tests = {}
    made.filters = {name: each.run for name, each in FILTERS.items()}
    return made


ENVIRONMENT = _environment()


def _compiled(source: str) -> Compiled:
    if len(source) > LIMIT:
        raise TemplateFault([(f"the text is longer than {LIMIT // 1024} kB", "shorten it")])
    try:
        parsed = ENVIRONMENT.parse(source)
        problems = list(_statements(parsed.body))
        if not problems:
            return ENVIRONMENT.from_string(parsed)
    except TemplateError as error:
        problems = [
            (f"the template is broken ({error.message})", "words stand between {{ and }}, if between {% and %}")
        ]
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):
        problems = [("the template is nested too deeply, or has too long a number", "make it simpler")]
    raise TemplateFault(problems)


def _statements(body: Iterable[nodes.Node]) -> Iterable[Problem]:
    for node in body:
        if isinstance(node, nodes.Output):
            for each in node.nodes:
                if not isinstance(each, nodes.TemplateData):
                    yield from _shown(each)
        elif isinstance(node, nodes.If):
            yield from _Look().test(node.test)
            for part in (node.body, node.elif_, node.else_):
                yield from _statements(part)
        else:
            yield _refused(node)


def _shown(node: nodes.Expr) -> Iterable[Problem]:
    look = _Look()
    shape = look.shape(node)
    if not look.problems and (isinstance(shape, Mapping) or shape == FIELDS):
        members = "name" if isinstance(shape, Mapping) and "name" in shape else next(iter(shape), "")
        written = _written(node)
        cure = f'write {written}["Name of the field"]' if shape == FIELDS else f"write {written}.{members}"
        return [(f"{written} is no text", cure)]
    return look.problems


class _Look:
    """One pass over an expression: gives its shape and collects problems; a shape that is not known is empty."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def test(self, node: nodes.Node) -> list[Problem]:
        self.shape(node)
        return self.problems

    def shape(self, node: nodes.Node | None) -> Shape:
        if isinstance(node, nodes.Const):
            return self.constant(node)
        if isinstance(node, nodes.Name):
            return self.member(WORDS, node.name, "")
        if isinstance(node, nodes.Getattr):
            return self.member(self.shape(node.node), node.attr, _written(node.node))
        if isinstance(node, nodes.Getitem):
            return self.item(node)
        if isinstance(node, nodes.Filter):
            return self.filter(node)
        if isinstance(node, nodes.Compare):
            return self.compare(node)
        if isinstance(node, nodes.Not):
            self.shape(node.node)
            return FLAG
        if isinstance(node, nodes.And | nodes.Or):
            return self.either(node.left, node.right)
        if isinstance(node, nodes.CondExpr):
            self.shape(node.test)
            if node.expr2 is None:
                return self.complain("an if without else between {{ and }}", 'add else ""')
            return self.either(node.expr1, node.expr2)
        return self.complain(*_refused(node))

    def constant(self, node: nodes.Const) -> Shape:
        if isinstance(node.value, bool):
            return FLAG
        if isinstance(node.value, str):
            return TEXT
        if isinstance(node.value, int | float):
            return NUMBER
        return self.complain(f"{node.value!r} is no word", "ask with if ticket.assignee, or if not ticket.assignee")

    def member(self, shape: Shape, name: str, of: str) -> Shape:
        if name.startswith("_"):
            return self.complain(f"{name!r} cannot be reached from a template", "remove it")
        if isinstance(shape, Mapping):
            if name in shape:
                found: Shape = shape[name]
                return found
            return self.complain(f"{of} has no {name!r}" if of else f"no word {name!r}", near(name, shape))
        if shape == FIELDS or not shape:
            return TEXT if shape else ""
        return self.complain(f"{of} is {shape} and has no {name!r}", f"write {of}")

    def item(self, node: nodes.Getitem) -> Shape:
        if not isinstance(node.arg, nodes.Const) or not isinstance(node.arg.value, str):
            return self.complain(f"{_written(node.node)}[...] takes a name", 'write ticket.fields["Name of the field"]')
        shape = self.shape(node.node)
        return TEXT if shape == FIELDS else self.member(shape, node.arg.value, _written(node.node))

    def filter(self, node: nodes.Filter) -> Shape:
        shape, known = self.shape(node.node), FILTERS.get(node.name)
        if known is None:
            return self.complain(f"no filter {node.name!r}", near(node.name, FILTERS))
        given = [each.value if isinstance(each, nodes.Const) else None for each in node.args]
        fits = (
            known.needed <= len(given) <= len(known.takes)
            and all(type(value) is kind for value, kind in zip(given, known.takes, strict=False))
            and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        )
        if not fits:
            return self.complain(f"{node.name} is not used rightly", f"write it as {_example(node.name, known)}")
        if shape and (not isinstance(shape, str) or shape not in known.for_):
            problem = f"{node.name} is for {' or '.join(sorted(known.for_))}"
            return self.complain(problem, f"{_written(node.node)} is {shape if isinstance(shape, str) else 'none'}")
        return known.gives

    def compare(self, node: nodes.Compare) -> Shape:
        left = self.shape(node.expr)
        for operand in node.ops:
            right = self.shape(operand.expr)
            if operand.op not in ("eq", "ne", "in", "notin"):
                return self.complain("more and less cannot be asked", "there are ==, !=, in and not in")
            if operand.op in ("in", "notin") and left and right and (left != TEXT or right not in (TEXT, LIST)):
                return self.complain("in looks for a text in a text or a list", 'write it as "vip" in ticket.tags')
        return FLAG

    def either(self, one: nodes.Expr, other: nodes.Expr) -> Shape:
        first, second = self.shape(one), self.shape(other)
        if first == second:
            return first
        return next((each for each in (first, second) if not isinstance(each, str) or each == FIELDS), "")

    def complain(self, problem: str, cure: str) -> Shape:
        self.problems.append((problem, cure))
        return ""


def _refused(node: nodes.Node | None) -> Problem:
    what = next((what for kind, what in REFUSED.items() if isinstance(node, kind)), "this")
    return f"{what} cannot stand in a template", "words, filters and if can"


def _written(node: nodes.Node | None) -> str:
    """Gives a word as it stands in the template."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_written(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{_written(node.node)}[{node.arg.value!r}]"
    return "it"


def _example(name: str, known: Filter) -> str:
    examples = ("40" if kind is int else '"there"' if name == "default" else '", "' for kind in known.takes)
    return f"|{name}({', '.join(examples)})" if known.takes else f"|{name}"


def _truncate(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 0)].rstrip()}…"
