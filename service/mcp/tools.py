"""The tools: the methods of the API client, with their schemas, and which of them a client may see."""

import ast
import base64
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Final, NotRequired, TypedDict, get_args, get_origin, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from workers.gateway.access import ENDPOINTS as CALLS
from workers.happyfox.endpoints import ENDPOINTS, Client
from workers.happyfox.messages import File
from workers.settings import GatewayClient

#: Methods that are no tools: those for many objects at once, and those that only administrators need.
LEFT_OUT: Final = frozenset(
    {
        *("create_tickets", "create_or_edit_contacts", "inline_attachment", "update_choices", "set_login"),
        *("contact_reply", "add_contacts_to_group", "remove_contacts_from_group"),
    }
)

#: What a call with a body that decides may need; one of them is enough to see the tool.
BY_MEMBERS: Final[Mapping[str, frozenset[str]]] = {"staff_update": frozenset({"tickets:reply", "tickets:update"})}

#: Tools whose effect cannot be taken back; a person confirms them where the client can ask.
DESTRUCTIVE: Final = frozenset({"delete_ticket", "delete_asset", "forward_ticket", "staff_update"})

#: The most bytes of one file, before base64.
MOST_FILE: Final = 2_000_000


class AttachedFile(TypedDict):
    """A file to attach."""

    name: str
    content: Annotated[str, "base64"]
    type: NotRequired[str]


class BadArguments(Exception):
    """The arguments of a tool do not fit; the message says which."""


@dataclass(frozen=True, slots=True)
class ToolMethod:
    """One method of the client as a tool."""

    name: str
    summary: str
    needs: frozenset[str]
    """The permissions of which a client needs at least one."""
    reads: bool
    parameters: Mapping[str, Any]
    """The type of each argument by name."""
    required: frozenset[str]
    order: tuple[str, ...]
    """The arguments that are passed by position."""
    members: str
    """The argument that takes all other members as one object; empty if there is none."""

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of its arguments."""
        properties = {name: TypeAdapter(kind).json_schema() for name, kind in self.parameters.items()}
        definitions: dict[str, Any] = {}
        for each in properties.values():
            definitions |= each.pop("$defs", {})
        found = {"type": "object", "properties": properties, "required": sorted(self.required)}
        return found | {"additionalProperties": False} | ({"$defs": definitions} if definitions else {})

    def allowed_to(self, client: GatewayClient) -> bool:
        """Return whether a client may see it."""
        return "*" in client.allow or bool(self.needs & client.allow)

    def arguments(self, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of the method; raise ``BadArguments`` if they do not fit the schema."""
        if unknown := sorted(given.keys() - self.parameters.keys()):
            raise BadArguments(f"unknown: {', '.join(unknown)}; known: {', '.join(self.parameters)}")
        if missing := sorted(self.required - given.keys()):
            raise BadArguments(f"missing: {', '.join(missing)}")
        values = {name: self._value(name, value) for name, value in given.items()}
        positional = [values.pop(name) for name in self.order if name in values]
        return ([values, *positional], {}) if self.members else (positional, values)

    def _value(self, name: str, value: Any) -> Any:
        try:
            found = TypeAdapter(self.parameters[name]).validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, (name, *first["loc"])))
            raise BadArguments(f"{place}: {first['msg']}") from None
        return [_file(each) for each in found] if name == "files" else found


def tools_of(client: GatewayClient) -> list[ToolMethod]:
    """Return the tools that a client may see."""
    return [tool for tool in tools().values() if tool.allowed_to(client)]


@cache
def tools() -> Mapping[str, ToolMethod]:
    """Return every tool by name."""
    found = {}
    for endpoint in ENDPOINTS:
        if endpoint.name in LEFT_OUT:
            continue
        parts = tuple("<n>" if part.startswith("<") else part for part in endpoint.path.strip("/").split("/"))
        needs = BY_MEMBERS.get(endpoint.name) or frozenset({_permission(endpoint.method, parts)})
        method = getattr(Client, endpoint.name)
        types, required, order, members = _parameters(method)
        found[endpoint.name] = ToolMethod(
            endpoint.name,
            _summary(method),
            needs,
            endpoint.method == "GET",
            types,
            required,
            order,
            members,
        )
    return found


def _permission(method: str, parts: tuple[str, ...]) -> str:
    """Return what the gateway asks for a call."""
    for call in CALLS:
        pattern = tuple("<n>" if part.startswith("<") else part for part in call.pattern)
        if (call.method, pattern) == (method, parts):
            return call.permission
    raise LookupError(f"the gateway does not know {method} /{'/'.join(parts)}")


def _summary(method: Callable[..., Any]) -> str:
    """Return what a method does: the first line of its docstring, without what only programmers need."""
    words = method.__name__.replace("_", " ")
    first = (inspect.getdoc(method) or f"Read {words}.").splitlines()[0]
    return re.sub(r"(; | )[Ss]ee ``\w+``[^.]*\.?", "", first).rstrip(".").replace("``", "") + "."


def _parameters(method: Callable[..., Any]) -> tuple[dict[str, Any], frozenset[str], tuple[str, ...], str]:
    """Return the types of the arguments, the required ones, those by position, and the one that is an object."""
    types: dict[str, Any] = {}
    required: set[str] = set()
    order: list[str] = []
    members = ""
    hints = get_type_hints(method, include_extras=True)
    for parameter in inspect.signature(method).parameters.values():
        if parameter.name == "self" or (parameter.name == "staff" and parameter.default is None):
            continue  # foxhooks' own staff member
        hint = hints[parameter.name]
        if shape := _shape(hint):
            shown, notes = get_type_hints(shape), _notes(shape)
            types |= {name: _described(_json_type(name, kind), notes.get(name)) for name, kind in shown.items()}
            required |= shape.__required_keys__ & shown.keys()
            members = parameter.name if parameter.kind is not parameter.VAR_KEYWORD else ""
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        types[parameter.name] = _json_type(parameter.name, hint)
        if parameter.default is parameter.empty:
            required.add(parameter.name)
        if parameter.kind is not parameter.KEYWORD_ONLY:
            order.append(parameter.name)
    return types, frozenset(required), tuple(order), members


def _shape(hint: Any) -> Any:
    """Return the typed object in a hint, such as Unpack[ReplyMembers]; None if there is none."""
    if hasattr(hint, "__required_keys__"):
        return hint
    if get_origin(hint) in (list, Iterable):
        return None
    return next((found for found in map(_shape, get_args(hint)) if found), None)


def _notes(shape: Any) -> dict[str, str]:
    """Return the docstrings of the members of a typed object, those of its bases included."""
    found: dict[str, str] = {}
    for base in (*getattr(shape, "__orig_bases__", ()), shape):
        if not hasattr(base, "__required_keys__"):
            continue
        if base is not shape:
            found |= _notes(base)
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for member, after in pairwise(body.body):
            if isinstance(member, ast.AnnAssign) and isinstance(after, ast.Expr):
                assert isinstance(member.target, ast.Name)
                assert isinstance(after.value, ast.Constant)
                found[member.target.id] = " ".join(str(after.value.value).split())
    return found


def _described(hint: Any, note: str | None) -> Any:
    return Annotated[hint, Field(description=note)] if note else hint


def _json_type(name: str, hint: Any) -> Any:
    """Return a type that JSON has: lists for iterables, files as objects with base64."""
    if name == "files":
        return list[AttachedFile]
    return hint


def _file(given: AttachedFile) -> File:
    try:
        content = base64.b64decode(given["content"], validate=True)
    except ValueError:
        raise BadArguments(f"files: the content of {given['name']} is no base64") from None
    if len(content) > MOST_FILE:
        raise BadArguments(f"files: {given['name']} is larger than {MOST_FILE} bytes")
    return File(given["name"], content=content, content_type=given.get("type") or "application/octet-stream")
