"""Templates: texts of a rule with variables, checked when they are loaded.

    Hi {{ ticket.contact.name|default("there") }}{% if ticket.assignee %}, {{ ticket.assignee.name }} will{% endif %}

jinja2 parses a template, and `_Checker` checks every node before anything is evaluated or compiled: only variables,
filters and `if` are allowed. Each expression has a type, such as a text, a list or an object with members; what has
the right type cannot fail in a turn. Rendering with sample tickets instead would miss mistakes in branches that no
sample takes, and comparisons that are never true, such as `ticket.id in ticket.tags`.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import SandboxedEnvironment

from workers.errors import suggest
from workers.rules import terms
from workers.rules.terms import meant
from workers.rules.variables import (
    FIELDS,
    FILTERS,
    FLAG,
    LIST,
    NUMBER,
    TEXT,
    TIME,
    VARIABLES,
    TemplateView,
    Type,
    shown,
)
from workers.tickets.change import ACTOR_KINDS, CALLS, KINDS
from workers.tickets.folding import fold

#: The size limit of a template, in characters, and of the rendered text, in bytes.
LIMIT = 65_536

#: All possible values of variables that have few.
_KNOWN = {
    **dict.fromkeys(("change.kind", "event.kind"), (*KINDS, *CALLS)),
    "change.actor.kind": ACTOR_KINDS,
}


class InvalidTemplateError(ValueError):
    """A template is invalid; `problems` lists everything that is wrong with it, each with its fix."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("; ".join(problem for problem, _ in self.problems))


class Template:
    """A text with variables. Raise InvalidTemplateError if it is invalid."""

    def __init__(self, source: str) -> None:
        self.fixed = not any(mark in source for mark in ("{{", "{%", "{#"))
        self._source = source
        self._compiled = None if self.fixed else _compiled(source)

    def render(self, variables: Mapping[str, TemplateView]) -> str:
        """Return plain text of at most 64 kB; callers that need markup escape it."""
        if self._compiled is None:
            return self._source
        pieces, left = [], LIMIT
        for piece in self._compiled.generate(variables):
            pieces.append(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        return "".join(pieces).encode("utf-8", "replace")[:LIMIT].decode("utf-8", "ignore")


# Checks

_CONSTANTS: Mapping[type, str] = {bool: FLAG, str: TEXT, int: NUMBER, float: NUMBER}
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

    def check(self, body: Iterable[nodes.Node]) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                for each in node.nodes:
                    if not isinstance(each, nodes.TemplateData):
                        self._check_output(each)
            elif isinstance(node, nodes.If):
                self._type_of(node.test)
                for part in (node.body, node.elif_, node.else_):
                    self.check(part)
            else:
                self._refuse(node)

    def _check_output(self, node: nodes.Expr) -> None:
        if isinstance(node, nodes.Or | nodes.And):
            self._check_output(node.left)
            self._check_output(node.right)
            return
        type_, written = self._type_of(node), source_of(node)
        if type_ == FIELDS:
            self._report(f"{written} is not a text", f'write {written}["Name of the field"]')
        elif isinstance(type_, Mapping):
            member = "name" if "name" in type_ else next(iter(type_))
            self._report(f"{written} is not a text", f"write {written}.{member}")

    def _type_of(self, node: nodes.Node | None) -> Type:
        """Check an expression and return its type, empty if unknown; `_getattr` checks `nodes.Getattr`."""
        check: Callable[[nodes.Node | None], Type]
        check = getattr(self, f"_{type(node).__name__.lower()}", self._refuse)
        return check(node)

    def _const(self, node: nodes.Const) -> Type:
        fix = "write if ticket.assignee, or if not ticket.assignee"
        return _CONSTANTS.get(type(node.value)) or self._report(f"{node.value!r} is not allowed", fix)

    def _name(self, node: nodes.Name) -> Type:
        return self._member(VARIABLES, node.name, "")

    def _getattr(self, node: nodes.Getattr) -> Type:
        return self._member(self._type_of(node.node), node.attr, source_of(node.node))

    def _getitem(self, node: nodes.Getitem) -> Type:
        if not isinstance(node.arg, nodes.Const) or not isinstance(node.arg.value, str):
            return self._report(f"{source_of(node.node)}[...] takes a name", 'write ticket.fields["Name of the field"]')
        type_ = self._type_of(node.node)
        return TEXT if type_ == FIELDS else self._member(type_, node.arg.value, source_of(node.node))

    def _member(self, type_: Type, name: str, of: str) -> Type:
        if name.startswith("_"):
            return self._report(f"{name!r} cannot be used in a template", "remove it")
        if isinstance(type_, Mapping):
            if name in type_:
                found: Type = type_[name]
                return found
            return self._report(f"{of} has no {name!r}" if of else f"no variable {name!r}", _variable(name, type_, of))
        if type_ == FIELDS or not type_:
            return TEXT if type_ else ""
        return self._report(f"{of} is {type_} and has no {name!r}", f"write {of}")

    def _filter(self, node: nodes.Filter) -> Type:
        type_, known = self._type_of(node.node), FILTERS.get(node.name)
        if known is None:
            return self._report(f"no filter {node.name!r}", suggest(node.name, FILTERS))
        given = [each.value if isinstance(each, nodes.Const) else None for each in node.args]
        if not known.takes(given) or node.kwargs or node.dyn_args or node.dyn_kwargs:
            return self._report(f"{node.name} has invalid arguments", f"write it as {known.example(node.name)}")
        try:
            if known.check and given:
                known.check(given[0])
        except ValueError as error:
            problem, _, fix = str(error).partition("; ")
            return self._report(problem, fix)
        if type_ and type_ not in known.accepts:
            problem = f"{node.name} is for {' or '.join(sorted(known.accepts))}"
            return self._report(
                problem, f"{source_of(node.node)} is {type_ if isinstance(type_, str) else 'an object'}"
            )
        return known.returns

    def _compare(self, node: nodes.Compare) -> Type:
        left = self._type_of(node.expr)
        for operand in node.ops:
            right = self._type_of(operand.expr)
            if operand.op not in ("eq", "ne", "in", "notin"):
                return self._report("< and > are not allowed", "use ==, !=, in or not in")
            self._check_compared(source_of(node.expr), operand.expr)
            self._check_compared(source_of(operand.expr), node.expr)
            if operand.op in ("eq", "ne"):
                self._check_equal(node.expr, left, operand.expr, right)
            if operand.op in ("in", "notin") and left and right and (left != TEXT or right not in (TEXT, LIST)):
                return self._report("in searches for a text in a text or a list", 'write it as "vip" in ticket.tags')
        return FLAG

    def _check_compared(self, written: str, other: nodes.Node) -> None:
        """Report a kind with which a comparison is never true."""
        known = _KNOWN.get(written)
        if known and isinstance(other, nodes.Const) and other.value not in known:
            self._report(f"no {written.rpartition('.')[2]} {other.value!r}", suggest(str(other.value), known))

    def _check_equal(self, one: nodes.Expr, its: Type, other: nodes.Expr, others: Type) -> None:
        """Report two values of different types, which are never equal; an empty text is what has no value."""
        if isinstance(one, nodes.Const):
            one, its, other, others = other, others, one, its
        constant = other.value if isinstance(other, nodes.Const) else None
        plain = isinstance(its, str) and its not in (LIST, FIELDS)
        if not its or not others or its == others or (plain and constant == ""):
            return
        written, value = source_of(one), "..." if constant is None else constant
        if isinstance(its, Mapping) and constant == "":
            fix = f"write if not {written}"
        elif isinstance(its, Mapping):
            fix = f"write {written}.{'name' if 'name' in its else next(iter(its))}"
        elif its == LIST:
            fix = f"write if not {written}" if constant == "" else f"write {json.dumps(str(value))} in {written}"
        elif its == TIME:
            fix = f'write {written}|date == "2030-12-31"'
        elif its == TEXT:
            fix = f"write {json.dumps(str(value))}, in quotes"
        else:
            fix = f"write if {written}, or if not {written}" if its == FLAG else f"write {written} == 5, without quotes"
        kind = its if isinstance(its, str) else "an object"
        self._report(
            f"{written} is {kind}, which never equals {others if isinstance(others, str) else 'an object'}", fix
        )

    def _not(self, node: nodes.Not) -> Type:
        self._type_of(node.node)
        return FLAG

    def _and(self, node: nodes.And | nodes.Or) -> Type:
        return self._either(node.left, node.right)

    _or = _and

    def _condexpr(self, node: nodes.CondExpr) -> Type:
        self._type_of(node.test)
        if node.expr2 is None:
            return self._report("an if without else between {{ and }}", 'add else ""')
        return self._either(node.expr1, node.expr2)

    def _either(self, one: nodes.Expr, other: nodes.Expr) -> Type:
        first, second = self._type_of(one), self._type_of(other)
        if first == second:
            return first
        return next((each for each in (first, second) if not isinstance(each, str) or each == FIELDS), "")

    def _refuse(self, node: nodes.Node | None) -> Type:
        what = next((what for kind, what in _REFUSED.items() if isinstance(node, kind)), "this")
        fix = "use variables, filters and if"
        if isinstance(node, nodes.List | nodes.Tuple):
            fix = 'compare with each: ticket.priority.name == "High" or ticket.priority.name == "Urgent"'
        return self._report(f"{what} is not allowed in a template", fix)

    def _report(self, problem: str, fix: str) -> Type:
        self.problems.append((problem, fix))
        return ""


def _variable(name: str, known: Iterable[str], of: str) -> str:
    """Return what to write instead of an unknown variable or member."""
    whole = of.partition(".")[0] in ("", "ticket")
    return (meant(name, terms.VARIABLES) if whole else "") or suggest(name, known)


def source_of(node: nodes.Node | None) -> str:
    """Return the source of an expression."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{source_of(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{source_of(node.node)}[{node.arg.value!r}]"
    return "it"


#: How deeply brackets may be nested: the parser would otherwise use up the stack, on which other code runs, too.
DEEPEST = 50
TOO_DEEP = ("the template is nested too deeply, or has too long a number", "make it simpler")

# Not escaped here: the whole text, including what the author wrote, is plain and is escaped once when it is sent.
_ENVIRONMENT = SandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=shown, autoescape=False, cache_size=0
)
_ENVIRONMENT.globals = {}
_ENVIRONMENT.tests = {}
#: Folds what is compared: names, tags and values are equal in any case, as in conditions. Authors cannot write it.
_FOLD: Final = "folded "


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return fold(value)
    return tuple(map(_folded, value)) if isinstance(value, tuple) else value


_ENVIRONMENT.filters = {**{name: each.run for name, each in FILTERS.items()}, _FOLD: _folded}


def _fold_compared(parsed: nodes.Template) -> None:
    """Fold both sides of each comparison of a checked template."""
    for compare in parsed.find_all(nodes.Compare):
        compare.expr = nodes.Filter(compare.expr, _FOLD, [], [], None, None)
        for operand in compare.ops:
            operand.expr = nodes.Filter(operand.expr, _FOLD, [], [], None, None)
    parsed.set_environment(_ENVIRONMENT)


def parse(source: str) -> nodes.Template:
    """Return the syntax tree of a valid template."""
    return _ENVIRONMENT.parse(source)


def _compiled(source: str) -> Compiled:
    if len(source) > LIMIT:
        raise InvalidTemplateError([(f"the text is longer than {LIMIT // 1024} kB", "shorten it")])
    try:
        if _depth(source) > DEEPEST:
            raise InvalidTemplateError([TOO_DEEP])
        parsed = _ENVIRONMENT.parse(source)
        checker = _Checker()
        checker.check(parsed.body)
        found = checker.problems
        if not found:
            _fold_compared(parsed)
            return _ENVIRONMENT.from_string(parsed)
    except TemplateError as error:
        found = [_broken(str(error.message), source)]
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):
        found = [TOO_DEEP]
    raise InvalidTemplateError(found)


#: What jinja2 reports, or what the template has (after @), with what is wrong and the fix; the first match counts.
_BROKEN: Final = (
    (r"unknown tag '(end|fi|end_if|end-if)'", "an if ends with endif", "write {% endif %}"),
    (r"unknown tag 'els\w+'|@\{%-? *else +if\b", "else if is one word", "write {% elif ticket.assignee %}"),
    (r"unknown tag", "this is no word of a template", "only if, elif, else and endif are between {% and %}"),
    (r"closed is 'if'", "an if does not end", "write {% endif %} after it"),
    (
        r"@\{\{-? *[#/]?(if|else|end)\b",
        "if is written between {% and %}",
        "write {% if ticket.assignee %}...{% endif %}",
    ),
    (r"@fields\.\w+ +\w", "a name with blanks needs quotes", 'write ticket.fields["Order number"]'),
    (r"got 'contains'", "contains is no operator", 'write "refund" in ticket.subject'),
    (r"got '='", "= is no comparison", 'write ==, as in {% if ticket.status.name == "New" %}'),
    (r"char '&'|@\|\|", "&& and || are no operators", "write and, or"),
    (r"got ':'", "a filter has its argument in brackets", 'write |default("there")'),
    (r"expected 'end of print statement'", "{{ has no }} after its value", "write values as {{ ... }}"),
)


def _broken(message: str, source: str) -> tuple[str, str]:
    """Return what is wrong with a template that jinja2 cannot parse, and the fix."""
    for pattern, problem, fix in _BROKEN:
        reported, _, written = pattern.partition("@")
        if (reported and re.search(reported.rstrip("|"), message)) or (written and re.search(written, source)):
            return f"the template is broken: {problem}", fix
    return f"the template is broken ({message})", "write values as {{ ... }} and if as {% ... %}"


#: A variable in the form of another product.
_OTHER_FORM: Final = re.compile(
    r"(?<![{\w])(?:\$?\{|\[\[|%|<)\s*((?:ticket|change|event)(?:\.[a-z_]+)+)\s*(?:\}|\]\]|%|>)(?!\})"
)


def foreign_variables(source: str) -> dict[str, str]:
    """Return what a text has in the form of another product, such as {ticket.id}, with the form that is replaced."""
    return {found[0]: f"{{{{ {found[1]} }}}}" for found in _OTHER_FORM.finditer(source)}


def _depth(source: str) -> int:
    """Return how deeply brackets are nested in the template's expressions."""
    depth = deepest = 0
    for _, kind, text in _ENVIRONMENT.lex(source):
        if kind == "operator":
            depth += (text in "([{") - (text in ")]}")
            deepest = max(deepest, depth)
    return deepest
