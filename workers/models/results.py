"""What calls answer that give no object: sentences, and the results of bulk calls, item by item."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from workers.models.values import mapping, number, text


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence in HappyFox's words, such as ``moved ticket to Billing`` (KB 1039); empty when it says nothing."""

    text: str
    raw: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item of a bulk call; ``index`` is its place in what was given.

    ``state`` is ``done``; ``refused``, then ``problems`` holds (field, text) pairs; ``in doubt``, when the call left
    and its outcome is not known: look before sending it again; or ``unsent``, when it was not made, because of
    ``error``. ``id`` is that of the ticket or contact, where HappyFox tells it; ``name`` its display id or address.
    """

    index: int
    state: Literal["done", "refused", "in doubt", "unsent"]
    id: int | None = None
    name: str = ""
    problems: tuple[tuple[str, str], ...] = ()
    error: Exception | None = None
    raw: Any = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the item was done."""
        return self.state == "done"


def read_said(raw: object) -> Said:
    """Reads ``{"message": ...}``, or ``{"deleted_ticket": ...}``, also an empty answer."""
    members = mapping(raw)
    return Said(text(members.get("message", members.get("deleted_ticket"))), raw)


def read_results(
    raw: object, sent: Sequence[Any], problems: Callable[[Any], Sequence[tuple[str, str]]]
) -> list[ItemResult]:
    """Reads the results of a bulk call, in the order of what was sent (assumed).

    An item without a result of its own is in doubt. ``problems`` flattens the complaints about one.
    """
    listed = raw if isinstance(raw, list) else []
    return [
        _result(index, mapping(listed[index]) if index < len(listed) else {}, problems) for index in range(len(sent))
    ]


def _result(index: int, raw: Mapping[str, Any], problems: Callable[[Any], Sequence[tuple[str, str]]]) -> ItemResult:
    success, data = raw.get("success"), mapping(raw.get("data"))
    identity = number(raw.get("id", data.get("contact")))
    name = text(raw.get("display_id") or raw.get("email"))
    if success is True:
        return ItemResult(index, "done", identity, name, raw=raw)
    if success is False:
        said = tuple(problems({key: raw[key] for key in ("error", "errors") if key in raw}))
        said = said or (("", text(data.get("message"))),)
        return ItemResult(index, "refused", identity, name, said, raw=raw)
    return ItemResult(index, "in doubt", raw=raw)
