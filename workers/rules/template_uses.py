"""What a template uses: the variables that it shows, and the names that HappyFox must know."""

from collections.abc import Iterator

from jinja2 import nodes

from workers.rules.templates import parse, source_of

#: What has names in HappyFox, by how a template reads it.
_FIELD_OWNERS = {"ticket.fields": "field", "ticket.contact.fields": "contact field"}
_NAMED_BY_HAPPYFOX = {
    "ticket.status.name": "status",
    "ticket.priority.name": "priority",
    "ticket.category.name": "category",
    "ticket.assignee.name": "staff member",
    "ticket.assignee.email": "staff member",
    "ticket.contact.groups": "contact group",
}


def shows(source: str) -> set[str]:
    """Return the variables, such as `change.text`, that a valid template shows whatever the kind of the change is.

    Parts under an `if` that asks for the kind or the actor of the change do not count.
    """
    return set(_shown_in(parse(source)))


def _shown_in(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        yield source_of(node).replace("['", ".").replace("']", "")
    if isinstance(node, nodes.If | nodes.CondExpr):
        tested = {source_of(each) for each in node.test.find_all(nodes.Getattr)}
        if tested & {"change.kind", "change.actor", "event.kind"}:
            return
        for each in node.iter_child_nodes(exclude=("test",)):
            yield from _shown_in(each)
        return
    for each in node.iter_child_nodes():
        yield from _shown_in(each)


def names_in(source: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield what a valid template names: what it is, the name, and of a field the values that it is compared with.

    These are the fields that it uses, and the statuses and so on that it compares with.
    """
    if "{" not in source:
        return
    parsed = parse(source)
    for node in parsed.find_all((nodes.Getitem, nodes.Getattr)):
        if found := _field_in(node):
            yield (*found, ())
    for compare in parsed.find_all(nodes.Compare):
        sides = [compare.expr, *(operand.expr for operand in compare.ops)]
        texts = [each.value for each in sides if isinstance(each, nodes.Const) and isinstance(each.value, str)]
        equal = all(operand.op in ("eq", "ne") for operand in compare.ops)
        for side in sides:
            what = _NAMED_BY_HAPPYFOX.get(source_of(side), "")
            if what and (equal or what == "contact group"):
                yield from ((what, text, ()) for text in texts if text)
            elif equal and (found := _field_in(side)):
                yield (*found, tuple(texts))


def _field_in(node: nodes.Node) -> tuple[str, str] | None:
    """Return what a custom field belongs to, and its name, if an expression reads one."""
    if isinstance(node, nodes.Getattr):
        name: object = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    else:
        return None
    owner = _FIELD_OWNERS.get(source_of(node.node))
    return (owner, name) if owner and isinstance(name, str) else None
