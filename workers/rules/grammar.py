"""Grammar: what may stand in a template; tells everything in a parsed one that may not, with its cure.

Words, filters and `if` may. Each expression has a shape, as far as it is known here: a text, a list, a thing with
members. What fits by its shape cannot fail in a turn.
"""

from collections.abc import Iterable, Mapping

from jinja2 import nodes

from workers.errors import suggest
from workers.rules.filters import FILTERS
from workers.rules.views import FIELDS, FLAG, LIST, NUMBER, TEXT, WORDS, Shape

Problem = tuple[str, str]
"""What is wrong, and the cure."""

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


def problems(body: Iterable[nodes.Node]) -> Iterable[Problem]:
    """Yields what is wrong with the statements of a template."""
    for node in body:
        if isinstance(node, nodes.Output):
            for each in node.nodes:
                if not isinstance(each, nodes.TemplateData):
                    yield from _shown(each)
        elif isinstance(node, nodes.If):
            yield from _Look().test(node.test)
            for part in (node.body, node.elif_, node.else_):
                yield from problems(part)
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
            return self.complain(f"{of} has no {name!r}" if of else f"no word {name!r}", suggest(name, shape))
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
            return self.complain(f"no filter {node.name!r}", suggest(node.name, FILTERS))
        given = [each.value if isinstance(each, nodes.Const) else None for each in node.args]
        fits = (
            known.needed <= len(given) <= len(known.takes)
            and all(type(value) is kind for value, kind in zip(given, known.takes, strict=False))
            and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        )
        if not fits:
            return self.complain(f"{node.name} is not used rightly", f"write it as {known.example(node.name)}")
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
