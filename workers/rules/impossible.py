"""Find conditions that can never hold: they contradict each other, or the kinds of change that start the rule."""

from collections.abc import Iterator, Mapping, Set
from typing import Any, Final, NamedTuple

from workers.rules.cases import Case, Table, alternatives, case_of, keys
from workers.rules.values import as_list
from workers.tickets.change import ACTOR_KINDS, KINDS, ActorKind

Path = tuple[str, ...]

#: The kinds of change that have an old and a new value.
WITH_VALUES: Final = tuple(
    kind for kind in KINDS if kind not in ("ticket-created", "contact-replied", "staff-replied", "note-added")
)

#: Who can have made a change of these kinds; anybody can make the others.
_ACTORS: Final[Mapping[str, Set[ActorKind]]] = {
    "contact-replied": {"contact", "client"},
    "staff-replied": {*ACTOR_KINDS} - {"contact"},
    "note-added": {*ACTOR_KINDS} - {"contact"},
    "scheduled": {"unknown"},
}

#: The kinds of a change of one property, of which `when` sees the value after the change.
_AFTER: Final = {
    "status-changed": "status",
    "priority-changed": "priority",
    "moved": "category",
    "assigned": "assignee",
}

_NEVER: Final = "so the rule never runs"


class Impossible(NamedTuple):
    """Conditions that never hold."""

    path: Path
    """The key of one of them."""
    problem: str
    fix: str


def impossible(when: Table, kinds: tuple[str, ...]) -> Iterator[Impossible]:
    """Yield valid conditions that never hold for certain."""
    found: dict[Impossible, None] = {}
    choices = when.get("any", [])
    for number, choice in enumerate(choices or [{}], 1):
        whole = {**when, "any": [choice]} if choices else when
        each = [next(_of_case(case_of(pairs), when, kinds), None) for pairs in alternatives(whole)]
        if each and all(each) and (one := each[0]):
            alone = not choices or len(choices) == 1 or one.path != ("when", "any")
            found[
                one if alone else one._replace(problem=one.problem.replace(_NEVER, f"so any {number} never holds"))
            ] = None
    yield from found


def _of_case(case: Case, when: Table, kinds: tuple[str, ...]) -> Iterator[Impossible]:
    if name := case.conflict(case, certain=True):
        yield _contradiction(name, when)
    yield from _address(case)
    yield from _of_kinds(case, when, kinds)


def _contradiction(name: str, when: Table) -> Impossible:
    if name == "not":
        return Impossible(
            ("when", "not"), f"when.not excludes what the other conditions require, {_NEVER}", "remove one"
        )
    key, _, field = name.partition(".")
    shown = f"{key}.{field}" if field else key
    both = [path for path in (key, f"not_{key}") if path in when]
    if len(both) == 2:
        path: Path = ("when", f"not_{key}")
        problem = f"when.{shown} and when.not_{shown} exclude each other, {_NEVER}"
    elif both and "any" in when:
        path = ("when", "any")
        problem = f"when.any and when.{both[0]} require different values of {shown}, {_NEVER}"
    else:
        path = ("when", "any") if "any" in when else ("when", *both)
        problem = f"the conditions on {shown} exclude each other, {_NEVER}"
    return Impossible(path, problem, "remove one of them, or write two rules")


def _address(case: Case) -> Iterator[Impossible]:
    """Compare the contact's address with its domain."""
    addresses = [each for each in case.allowed.get("contact_email", ()) if "" not in each]
    if not addresses:
        return
    domains = frozenset(str(one).rpartition("@")[2] for each in addresses for one in each)
    allowed = case.allowed.get("contact_domain", ())
    if any(domains.isdisjoint(each) for each in allowed) or domains <= case.banned.get("contact_domain", frozenset()):
        problem = f"no address of when.contact_email has the domain that the other condition requires, {_NEVER}"
        yield Impossible(("when", "contact_email"), problem, "remove one of them")


def _of_kinds(case: Case, when: Table, kinds: tuple[str, ...]) -> Iterator[Impossible]:
    """Yield what cannot hold for any of the kinds."""
    for side in ("from", "to"):
        if any("" not in each for each in case.allowed.get(side, ())) and not set(kinds) & set(WITH_VALUES):
            what = "a schedule" if kinds == ("scheduled",) else f"a change of the kind {_named(kinds)}"
            problem = f"{what} has no old or new value, so when.{side} never holds"
            fix = 'use it with on = "status-changed", "priority-changed", "assigned", "moved" and the like'
            yield Impossible(_path(side, when), problem, fix)
    actors = set[ActorKind]().union(*(_ACTORS.get(kind, {*ACTOR_KINDS}) for kind in kinds))
    allowed: list[frozenset[Any]] = [*case.allowed.get("actor", ())]
    if any(each.isdisjoint(actors) for each in allowed) or actors <= case.banned.get("actor", frozenset()):
        who = " or ".join(sorted(actors - {"us", "unknown"})) or "nobody who is known"
        problem = f"{_named(kinds)} is caused by {who}, {_NEVER}"
        yield Impossible(_path("actor", when), problem, "remove when.actor, or change on")
    if "rule" in case.allowed and "rule" not in actors:
        problem = f"when.rule needs a change by a smart rule, but {_named(kinds)} is none, {_NEVER}"
        yield Impossible(_path("rule", when), problem, 'write on = "smart-rule" or "ticket-updated"')
    automatic = any("yes" in each or True in each for each in case.allowed.get("automatic", ()))
    if automatic and actors.isdisjoint({"contact", "staff"}):
        problem = f"when.automatic is about messages of contacts and colleagues, but {_named(kinds)} is none, {_NEVER}"
        yield Impossible(_path("automatic", when), problem, 'remove it, or write on = "contact-replied"')


def unlikely(when: Table, kinds: tuple[str, ...]) -> Iterator[Impossible]:
    """Yield conditions that hold only if something changed twice within seconds."""
    attribute = _AFTER.get(kinds[0], "") if len(kinds) == 1 else ""
    current, before, after = (when.get(name) for name in (attribute, "from", "to"))
    if before is not None and after is not None and keys(before) == keys(after) and len(keys(before)) == 1:
        problem = "when.from and when.to are the same value, but a change has two different ones"
        yield Impossible(("when", "to"), problem, "correct or remove one of them")
    if current is None:
        return
    now = keys(current)
    if after is not None and not now & keys(after) and _comparable(current, after):
        problem = f"when.{attribute} is the {attribute} after the change, which when.to excludes"
        fix = f"write when.from for the {attribute} before the change, or remove when.{attribute}"
        yield Impossible(("when", attribute), problem, fix)
    elif before is not None and now <= keys(before):
        problem = f"when.{attribute} is the {attribute} after the change, but the change is away from it (when.from)"
        yield Impossible(("when", attribute), problem, f"remove when.{attribute}, or write when.to")


def _comparable(one: Any, other: Any) -> bool:
    """Return whether both name things in the same way: by name, or by id."""
    return len({isinstance(each, str) and "@" not in each for each in (*as_list(one), *as_list(other))}) == 1


def _path(name: str, when: Table) -> Path:
    return ("when", next((each for each in (name, f"not_{name}") if each in when), "any"))


def _named(kinds: tuple[str, ...]) -> str:
    return "a schedule" if kinds == ("scheduled",) else " or ".join(kinds)
